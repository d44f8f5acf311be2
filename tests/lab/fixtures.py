"""Fixtures for tests that are marked `guest`; tests/conftest.py names this module as a plugin."""

from collections.abc import Iterator

import pytest

from box.qemu.guest import Guest
from box.qemu.image import find_image
from box.requirements import Missing
from tests.lab.wire import Wire, require_rights_and_tools


@pytest.fixture(scope="session")
def guest() -> Iterator[Guest]:
    """A booted guest, in the state that the last test left; tests should use `fresh_guest`."""
    try:
        image = find_image()
        require_rights_and_tools()
    except Missing as missing:
        pytest.skip(f"no FreeBSD guest here: {missing.what}")
    if image.wants_seed:
        pytest.skip(f"no FreeBSD guest here: {image.disk} has no key beside it")
    with Guest(image, Wire()) as booted:
        yield booted


@pytest.fixture
def fresh_guest(guest: Guest) -> Guest:
    """The guest as it was right after its boot."""
    guest.restore()
    return guest

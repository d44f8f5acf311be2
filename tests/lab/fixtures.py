"""Fixtures for tests that are marked `guest`; tests/conftest.py names this module as a plugin."""

from collections.abc import Iterator

import pytest

from box.qemu.guest import Guest
from box.qemu.image import find_image
from box.requirements import Missing
from tests.lab.wire import Wire, require_rights_and_tools


@pytest.fixture(scope="session")
def guest() -> Iterator[Guest]:
    """A booted guest, in whatever state the last test left it; `fresh_guest` is the one to use."""
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
    """The guest as it was when it had just booted."""
    guest.restore()
    return guest

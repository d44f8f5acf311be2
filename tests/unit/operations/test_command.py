"""A command with an undo is still a command of pyinfra's."""

from __future__ import annotations

from io import StringIO

import pytest
from pyinfra.api.command import FileUploadCommand, StringCommand

from operations.command import LIMIT, NewFile, Reversible, staged


def test_pyinfra_types_the_same_line_that_we_do() -> None:
    command = Reversible("sysrc a='b c'", undo="sysrc -x a", says="set a")
    assert isinstance(command, StringCommand)
    assert command.get_raw_value() == "sysrc a='b c'"
    assert (command.keep, command.limit, command.live) == ((), LIMIT, False)


def test_pyinfra_uploads_the_same_content_to_the_same_place() -> None:
    new = NewFile("/etc/rc.d/x", 'a="$b"\n')
    assert isinstance(new, FileUploadCommand)
    assert new.dest == "/etc/rc.d/.x.cellblock"
    assert isinstance(new.src, StringIO)
    assert new.src.getvalue() == 'a="$b"\n'


@pytest.mark.parametrize(
    ("path", "name"), [("/etc/rc.d/x", "/etc/rc.d/.x.cellblock"), ("/x.conf", "/.x.conf.cellblock")]
)
def test_new_content_waits_where_globs_do_not_see_it(path: str, name: str) -> None:
    assert staged(path) == name

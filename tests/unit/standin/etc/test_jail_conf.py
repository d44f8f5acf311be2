"""jail.conf(5), read."""

from __future__ import annotations

from pathlib import Path

import pytest

from standin.etc.jail_conf import JailConfError, parse, read
from standin.linux.rootdir import RootDir

TEXT = """
# what all have
$jails = "/usr/jails";
exec.start = "/bin/sh /etc/rc";
* { path = "$jails/$name/root"; mount.devfs; }
web {
    host.hostname = "${name}.example.org"; // its own
    ip4.addr = 10.80.0.2, 10.80.0.3;
    exec.start += "/usr/bin/true";
    nopersist;  /* over
    two lines */
    allow.raw_sockets = 0;
}
db { path = /elsewhere; persist; }
"""


def test_wildcards_variables_and_lists() -> None:
    found = parse(TEXT, "jail.conf")
    assert list(found) == ["web", "db"]
    web = found["web"]
    assert web.get("path") == "/usr/jails/web/root"
    assert web.get("host.hostname") == "web.example.org"
    assert web.all("ip4.addr") == ["10.80.0.2", "10.80.0.3"]
    assert web.all("exec.start") == ["/bin/sh /etc/rc", "/usr/bin/true"]
    assert web.is_on("mount.devfs")
    assert not web.is_on("persist")
    assert not web.is_on("allow.raw_sockets")
    assert found["db"].get("path") == "/elsewhere"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("web { no.such = 1; }", "unknown parameter: no.such"),
        ("web { path = /x }", "syntax error"),
        ("web { path = /x;", "syntax error at end of file"),
        ("web { path = ; }", "syntax error near 'path'"),
    ],
)
def test_errors_name_the_line(text: str, words: str) -> None:
    with pytest.raises(JailConfError, match=words):
        parse(text, "jail.conf")


def test_what_is_included_stands_in_the_place_of_the_line(tmp_path: Path) -> None:
    (tmp_path / "etc" / "jails").mkdir(parents=True)
    (tmp_path / "etc" / "jail.conf").write_text('exec.clean;\n.include "jails/*.conf";\n')
    (tmp_path / "etc" / "jails" / "db.conf").write_text("db { path = /a; }")
    found = read(RootDir("", tmp_path), "/etc/jail.conf")
    assert found is not None
    assert parse(found, "jail.conf")["db"].is_on("exec.clean")
    assert read(RootDir("", tmp_path), "/etc/none") is None

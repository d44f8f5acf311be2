"""What a jail whose pages run programs gets of /usr/local/etc."""

from __future__ import annotations

from pathlib import Path

from operations import settings
from tests.unit.operations.asking import reversible, typed


def copied(tmp_path: Path, **there: str) -> dict[str, str]:
    """The files of the jail, with `there` in it before."""
    etc, into = tmp_path / "etc", tmp_path / "jail"
    into.mkdir()
    for name, text in there.items():
        (into / name).write_text(text)
    [command] = reversible(settings.readable, into="/j/etc", without=["namedb/primary"])
    text = command.do.replace("cd /usr/local/etc", f"cd {etc}").replace("/j/etc", str(into))
    done = typed(text, tmp_path, find='shift 2; exec /usr/bin/find . -xdev "$@"')
    assert done.returncode == 0, done.stderr
    assert not [each for each in into.iterdir() if each.name in (".settings", ".packed.tar")]
    files = (each for each in into.rglob("*") if each.is_file())
    return {str(each.relative_to(into)): each.read_text() for each in files}


def test_what_every_account_may_read_comes_along(tmp_path: Path) -> None:
    for name, mode in {
        "odbc.ini": 0o644,
        "fonts/conf d/a.conf": 0o644,
        "private.ini": 0o640,
        "shut/in.ini": 0o644,
        "rc.d/redis": 0o755,
        "periodic/daily/x": 0o755,
        "namedb/primary/zone": 0o644,
        "namedb/named.conf": 0o644,
    }.items():
        file = tmp_path / "etc" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("the host's")
        file.chmod(mode)
    (tmp_path / "etc" / "shut").chmod(0o750)
    (tmp_path / "etc" / "link.ini").symlink_to("odbc.ini")
    assert copied(tmp_path, **{"odbc.ini": "the jail's"}) == {
        "odbc.ini": "the jail's",
        "link.ini": "the jail's",
        "fonts/conf d/a.conf": "the host's",
        "namedb/named.conf": "the host's",
    }

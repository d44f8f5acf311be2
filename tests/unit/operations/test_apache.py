"""What Apache's configuration names, with its place; and what of it a jail is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from operations.apache import Configuration, Directives, Line, backends, virtual_hosts
from operations.carried import Further, Named, _folder_copied, brought, is_in, table
from operations.command import NewFile
from operations.facts import IsDirectory, MountedBelow, State
from operations.facts import Path as At
from operations.mount import Nullfs
from tests.unit.operations.asking import reversible, typed, yielded

FREEBSD: dict[str, Any] = {
    "mount": '[ "$1" = -p ] && cat ../mounts 2>/dev/null; true',
    "realpath": 'echo "$1"',
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Directories of a host: pages, logs, and a file in place of a socket."""
    for each in ("pages", "logs", "run", "two words"):
        (tmp_path / "data" / each).mkdir(parents=True)
    (tmp_path / "data" / "key").touch()
    return tmp_path / "data"


def named(root: Path, conf: str, other: str = "") -> dict[str, Named]:
    """What is found with this httpd.conf, and extra/other.conf."""
    folder = root / "apache24"
    (folder / "extra").mkdir(parents=True, exist_ok=True)
    (folder / "httpd.conf").write_text(f'ServerRoot "{root}"\n{conf}\n')
    (folder / "extra" / "other.conf").write_text(other)

    def ask(fact: Any, **arguments: Any) -> Any:
        done = typed(fact().command(**arguments), folder, **FREEBSD)
        assert done.returncode == 0, done.stderr
        return fact().process(done.stdout.splitlines())

    found = Configuration((str(folder),)).named(ask)
    return {each.path: each for each in found}


@pytest.mark.parametrize(
    ("line", "path", "kind"),
    [
        ('DocumentRoot "{}/pages"', "pages", "directory"),
        ("  alias /x {}/pages/", "pages", "directory"),
        ('Alias "/x y" "{}/two words/"', "two words", "directory"),
        ("CustomLog {}/logs/a.log combined", "logs", "directory"),
        ("ErrorLog data/logs/a.log", "logs", "directory"),
        ("SSLCertificateKeyFile {}/key", "key", "file"),
        ('SetHandler "proxy:unix:{}/key|fcgi://localhost"', "key", "file"),
        ("ProxyPass / unix:{}/key|http://x/", "key", "file"),
        ("ProxyPass / unix:{}/key|http://x/ retry=0 timeout=5", "key", "file"),
        ("RewriteRule ^/(.*) unix:{}/key|http://x/$1 [P,L]", "key", "file"),
        ("WSGIScriptAlias /app {}/key", "key", "file"),
        ("AliasMatch ^/x/(.*) {}/pages/$1", "pages", "directory"),
        ("VirtualDocumentRoot {}/pages/%0/public", "pages", "directory"),
        ("UserDir {}/pages/*/public", "pages", "directory"),
        ("SecAuditLog {}/logs/audit.log", "logs", "directory"),
    ],
)
def test_a_path_is_found_with_its_kind_and_its_line(
    line: str, path: str, kind: str, data: Path
) -> None:
    found = named(data.parent, line.format(data))
    place = f"{data.parent}/apache24/httpd.conf:2"
    assert found == {str(data / path): Named(str(data / path), kind, place)}


@pytest.mark.parametrize(
    "line",
    [
        "# DocumentRoot {}/pages",
        "DocumentRoot {}/gone",
        "UserDir public_html",
        "RewriteRule /x unix:{}/key|http://x/ [R]",
        "ErrorLog /var/log/some.log",
        'CustomLog "|{}/pages/rotate" combined',
    ],
)
def test_what_does_not_count_is_not_found(line: str, data: Path) -> None:
    assert named(data.parent, line.format(data)) == {}


def test_only_what_httpd_conf_includes_counts(data: Path) -> None:
    """The port has samples in extra/, whose directories are made up."""
    other = f"DocumentRoot {data}/pages\n"
    assert named(data.parent, "", other) == {}
    for include in ("Include apache24/extra/*.conf", "IncludeOptional apache24/extra"):
        found = named(data.parent, include, other)
        assert found[str(data / "pages")].said.endswith("extra/other.conf:1")


def test_what_is_mounted_below_a_directory_is_found_with_it(data: Path) -> None:
    (data.parent / "mounts").write_text(
        f"zroot/a\t{data}/pages/ann\tzfs\trw\t0\t0\nzroot/b\t{data}/pagesbob\tzfs\trw\t0\t0\n"
    )
    found = named(data.parent, f"DocumentRoot {data}/pages")
    assert found[str(data / "pages")].below == ("/ann",)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("ProxyPass /app http://127.0.0.1:3000/", [("http://127.0.0.1:3000", "3000")]),
        ("ProxyPass /app http://localhost/app", [("http://localhost", "80")]),
        ("SetHandler proxy:fcgi://127.0.0.1:9000", [("fcgi://127.0.0.1:9000", "9000")]),
        ("SetHandler proxy:unix:/var/run/php-fpm.sock|fcgi://localhost", []),
        ("ProxyPass /app http://app.example.org/", []),
        ("ProxyPass /a http://127.0.0.1:3000/ retry=0", [("http://127.0.0.1:3000", "3000")]),
        ("BalancerMember http://127.0.0.1:3001 route=1", [("http://127.0.0.1:3001", "3001")]),
        ("RewriteRule /(.*) ws://localhost:3000/$1 [P,L]", [("ws://localhost:3000", "3000")]),
        ("RewriteRule /(.*) http://localhost:3000/$1 [R,L]", []),
        ("DocumentRoot /usr/local/www", []),
    ],
)
def test_backends_on_this_machine_are_found(words: str, expected: list[tuple[str, str]]) -> None:
    line = Line("httpd.conf", "7", tuple(words.split()))
    assert [(url, port) for url, port, _ in backends([line])] == expected


class Fixed:
    """A configuration that names these."""

    def __init__(self, *found: Named) -> None:
        self._found = found

    def named(self, ask: Any) -> tuple[Named, ...]:
        return self._found


def no_host(*_: Any, **__: Any) -> None:
    raise AssertionError("a fact was asked")


def further(*found: Named) -> Further:
    return Further((Fixed(*found),), ("/usr/local/www", "/usr/local/etc/apache24"), "/usr/jails")


def test_what_is_named_is_copied_mounted_or_lost() -> None:
    local = Named("/usr/local/etc/htpasswd", "file", "a:1")
    pages = Named("/data/pages", "directory", "a:2", ("/ann",))
    inner = Named("/data/pages/inner", "directory", "a:3")
    there = Named("/usr/local/www/x", "directory", "a:4")
    lost = [
        Named("/root/key.pem", "file", "a:5"),
        Named("/var/run/app.sock", "other", "a:6"),
        Named("/", "directory", "a:7"),
        Named("/usr", "directory", "a:8"),
        Named("/etc/pages", "directory", "a:9"),
        Named("/usr/jails/mail/root", "directory", "a:10"),
        Named("/data/with space", "directory", "a:11"),
    ]
    whole = further(local, pages, inner, there, *lost)
    assert whole.copied(no_host) == [local]
    assert whole.shown(no_host) == [pages]
    assert whole.lost(no_host) == lost


def test_copies_and_mount_points_are_made_in_the_jails_tree(tmp_path: Path) -> None:
    pages = Named("/data/pages", "directory", "a:2", ("/ann",))
    ini = Named("/usr/local/etc/php.ini", "file", "PHP")
    both = further(pages, ini)
    commands = reversible(brought, further=both, root="/j/web/root", private="/j/etc")
    assert [each.do for each in commands] == [
        "mkdir -p /j/etc && cp -p /usr/local/etc/php.ini /j/etc/php.ini",
        "mkdir -p /j/web/root/data/pages",
    ]


def test_a_folder_is_copied_also_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real" / "conf.d").mkdir(parents=True)
    (tmp_path / "real" / "conf.d" / "a").write_text("a")
    (tmp_path / "link").symlink_to("real")
    done = typed(_folder_copied(f"{tmp_path}/link", f"{tmp_path}/to/php"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "to/php/conf.d/a").read_text() == "a"
    assert not (tmp_path / "to/php/.packed.tar").exists()


def test_the_table_shows_what_is_named_and_what_is_mounted_in_it() -> None:
    pages = Named("/data/pages", "directory", "a:2", ("/ann",))
    [new, _] = yielded(
        table,
        {MountedBelow: (), IsDirectory: State("directory"), At: State()},
        further=further(pages),
        root="/j/web/root",
        path="/j/web/fstab",
        mounts=[Nullfs("/bin", "/j/web/root/bin")],
    )
    assert isinstance(new, NewFile)
    assert new.content.splitlines()[1:] == [
        "/data/pages\t/j/web/root/data/pages\tnullfs\trw\t0\t0",
        "/data/pages/ann\t/j/web/root/data/pages/ann\tnullfs\trw\t0\t0",
    ]


def test_home_may_be_a_link_to_usr_home() -> None:
    assert is_in("/home/user001/public_html", ["/usr/home"])
    assert is_in("/usr/home/user001/public_html", ["/usr/home"])
    assert not is_in("/usr/homes/user001", ["/usr/home"])
    assert is_in("/home/user001/public_html", ["/home"])


def test_a_plan_without_a_host_assumes_that_nothing_more_is_named() -> None:
    look = Directives.assumed(["/usr/local/etc/apache24"])
    assert look.sees == "" and "/usr/local/etc/apache24" in look.claim


def test_each_virtual_host_has_its_names_and_its_pages(tmp_path: Path) -> None:
    conf = tmp_path / "httpd.conf"
    conf.write_text(
        'ServerName main.example.org:80\nDocumentRoot "/data/main"\n'
        "<VirtualHost *:80>\n  ServerName http://www.example.org:80\n"
        "  ServerAlias example.org *.example.org\n  DocumentRoot pages\n</VirtualHost>\n"
        "# <VirtualHost *:80>\n#  ServerName sample.example.org\n"
        "<VirtualHost *:80>\n  ServerName bare.example.org\n</VirtualHost>\n"
        "<VirtualHost *:80>\n  DocumentRoot /data/odd\n  ServerName $(reboot)\n</VirtualHost>\n"
    )
    command = Directives().command([str(conf)])
    said = Directives().process(typed(command, tmp_path, **FREEBSD).stdout.splitlines())
    assert virtual_hosts(said.lines, "203.0.113.2") == {
        "203.0.113.2": "/data/main",
        "main.example.org": "/data/main",
        "www.example.org": "/usr/local/pages",
        "example.org": "/usr/local/pages",
        "any.example.org": "/usr/local/pages",
        "bare.example.org": "",
    }

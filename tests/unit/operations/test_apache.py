"""What Apache's configuration names, with its place; and what of it a jail is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from operations import apache
from operations.apache import (
    Configuration,
    Directives,
    Line,
    accounts,
    backends,
    beside_pages,
    runs_as,
    system_logins,
    unclear,
    virtual_hosts,
)
from operations.carried import Further, Named, There, _folder_copied, brought, is_in, table
from operations.command import NewFile
from operations.facts import IsDirectory, MountedBelow, Restricted, State
from operations.facts import Path as At
from operations.mount import Nullfs
from tests.unit.operations.asking import reversible, typed, yielded

FREEBSD: dict[str, Any] = {
    "mount": '[ "$1" = -p ] && cat ../mounts 2>/dev/null; true',
    "realpath": 'echo "$1"',
}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Directories of a host: pages, logs, and a file in place of a socket."""
    monkeypatch.setattr(apache, "_ANEW", ("/dev",))  # the host of these tests is in /tmp
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
        ("WSGIDaemonProcess app user=www python-home={}/pages", "pages", "directory"),
        ("PerlSwitches -I{}/pages", "pages", "directory"),
        ("RewriteMap hosts txt:{}/key", "key", "file"),
        ("MaxMindDBFile COUNTRY_DB {}/key", "key", "file"),
        ("PHPIniDir {}/pages", "pages", "directory"),
        ("SetEnv PERL5LIB {}/pages", "pages", "directory"),
        ("Use Site shop.example.org {}/pages", "pages", "directory"),
        ('CustomLog "|/usr/local/sbin/rotatelogs -l {}/logs/a.%Y%m%d 86400"', "logs", "directory"),
        ('ErrorLog "|$cronolog --symlink={}/logs/now"', "logs", "directory"),
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


@pytest.mark.parametrize(
    "conf",
    [
        "Define SITES {0}\nDocumentRoot ${{SITES}}/pages",
        "Define TOP {0}\nDefine SITES ${{TOP}}\nDocumentRoot ${{SITES}}/pages",
    ],
)
def test_what_define_says_stands_in_paths(conf: str, data: Path) -> None:
    found = named(data.parent, conf.format(data))
    assert [each for each in found if each.endswith("pages")] == [str(data / "pages")]


def test_lines_are_read_as_many_hands_leave_them(data: Path) -> None:
    """Single quotes, continued lines, capitals, Latin-1, and the line ends of Windows."""
    extra = data.parent / "apache24" / "extra"
    extra.mkdir(parents=True)
    (extra / "more.conf").write_bytes(
        f"# M\xfcller \\\r\nDocumentRoot {data}\r\nDOCUMENTROOT\t'{data}/two words'\r\n"
        f"CustomLog \\\r\n  {data}/logs/a \\\r\n  combined\r\n".encode("latin-1")
    )
    found = named(data.parent, f"DocumentRoot \\\n  {data}/pages\nInclude apache24/extra/*.conf")
    assert {path: each.said for path, each in found.items() if str(data) in path} == {
        f"{data}/pages": f"{extra.parent}/httpd.conf:2",
        f"{data}/two words": f"{extra}/more.conf:3",
        f"{data}/logs": f"{extra}/more.conf:4",
    }


def test_a_variable_of_the_environment_is_told(data: Path) -> None:
    lines = [Line("httpd.conf", "7", ("DocumentRoot", "${HTDOCS}/shop"))]
    assert list(unclear(lines)) == ["httpd.conf:7: DocumentRoot ${HTDOCS}"]
    assert list(unclear([Line("httpd.conf", "7", ("DocumentRoot", "/data/shop"))])) == []


def test_links_in_the_configuration_are_read(data: Path) -> None:
    """As sites-enabled has them, to a file beside it, or to a directory elsewhere."""
    folder = data.parent / "apache24"
    for each in (folder / "sites-available", folder / "sites-enabled", data / "vhosts"):
        each.mkdir(parents=True)
    (folder / "sites-available" / "shop.conf").write_text(f"DocumentRoot {data}/pages\n")
    (folder / "sites-enabled" / "shop.conf").symlink_to("../sites-available/shop.conf")
    (data / "vhosts" / "b.conf").write_text(f"DocumentRoot {data}/run\n")
    (folder / "vhosts").symlink_to(data / "vhosts")
    found = named(
        data.parent,
        "IncludeOptional apache24/sites-enabled/*.conf\nIncludeOptional apache24/vhosts/*.conf",
    )
    assert found[str(data / "pages")].said.endswith("sites-enabled/shop.conf:1")
    assert found[str(data / "run")].said.endswith("apache24/vhosts/b.conf:1")


def test_paths_of_the_ports_environment_are_found(data: Path) -> None:
    """envvars.d has what httpd is started with: libraries of a database, say."""
    folder = data.parent / "apache24" / "envvars.d"
    folder.mkdir(parents=True)
    (folder / "oracle.env").write_text(
        f"# x\nexport LD_LIBRARY_PATH={data}/lib:{data}/pages\nexport PATH=/bin:{data}/run\n"
        "export TOKEN=tops3cret\n"
    )
    (folder / "off.env.sample").write_text(f"export X={data}/logs\n")
    (data / "lib").mkdir(exist_ok=True)
    found = named(data.parent, "ServerAdmin me")
    assert {path for path in found if str(data) in path} == {f"{data}/lib", f"{data}/pages"}
    assert found[f"{data}/lib"].said == f"{folder}/oracle.env:2"
    said = typed(Directives().command([str(folder.parent)]), folder, **FREEBSD).stdout
    assert "tops3cret" not in said


def test_a_secret_in_the_environment_stays_on_the_host(data: Path) -> None:
    folder = data.parent / "apache24"
    folder.mkdir()
    (folder / "httpd.conf").write_text("SetEnv DB_PASS tops3cret\nSetEnv LIB /data/lib\n")
    said = typed(Directives().command([str(folder)]), folder, **FREEBSD).stdout
    assert "tops3cret" not in said and "/data/lib" in said


def test_accounts_and_logins_of_the_system_are_found() -> None:
    lines = [
        Line("a", "1", ("User", "www")),
        Line("a", "2", ("SuexecUserGroup", "shop", "shop")),
        Line("a", "3", ("WSGIDaemonProcess", "app", "user=django", "processes=2")),
        Line("a", "4", ("DefineExternalAuth", "pwauth", "pipe", "/usr/local/bin/pwauth")),
        Line("a", "5", ("DefineExternalAuth", "mine", "pipe", "/usr/local/bin/check")),
    ]
    assert list(accounts(lines)) == [("www", "a:1"), ("shop", "a:2"), ("django", "a:3")]
    assert runs_as(lines) == ("www", "www")
    assert list(system_logins(lines)) == [
        "a:4: DefineExternalAuth pwauth pipe /usr/local/bin/pwauth"
    ]


def test_files_beside_pages_name_paths() -> None:
    rows = [
        "/usr/home/ann/public_html/.htaccess:3:  AuthUserFile /data/auth/users",
        "/usr/home/ann/public_html/.user.ini:1:auto_prepend_file = '/data/waf.php'",
        "/usr/home/ann/public_html/.htaccess:9: php_value include_path .:/data/lib",
        "/usr/home/ann/public_html/.htaccess:10: AuthUserFile conf/users",
    ]
    assert list(beside_pages(rows)) == [
        ("/data/auth/users", "/usr/home/ann/public_html/.htaccess:3: AuthUserFile"),
        ("/data/waf.php", "/usr/home/ann/public_html/.user.ini:1: auto_prepend_file"),
        ("/data/lib", "/usr/home/ann/public_html/.htaccess:9: php_value"),
    ]


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
        ("AuthLDAPURL ldap://127.0.0.1/ou=people", [("ldap://127.0.0.1", "389")]),
        ("FastCgiExternalServer /x -host 127.0.0.1:9000", [("127.0.0.1:9000", "9000")]),
        ("AuthnCacheSOCache memcache:localhost:11211", [("localhost:11211", "11211")]),
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
    [more, _, new, _] = yielded(
        table,
        {MountedBelow: (), Restricted: {}, IsDirectory: State("directory"), At: State()},
        further=further(pages),
        root="/j/web/root",
        path="/j/web/fstab",
        mounts=[Nullfs("/bin", "/j/web/root/bin")],
    )
    assert isinstance(new, NewFile)
    assert isinstance(more, NewFile)
    assert [each.content.splitlines()[-1] for each in (new, more)] == [
        "/data/pages\t/j/web/root/data/pages\tnullfs\trw\t0\t0",
        "/data/pages/ann\t/j/web/root/data/pages/ann\tnullfs\trw\t0\t0",
    ]


def test_what_the_jail_has_behind_its_link_home_is_not_mounted_again() -> None:
    """A mount there would be one over itself (EDEADLK): the jail's /home is that link, too."""
    said = There.read(["= directory /home/ann/pages", "~ /data/home/ann/pages /home/ann/pages"])
    [named] = said.named([("/home/ann/pages", "httpd.conf:1")])

    class Names:
        def named(self, ask: Any) -> tuple[Named, ...]:
            return (named,)

    assert Further((Names(),), ("/data/home",), "/usr/jails").shown(no_host) == []
    assert Further((Names(),), ("/data/www",), "/usr/jails").shown(no_host) == [named]


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


@pytest.mark.parametrize(
    ("line", "there"),
    [
        ("XSendFilePath {}/pages", "pages"),
        ("MDStoreDir {}/run", "run"),
        ("RewriteRule ^/files/(.*) {}/pages/$1 [L]", "pages"),
        ("RewriteRule ^/x$ {}/pages/index.php?a=$1 [L]", ""),
        ("RewriteRule ^/x$ /data/$1 [L]", ""),
        ("SecUploadDir {}/pages", "pages"),
        ("DOSLogDir {}/logs", "logs"),
        ("GlobalLog {}/logs/all.log combined", "logs"),
        ("SSLSessionTicketKeyFile {}/key", "key"),
        ("SSLPassPhraseDialog exec:{}/key", "key"),
        ("LDAPTrustedGlobalCert CA_BASE64 {}/key", "key"),
        ("PerlSetVar MasonDataDir {}/pages", "pages"),
        ("PerlSetVar Secret x{}/pages", ""),
        ("ServerPath {}/pages", ""),
        ("MellonEndpointPath {}/pages", ""),
        ("Redirect {}/pages http://x/", ""),
    ],
)
def test_directives_of_modules_name_directories(data: Path, line: str, there: str) -> None:
    found = named(data.parent, line.format(data))
    assert set(found) == ({f"{data}/{there}"} if there else set())


def test_passwords_on_lines_that_are_read_stay_on_the_host(data: Path) -> None:
    folder = data.parent
    line = 'DBDParams "host=127.0.0.1 user=auth pass=geheim,dbname=a"'
    assert named(folder, line) == {}
    done = typed(Directives().command((str(folder),)), folder, **FREEBSD)
    assert "geheim" not in done.stdout
    lines = Directives().process(done.stdout.splitlines()).lines
    assert list(apache.database_users(lines)) == [("auth", f"{folder}/apache24/httpd.conf:2")]


def test_mod_md_keeps_certificates_where_nothing_says() -> None:
    lines = [Line("a", "1", ("MDomain", "www.example.org"))]
    assert list(apache.named(lines)) == [("/usr/local/md", "a:1")]
    lines.append(Line("a", "2", ("MDStoreDir", "/data/md")))
    assert list(apache.named(lines)) == [("/data/md", "a:2")]


def test_other_machines_that_get_requests_are_found() -> None:
    words = [
        "ProxyPass / http://192.168.7.20:8080/ retry=0",
        "BalancerMember ajp://tomcat.example.net",
        "ProxyPass /b balancer://all/",
        "RewriteRule ^/(.*) https://www.example.org/$1 [R]",
        "RewriteRule ^/p/(.*) https://www.example.org/$1 [P]",
        'SetHandler "proxy:unix:/run/x|fcgi://localhost"',
        "ProxyPass /l http://127.0.0.1:3000/",
        "ProxyPass /s http://[2001:db8::80]:8080/ retry=0",
        "ProxyPass /o http://[::1]/",
    ]
    lines = [Line("a", str(n), tuple(each.split())) for n, each in enumerate(words)]
    assert [each[1:3] for each in apache.elsewhere(lines)] == [
        ("192.168.7.20", "8080"),
        ("tomcat.example.net", "8009"),
        ("www.example.org", "443"),
        ("[2001:db8::80]", "8080"),
        ("[::1]", "80"),
    ]


def test_an_account_may_have_a_dash() -> None:
    lines = [
        Line("a", "1", ("SuexecUserGroup", "web-1", "web-1")),
        Line("a", "2", ("WSGIDaemonProcess", "x", "user=j.doe", "threads=2")),
    ]
    assert [name for name, _ in apache.accounts(lines)] == ["web-1", "j.doe"]

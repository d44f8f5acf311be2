"""The tree of a thin jail, what is copied into it and what is not, its start and its boot."""

from __future__ import annotations

import subprocess
from ipaddress import IPv4Interface
from pathlib import Path as LocalPath

import pytest
from pyinfra.api.exceptions import OperationError

from operations import jail
from operations.command import NewFile, Reversible
from operations.facts import (
    Bound,
    IsEmptyFileSystem,
    JailConf,
    Jails,
    Listeners,
    OwnAddresses,
    Path,
    RcConf,
    Replaceable,
    State,
)
from tests.unit.operations.answering import ANSWERS, JAIL, SECOND, WAN, two_addresses
from tests.unit.operations.asking import DASH, pairs, reversible, typed, unset, yielded

FIND = 'case "$*" in *-flags*) exit 0;; esac; shift; exec /usr/bin/find "$@"'
"""Linux has no flags of files, and GNU find spells -x -xdev."""


def tree(home: str, *points: str) -> tuple[str, str]:
    there = {Path: State(), IsEmptyFileSystem: False}
    [command] = reversible(jail.tree, there, home=home, shown=f"{home}.shown", mount_points=points)
    return command.do, str(command.undo)


def by_root(text: str, where: LocalPath) -> subprocess.CompletedProcess[str]:
    """As host.sh runs it, and as a person types it."""
    return typed(f"umask 022; {text}", where)


def mode(path: LocalPath) -> str:
    return f"{path.stat().st_mode & 0o7777:o}"


def test_a_tree_is_never_built_over_another() -> None:
    there = {Path: State("directory"), IsEmptyFileSystem: False}
    with pytest.raises(OperationError, match="/j/web exists already: expected nothing"):
        reversible(jail.tree, there, home="/j/web", shown="/j/shown")


def test_an_empty_file_system_takes_a_tree_and_is_left_empty_as_it_was(tmp_path: LocalPath) -> None:
    """Of which newfs(8) has made a directory that stays."""
    home = tmp_path / "web"
    (home / ".snap").mkdir(parents=True)
    home.chmod(0o755)
    there = {Path: State("directory"), IsEmptyFileSystem: True}
    [command] = reversible(jail.tree, there, home=str(home), shown=f"{home}.shown")
    tools: dict[str, str] = {
        "stat": '/usr/bin/stat -c %a "$3"',
        "find": FIND,
        "mount": "echo /dev/x / ufs rw 1 1",
        "fsync": f'echo "$1" >> {tmp_path}/synced',
    }
    keep = f"KEEP={tmp_path}; "
    assert typed(keep + command.do, tmp_path, None, **tools).returncode == 0
    assert mode(home) == "700"
    assert (tmp_path / "synced").read_text() == f"{tmp_path}/mode\n", "or a power cut loses it"
    (home / "root" / "etc" / ".snap").mkdir()
    undo = keep + str(command.undo).replace("rm -rfx", "rm -rf")
    for _ in range(2):
        assert typed(undo, tmp_path, None, **tools).returncode == 0
        assert [each.name for each in home.iterdir()] == [".snap"]
        assert mode(home) == "755"


def test_the_text_of_a_tree() -> None:
    do, undo = tree("/j/web", "data")
    points = " ".join(f"/j/web/root/{each}" for each in (*jail.BASE, "dev", "usr/local", "data"))
    assert do == (
        f"mkdir -p {points} && cd /j/web/root && install -d -m 1777 tmp var/tmp "
        "&& install -d -m 750 root && install -d -m 755 etc "
        '&& if [ -L /home ] && [ ! -e home ]; then ln -s "$(readlink /home)" home; fi '
        "&& chmod 700 /j/web"
    )
    assert undo == (
        "if [ -d /j/web ] || [ -d /j/web.shown ]; then ! mount -p | awk '{print $2}' "
        "| grep -q -e '^/j/web/' -e '^/j/web.shown/' && "
        "find -x $(ls -d /j/web /j/web.shown 2>/dev/null) -flags +uunlnk,uchg,uappnd "
        "-exec chflags -h 0 {} + && rm -rfx /j/web /j/web.shown; fi"
    )


def test_a_tree_has_its_mount_points_and_what_a_jail_writes(tmp_path: LocalPath) -> None:
    root = tmp_path / "web" / "root"
    done = by_root(tree(str(tmp_path / "web"), "var/db/mysql")[0], tmp_path)
    assert done.returncode == 0, done.stderr
    for point in (*jail.BASE, "dev", "usr/local", "var/db/mysql", "etc"):
        assert (root / point).is_dir(), point
    assert mode(root / "tmp") == "1777"
    assert mode(root / "var/tmp") == "1777"
    assert mode(root / "root") == "750"


def test_a_tree_is_for_root_alone_and_open_inside(tmp_path: LocalPath) -> None:
    home = tmp_path / "bind"
    assert by_root(tree(str(home))[0], tmp_path).returncode == 0
    assert mode(home) == "700"
    assert mode(home / "root") == "755"


def test_a_tree_lets_daemons_that_are_not_root_in(tmp_path: LocalPath) -> None:
    home = tmp_path / "web"
    by_root(tree(str(home), "var/db/mysql")[0], tmp_path)
    for each in ("root", "root/usr", "root/var", "root/var/db", "root/etc"):
        assert mode(home / each) == "755", f"only root can reach what is below {each}"


def test_the_undo_of_a_tree_takes_it_away_and_may_run_twice(tmp_path: LocalPath) -> None:
    home = tmp_path / "web"
    do, undo = tree(str(home), "../../web.shown/log")
    without_x = undo.replace("rm -rfx", "rm -rf")  # GNU rm spells it --one-file-system
    for made in (False, True, False):
        if made:
            typed(do, tmp_path)
            assert (tmp_path / "web.shown" / "log").is_dir()
        there = {"mount": "echo /dev/x / ufs rw 1 1", "find": FIND}
        assert typed(without_x, tmp_path, None, **there).returncode == 0
        assert not home.exists()
        assert not (tmp_path / "web.shown").exists()


@pytest.mark.parametrize("point", ["web/root/var/db/my", "web.shown/var/log"])
def test_nothing_is_deleted_while_something_is_mounted_below(
    tmp_path: LocalPath, point: str
) -> None:
    home = tmp_path / "web"
    do, undo = tree(str(home), "../../web.shown/var/log")
    typed(do, tmp_path)
    mounted = f"echo /dev/x / ufs rw 1 1; echo /var/db/my {tmp_path}/{point} nullfs rw 0 0"
    refused = typed(undo, tmp_path, mount=mounted, rm="echo rm >>rm.called")
    assert refused.returncode != 0
    assert not (tmp_path / "rm.called").exists()


def test_the_mounts_of_a_jail_with_a_longer_name_are_not_ours(tmp_path: LocalPath) -> None:
    home = tmp_path / "web"
    do, undo = tree(str(home))
    typed(do, tmp_path)
    mounted = f"echo /usr {home}2/usr nullfs ro 0 0"
    undone = typed(undo.replace("rm -rfx", "rm -rf"), tmp_path, mount=mounted, find=FIND)
    assert undone.returncode == 0
    assert not home.exists()


def configuration(uids: tuple[int, int] | None = None) -> list[tuple[str, str | None]]:
    return pairs(reversible(jail.configuration, root="/j/web", uids=uids))


def test_what_is_written_into_a_jails_tree_is_undone_with_the_tree() -> None:
    assert [undo for _, undo in configuration()] == [":", ":", ":"]


@pytest.mark.parametrize(
    ("mailer", "sends", "comes"),
    [
        ("sendmail\t/usr/libexec/dma\n", True, {"dma.conf", "auth.conf"}),
        ("sendmail\t/usr/libexec/dma\n", False, set()),
        ("sendmail\t/usr/libexec/sendmail/sendmail\n", True, set()),
    ],
)
def test_a_jail_whose_mail_goes_out_by_dma_has_its_configuration(
    tmp_path: LocalPath, mailer: str, comes: set[str], *, sends: bool
) -> None:
    etc, into = tmp_path / "etc", tmp_path / "jail"
    for folder in (etc / "dma", etc / "mail", into):
        folder.mkdir(parents=True)
    (etc / "mail" / "mailer.conf").write_text(mailer)
    for name in ("dma.conf", "auth.conf"):
        (etc / "dma" / name).write_text("x")
        (etc / "dma" / name).chmod(0o640)
    do = reversible(jail.configuration, root="/j/web", sends=sends)[0].do
    done = typed(do.replace("cd /etc", f"cd {etc}").replace("/j/web/etc", str(into)), tmp_path)
    assert done.returncode == 0, done.stderr
    assert {each.name for each in into.glob("dma/*")} == comes


def test_secrets_of_the_host_stay_out_of_a_jails_etc(tmp_path: LocalPath) -> None:
    etc, jails = tmp_path / "etc", tmp_path / "jail"
    for secret in ("master.passwd", "spwd.db", "passwd", "rc.conf", "fstab", "crontab", "opiekeys"):
        (etc / secret).parent.mkdir(exist_ok=True)
        (etc / secret).write_text("secret")
    for folder in ("ssh", "ssl", "rc.d", "jail.conf.d"):
        (etc / folder).mkdir()
        (etc / folder / "file").write_text("x")
    (etc / "rc").write_text("x")
    jails.mkdir()
    do = configuration()[0][0]
    assert do.startswith("cd /etc && ")
    done = typed(do.replace("cd /etc", f"cd {etc}").replace("/j/web/etc", str(jails)), tmp_path)
    assert done.returncode == 0, done.stderr
    assert {each.name for each in jails.iterdir()} == {"rc", "rc.d", "ssl"}


KEYS = {
    "ssl/private/web.key": 0o600,
    "ssl/private/mail.key": 0o600,
    "ssl/open.key": 0o644,
    "ssl/cert.pem": 0o644,
    "mail/authinfo.db": 0o640,
    "mail/own/secret": 0o600,
    "mail/mailer.conf": 0o644,
    "pam.d/other": 0o600,
}
ALWAYS = {"mail/mailer.conf", "ssl/cert.pem"}


@pytest.mark.parametrize(
    ("says", "more"),
    [
        ("listen 53", set()),
        ("SSLCertificateKeyFile /etc/ssl/private/web.key", {"ssl/private/web.key"}),
        ("ssl_key = </etc/ssl/private/mail.key", {"ssl/private/mail.key"}),
        ("# SSLCertificateKeyFile /etc/ssl/private/web.key", set()),
        ("Kauthinfo hash /etc/mail/authinfo", {"mail/authinfo.db"}),
        ("Define KEYS '/etc/ssl/private/'", {"ssl/private/web.key", "ssl/private/mail.key"}),
        ("include /etc/mail/own", {"mail/own/secret"}),
    ],
)
def test_a_jail_has_the_secrets_that_its_own_services_name(
    tmp_path: LocalPath, says: str, more: set[str]
) -> None:
    etc, into, conf = tmp_path / "etc", tmp_path / "jail", tmp_path / "conf"
    for name, mode in KEYS.items():
        (etc / name).parent.mkdir(parents=True, exist_ok=True)
        (etc / name).write_text("x")
        (etc / name).chmod(mode)
    into.mkdir()
    conf.mkdir()
    (conf / "daemon.conf").write_text(f"{says}\n")
    do = reversible(jail.configuration, root="/j/web", named=[str(conf)])[0].do
    done = typed(
        do.replace("cd /etc", f"cd {etc}").replace("/j/web/etc", str(into)),
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    found = {str(each.relative_to(into)) for each in into.rglob("*") if each.is_file()}
    assert found == ALWAYS | more


ACCOUNTS = """\
# $FreeBSD$

root:$6$hash:0:0::0:0:Charlie &:/root:/bin/csh
mysql:*:88:88:daemon:0:0:MySQL Daemon:/var/db/mysql:/usr/sbin/nologin
nobody:*:65534:65534::0:0:Unprivileged user:/nonexistent:/usr/sbin/nologin
alice:$6$hash:1001:1001::0:0:User &:/home/alice:/bin/sh
bob:$6$hash:2001:2001::0:0:User &:/home/bob:/bin/sh
+:::::::::
"""


@pytest.mark.parametrize(
    ("uids", "names"),
    [
        (None, ["root", "mysql", "nobody"]),
        ((1001, 1999), ["root", "mysql", "nobody", "alice"]),
    ],
    ids=["system", "and some users"],
)
def test_accounts_of_a_jail_have_no_password(
    tmp_path: LocalPath, uids: tuple[int, int] | None, names: list[str]
) -> None:
    (tmp_path / "master.passwd").write_text(ACCOUNTS)
    (tmp_path / "group").write_text(
        "# made by hand\nwheel:*:0:root\nhosting:x:2500:\nteam:*:2501:root,bob\n+:*::\n"
    )
    (tmp_path / "jail").mkdir()
    do = configuration(uids)[1][0].replace("/j/web/etc", f"{tmp_path}/jail")
    do = do.replace(" /etc/", f" {tmp_path}/")
    done = typed(do, tmp_path, pwd_mkdb="echo $*")  # noqa: S106 # a stub, not a password
    assert done.returncode == 0, done.stderr
    made = tmp_path / "jail" / "master.passwd"
    rows = [row.split(":") for row in made.read_text().splitlines()]
    assert [row[0] for row in rows] == names
    assert {row[1] for row in rows} == {"*"}
    assert all(len(row) == 10 for row in rows)
    assert mode(made) == "600"
    groups = (tmp_path / "jail" / "group").read_text().splitlines()
    assert groups == ["wheel:*:0:root", "hosting:*:2500:", "team:*:2501:root"]
    assert done.stdout == f"-p -d {tmp_path}/jail {made}\n"


def test_var_gets_the_hosts_directories_and_no_file() -> None:
    do = configuration()[2][0]
    assert do.startswith("cd /var && find -x . -type d -maxdepth 3 ! -path './empty*' ")
    packed = "/j/web/etc/.packed.tar"
    assert (
        f" > {packed}.list && tar -cf {packed} --no-recursion -T {packed}.list "
        f"&& tar -xpf {packed} -C /j/web/var && rm {packed} {packed}.list && install -d -m 555 "
        "/j/web/var/empty"
    ) in do


@pytest.mark.parametrize("broken", [1, 2], ids=["packing", "unpacking"])
def test_a_torn_copy_never_passes(tmp_path: LocalPath, broken: int) -> None:
    """The exit code of a pipe is its last command's: a full disk would go unnoticed."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "php.ini").write_text("x")
    fails = f'echo x >>asked; [ "$(wc -l <asked)" -ne {broken} ] || exit 1; exec /bin/tar "$@"'
    texts = [copied(tmp_path / "etc", tmp_path / "to", "php.ini")]
    texts += [configuration()[nth][0] for nth in (0, 2)]
    for number, text in enumerate(texts):
        where = tmp_path / f"case-{number}"
        (where / "jail" / "etc").mkdir(parents=True)
        (where / "jail" / "var").mkdir()
        (where / "host").mkdir()
        (where / "host" / "rc").write_text("x")
        here = text.replace("cd /etc ", f"cd {where}/host ")
        here = here.replace("cd /var ", f"cd {where}/host ")  # not below it, where tests may run
        here = here.replace("/j/web", f"{where}/jail")
        tar = fails.replace("asked", f"{where}/asked")
        assert typed(here, where, tar=tar, find="echo .").returncode != 0, text
        asked = (where / "asked").read_text().count("x")
        assert asked == broken, f"{text}: tar ran {asked} times"


def copied(source: LocalPath, into: LocalPath, *names: str, kind: str = "directory") -> str:
    facts = {Replaceable: State(kind)}
    [command] = reversible(jail.copies, facts, source=str(source), into=str(into), names=names)
    assert (command.undo, command.limit) == (":", 120)
    return command.do


def test_configuration_is_copied_with_its_modes(tmp_path: LocalPath) -> None:
    source, into = tmp_path / "etc", tmp_path / "home" / "local-etc"
    (source / "rc.d").mkdir(parents=True)
    (source / "my conf").mkdir(mode=0o710)
    (source / "rc.d" / "mysql").write_text("x")
    (source / "rc.d" / "mysql").chmod(0o555)
    (source / "my conf" / "my.cnf").write_text("y")
    (source / "other").write_text("z")
    done = by_root(copied(source, into, "rc.d/mysql", "my conf"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert {each.name for each in into.iterdir()} == {"rc.d", "my conf"}
    assert mode(into / "rc.d" / "mysql") == "555"
    assert mode(into / "my conf") == "710"


def test_configuration_that_is_a_link_is_copied_as_what_it_leads_to(tmp_path: LocalPath) -> None:
    clone, source, into = tmp_path / "clone", tmp_path / "etc", tmp_path / "local-etc"
    clone.mkdir(mode=0o710)
    source.mkdir()
    (clone / "httpd.conf").write_text("x")
    (clone / "on.conf").symlink_to("httpd.conf")
    (source / "apache24").symlink_to(clone)
    (source / "php.ini").symlink_to(clone / "httpd.conf")
    done = by_root(copied(source, into, "apache24", "php.ini", kind="link"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert not (into / "apache24").is_symlink()
    assert mode(into / "apache24") == "710"
    assert (into / "apache24" / "httpd.conf").read_text() == "x"
    assert (into / "apache24" / "on.conf").is_symlink()
    assert not (into / "php.ini").is_symlink()
    assert (into / "php.ini").read_text() == "x"
    assert {each.name for each in into.iterdir()} == {"apache24", "php.ini"}


def test_copied_configuration_can_be_read_by_daemons_that_are_not_root(tmp_path: LocalPath) -> None:
    source, into = tmp_path / "etc", tmp_path / "local-etc"
    source.mkdir()
    (source / "php.ini").write_text("x")
    by_root(copied(source, into, "php.ini"), tmp_path)
    assert mode(into) == "755"


def test_a_copy_of_what_is_not_there_fails(tmp_path: LocalPath) -> None:
    (tmp_path / "etc").mkdir()
    assert typed(copied(tmp_path / "etc", tmp_path / "to", "nosuch"), tmp_path).returncode != 0


def readdressing(directory: str, *addresses: str) -> tuple[NewFile, str]:
    """Its script, and the command, on a host with these addresses besides 127.0.0.1."""
    has = tuple(IPv4Interface(each) for each in ("127.0.0.1/8", *addresses))
    script, command = yielded(
        jail.readdressed,
        {OwnAddresses: has},
        places=[directory],
        into=directory,
        public="203.0.113.2",
        new="10.80.0.4",
        lan="10.80.0.0/24",
    )
    assert isinstance(script, NewFile)
    assert isinstance(command, Reversible)
    assert command.undo == ":"
    return script, command.do


def readdressed(directory: LocalPath, *addresses: str) -> None:
    script, text = readdressing(str(directory), *addresses)
    LocalPath(script.staged).write_text(script.content)
    done = typed(text, directory)
    assert done.returncode == 0, done.stderr
    assert not LocalPath(script.staged).exists()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Listen 203.0.113.2:80", "Listen 10.80.0.4:80"),
        ("  Listen  203.0.113.2:443 https", "  Listen  10.80.0.4:443 https"),
        ("listen 203.0.113.3:80", "listen 10.80.0.4:80"),
        ("Listen 127.0.0.1:8080", "Listen 10.80.0.4:8080"),
        ("Listen 80", "Listen 80"),
        ("Listen [::]:80", "Listen 10.80.0.4:80"),
        (
            "Listen [::1]:8080\nListen 127.0.0.1:8080",
            "Listen 10.80.0.4:8080\n# Listen 127.0.0.1:8080",
        ),
        ("Listen [2001:db8::2]:80\nListen 80", "# Listen [2001:db8::2]:80\nListen 80"),
        ("bind-address = 127.0.0.1,::1", "bind-address = 10.80.0.4"),
        ("bind-address = ::1,127.0.0.1", "bind-address = 10.80.0.4"),
        ("bind-address = ::", "bind-address = 10.80.0.4"),
        ("Listen 203.0.113.20:80", "Listen 203.0.113.20:80"),
        ("  Require ip 127.0.0.1", "  Require ip 127.0.0.1 10.80.0.0/24"),
        ("Require not ip 203.0.113.2/32", "Require not ip 203.0.113.2/32 10.80.0.0/24"),
        ("Allow from localhost", "Allow from localhost 10.80.0.0/24"),
        ("deny from 127.0.0.0/8", "deny from 127.0.0.0/8 10.80.0.0/24"),
        ("Require ip 127.0.0.1 \\", "Require ip 127.0.0.1 10.80.0.0/24 \\"),
        ('Allow from "127.0.0.1" ::1', 'Allow from "127.0.0.1" 10.80.0.0/24 ::1'),
        (
            "Require ip 127.0.0.1 203.0.113.2 192.0.2.1",
            "Require ip 127.0.0.1 203.0.113.2 10.80.0.0/24 192.0.2.1",
        ),
        ("Require ip 198.51.100.7", "Require ip 198.51.100.7"),
        (
            "  Require local",
            "  <RequireAny>\n  Require local\n  Require ip 10.80.0.0/24\n  </RequireAny>",
        ),
        (
            "Require host localhost",
            "<RequireAny>\nRequire host localhost\nRequire ip 10.80.0.0/24\n</RequireAny>",
        ),
        ("Require not local", "Require not local\nRequire not ip 10.80.0.0/24"),
        ("Require host local.example.org", "Require host local.example.org"),
        ("Require ip 127.0.0.1 10.80.0.0/24", "Require ip 127.0.0.1 10.80.0.0/24"),
        ("Listen 203.0.113.2", "Listen 10.80.0.4"),
        ("#Listen 203.0.113.2:80", "#Listen 203.0.113.2:80"),
        ("listen = 127.0.0.1:9000", "listen = 127.0.0.1:9000"),
        ("<VirtualHost 203.0.113.2:80>", "<VirtualHost 203.0.113.2:80 10.80.0.4:80>"),
        (
            "<virtualhost 203.0.113.2 203.0.113.3:443>",
            "<virtualhost 203.0.113.2 203.0.113.3:443 10.80.0.4>",
        ),
        ("<VirtualHost *:80>", "<VirtualHost *:80>"),
        ("<VirtualHost 203.0.113.3:80>", "<VirtualHost 203.0.113.3:80>"),
        (
            "Listen 80\n<VirtualHost 127.0.0.1:80>\n</VirtualHost>",
            "Listen 80\n<VirtualHost 127.0.0.1:80>\n</VirtualHost>",
        ),
        (
            "<VirtualHost 127.0.0.1:8080>\n</VirtualHost>\nListen 127.0.0.1:8080",
            "<VirtualHost 127.0.0.1:8080 10.80.0.4:8080>\n</VirtualHost>\nListen 10.80.0.4:8080",
        ),
        ("bind-address = 203.0.113.2", "bind-address = 10.80.0.4"),
        ("bind_address=203.0.113.2", "bind_address=10.80.0.4"),
        ("bind-address = 203.0.113.25", "bind-address = 203.0.113.25"),
        ("bind-address = 203.0.113.2 # public", "bind-address = 10.80.0.4 # public"),
        ("bind-address = 127.0.0.1, 203.0.113.3,::1", "bind-address = 10.80.0.4"),
        ("bind-address = *", "bind-address = *"),
        (
            "Listen 203.0.113.2:80\nListen 203.0.113.3:80",
            "Listen 10.80.0.4:80\n# Listen 203.0.113.3:80",
        ),
        (
            "Listen 203.0.113.2:80\nListen 203.0.113.2:81",
            "Listen 10.80.0.4:80\nListen 10.80.0.4:81",
        ),
    ],
)
def test_daemons_listen_on_the_jails_address(tmp_path: LocalPath, before: str, after: str) -> None:
    (tmp_path / "a b.conf").write_text(f"# made by hand\n{before}\n")
    readdressed(tmp_path, "203.0.113.2/24", "203.0.113.3/32")
    assert (tmp_path / "a b.conf").read_text() == f"# made by hand\n{after}\n"


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        (
            "postfix/master.cf",
            "203.0.113.2:smtp inet n - n - - smtpd\n  -o a=b\n127.0.0.1:smtp inet n - n - - smtpd\n"
            "  -o c=d\n127.0.0.1:10025 inet n - n - - smtpd\npickup unix n - n 60 1 pickup",
            "10.80.0.4:smtp inet n - n - - smtpd\n  -o a=b\n# 127.0.0.1:smtp inet n - n - - smtpd\n"
            "#   -o c=d\n10.80.0.4:10025 inet n - n - - smtpd\npickup unix n - n 60 1 pickup",
        ),
        (
            "postfix/master.cf",
            "127.0.0.1:10025 inet n - n - - smtpd\n  -o mynetworks=127.0.0.0/8\n"
            "  -o smtpd_authorized_xforward_hosts=127.0.0.0/8,[::1]/128\n  -o mynetworks=192.0.2.1",
            "10.80.0.4:10025 inet n - n - - smtpd\n  -o mynetworks=127.0.0.0/8,10.80.0.0/24\n"
            "  -o smtpd_authorized_xforward_hosts=127.0.0.0/8,[::1]/128,10.80.0.0/24\n"
            "  -o mynetworks=192.0.2.1",
        ),
        (
            "dovecot/conf.d/10-master.conf",
            "  inet_listener imap {\n    address = 203.0.113.2, 127.0.0.1\n  }",
            "  inet_listener imap {\n    address = 10.80.0.4\n  }",
        ),
        ("other/a.conf", "address = 203.0.113.2", "address = 203.0.113.2"),
    ],
)
def test_postfix_and_dovecot_listen_on_the_jails_address(
    tmp_path: LocalPath, file: str, before: str, after: str
) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(before + "\n")
    readdressed(tmp_path, "203.0.113.2/24")
    assert (tmp_path / file).read_text() == after + "\n"


def test_a_socket_is_bound_once_whichever_file_says_so(tmp_path: LocalPath) -> None:
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra" / "ssl.conf").write_text("Listen 127.0.0.1:80\n")
    (tmp_path / "httpd.conf").write_text("Listen 203.0.113.2:80\n")
    readdressed(tmp_path, "203.0.113.2/24")
    assert (tmp_path / "extra" / "ssl.conf").read_text() == "Listen 10.80.0.4:80\n"
    assert (tmp_path / "httpd.conf").read_text() == "# Listen 203.0.113.2:80\n"


def test_what_says_nothing_of_it_is_left_as_it_is(tmp_path: LocalPath) -> None:
    (tmp_path / "key.der").write_bytes(b"\0\xffbind-address\n\0")
    (tmp_path / "no end").write_text("Timeout 60")
    readdressed(tmp_path, "203.0.113.2/24")
    assert (tmp_path / "key.der").read_bytes() == b"\0\xffbind-address\n\0"
    assert (tmp_path / "no end").read_text() == "Timeout 60"


def test_a_private_file_is_laid_beside_its_place_and_renamed() -> None:
    new, moved = yielded(jail.private, root="/j/web", name="etc/rc.conf", content="x\n", mode="600")
    assert isinstance(new, NewFile)
    assert (new.path, new.staged) == ("/j/web/etc/rc.conf", "/j/web/etc/.rc.conf.cellblock")
    assert pairs([moved]) == [  # type: ignore[list-item] # a NewFile would fail on the next line
        (
            "chmod 600 /j/web/etc/.rc.conf.cellblock "
            "&& mv -f /j/web/etc/.rc.conf.cellblock /j/web/etc/rc.conf",
            ":",
        )
    ]


ROOT = "/usr/jails/web/root"


def test_a_jail_is_started_and_seen_to_run() -> None:
    [command] = reversible(
        jail.started, {Jails: ("mysql",)}, name="web", root=ROOT, left="take away", limit=77
    )
    assert command.do == "service jail onestart web && jls -j web jid"
    assert command.undo == (
        f"lives() {jail.lives('web', ROOT)}; if lives; then service jail onestop web; "
        "jls -j web jid >/dev/null 2>&1 || take away; i=0; "
        "while lives && [ $i -lt 30 ]; do sleep 1; i=$((i + 1)); done; ! lives; fi"
    )
    assert (command.live, command.limit) == (True, 77)


def test_a_jail_that_runs_is_neither_started_nor_ever_stopped() -> None:
    assert reversible(jail.started, {Jails: ("web",)}, name="web", root=ROOT) == []


def stopped(tmp_path: LocalPath, jls: str, mount: str = "") -> int:
    [command] = reversible(jail.started, {Jails: ()}, name="web", root=ROOT)
    undo = str(command.undo)
    return typed(undo, tmp_path, jls=jls, mount=mount, service="", sleep="").returncode


def resolved(root: LocalPath, text: str | None, further: bool = True) -> str:
    (root / "etc").mkdir(exist_ok=True)
    (root / "j" / "etc").mkdir(parents=True, exist_ok=True)
    if text is not None:
        (root / "etc" / "resolv.conf").write_text(text)
    [command] = yielded(
        jail.resolver,
        {OwnAddresses: None},
        root=f"{root}/j",
        own=["127.0.0.1", "203.0.113.2"],
        instead=["10.80.0.2", "203.0.113.2"],
        further=further,
        public="203.0.113.2",
    )
    assert isinstance(command, Reversible)
    done = by_root(command.do.replace("ls /etc/", f"ls {root}/etc/"), root)
    assert done.returncode == 0, done.stderr
    return (root / "j" / "etc" / "resolv.conf").read_text()


OURS = "nameserver 10.80.0.2\nnameserver 203.0.113.2\n"


def test_a_name_server_at_any_address_of_the_host_is_its_own() -> None:
    """At an inner one, say: [policy] lets jails ask the one that moved, and the public address."""
    has = (IPv4Interface("203.0.113.2/24"), IPv4Interface("192.168.7.1/24"))
    [command] = yielded(
        jail.resolver,
        {OwnAddresses: has},
        root="/j",
        own=["127.0.0.1"],
        instead=["10.80.0.2"],
        further=True,
        public="203.0.113.2",
    )
    assert isinstance(command, Reversible)
    assert "own=' 127.0.0.1 203.0.113.2 192.168.7.1 '" in command.do


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (None, OURS),
        (
            "search a.b\nnameserver 127.0.0.1\noptions timeout:2\n",
            f"search a.b\n{OURS}options timeout:2\n",
        ),
        ("nameserver 203.0.113.2\nnameserver 127.0.0.1\n", OURS),
        ("nameserver 192.0.2.53\nsearch a.b\n", "nameserver 192.0.2.53\nsearch a.b\n"),
        ("nameserver 2001:db8::53\nnameserver 192.0.2.53\n", "nameserver 192.0.2.53\n"),
        ("nameserver 2001:db8::53\n", OURS),
    ],
)
def test_a_jail_asks_whom_the_host_asks(text: str | None, wanted: str, tmp_path: LocalPath) -> None:
    assert resolved(tmp_path, text) == wanted


def test_without_a_way_out_no_other_name_server_is_asked(tmp_path: LocalPath) -> None:
    assert resolved(tmp_path, "search a\nnameserver 192.0.2.53\n", further=False) == (
        f"search a\n{OURS}"
    )


@pytest.mark.parametrize(
    ("name", "added"),
    [("box", ""), ("WWW.example.org", ""), ("new.internal", "203.0.113.2\tnew.internal\n")],
)
def test_the_hosts_own_names_come_after_those_of_the_jails(
    name: str, added: str, tmp_path: LocalPath
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "j" / "etc").mkdir(parents=True)
    (tmp_path / "etc" / "hosts").write_text(
        "# ours\n127.0.0.1\tlocalhost Box.example.org\n203.0.113.2 WWW.example.org box # x\n"
        "10.80.0.9 www.example.org\n192.168.7.5 db2.internal relay # y"
    )
    content = "127.0.0.1\tlocalhost\n10.80.0.4\twww.example.org\n"
    names = ["localhost", "www.example.org"]
    new, command = yielded(
        jail.hosts, root=f"{tmp_path}/j", content=content, names=names, own="203.0.113.2"
    )
    assert isinstance(new, NewFile)
    assert isinstance(command, Reversible)
    LocalPath(new.staged).write_text(new.content)
    there = command.do.replace("ls /etc/", f"ls {tmp_path}/etc/")
    done = typed(f"umask 022; {there}", tmp_path, hostname=f"echo {name}")
    assert done.returncode == 0, done.stderr
    theirs = "127.0.0.1\tBox.example.org\n203.0.113.2\tbox\n192.168.7.5 db2.internal relay # y\n"
    assert (tmp_path / "j" / "etc" / "hosts").read_text() == content + theirs + added


THIRD_TIME_GONE = 'echo x >>asked; [ "$(wc -l <asked)" -lt 4 ]'


def test_the_undo_of_a_start_fails_while_the_jail_runs(tmp_path: LocalPath) -> None:
    assert stopped(tmp_path, "exit 0") != 0


def test_the_undo_of_a_start_is_well_when_the_jail_goes_or_never_was(tmp_path: LocalPath) -> None:
    assert stopped(tmp_path, "exit 1") == 0
    assert stopped(tmp_path, THIRD_TIME_GONE) == 0


@pytest.mark.parametrize("at", ["", "/bin"])
def test_the_undo_of_a_start_fails_while_something_is_mounted(tmp_path: LocalPath, at: str) -> None:
    mounted = f"printf '/bin\\t{ROOT}{at}\\tnullfs\\tro\\t0 0\\n'"
    assert stopped(tmp_path, "exit 1", mounted) != 0
    assert stopped(tmp_path, "exit 1", f"{THIRD_TIME_GONE} || exit 0; {mounted}") == 0


def test_what_another_jail_has_mounted_is_not_waited_for(tmp_path: LocalPath) -> None:
    mounted = f"printf '/bin\\t{ROOT}2/bin\\tnullfs\\tro\\t0 0\\n'"
    assert stopped(tmp_path, "exit 1", mounted) == 0


def test_a_jail_that_only_dies_is_not_waited_for(tmp_path: LocalPath) -> None:
    """jls -d lists it as long as one of its sockets is in TIME_WAIT."""
    assert stopped(tmp_path, 'case "$*" in *-d*) exit 0 ;; esac; exit 1') == 0


def boots(conf: dict[str, str], own: tuple[str, ...] = ()) -> list[tuple[str, str | None]]:
    return pairs(reversible(jail.at_boot, {RcConf: conf, JailConf: own}, name="web"))


SAVED = " && fsync /etc/rc.conf*"
LISTED = (
    f"sysrc jail_list+=web{SAVED}",
    'sysrc jail_list-=web; if [ -z "$(sysrc -ni jail_list)" ]; then sysrc -ix jail_list; fi'
    f"{SAVED}",
)


@pytest.mark.parametrize("own", [(), ("db",)])
def test_without_jails_at_boot_ours_is_the_only_one(own: tuple[str, ...]) -> None:
    assert boots({}, own) == [
        LISTED,
        (
            f"sysrc jail_enable=YES{SAVED}",
            unset("jail_enable", "YES"),
        ),
    ]


def test_jails_switched_off_in_rc_conf_are_switched_off_again() -> None:
    assert boots({"jail_enable": "NO"})[1] == (
        f"sysrc jail_enable=YES{SAVED}",
        f"sysrc jail_enable=NO{SAVED}",
    )


def test_ours_joins_the_jails_that_are_listed() -> None:
    conf = {"jail_enable": "YES", "jail_list": "db www"}
    assert boots(conf, ("db", "www", "old")) == [
        (f"sysrc jail_list+=web{SAVED}", f"sysrc jail_list-=web{SAVED}")
    ]


@pytest.mark.parametrize("conf", [{}, {"jail_list": ""}], ids=["unset", "empty"])
@pytest.mark.parametrize("yes", ["YES", "yes", "TRUE", "On", "1"])
def test_jails_that_an_empty_list_started_are_named_beside_ours(
    conf: dict[str, str], yes: str
) -> None:
    [(do, undo)] = boots({"jail_enable": yes, **conf}, ("db", "www"))
    assert do == f"sysrc jail_list='db www web'{SAVED}"
    if conf:
        assert undo == f"sysrc jail_list=''{SAVED}"
    else:
        assert undo == unset("jail_list", "'db www web'")


def test_an_empty_list_without_jails_of_jail_conf_gets_ours_alone() -> None:
    assert boots({"jail_enable": "YES"}) == [LISTED]


def test_a_jail_that_starts_at_boot_already_is_left_alone() -> None:
    assert boots({"jail_enable": "YES", "jail_list": "db web"}, ("db",)) == []


def test_every_text_is_sh(tmp_path: LocalPath) -> None:
    texts = [*tree("/j/web"), *(do for do, _ in configuration()), readdressing("/j/etc")[1]]
    for text in texts:
        assert "\n" not in text
        checked = subprocess.run(
            [DASH, "-n", "-c", text], cwd=tmp_path, capture_output=True, check=False
        )
        assert checked.returncode == 0, text


@pytest.mark.parametrize("public", ["", ", 203.0.113.20"])
def test_a_jail_that_answers_at_two_addresses_of_the_host_has_two(public: str) -> None:
    """The first stays the one from which it sends; with a public one of its own, that is sent from
    where the way out is its interface.
    """
    nat = f"ip {WAN} redirect_addr {JAIL} 127.0.0.1 redirect_addr 10.80.0.77 {SECOND}"
    content = f"bind {{\n    ip4.addr = {JAIL}{public};\n    exec.clean;\n}}\n"
    file, command = yielded(
        jail.described,
        {Path: State(), **two_addresses(nat=nat)},
        path="/etc/jail.conf.d/bind.conf",
        content=content,
        ways=ANSWERS,
        address=JAIL,
    )
    assert isinstance(file, NewFile) and isinstance(command, Reversible)
    alone = "" if public else '    ip4.saddrsel = "false";\n'
    assert file.content == (
        f"bind {{\n    ip4.addr = {JAIL}{public}, 10.80.0.77;\n{alone}    exec.clean;\n}}\n"
    )
    assert command.owns == {"/etc/jail.conf.d/bind.conf": ""}


def test_a_jail_on_a_host_with_one_address_has_one() -> None:
    facts = {Path: State(), **two_addresses(), Listeners: (Bound("udp", "named", WAN, 53),)}
    content = f"bind {{\n    ip4.addr = {JAIL};\n}}\n"
    more = {"path": "/x", "content": content, "ways": ANSWERS, "address": JAIL}
    file, _ = yielded(jail.described, facts, **more)
    assert isinstance(file, NewFile)
    assert file.content == content

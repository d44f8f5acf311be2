"""Which references to a moving daemon are found, and which are left alone."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rollout import site
from rollout.host.together import Together
from rollout.site import Site
from tests.checks import naming
from tests.checks import test_dependents as dependents

SAMPLE = site.read(Path(__file__).parents[3] / "site.example.toml")


BACKEND = SimpleNamespace(together=Together(lambda commands: []))
"""Outside of a run, calls are made one after the other."""


class Host:
    """A tree below a directory, read by a local sh in place of FreeBSD's."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.backend = BACKEND

    def holds(self, path: str, text: str) -> None:
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def run(self, command: str) -> Any:
        configuration = [path for each in SAMPLE.services.values() for path in each.configuration]
        for place in dict.fromkeys([*naming.PLACES.split(), *configuration]):
            command = command.replace(f" {place}", f" .{place}")
        done = subprocess.run(
            ["sh", "-c", command], cwd=self.root, capture_output=True, text=True, check=False
        )
        stdout = "".join(line[1:] for line in done.stdout.splitlines(keepends=True))
        return subprocess.CompletedProcess(command, done.returncode, stdout, done.stderr)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def found(host: Host, service: str = "web", there: Site = SAMPLE) -> list[str]:
    """The references listed; only those that begin with gate stop a run."""
    listed = [str(each) for each in naming.found(host, there, service)]
    stopping = told(dependents.test_all_keep_working, host, there, service)
    assert stopping == [line for line in listed if ": gate: " in line]
    assert told(dependents.test_none_are_found, host, there, service) == listed
    return listed


def told(check: Any, host: Host, there: Site, service: str) -> list[str]:
    try:
        check(host, there, service)
    except AssertionError as error:
        return [line.strip() for line in str(error).partition("\nassert ")[0].splitlines()]
    return []


LED = "keeps working: it is redirected to jail web"
GONE = "gate: it will not find the daemon any more"
OWN = "gate: it speaks to the host's own daemon, which stops"
PID = "/var/run/apache24/httpd.pid"
MOUNTED = "keeps working: jail web mounts it, and sees each renewal at once"
HOOK = "/usr/local/etc/letsencrypt/renewal-hooks/deploy/x.sh"


@pytest.mark.parametrize(
    ("path", "text", "becomes"),
    [
        ("/etc/crontab", "5 4 * * * root service apache24 graceful", f"service apache24: {LED}"),
        (HOOK, "service apache24 reload", f"service apache24: {LED}"),
        (HOOK, "/usr/local/etc/rc.d/apache24 reload", f"/usr/local/etc/rc.d/apache24: {LED}"),
        (HOOK, "service apache24 onereload", f"service apache24: {OWN}"),
        (HOOK, 'service apache24 "$1"', f"service apache24: {OWN}"),
        (HOOK, "apachectl restart", f"apachectl: {GONE}"),
        ("/etc/devd/carp.conf", 'action "apachectl graceful";', f"apachectl: {GONE}"),
        ("/etc/dhclient-exit-hooks", "service apache24 reload", f"service apache24: {LED}"),
        ("/etc/ppp/ppp.linkup", ' ! sh -c "apachectl graceful"', f"apachectl: {GONE}"),
        (
            "/usr/local/etc/nginx/nginx.conf",
            "proxy_pass http://[::1]:80/;",
            "[::1]:80: gate: nobody answers there any more; write 127.0.0.1:80",
        ),
        (
            "/usr/local/etc/letsencrypt/renewal/www.conf",
            "authenticator = apache",
            "authenticator = apache: gate: certbot changes the host's httpd.conf, which no Apache "
            "reads by then: let it renew by --webroot",
        ),
        (
            "/usr/local/etc/letsencrypt/renewal/www.conf",
            "authenticator = standalone",
            "authenticator = standalone: gate: it listens at port 80 of the host itself, which "
            "leads to jail web by then, so renewals fail: let it renew by --webroot",
        ),
        (
            "/usr/local/etc/monitrc",
            "check process apache with pidfile /var/run/httpd.pid",
            f"/var/run/httpd.pid: {GONE}",
        ),
        ("/var/cron/tabs/root", "@daily apachectl -k graceful", f"apachectl: {GONE}"),
        ("/root/bin/save", "kill -HUP $(cat /var/run/apache24/httpd.pid)", f"{PID}: {GONE}"),
        ("/root/bin/save", "tar -cf x /usr/local/etc/apache24", f"/usr/local/etc/apache24: {GONE}"),
        (
            "/etc/newsyslog.conf.d/a.conf",
            f"/var/log/httpd-error.log www:www 640 7 * @T00 B {PID} 30",
            "/var/log/httpd-error.log: moves: newsyslog in jail web rotates it",
        ),
        (
            "/etc/newsyslog.conf",
            f"/usr/local/www/logs/x 640 7 * @T00 B {PID}",
            "/usr/local/www/logs/x: moves: newsyslog in jail web rotates it",
        ),
        (
            "/usr/local/etc/newsyslog.conf.d/a.conf",
            f"/var/log/x 640 7 * @T00 B {PID} 30",
            "/var/log/x: gate: its daemon moves, but services.web lists this log in neither logs "
            "nor log_files",
        ),
        (
            "/usr/local/etc/awstats/awstats.conf",
            'LogFile="/var/log/httpd-access.log"',
            "/var/log/httpd-access.log: keeps working: for reading, the path is a link to the "
            "jail's log",
        ),
        (
            "/usr/local/etc/awstats/awstats.conf",
            'LogFile="/var/log/httpd-access.log.0"',
            "/var/log/httpd-access.log: gate: logs that are rotated later will be beside "
            "/usr/jails/.shown/web/var/log/httpd-access.log",
        ),
        (
            "/root/bin/save",
            "tar -cf x /usr/local/www",
            "/usr/local/www: keeps working: jail web mounts the same directory",
        ),
        ("/etc/crontab", "# service apache24 graceful", ""),
        ("/etc/crontab", "@daily root service apache24-exporter start", ""),
        ("/etc/crontab", "@daily root /home/x/my-apachectl", ""),
        ("/usr/local/etc/apache24/httpd.conf", "PidFile /var/run/apache24/httpd.pid", ""),
        ("/usr/local/etc/rc.d/apache24", "/usr/local/etc/apache24", ""),
        ("/usr/local/etc/rc.conf.d/apache24", "service apache24 reload", ""),
        ("/usr/local/etc/cellblock/x", "service apache24 stop", ""),
        ("/etc/passwd", "service apache24", ""),
    ],
)
def test_what_becomes_of_a_line(host: Host, path: str, text: str, becomes: str) -> None:
    host.holds(path, f"first line\n{text}\n")
    assert found(host) == ([f"{path}:2: {becomes}"] if becomes else [])


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("/var/log/httpd-access.log {", "/var/log/httpd-access.log"),
        ('"/var/log/cron" "/var/log/httpd-*.log"', "/var/log/httpd-*.log"),
        ("# /var/log/httpd-error.log", ""),
        ("/var/log/*/access.log {", ""),
    ],
)
def test_logrotate_would_replace_the_links_to_logs(host: Host, said: str, word: str) -> None:
    host.holds("/usr/local/etc/logrotate.d/apache", f"{said}\n")
    assert [line.partition("; ")[0] for line in found(host)] == (
        [
            f"/usr/local/etc/logrotate.d/apache:1: {word}: gate: logrotate would put a file in the "
            "place of the link to the jail's log"
        ]
        if word
        else []
    )


def test_newsyslogs_entry_with_a_pattern_moves(host: Host) -> None:
    host.holds(
        "/etc/newsyslog.conf.d/a.conf", f"/var/log/httpd-*.log www:www 640 7 * @T00 GB {PID} 30\n"
    )
    assert found(host) == [
        "/etc/newsyslog.conf.d/a.conf:1: /var/log/httpd-*.log: moves: newsyslog in jail web "
        "rotates it"
    ]


def test_each_word_of_a_line_has_its_own_end(host: Host) -> None:
    host.holds("/root/bin/renew", "service apache24 reload; apachectl -t\n")
    assert found(host) == [
        f"/root/bin/renew:1: service apache24: {LED}",
        f"/root/bin/renew:1: apachectl: {GONE}",
    ]


def test_a_script_that_looks_after_the_hosts_null_client_is_not_led_away(host: Host) -> None:
    host.holds("/etc/crontab", "@daily root service sendmail restart\n")
    assert found(host, "mail") == [f"/etc/crontab:1: service sendmail: {OWN}"]


def test_a_backup_by_the_socket_goes_on(host: Host) -> None:
    host.holds("/root/bin/save", "mysqldump --all-databases\n")
    host.holds("/usr/local/etc/php.ini", "mysqli.default_socket = /var/run/mysql/mysql.sock\n")
    ends = "keeps working: socket and port are redirected to the jail"
    assert sorted(found(host, "mysql")) == [
        f"/root/bin/save:1: mysqldump: {ends}",
        f"/usr/local/etc/php.ini:1: /var/run/mysql/mysql.sock: {ends}",
    ]


def test_another_daemon_wants_the_socket_in_its_own_jail(host: Host) -> None:
    socket = "/var/run/mysql/mysql.sock"
    host.holds("/etc/mail/sendmail.mc", f"mysql:{socket}\n")
    host.holds("/usr/local/etc/apache24/httpd.conf", f"DBDParams socket={socket}\n")
    folder = "/usr/jails/mysql/root/var/run/mysql"
    wanted = f"gate: jail mail needs the socket; add {folder} to jails.mail.mounts"
    works = "keeps working: jail web mounts the socket"
    assert sorted(found(host, "mysql")) == [
        f"/etc/mail/sendmail.mc:1: {socket}: {wanted}",
        f"/usr/local/etc/apache24/httpd.conf:1: {socket}: {works}",
    ]


@pytest.mark.parametrize(
    ("certificate", "becomes"),
    [
        (
            "/usr/local/etc/letsencrypt/live/example.org/fullchain.pem",
            "gate: jail web does not have it; add its directory to jails.web.mounts",
        ),
        (
            "/usr/local/etc/apache24/server.crt",
            "gate: jail web has only a copy, which renewals on the host do not reach; mount it",
        ),
        ("/usr/home/x/own.cer", MOUNTED),
        ("/usr/local/www/x.pem", MOUNTED),
    ],
)
def test_where_a_certificate_is_renewed(host: Host, certificate: str, becomes: str) -> None:
    file = "/usr/local/etc/apache24/extra/ssl.conf"
    host.holds(file, f'# SSLCertificateFile /x.pem\n    SSLCertificateFile "{certificate}"\n')
    assert found(host) == [f"{file}:2: {certificate}: {becomes}"]


def test_a_password_in_the_same_line_is_not_told(host: Host) -> None:
    host.holds("/var/cron/tabs/root", "@daily mysqld_safe --password=tell-nobody\n")
    [line] = found(host, "mysql")
    assert "tell-nobody" not in line


def test_what_reads_the_log_of_mail_is_told_where_it_will_be(host: Host) -> None:
    host.holds(
        "/usr/local/etc/fail2ban/jail.local",
        "[a]\n# /var/log/maillog\nlogpath = /var/log/maillog\n",
    )
    host.holds("/usr/local/etc/newsyslog.conf.d/mail.conf", "/var/log/maillog 640 7 * @T00 B\n")
    [line] = [each for each in found(host, "mail") if "maillog" in each]
    assert line.startswith("/usr/local/etc/fail2ban/jail.local:3: /var/log/maillog: gate: ")
    assert line.endswith("/usr/jails/mail/root/var/log/maillog")
    assert not [each for each in found(host, "web") if "maillog" in each]


@pytest.mark.parametrize(
    ("servers", "hosts", "gates"),
    [
        ("nameserver 127.0.0.1\n", "", ["/etc/fstab:2: nas.example.org"]),
        ("nameserver 127.0.0.1\n", "192.0.2.9 nas nas.example.org\n", []),
        ("nameserver 127.0.0.1\nnameserver 192.0.2.53\n", "", []),
    ],
)
def test_a_file_server_by_a_name_of_the_hosts_own_named_is_a_gate(
    tmp_path: Path, servers: str, hosts: str, gates: list[str]
) -> None:
    lines = ["# x", "nas.example.org:/vol /usr/home nfs rw,late 0 0", "192.0.2.9:/b /b nfs ro 0 0"]
    lines += ["old.example.org:/c /c nfs ro,noauto 0 0", "/dev/da0p2 / ufs rw 1 1", ""]
    (tmp_path / "etc").mkdir()
    for name, text in (("fstab", "\n".join(lines)), ("resolv.conf", servers), ("hosts", hosts)):
        (tmp_path / "etc" / name).write_text(text)

    class Here:
        def run(self, command: str) -> Any:
            line = command.replace(" /etc/", f" {tmp_path}/etc/")
            done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
            return subprocess.CompletedProcess("", 0, done.stdout.replace(str(tmp_path), ""), "")

    found = [str(each) for each in naming._mounting(Here(), SAMPLE, "bind")]
    assert [each.partition(": gate: ")[0] for each in found] == gates
    assert not list(naming._mounting(Here(), SAMPLE, "web"))


def test_a_log_that_syslogd_writes_for_the_daemon_alone_is_a_gate(host: Host) -> None:
    host.holds(
        "/etc/syslog.conf",
        "*.notice /var/log/messages\n!ppp,named\n# *.* /x\n*.* -/var/log/named.log\n!*\n*.* /y\n",
    )
    host.holds("/etc/syslog.d/web.conf", "!httpd\n*.* /var/log/httpd-error.log\n")
    gates = [each for each in found(host, "bind") if "syslogd" in each]
    assert gates == [
        "/etc/syslog.conf:4: /var/log/named.log: gate: syslogd of jail bind writes it: add it to "
        "services.bind.log_files, and the path leads there"
    ]
    assert not [each for each in found(host, "web") if "syslogd" in each]


def test_a_program_that_syslogd_feeds_is_a_gate(host: Host) -> None:
    """sshguard bans who guesses passwords of mail; the jail's syslogd would start another one."""
    host.holds("/etc/syslog.conf", "auth.info;authpriv.info |exec /usr/local/sbin/sshguard\n")
    [gate] = [each for each in found(host, "mail") if "sshguard" in each]
    assert gate == (
        "/etc/syslog.conf:1: /usr/local/sbin/sshguard: gate: messages of jail mail do not reach "
        "this program of the host"
    )
    assert not [each for each in found(host, "bind") if "sshguard" in each]


@pytest.mark.parametrize(("said", "gates"), [("0\n1\n", 1), ("1\n1\n", 0), ("0\n0\n", 0)])
def test_processes_that_a_monitor_sees_no_more_are_a_gate(said: str, gates: int) -> None:
    """Where accounts see nobody's processes but their own, they saw none of a daemon before."""

    class Says:
        backend = BACKEND

        def run(self, command: str) -> Any:
            assert "see_jail_proc" in command
            return subprocess.CompletedProcess(command, 0, said, "")

    found = list(naming._hidden(Says(), SAMPLE, "web"))
    assert [each.stops for each in found] == [True] * gates


def test_programs_that_inetd_and_dhclient_call_are_read(host: Host, tmp_path: Path) -> None:
    """A page's status by inetd(8), a reload at a new lease: what they call speaks to the daemon."""
    program = tmp_path / "check"
    program.write_text("#!/bin/sh\nrndc reload\n")
    program.chmod(0o755)
    host.holds("/etc/inetd.conf", f"check stream tcp nowait root {program} check\n")
    assert [each for each in found(host, "bind") if each.endswith(f"rndc: {GONE}")]


@pytest.mark.parametrize(
    ("file", "text", "at"),
    [
        ("sudoers", "root ALL=(ALL) ALL\nwww ALL=(root) NOPASSWD: /x\n", 2),
        ("sudoers.d/web", "%www ALL=NOPASSWD: ALL\n", 1),
        ("doas.conf", "permit nopass www as root cmd service\n", 1),
        ("sudoers", "wwwadmin ALL=ALL\n# www ALL=ALL\n", 0),
        ("doas.conf", "permit nopass keepenv :wheel\n", 0),
    ],
)
def test_pages_that_become_root_by_sudo_are_a_gate(
    host: Host, file: str, text: str, at: int
) -> None:
    host.holds(f"/usr/local/etc/{file}", text)
    wanted = f"/usr/local/etc/{file}:{at}: www: gate: programs in jail web cannot become"
    assert [each.startswith(wanted) for each in found(host)] == [True] * bool(at)


def test_what_starts_before_a_jail_is_a_gate() -> None:
    class Says:
        backend = BACKEND

        def run(self, command: str) -> Any:
            said = "gitea:3:mysql\napache24:4:mysql\n" if "REQUIRE" in command else ""
            return subprocess.CompletedProcess(command, 0, said, "")

    [one] = [str(each) for each in naming.found(Says(), SAMPLE, "mysql")]
    assert one.startswith("/usr/local/etc/rc.d/gitea:3: REQUIRE: mysql: gate: rc(8) starts it")


def test_a_backup_that_the_server_writes_itself_is_told(host: Host) -> None:
    host.holds("/etc/crontab", "5 5 * * * root mysqldump --tab=/backup shop\n@daily mysqldump x\n")
    tab, plain = found(host, "mysql")
    assert tab.startswith("/etc/crontab:1: mysqldump: gate: the server writes these files itself")
    assert plain.startswith("/etc/crontab:2: mysqldump: keeps working")


def test_a_second_mount_of_the_sockets_directory_is_told(tmp_path: Path) -> None:
    """As in the chroot of an account, from where a link leads nowhere."""
    rows = "/var/run/mysql\t/usr/home/ann/run\tnullfs\trw\n/var/run/mysql\t/usr/jails/x\tnullfs\n"

    class Mounted:
        def run(self, command: str) -> Any:
            mounts = f"mount() {{ printf '{rows}'; }}; realpath() {{ echo $1; }}; {command}"
            return subprocess.run(["sh", "-c", mounts], capture_output=True, text=True, check=False)

    [told] = naming._beside(Mounted(), SAMPLE, "mysql")
    assert str(told).startswith("/usr/home/ann/run (mount -p): /var/run/mysql: gate: programs that")
    assert "/usr/jails/.shown/mysql/var/run/mysql/mysql.sock" in str(told)


def test_what_the_server_calls_after_its_host_is_told(host: Host) -> None:
    host.holds("/etc/crontab", "@daily root grep x /var/db/mysql/dc.err\n@daily du /var/db/mysql\n")
    err, data = found(host, "mysql")
    assert err.startswith("/etc/crontab:1: /var/db/mysql: gate: the server calls it after its jail")
    assert (
        data == "/etc/crontab:2: /var/db/mysql: keeps working: jail mysql mounts the same directory"
    )


IN_HOMES = "/usr/home/ann/public_html/.htaccess"


@pytest.mark.parametrize(
    ("row", "is_shown"),
    [
        (f"{IN_HOMES}:2:  Allow from 127.0.0.1", True),
        (f"{IN_HOMES}:2:Require local", True),
        (f"{IN_HOMES}:2:Require ip 127.0.0.1 10.80.0.0/24", False),
        (f"{IN_HOMES}:2:Allow from 127.0.0.1 10.80.0", False),
        (r"/c/httpd.conf:9:RewriteCond %{REMOTE_ADDR} !^(127\.0|10\.80\.0\.)", False),
        (r"/c/httpd.conf:9:SetEnvIf Remote_Addr 127\.0\.0\.1 dontlog", False),
        (r"/c/httpd.conf:9:SetEnvIf Remote_Addr 127\.0\.0\.1 letin", True),
        ("/c/httpd.conf:9:<VirtualHost 127.0.0.1:80>", True),
        ("/c/httpd.conf:9:<VirtualHost 127.0.0.1:8080>", False),
        ("/c/httpd.conf:9:<VirtualHost 203.0.113.2:80>", False),
    ],
)
def test_what_lets_in_this_host_alone_is_shown(row: str, is_shown: bool) -> None:
    class Said:
        backend = BACKEND

        def run(self, command: str) -> Any:
            stdout = row + "\n" if "DOSWhitelist" in command else ""
            return subprocess.CompletedProcess(command, 0, stdout, "")

    rows = {str(each) for each in naming.found(Said(), SAMPLE, "web")}
    assert any("10.80.0.4" in each for each in rows) == is_shown
    assert not naming.found(Said(), SAMPLE, "mail")


@pytest.mark.parametrize(
    ("line", "is_asked"),
    [
        ("Allow from 127.0.0.1", True),
        ("  require ip 127.0.0.1", True),
        ("Require local", True),
        ("Require valid-user", False),
        ("Require host www.example.org", False),
        (r"RewriteCond %{REMOTE_ADDR} !^203\.0\.113\.2$", True),
        ("RewriteCond %{HTTP_HOST} ^localhost", False),
        ("<If \"%{REMOTE_ADDR} == '127.0.0.1'\">", True),
        ("# Allow from 127.0.0.1", False),
    ],
)
def test_such_lines_are_found(line: str, is_asked: bool, tmp_path: Path) -> None:
    """Those of .htaccess files: by the grep that runs as Apache's account."""
    asked: list[str] = []

    class Asked:
        backend = BACKEND

        def run(self, command: str) -> Any:
            asked.append(command)
            return subprocess.CompletedProcess(command, 0, "", "")

    naming.found(Asked(), SAMPLE, "web")
    command = next(each for each in asked if ".htaccess" in each)
    (tmp_path / ".htaccess").write_text(line + "\n")
    bare = command.partition("sh -c ")[2].removesuffix(" </dev/null")
    inner = subprocess.run(
        ["sh", "-c", f"printf %s {bare}"], capture_output=True, text=True, check=True
    ).stdout.replace("/usr/local/www", str(tmp_path))
    done = subprocess.run(["sh", "-c", inner], capture_output=True, text=True, check=False)
    assert bool(done.stdout) == is_asked


@pytest.mark.parametrize(
    ("line", "is_shown"),
    [
        ("$config['imap_host'] = 'mail.example.org:143';", True),
        ("$config['default_host'] = '203.0.113.2';", True),
        ("$config['imap_host'] = 'tls://mail.example.org:143';", False),
        ("$config['imap_host'] = 'localhost:143';", False),
        ("// $config['imap_host'] = 'mail.example.org:143';", False),
        ("$config['imap_host'] = 'imap.elsewhere.example';", False),
    ],
)
@pytest.mark.parametrize("order", [("web", "mail"), ("mail", "web")])
def test_a_webmail_that_logs_in_without_tls_is_shown(
    order: tuple[str, str], line: str, is_shown: bool
) -> None:
    class Said:
        backend = BACKEND

        def run(self, command: str) -> Any:
            stdout = f"/usr/local/www/rc/config/config.inc.php:3:{line}\n"
            if "getent" in command:
                known = "mail.example.org" in command or "203.0.113.2" in command
                stdout = f"{'203.0.113.2' if known else '198.51.100.9'} x\n"
            elif "imap" not in command:
                stdout = ""
            return subprocess.CompletedProcess(command, 0, stdout, "")

    dovecot = SAMPLE.services["mail"].model_copy(update={"rc": "dovecot"})
    update = {"services": {**SAMPLE.services, "imap": dovecot}, "order": order}
    rows = [str(each) for each in naming.found(Said(), SAMPLE.model_copy(update=update), "web")]
    assert any("without TLS" in each for each in rows) == (is_shown and order[0] == "web")

"""Every check fails where its claim is false: a check that cannot fail proves nothing.

Most checks claim what a step makes, so they fail on a host where no step has run. The others pass
there, and the test breaks something for each.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import pytest

from rollout import site
from rollout.engine import checks, collecting
from rollout.host import session as module
from rollout.host.session import Session
from rollout.plan.step import Check, check
from rollout.probe.certificates import Certificates
from rollout.probe.transfer import Transfer
from rollout.rehearsal.box import Box, standin_box
from rollout.site import HOST, Site
from rollout.site.limits import Limits
from rollout.site.mac import Mac
from rollout.site.model import Listen, Login
from steps import forward
from tests.rehearsal.on_standin import Lying
from tests.rehearsal.sites import SAMPLE

RULES = "/usr/local/etc/cellblock/rules"
UGIDFW = "/usr/local/etc/cellblock/ugidfw"
UIDS = (1001, 1999)
PLACE = site.read(SAMPLE).places["mysql"]
WAYS = forward.ways(site.read(SAMPLE), "web")
RESOLVERS = forward.ways(site.read(SAMPLE), "bind")
ANSWERS = forward.answers_ways(site.read(SAMPLE))
LOADED = "kenv net.inet.ip.fw.default_to_accept=1 >/dev/null; kldload ipfw"
CHROOTED = (
    "postconf() { case $1 in -M) echo 'smtp inet n - y - - smtpd';; *) echo 3.6;; esac; }; "
    "ls() { echo etc; }; sleep() { :; }"
)
PYTHON = re.compile(r"CommandResult|Error\b|\bNone\b|\['|^assert |<\w+\.")
"""What a message must not contain: reprs (TOML's lists have double quotes), exceptions."""
ANN = Login(name="ann@example.org", password_file="/etc/rc.conf")  # noqa: S106 # a path
MYSQL = {"name": "mysql.example.org", "address": "10.80.0.3"}


@dataclass(frozen=True)
class Case:
    """`broken` is typed on the host; `functions` replace its commands; `site` changes the site."""

    check: Check
    broken: str = ""
    functions: str = "sleep() { :; }"
    site: Any = None

    def __str__(self) -> str:
        return self.check.test.replace("::", " ")


def lacking(test: str, **values: Any) -> Case:
    return Case(check(test, **values))


def broken(test: str, by: str, **values: Any) -> Case:
    return Case(check(test, **values), broken=by)


def _account(line: str) -> str:
    return f"echo '{line}' >> /etc/passwd"


def _in_named(words: str) -> str:
    return f"sed -i '' -e '{words}' /usr/local/etc/namedb/named.conf"


_TWO = (
    "ifconfig vtnet0 inet 203.0.113.3/32 alias; "
    f"{_in_named('s/203.0.113.2;/& 203.0.113.3;/')}; service named restart >/dev/null"
)
_LED = (
    "kldload ipfw_nat; ipfw -q nat 3 config ip 203.0.113.2 same_ports "
    "redirect_addr 10.80.0.2 203.0.113.2 redirect_addr 10.80.0.254 203.0.113.3"
)


def _no_room(site: Site) -> Site:
    return site.model_copy(update={"run": site.run.model_copy(update={"free_space_mib": 10**9})})


def _with(service: str, **more: Any) -> Any:
    def changed(site: Site) -> Site:
        other = site.services[service].model_copy(update=more)
        return site.model_copy(update={"services": {**site.services, service: other}})

    return changed


_PRIVATE = _with("mysql", ports=(Listen(port=3306, probe="mysql", public=False),))


def _added(site: Site, name: str, table: dict[str, Any]) -> Site:
    """With a service besides, which has a jail of its own."""
    jail = {"address": "10.80.0.9", "hostname": f"{name}.example.org", "services": [name]}
    service = type(site.services["web"]).model_validate(table)
    own = type(site.jails["web"]).model_validate(jail)
    update = {"services": {**site.services, name: service}, "jails": {**site.jails, name: own}}
    return site.model_copy(update=update)


def _with_postgresql(site: Site) -> Site:
    """One that stays on the host."""
    ports = [{"port": 5432, "probe": "tcp", "public": False}]
    table = {"rc": "postgresql", "rcvar": "postgresql_enable", "ports": ports}
    order = tuple(each for each in site.order if each != "policy")
    return _added(site, "sql", table).model_copy(update={"order": order})


def _with_redis(site: Site) -> Site:
    """A cache that is to move side by side, with its data shared."""
    table = {"rc": "redis", "rcvar": "redis_enable", "ports": [{"port": 6379, "public": False}]}
    more = {"move": "overlap", "questions": ["true"], "data": ["/var/db/redis"]}
    return _added(site, "redis", {**table, **more})


def _described(service: str, question: str, **more: Any) -> Any:
    """A service of the sample as one that Cellblock knows nothing of."""
    return _with(service, move="overlap", questions=(question,), **more)


def _limited(**limits: Any) -> Any:
    def changed(site: Site) -> Site:
        web = site.jails["web"].model_copy(update={"limits": Limits.model_validate(limits)})
        return site.model_copy(update={"jails": {**site.jails, "web": web}})

    return changed


def _apart(**table: str) -> Any:
    return lambda site: site.model_copy(update={"mac": Mac.model_validate(table)})


def _elsewhere(site: Site) -> Site:
    host = site.host.model_copy(update={"wan_address": "203.0.113.77"})
    return site.model_copy(update={"host": host})


def _behind_a_link(site: Site) -> Site:
    """/home leads to usr/home."""
    return site.model_copy(update={"base": site.base.model_copy(update={"jails": "/home/jails"})})


def _with_public_address(site: Site) -> Site:
    more = {"outbound": "public", "public_addresses": ("203.0.113.99",)}
    jails = {**site.jails, "web": site.jails["web"].model_copy(update=more)}
    return site.model_copy(update={"jails": jails})


CASES = [
    broken("accounts::are_there", "pw userdel user001", uids=(1001, 1001)),
    broken("accounts::are_in_passwd", "echo 'passwd: files ldap' >> /etc/nsswitch.conf", uids=UIDS),
    broken("accounts::have_a_uid_of_their_own", _account("x:*:1001:1::/x:/bin/sh"), uids=UIDS),
    broken("accounts::have_plain_names", _account("a b:*:1500:1::/x:/bin/sh"), uids=UIDS),
    broken("accounts::have_homes", "rm -r /usr/home/user001", uids=UIDS),
    lacking("accounts::are_those_of_the_host", jail="web"),
    lacking("accounts::are_in_the_configuration", service="web"),
    lacking("accounts::have_running_pools", service="web"),
    lacking("accounts::scripts_run_as_their_owners", service="web"),
    broken(
        "dependents::all_keep_working",
        "echo '* * * * * root rndc reload' >> /etc/crontab",
        service="bind",
    ),
    broken(
        "dependents::all_keep_working",
        "mkdir -p /usr/local/scripts && echo 'rndc reload' > /usr/local/scripts/zones.sh && "
        "chmod +x /usr/local/scripts/zones.sh && "
        "echo '15 4 * * * /usr/local/scripts/zones.sh >/dev/null' >> /var/cron/tabs/root",
        service="bind",
    ),
    replace(
        lacking(
            "dependents::nobody_is_shut_out",
            service="mysql",
            ways=forward.ways(_PRIVATE(site.read(SAMPLE)), "mysql"),
        ),
        site=_PRIVATE,
    ),
    broken(
        "dependents::none_are_found",
        "echo '* * * * * root service named reload' >> /etc/crontab",
        service="bind",
    ),
    lacking("service::command_reaches_the_jail", service="web"),
    lacking("logs::are_rotated_once", service="web"),
    replace(
        lacking("logs::messages_are_syslogds"),
        functions="sockstat() { echo root syslog-ng 812 5 dgram /var/run/log; }",
    ),
    broken(
        "logs::patterns_are_of_one_service",
        "touch /var/log/auth.log && echo '/var/log/*.log* 640 7 * @T00 GB' >> /etc/newsyslog.conf",
        service="web",
    ),
    lacking("logs::are_readable_on_the_host", service="web"),
    lacking("egress::offload_is_off", at_boot=f"{RULES}/egress.ifconfig"),
    lacking("egress::nat_skips_the_hosts_own_packets"),
    lacking("egress::upload_works"),
    lacking("egress::download_works"),
    lacking("path::is_a_directory", path="/usr/jails"),
    lacking("service::script_is_enabled", script="cellblock"),
    lacking("path::exists", path=RULES),
    lacking("path::is_absent", path="/etc/rc.conf"),
    lacking("jail::runs", jail="web"),
    lacking("jail::has_its_address", jail="web", ways=None),
    lacking("jail::base_is_read_only", jail="web"),
    lacking("jail::has_its_mounts", jail="web"),
    lacking("jail::has_its_configuration", jail="web"),
    lacking("jail::has_what_was_changed_on_the_host", jail="web"),
    lacking("jail::has_mounted", jail="mail", path="/var/spool/mqueue"),
    lacking("jail::has_no_passwords", jail="web"),
    lacking("jail::starts_at_boot", jail="web"),
    Case(check("jail::gives_no_rights_by_programs", jail="web"), site=_with("web", nosuid=True)),
    broken(
        "preflight::no_program_loses_its_rights",
        "cp /bin/sh /usr/local/www/sh; chmod 4755 /usr/local/www/sh",
        jail="web",
        path="/usr/local/www",
    ),
    lacking("jail::waits_for_the_rules", jail="web", ready="true"),
    broken(
        "jail::waits_for_the_rules",
        "mkdir -p /etc/jail.conf.d; echo 'exec.prepare = false' > /etc/jail.conf.d/web.conf",
        jail="web",
        ready="false",
    ),
    lacking("jail::has_what_all_may_read", jail="web"),
    lacking("jail::finds_names_as_the_host", jail="web"),
    lacking("jail::has_the_time_of_the_host", jail="web"),
    lacking("jail::reaches_localhost_of_the_host", jail="web", service="mysql"),
    broken(
        "jail::has_what_is_mounted_below",
        "mkdir /var/db/mysql/more && mount -t nullfs /var/tmp /var/db/mysql/more",
        jail="mysql",
    ),
    lacking("limits::can_be_set"),
    broken(
        "limits::are_not_set_by_others",
        "echo 'jail:web:maxproc:deny=9 # the shop' > /etc/rctl.conf",
        jail="web",
    ),
    replace(
        lacking("limits::leave_room_for_what_runs_now", jail="web"), site=_limited(processes=1)
    ),
    replace(
        lacking("limits::leave_room_for_what_runs_now", jail="web"), site=_limited(memory="1K")
    ),
    replace(lacking("limits::host_has_the_cpus", jail="web"), site=_limited(cpus="0-7")),
    replace(lacking("limits::are_in_force", jail="web"), site=_limited(processes=200)),
    replace(
        lacking("limits::are_in_force", jail="web"),
        site=_limited(cpus="1"),
        functions="cpuset() { echo 'jail 1 mask: 0, 1'; }",
    ),
    replace(lacking("limits::disks_can_be_made"), site=_limited(disk="900T")),
    replace(
        lacking("limits::disks_can_be_made"),
        site=_limited(disk="64M"),
        functions="mount() { printf 'zroot/ROOT/default\\t/\\tzfs\\trw\\t0\\t0\\n'; }",
    ),
    replace(
        lacking("limits::disks_can_be_made"),
        site=_limited(disk="64M"),
        functions="kldstat() { false; }",
    ),
    replace(
        broken(
            "limits::disk_holds_what_is_copied",
            "dd if=/dev/zero of=/usr/local/etc/apache24/large bs=1024k count=40",
            jail="web",
        ),
        site=_limited(disk="64M"),
    ),
    replace(lacking("limits::disk_is_mounted", jail="web"), site=_limited(disk="64M")),
    replace(lacking("limits::all_that_it_writes_is_apart", jail="web"), site=_limited(disk="64M")),
    replace(lacking("mac::kernel_has_the_framework"), functions="sysctl() { false; }"),
    broken(
        "mac::nobody_else_uses_it",
        "kldload mac_bsdextended && ugidfw set 3 subject uid 80 object uid 0 mode rsx",
        script=UGIDFW,
    ),
    replace(lacking("mac::daemons_are_no_accounts"), site=_with("web", user="user001")),
    replace(lacking("mac::groups_are_as_the_site_file_says"), site=_apart(watchers="nosuch")),
    replace(lacking("mac::groups_are_as_the_site_file_says"), site=_apart(shared="user001")),
    replace(lacking("mac::groups_are_as_the_site_file_says"), site=_apart(shared="wheel")),
    broken(
        "mac::accounts_share_nothing",
        "touch /usr/home/user001/old && chown user002 /usr/home/user001/old",
    ),
    lacking("mac::rules_are_in_force"),
    lacking("mac::all_comes_back_at_boot", script=UGIDFW, lines=("ugidfw set 0 x",)),
    lacking("mac::accounts_are_kept_apart", place=HOST),
    lacking("mac::processes_of_others_are_hidden", place=HOST),
    broken("mail::maps_can_be_rebuilt", "echo 'no colon' >> /etc/mail/aliases"),
    broken("mail::queue_can_be_moved", "mv /var/spool/mqueue /x && ln -s /x /var/spool/mqueue"),
    broken(
        "mail::named_paths_are_in_the_jail",
        "touch /root/users; echo 'Kusers text /root/users' >> /etc/mail/sendmail.cf",
        service="mail",
    ),
    broken(
        "mail::accounts_mail_is_in_the_jail",
        "touch /root/program && echo '|/root/program' > /usr/home/user001/.forward",
        service="mail",
    ),
    broken(
        "mail::local_helpers_are_reached",
        "echo 'Listen 127.0.0.1:8891' >> /usr/local/etc/apache24/httpd.conf; "
        "service apache24 onerestart; "
        "echo 'Xmilter, S=inet:8891@localhost' >> /etc/mail/sendmail.cf",
        service="mail",
    ),
    broken(
        "mail::named_accounts_are_in_the_jail",
        "pw useradd vmail -u 5000 -d /nonexistent; "
        "echo 'Mpipe, P=/bin/cat, user=vmail' >> /etc/mail/sendmail.cf",
        service="mail",
    ),
    broken(
        "mail_server::sends_from_an_address_that_it_will_have",
        "echo 'O ClientPortOptions=Family=inet, Addr=203.0.113.3' >> /etc/mail/sendmail.cf",
    ),
    replace(
        lacking("mail_server::needs_no_chroot"),
        functions=CHROOTED,
        site=_with("mail", rc="postfix"),
    ),
    lacking("mail::jail_has_what_is_named", service="mail"),
    lacking("mail::only_logins_have_passwords", jail="mail"),
    lacking("mail::is_accepted_for_every_host_name"),
    lacking("mail::calls_itself_the_same"),
    lacking("mail::gives_the_same_answers"),
    replace(
        lacking("dovecot::has_the_same_mailboxes"),
        functions="doveadm() { echo ann@example.org; }; jexec() { :; }",
    ),
    replace(
        lacking("dovecot::test_account_can_log_in", service="mail", where="host"),
        site=_with("mail", test_account=ANN),
        functions="stat() { echo root 0600 Regular File; }; doveadm() { :; }",
    ),
    replace(
        lacking("dovecot::logins_are_the_same", service="mail"),
        site=_with("mail", test_account=ANN),
        functions="doveadm() { printf 'uid\\t1001\\n'; }; jexec() { :; }",
    ),
    broken("mail::base_has_sendmail", "rm /usr/libexec/sendmail/sendmail"),
    broken(
        "mail::programs_hand_their_mail_to_this_host",
        "echo 'D{MTAHost}[smtp.example.net]' > /etc/mail/submit.cf",
    ),
    broken(
        "mail::php_sends_by_sendmail",
        "mkdir /usr/local/etc/php; echo 'sendmail_path=/usr/local/bin/msmtp -t' "
        "> /usr/local/etc/php/mail.ini",
    ),
    broken("mail::access_map_is_up_to_date", "echo 192.0.2.1 REJECT >> /etc/mail/access"),
    broken(
        "mail::takes_mail_from_jails_as_from_this_host",
        "printf 'sendmail : localhost : allow\\nALL : ALL : deny\\n' > /etc/hosts.allow",
    ),
    lacking("mail::queue_runner_runs_in_jail", jail="web"),
    lacking("mail::is_taken_from_jails_as_from_the_host", senders="web"),
    lacking("mail::accounts_are_in_the_jail"),
    lacking("mail::ports_are_closed_on_host", service="mail"),
    broken("mail::host_queue_is_empty", "touch /var/spool/mqueue/dfA1 /var/spool/mqueue/qfA1"),
    lacking("messages::from_the_host_arrive"),
    lacking("messages::from_jails_arrive", senders="web"),
    replace(
        broken(
            "messages::to_a_virtual_mailbox_arrive", "echo ann@example.net ann/ > /root/vmailbox"
        ),
        functions="postconf() { echo hash:/root/vmailbox; }; sleep() { :; }",
    ),
    broken(
        "name::can_be_looked_up_on_host",
        "service named onestop",
        name="example.org",
        server="127.0.0.1",
    ),
    replace(
        lacking("mysql::server_uses_the_data_of_the_site_file", service="mysql"),
        site=_with("mysql", data=("/var/db/other",)),
    ),
    replace(
        broken(
            "mysql::programs_log_in",
            'echo \'define("DB_USER", "shop"); define("DB_PASSWORD", "x");\' '
            "> /usr/home/user001/wp-config.php",
            jail="web",
        ),
        functions="jexec() { :; }; sleep() { :; }",
    ),
    replace(
        broken(
            "mysql::programs_may_come_from_the_jail",
            'echo \'define("DB_USER", "shop"); define("DB_PASSWORD", "x"); '
            'define("DB_HOST", "127.0.0.1");\' > /usr/home/user001/wp-config.php; '
            "echo shop localhost x > /var/db/mysql/users",
            jail="web",
        ),
        site=_with("mysql", client="/usr/local/bin/mysql -u root"),
    ),
    broken(
        "mysql::addresses_are_the_jails",
        "printf '[mysqld]\\nbind-address = 203.0.113.2\\n' > /var/db/mysql/my.cnf",
        service="mysql",
    ),
    broken(
        "mysql::binary_logs_have_names_of_their_own",
        ": > /var/db/mysql/dcserver-relay-bin.index",
        service="mysql",
    ),
    broken(
        "mysql::is_one_server", "echo 'mysql_instances=\"a b\"' >> /etc/rc.conf", service="mysql"
    ),
    replace(
        broken(
            "mysql::names_of_clients_are_found",
            "echo shop app.example.net x > /var/db/mysql/users",
            service="mysql",
        ),
        site=_with("mysql", client="/usr/local/bin/mysql -u root"),
    ),
    replace(
        broken(
            "mysql::accounts_known_by_the_socket_are_in_the_jail",
            "echo 'user001 localhost unix_socket' >> /var/db/mysql/users",
            service="mysql",
        ),
        site=_with("mysql", client="/usr/local/bin/mysql -u root"),
    ),
    replace(
        broken(
            "mysql::files_by_path_are_in_the_jail",
            "echo 'shop localhost with_files' >> /var/db/mysql/users",
            service="mysql",
        ),
        site=_with("mysql", client="/usr/local/bin/mysql -u root"),
    ),
    lacking("mysql::jails_server_uses_the_hosts_data", service="mysql"),
    lacking("name::resolves_on_host", **MYSQL),
    lacking("name::resolves_in_jail", jail="web", **MYSQL),
    broken(
        "bind::servers_that_it_asks_are_not_at_localhost",
        "sed -i '' -e 's/^options {/& forwarders { 127.0.0.1 port 5353; };/' "
        "/usr/local/etc/namedb/named.conf",
        service="bind",
    ),
    replace(
        broken(
            "bind::servers_that_it_asks_are_reached",
            _in_named("s/^options {/& forwarders { 192.168.7.1; };/"),
            service="bind",
        ),
        functions="sleep() { :; }; netstat() { echo 192.168.7.0/24 link#2 U em1; }",
    ),
    broken(
        "bind::servers_that_it_asks_are_reached",
        _in_named("s/^options {/& forwarders { 2001:db8::53; };/"),
        service="bind",
    ),
    broken(
        "bind::lets_in_the_same_clients",
        _in_named("s/^zone .*{/& update-policy local;/"),
        service="bind",
    ),
    broken(
        "bind::configuration_is_the_one_that_is_read",
        "echo 'named_conf=/usr/local/etc/other.conf' >> /etc/rc.conf",
        service="bind",
    ),
    broken(
        "bind::zone_files_are_the_hosts",
        "mv /usr/local/etc/namedb/primary /usr/local/etc/namedb/other && "
        + _in_named("s,namedb/primary,namedb/other,"),
        service="bind",
    ),
    broken(
        "bind::answers_by_who_asks",
        _in_named("s/^options {/& allow-recursion-on { 127.0.0.1; };/"),
        service="bind",
    ),
    broken(
        "bind::addresses_are_the_jails",
        _in_named("s/^options {/& transfer-source 203.0.113.77;/"),
        service="bind",
        ways=ANSWERS,
    ),
    broken(
        "bind::lets_in_the_same_clients",
        _in_named("s/^options {/& blackhole { 10.0.0.0\\/8; };/"),
        service="bind",
    ),
    lacking("bind::jail_lets_in_the_same_clients", service="bind"),
    replace(
        broken(
            "bind::programs_ask_it_over_ipv4",
            "echo nameserver ::1 > /etc/resolv.conf",
            service="bind",
        ),
        functions="sleep() { :; }; sockstat() { case $* in *u*) ;; *) "
        "echo 'bind named 53 20 udp6 ::1:53 *:*';; esac; }",
    ),
    broken(
        "named::zones_may_be_open_twice",
        """sed -i '' -e 's/type primary;/& allow-update { any; };/' """
        "/usr/local/etc/namedb/named.conf",
        service="bind",
    ),
    lacking("named::resolves_as_on_the_host", service="bind", ways=RESOLVERS),
    lacking("named::programs_resolve_through_the_jail", service="bind", ways=RESOLVERS),
    lacking("network::port_answers", name="mysql.example.org", port=3306),
    lacking("network::port_is_closed_on_localhost", port=3306),
    lacking("network::interface_has_address", interface="lo1", address="10.80.0.2"),
    broken(
        "network::interface_has_address",
        "ifconfig vtnet0 inet 203.0.113.2 -alias",
        interface="vtnet0",
        address="203.0.113.2",
    ),
    broken(
        "network::interface_has_address",
        "ifconfig lo1 create && ifconfig lo1 inet 10.80.0.2/32 alias",
        interface="lo1",
        address="10.80.0.2",
    ),
    lacking("network::ipfw_is_loaded"),
    broken("network::ipfw_set_is_enabled", LOADED, set=20),
    broken(
        "network::ipfw_rules_are_saved_for_boot",
        f"{LOADED}; ipfw -q add {PLACE.number} set {PLACE.set} count ip from any to any; "
        f"mkdir -p {RULES}; echo 'add {PLACE.number} set {PLACE.set} deny ip from any to any' "
        f"> {RULES}/mysql.rules",
        part="mysql",
        path=f"{RULES}/mysql.rules",
    ),
    lacking("network::rules_return_with_the_firewall", script="/cellblock_firewall"),
    broken("network::the_hosts_rules_still_decide", LOADED, set=24, ways=WAYS),
    broken(
        "network::the_hosts_rules_still_decide",
        f"{LOADED}; ipfw -q add 64999 set 24 count ip from any to any; ipfw -q set disable 24",
        set=24,
        ways=WAYS,
    ),
    broken("preflight::firewall_of_the_host_is_in_force", f"{LOADED}; ipfw disable firewall"),
    broken("preflight::firewall_of_the_host_is_in_force", "sysrc firewall_enable=YES"),
    broken("preflight::firewall_of_the_host_is_in_force", "echo pf_enable=YES >> /etc/rc.conf"),
    replace(
        lacking("preflight::firewall_of_the_host_is_in_force"),
        functions="kldstat() { :; }; pfctl() { :; }; ipf() { echo Running: yes; }",
    ),
    replace(
        lacking("preflight::firewall_of_the_host_is_in_force"),
        functions="kldstat() { :; }; pfctl() { echo Status: Enabled for 1 day; }",
    ),
    broken(
        "preflight::rules_of_the_host_let_ours_work",
        f"{LOADED}; ipfw -q add 100 allow ip from any to any via lo0; "
        "ipfw -q add 400 allow tcp from any to me 80 in setup limit src-addr 2",
        ways=WAYS,
    ),
    replace(
        lacking(
            "preflight::ports_are_forwarded_where_the_daemon_listens", service="web", ways=WAYS
        ),
        site=_with("web", addresses=("203.0.113.2", "203.0.113.9")),
    ),
    lacking("service::answers_wherever_it_did", service="web", ways=WAYS),
    replace(
        broken("service::answers_from_the_address_asked", _TWO, service="bind", ways=RESOLVERS),
        functions="nc() { :; }",
    ),
    replace(
        lacking("service::answers_jails_at_localhost", service="web", ways=WAYS),
        functions="jls() { echo 10.80.0.2; }; jexec() { return 1; }",
    ),
    lacking("policy::is_enforced_for_every_pair"),
    replace(
        lacking("preflight::host_runs_a_supported_freebsd"), functions="uname() { echo Linux 6; }"
    ),
    replace(lacking("preflight::login_is_root"), functions="id() { echo 1001; }"),
    replace(lacking("preflight::host_has_the_wan_address"), site=_elsewhere),
    replace(
        lacking("preflight::host_has_the_public_addresses_of_jails"), site=_with_public_address
    ),
    replace(lacking("preflight::path_of_the_jails_has_no_links"), site=_behind_a_link),
    broken(
        "preflight::network_of_jails_is_free",
        "ifconfig vlan0 create; ifconfig vlan0 inet 10.80.0.1/16",
    ),
    broken("network::further_addresses_are_there", _TWO, interface="lo1", ways=ANSWERS),
    broken(
        "network::further_addresses_only_answer",
        f"{LOADED}; {_LED}; ifconfig lo1 create; ifconfig lo1 inet 10.80.0.254/32 alias",
        ways=ANSWERS,
    ),
    broken(
        "network::addresses_of_rc_conf_are_up",
        "sysrc ifconfig_vtnet0_alias0='inet 203.0.113.9/32'",
    ),
    replace(
        lacking("moment::nothing_copies_or_upgrades_files_now"),
        functions="ps() { echo '  812 /bin/sh - /usr/sbin/periodic daily'; }",
    ),
    replace(
        lacking("moment::no_restart_is_pending"),
        functions="freebsd-version() { for each in p5 p3 p3; do echo 14.1-RELEASE-$each; done; }",
    ),
    lacking("moment::release_gets_patches"),
    replace(
        lacking("moment::no_file_system_is_nearly_full"),
        functions="df() { echo Filesystem; echo 'zroot/var 1000 960 40 96% /var/a b'; }",
    ),
    broken(
        "recursion::name_servers_are_of_ipv4", "echo 'nameserver 2001:db8::53' > /etc/resolv.conf"
    ),
    broken("preflight::kernel_takes_changes", "sysctl kern.securelevel=1"),
    broken("boot::jails_are_on_a_disk", "mkdir -p /usr/jails && mount -t tmpfs tmpfs /usr/jails"),
    broken(
        "recursion::localhost_is_the_one_that_moves",
        "sed -i '' -e 's/ 127.0.0.1;//' /usr/local/etc/namedb/named.conf; "
        "service named onerestart; mkdir /var/unbound; echo server: > /var/unbound/unbound.conf; "
        "service local_unbound onestart; "
        "echo nameserver 127.0.0.1 > /etc/resolv.conf",
    ),
    broken("boot::rules_are_flushed_by_rc_alone", "echo 'ipfw -q -f flush' >> /etc/rc.local"),
    broken(
        "boot::backups_do_not_read_jails_again",
        "echo '0 3 * * * root rsync -aH / backup:/full' >> /etc/crontab",
    ),
    broken("boot::rc_conf_decides", "sysrc ifconfig_lo1_name=bastille0"),
    Case(
        check("described::questions_have_answers", service="bind"),
        broken="rm /var/run/named/pid",
        site=_described("bind", "cat /var/run/named/pid"),
    ),
    Case(
        check("described::jail_gives_the_same_answers", service="bind"),
        broken="echo another > /etc/answer",
        functions='jexec() { shift; case $* in *answer*) echo one ;; *) "$@" ;; esac; }',
        site=_described("bind", "cat /etc/answer 2>/dev/null || echo one"),
    ),
    Case(
        check("described::daemon_listens_where_its_jail_can", service="redis"),
        broken="pw useradd redis -u 535 -s /usr/sbin/nologin; mkdir -p /var/run/redis; "
        "echo 'bind 127.0.0.1 203.0.113.2' > /usr/local/etc/redis.conf; service redis onestart",
        site=_with_redis,
    ),
    Case(
        check("described::daemon_writes_nothing_that_two_would", service="redis"),
        broken="pw useradd redis -u 535 -s /usr/sbin/nologin; mkdir -p /var/run/redis; "
        "echo 'appendonly yes' > /usr/local/etc/redis.conf; service redis onestart",
        site=_with_redis,
    ),
    broken(
        "recursion::is_allowed_to_jails",
        "sed -i '' -e 's/recursion no/recursion yes; allow-recursion { 127.0.0.1; 203.0.113.2; }/' "
        "/usr/local/etc/namedb/named.conf; service named onerestart",
    ),
    broken(
        "staying::daemons_are_found_from_the_jail",
        "pw useradd redis -s /usr/sbin/nologin; sysrc redis_enable=YES; "
        "echo 'bind 127.0.0.1' > /usr/local/etc/redis.conf; service redis start",
        service="web",
    ),
    replace(
        broken(
            "staying::daemons_let_in_the_jail",
            "mkdir -p /var/db/postgres/data16; "
            "echo 'host all all 127.0.0.1/32 md5' > /var/db/postgres/data16/pg_hba.conf",
            service="web",
        ),
        site=_with_postgresql,
    ),
    broken(
        "mysql::people_may_log_in_from_the_jail",
        "mkdir -p /usr/local/www/phpMyAdmin; echo \"\\$cfg['Servers'][1]['host'] = '127.0.0.1';\" "
        "> /usr/local/www/phpMyAdmin/config.inc.php",
        jail="web",
    ),
    broken(
        "web::scripts_find_what_is_beside_them",
        "mkdir -p /data/app/public /data/app/lib; "
        "echo '<?php include \"../lib\";' > /data/app/public/index.php; "
        "echo 'DocumentRoot /data/app/public' >> /usr/local/etc/apache24/httpd.conf",
        service="web",
    ),
    lacking("preflight::mount_source_exists", jail="web", path="/nosuch"),
    broken(
        "preflight::links_in_data_lead_into_the_jail",
        "mkdir -p /data/files && ln -s ../../../data/files /usr/local/www/files",
        service="web",
    ),
    broken(
        "preflight::links_in_configuration_lead_into_the_jail",
        "mkdir -p /data/vhosts && ln -s /data/vhosts /usr/local/etc/apache24/vhosts",
        service="web",
    ),
    broken(
        "preflight::name_of_jail_is_free", "echo 'web { persist; }' >> /etc/jail.conf", jail="web"
    ),
    broken(
        "needs::are_met",
        "mkdir /root/web && sysrc apache24_flags='-d /root/web'",
        service="web",
    ),
    lacking("needs::none_are_there", service="web"),
    broken("service::runs_on_host", "service apache24 onestop", service="web"),
    replace(
        lacking("preflight::rcvar_is_what_the_script_reads", service="web"),
        site=_with("web", rcvar="web_enable"),
    ),
    broken("preflight::configuration_has_no_flags", "chflags schg /etc/login.conf"),
    broken("preflight::file_systems_come_at_boot", "mount -t tmpfs tmpfs /var/mail"),
    broken(
        "preflight::file_systems_below_come_at_boot",
        "mkdir /usr/home/new && mount -t tmpfs tmpfs /usr/home/new",
    ),
    replace(
        broken("preflight::daemon_runs_as_an_account_of_its_jail", "true", service="bind"),
        functions="sleep() { :; }; "
        "sockstat() { command sockstat \"$@\" | sed 's/^bind /user001 /'; }",
    ),
    broken(
        "mail_server::settings_mean_the_same_in_a_jail",
        "echo 'ClientRate:127.0.0.1 0' >> /etc/mail/access",
    ),
    broken("preflight::daemon_is_enabled", "sysrc named_enable=NO", service="bind"),
    broken(
        "preflight::daemon_needs_no_right_that_jails_lack",
        "sysrc named_oomprotect=YES",
        service="bind",
    ),
    broken(
        "preflight::daemon_reads_the_usual_configuration",
        "sysrc apache24_profiles='www intern'",
        service="web",
    ),
    broken(
        "preflight::daemon_is_set_by_variables_alone",
        "mkdir -p /etc/rc.conf.d && echo 'umask 002' > /etc/rc.conf.d/named",
        service="bind",
    ),
    broken("preflight::daemon_uses_the_first_routing_table", "sysrc named_fib=1", service="bind"),
    broken("preflight::daemon_is_in_no_service_jail", "sysrc svcj_all_enable=YES", service="bind"),
    broken(
        "preflight::daemon_is_in_no_service_jail",
        "mkdir -p /etc/rc.conf.d && echo 'named_svcj=\"YES\"' > /etc/rc.conf.d/named",
        service="bind",
    ),
    broken(
        "preflight::daemon_is_in_no_service_jail",
        "jail -c name=svcj-named path=/ persist",
        service="bind",
    ),
    replace(
        lacking("preflight::socket_is_the_daemons", service="mysql"),
        site=_with("mysql", socket="/tmp/mysql.sock"),
    ),
    broken("preflight::daemon_listens_on_its_ports", "service apache24 onestop", service="web"),
    broken(
        "preflight::public_ports_answer_here",
        f"{LOADED}; ipfw -q add 400 deny tcp from any to me 80 in recv vtnet0",
        service="web",
    ),
    broken(
        "preflight::all_ports_are_in_the_site_file",
        "echo 'Listen 8080' >> /usr/local/etc/apache24/httpd.conf && service apache24 onerestart",
        service="web",
    ),
    broken(
        "preflight::daemon_serves_no_ipv6_clients",
        "ifconfig vtnet0 inet6 2001:db8::2/64",
        service="web",
    ),
    replace(lacking("preflight::file_system_has_room", directory="/usr/local/www"), site=_no_room),
    broken(
        "preflight::configuration_is_valid",
        "echo 'options {' >> /usr/local/etc/namedb/named.conf",
        service="bind",
    ),
    lacking("preflight::configuration_exists", path="/etc/nosuch"),
    broken(
        "quota::databases_have_accounts",
        "mkdir /var/db/mysql/nobodys_shop",
        directory="/var/db/mysql",
    ),
    lacking(
        "quota::databases_belong_to_their_accounts", script="/usr/local/etc/cellblock/mysql.quota"
    ),
    lacking("service::runs_in_jail", service="web"),
    broken("service::companions_run_on_host", "sysrc php_fpm_enable=YES", service="web"),
    broken("service::companions_run_in_jail", "sysrc php_fpm_enable=YES", service="web"),
    lacking("service::does_not_run_on_host", service="web"),
    lacking("service::starts_at_boot_in_jail", service="web"),
    lacking("service::listens_on_the_jails_address", service="web", ways=None),
    broken(
        "service::leaves_the_jails_address_free",
        "ifconfig lo1 create && ifconfig lo1 inet 10.80.0.2/32 alias && sed -i '' -e "
        "'s/listen-on {/listen-on { 10.80.0.2;/' /usr/local/etc/namedb/named.conf && "
        "service named onerestart",
        service="bind",
        ways=None,
    ),
    lacking("service::answers_from_jail", service="web"),
    lacking("service::socket_is_the_jails", service="mysql"),
    lacking("web::jail_has_what_is_named", service="web"),
    lacking("web::jail_sends_the_same_pages", service="web"),
    broken("web::no_sessions_are_in_tmp", "touch /tmp/sess_0"),
    broken(
        "web::local_backends_are_reached",
        "echo 'ProxyPass /x http://127.0.0.1:3000/' >> /usr/local/etc/apache24/httpd.conf",
        service="web",
    ),
    broken(
        "web::named_accounts_are_in_the_jail",
        "pw useradd shopper -u 5001 -d /nonexistent; "
        "echo 'SuexecUserGroup shopper shopper' >> /usr/local/etc/apache24/httpd.conf",
        service="web",
    ),
    broken(
        "web::kernel_gives_the_jail_the_same",
        "echo 'BalancerMember http://198.51.100.80' >> /usr/local/etc/apache24/httpd.conf",
        service="web",
    ),
    broken(
        "web::no_page_asks_the_system_for_passwords",
        "echo 'AddExternalAuth pwauth /usr/local/bin/pwauth' >> /usr/local/etc/apache24/httpd.conf",
        service="web",
    ),
    broken(
        "web::files_beside_pages_name_what_the_jail_has",
        "mkdir -p /data && touch /data/htpasswd && "
        "echo 'AuthUserFile /data/htpasswd' > /usr/home/user001/public_html/.htaccess",
        service="web",
    ),
    broken(
        "web::links_to_pages_lead_into_the_jail",
        "mkdir -p /data/www && rm -rf /usr/home/user003/public_html && "
        "ln -s /data/www /usr/home/user003/public_html",
        service="web",
    ),
    broken(
        "web::named_paths_are_in_the_jail",
        "mkdir /root/pages && echo 'Alias /x /root/pages' >> /usr/local/etc/apache24/httpd.conf",
        service="web",
    ),
]


class NoTransfer:
    """A transfer that never arrives, without the wait."""

    address = "192.0.2.1"
    port = 9

    def received(self, limit: float) -> Transfer | None:
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None: ...


@dataclass(frozen=True)
class Outside:
    box: Box

    @property
    def certificates(self) -> Certificates:
        return self.box.outside.certificates

    def who(self, address: str, port: int, proto: str) -> str | None:
        return self.box.outside.who(address, port, proto)

    def sink(self) -> NoTransfer:
        return NoTransfer()

    def read(self, address: str, port: int, limit: float) -> Transfer:
        return Transfer(0, 0.0)


@pytest.fixture(scope="module")
def sample() -> Site:
    return site.read(SAMPLE)


@pytest.fixture(scope="module")
def fresh(sample: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with standin_box(sample, tmp_path_factory.mktemp("fresh")) as box:
        yield box


@pytest.fixture
def spoilt(sample: Site, tmp_path: Path) -> Iterator[Box]:
    with standin_box(sample, tmp_path) as box:
        yield box


def asked(box: Box, case: Case, there: Site, functions: str) -> checks.Verdict:
    with pytest.MonkeyPatch.context() as patch, Session(Lying(box.target, functions)) as session:
        # Behind the functions that limit what a check runs in a jail.
        patch.setattr(module, "IN_JAILS", f"{module.IN_JAILS}{functions}; ")
        [verdict] = checks.run([case.check], session, there, Outside(box))
    assert not PYTHON.search(verdict.message), verdict.message
    return verdict


@pytest.mark.parametrize("case", [each for each in CASES if not each.broken], ids=str)
def test_a_check_fails_before_its_step(fresh: Box, sample: Site, case: Case) -> None:
    there = case.site(sample) if case.site else sample
    assert not asked(fresh, case, there, case.functions).passed


@pytest.mark.parametrize("case", [each for each in CASES if each.broken], ids=str)
def test_a_check_fails_once_its_claim_is_broken(
    fresh: Box, spoilt: Box, sample: Site, case: Case
) -> None:
    there = case.site(sample) if case.site else sample
    before = asked(fresh, case, there, ":")
    done = spoilt.target.run(case.broken)  # type: ignore[attr-defined] # the stand-in's own
    assert done.returncode == 0, done.stderr
    verdict = asked(spoilt, case, there, case.functions)
    assert not verdict.passed
    assert before.passed or before.message != verdict.message, "it failed before, too"


# They need two moments of one run: test_certificates.py and test_named_paths.py make them fail.
ELSEWHERE = {
    "service::presents_the_same_certificate",
    "service::companions_do_not_run_on_host",
}


def test_every_check_is_among_them() -> None:
    there = {
        f"{path.stem.removeprefix('test_')}::{node.name.removeprefix('test_')}"
        for path in collecting.CHECKS.glob("test_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and re.match("test_", node.name)
    }
    assert {case.check.test for case in CASES} | ELSEWHERE == there

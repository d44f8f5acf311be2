"""The thin jail that every service begins with: what it mounts, what is copied into it."""

from __future__ import annotations

import os
import re
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from operations.jail import BASE, LOCAL
from operations.mount import Nullfs
from rollout import plan, site
from rollout.errors import Refused
from rollout.plan.step import Step
from rollout.site import Jail, Mount, Service, Site
from steps.thin import jail_steps
from tests.checks import test_jail as jail_checks
from tests.checks.conftest import enabled_jails

SAMPLE = site.read(Path(__file__).parents[3] / "site.example.toml")
ROOT = "/usr/jails/web/root"


def changed(jail: dict[str, Any] | None = None, service: dict[str, Any] | None = None) -> Site:
    web: Jail = SAMPLE.jails["web"].model_copy(update=jail or {})
    apache: Service = SAMPLE.services["web"].model_copy(update=service or {})
    return SAMPLE.model_copy(
        update={
            "jails": {**SAMPLE.jails, "web": web},
            "services": {**SAMPLE.services, "web": apache},
        }
    )


def jail_step(site: Site, service: str) -> Step:
    [step] = jail_steps(site, service)
    return step


def used(site: Site, operation: str, service: str = "web") -> list[dict[str, Any]]:
    """The arguments of each use of an operation, by its name as it is printed."""
    return [
        dict(each.arguments)
        for each in jail_step(site, service).operations
        if str(each).startswith(f"{operation}(")
    ]


def mounts(site: Site = SAMPLE) -> dict[str, Nullfs]:
    [table] = used(site, "carried.table")
    found = {each.target: each for each in table["mounts"]}
    assert len(found) == len(table["mounts"]), "a mount point is there twice"
    return found


def test_the_base_is_mounted_read_only_from_the_host() -> None:
    for name in BASE:
        assert mounts()[f"{ROOT}/{name}"] == Nullfs(f"/{name}", f"{ROOT}/{name}")


def test_a_base_tree_of_its_own_is_mounted_in_its_place() -> None:
    base = SAMPLE.base.model_copy(update={"kind": "tree", "tree": "/usr/jails/base"})
    made = SAMPLE.model_copy(update={"base": base})
    assert mounts(made)[f"{ROOT}/bin"].source == "/usr/jails/base/bin"


def test_data_is_the_hosts_own_and_can_be_written() -> None:
    assert mounts()[f"{ROOT}/usr/local/www"] == Nullfs(
        "/usr/local/www", f"{ROOT}/usr/local/www", writable=True
    )


def test_logs_stay_where_people_look() -> None:
    found = mounts(changed(service={"logs": ("/var/log/apache",)}))
    assert found[f"{ROOT}/var/log/apache"] == Nullfs(
        "/var/log/apache", f"{ROOT}/var/log/apache", writable=True
    )


def test_extra_mounts_are_read_only_unless_they_say_otherwise() -> None:
    found = mounts(changed({"mounts": (Mount(source="/srv"), Mount(source="/a", target="/b"))}))
    assert found[f"{ROOT}/srv"] == Nullfs("/srv", f"{ROOT}/srv")
    assert found[f"{ROOT}/b"] == Nullfs("/a", f"{ROOT}/b")


def test_shared_software_is_read_only_with_a_configuration_of_its_own() -> None:
    """Directory by directory, each left out where the host has none of it."""
    found = mounts()
    for name in LOCAL:
        point = f"{ROOT}/usr/local/{name}"
        assert found[point] == Nullfs(f"/usr/local/{name}", point, optional=True)
    assert found[f"{ROOT}/usr/local/etc"] == Nullfs(
        "/usr/jails/web/local-etc", f"{ROOT}/usr/local/etc", writable=True
    )


def test_nothing_is_mounted_over_what_a_mount_already_covers() -> None:
    """A directory below a nullfs image of its own source is refused: EDEADLK on FreeBSD 13.2."""
    targets = list(mounts())
    assert f"{ROOT}/usr/local" not in targets
    for above in targets:
        assert not [each for each in targets if each.startswith(f"{above}/")], above


def test_only_what_the_host_may_lack_is_optional() -> None:
    """A missing necessity must fail as the jail starts, not be skipped."""
    optional = {target for target, each in mounts().items() if each.optional}
    assert optional == {f"{ROOT}/usr/local/{name}" for name in LOCAL}


@pytest.mark.parametrize(
    ("order", "builder"), [(("web", "mysql"), "web"), (("mysql", "web"), "mysql")]
)
def test_two_services_of_one_jail_build_it_once(order: tuple[str, str], builder: str) -> None:
    both = SAMPLE.jails["web"].model_copy(update={"services": ("mysql", "web")})
    jails = {name: jail for name, jail in SAMPLE.jails.items() if name != "mysql"}
    made = SAMPLE.model_copy(
        update={"jails": {**jails, "web": both}, "order": ("preflight", "base", "network", *order)}
    )
    assert [step.name for each in order for step in jail_steps(made, each)] == [f"{builder}.jail"]
    [step] = jail_steps(made, builder)
    [table] = [dict(u.arguments) for u in step.operations if str(u).startswith("carried.table(")]
    targets = [each.target for each in table["mounts"]]
    assert len(targets) == len(set(targets))
    for each in order:
        for path in SAMPLE.services[each].data:
            assert f"{ROOT}{path}" in targets, f"the data of {each} is not in the jail"


def test_packages_of_its_own_are_cloned_and_nothing_of_usr_local_is_mounted() -> None:
    made = changed({"software": "pkg", "packages": ("apache24",)})
    assert not [
        each
        for each in mounts(made).values()
        if each.source.startswith("/usr/local/") and each.source not in SAMPLE.services["web"].data
    ]
    assert used(made, "packages.cloned") == [
        {"root": ROOT, "names": ("apache24",), "store": "/usr/jails/web/packages"}
    ]
    assert used(made, "jail.copies")[0]["into"] == f"{ROOT}/usr/local/etc"
    assert used(SAMPLE, "packages.cloned") == []


def test_every_mount_has_its_point_in_the_tree() -> None:
    [tree] = used(SAMPLE, "jail.tree")
    assert f"{tree['home']}/root" == ROOT
    points = {os.path.normpath(f"{ROOT}/{name}") for name in (*BASE, *tree["mount_points"])}
    assert set(mounts()) <= points


def test_what_is_mounted_below_the_jails_own_usr_local_etc_has_its_point_there() -> None:
    """The directory in the root is covered by what is mounted over it."""
    made = changed({"mounts": (Mount(source="/usr/local/etc/letsencrypt"),)})
    [tree] = used(made, "jail.tree")
    assert "../local-etc/letsencrypt" in tree["mount_points"]


def test_what_the_site_file_says_is_mounted_without_set_uid_bits() -> None:
    homes = (Mount(source="/srv", writable=True, nosuid=True), Mount(source="/ro"))
    made = changed({"mounts": homes}, service={"nosuid": True})
    found = mounts(made)
    assert found[f"{ROOT}/srv"].line().split()[3] == "rw,nosuid"
    assert found[f"{ROOT}/usr/local/www"].line().split()[3] == "rw,nosuid"
    assert found[f"{ROOT}/ro"].line().split()[3] == "ro"
    assert found[f"{ROOT}/bin"].line().split()[3] == "ro"
    assert made.nosuid("web") == (("/usr/local/www", "/usr/local/www"), ("/srv", "/srv"))
    assert SAMPLE.nosuid("web") == ()


def test_the_host_sees_the_logs_of_a_jail_where_nobody_in_it_can_lead_it_astray() -> None:
    shown = Nullfs(f"{ROOT}/var/log", "/usr/jails/.shown/web/var/log", shown=True)
    assert mounts()[shown.target] == shown
    assert shown.line().split() == [
        f"{ROOT}/var/log",
        shown.target,
        "nullfs",
        "ro,nosuid,noexec,nosymfollow",
        "0",
        "0",
    ]
    assert shown.target not in mounts(changed(service={"log_files": ()}))
    [conf] = [each for each in used(SAMPLE, "files.put") if each["path"].endswith("/web.conf")]
    assert f"/bin/realpath {ROOT}/var/log | /usr/bin/grep -qxF {ROOT}/var/log" in conf["content"]


def test_the_host_sees_a_socket_that_only_the_jail_has() -> None:
    socket = "/var/run/httpd/httpd.sock"
    shown = "/usr/jails/.shown/web/var/run/httpd"
    made = changed(service={"socket": socket})
    assert mounts(made)[shown] == Nullfs(f"{ROOT}/var/run/httpd", shown, shown=True)
    [tree] = used(made, "jail.tree")
    assert {"../../.shown/web/var/run/httpd", "var/run/httpd"} <= set(tree["mount_points"])
    assert made.shown_socket("web") == f"{shown}/httpd.sock"


def test_a_socket_in_what_host_and_jail_share_stays_where_it_is() -> None:
    beside = changed(service={"socket": "/usr/local/www/httpd.sock"})
    mounted = changed(
        {"mounts": (Mount(source="/srv", writable=True),)}, service={"socket": "/srv/httpd.sock"}
    )
    for made in (beside, mounted):
        assert made.shown_socket("web") is None
        assert [each for each in mounts(made).values() if each.shown] == [
            Nullfs(f"{ROOT}/var/log", "/usr/jails/.shown/web/var/log", shown=True)
        ]
    elsewhere = (Mount(source="/data", target="/srv", writable=True),)
    made = changed({"mounts": elsewhere}, service={"socket": "/srv/httpd.sock"})
    assert made.shown_socket("web"), "the host has another /srv"


def test_a_log_that_the_host_has_too_is_not_the_new_jails_to_rotate() -> None:
    made = changed({"mounts": (Mount(source="/srv", writable=True), Mount(source="/ro"))})
    [rotated] = used(made, "logs.rotated_in_jail")
    assert rotated["logs"] == list(SAMPLE.services["web"].log_files)
    assert rotated["shared"] == ["/usr/local/www", "/srv", "/var/spool/clientmqueue"]


def test_configuration_is_copied_with_the_rc_script() -> None:
    service = {"configuration": ("/usr/local/etc/apache24", "/usr/local/etc/php.ini", "/etc/mail")}
    local, outside = used(changed(service=service), "jail.copies")
    assert local == {
        "source": "/usr/local/etc",
        "into": "/usr/jails/web/local-etc",
        "names": ["apache24", "php.ini"],
        "scripts": ["apache24"],
    }
    assert outside == {"source": "/", "into": ROOT, "names": ["etc/mail"]}


@pytest.mark.parametrize(("service", "sends"), [("web", True), ("mysql", False)])
def test_only_pages_send_by_the_hosts_mailer(service: str, sends: bool) -> None:
    """Its configuration may hold a relay's password, which a database has no use for."""
    services = {name: each for name, each in SAMPLE.services.items() if name != "mail"}
    without_mail = SAMPLE.model_copy(update={"services": services})
    [configuration] = used(without_mail, "jail.configuration", service)
    assert configuration["sends"] == sends


def test_a_directory_with_a_name_that_begins_alike_is_not_usr_local_etc() -> None:
    made = changed(service={"configuration": ("/usr/local/etcetera/x",)})
    assert used(made, "jail.copies")[1]["names"] == ["usr/local/etcetera/x"]


def test_a_jail_asks_the_resolvers_of_the_lan_or_else_a_named_that_moves() -> None:
    """And the public address, as long as no daemon answers in the jail."""
    [ours] = used(SAMPLE, "jail.resolver")
    assert ours["instead"] == ["10.80.0.2", "203.0.113.2"]
    assert ours["own"] == ["127.0.0.1", "::1", "203.0.113.2", "10.80.0.2"]
    stays = SAMPLE.model_copy(update={"order": ("preflight", "base", "network", "mysql", "web")})
    [ours] = used(stays, "jail.resolver")
    assert (ours["instead"], ours["further"]) == (["203.0.113.2"], True)
    lan = SAMPLE.lan.model_copy(update={"resolvers": (IPv4Address("192.0.2.53"),)})
    [ours] = used(SAMPLE.model_copy(update={"lan": lan}), "jail.resolver")
    assert (ours["instead"], ours["further"]) == (["192.0.2.53"], False)


def test_a_jail_without_a_way_out_asks_no_name_server_outside() -> None:
    [ours] = used(changed({"outbound": "none"}), "jail.resolver")
    assert not ours["further"]


def test_a_service_to_be_fitted_comes_first_in_a_jail_that_it_shares(tmp_path: Path) -> None:
    text = SAMPLE.path.read_text().replace('services = ["web"]', 'services = ["web", "bind"]')
    text = re.sub(r"(?ms)^\[jails.bind\]$.*?(?=^\[)", "", text)
    text = re.sub(r"(?ms)^\[policy\]$.*?(?=^\[)", "", text)
    text = re.sub(
        r"(?m)^order = .*",
        'order = ["preflight", "base", "network", "mysql", "web", "bind"]',
        text,
    )
    (tmp_path / "site.toml").write_text(text)
    with pytest.raises(Refused, match=r'"bind" shares jails\.web with "web" and comes later'):
        plan.make(site.read(tmp_path / "site.toml"))


def test_a_mount_out_of_a_jail_that_is_built_later_is_refused() -> None:
    early = SAMPLE.model_copy(update={"order": ("preflight", "base", "network", "web", "mysql")})
    there = r'jails\.web\.mounts: "/usr/jails/mysql/.*" is in jails\.mysql, which is not built'
    with pytest.raises(Refused, match=there):
        plan.make(early)


def test_a_mount_out_of_a_jail_that_is_not_built_is_the_same_path_on_the_host() -> None:
    """Its service stays there. Nobody in another jail could plant a link in it."""
    alone = SAMPLE.model_copy(update={"order": ("preflight", "base", "network", "web")})
    point = f"{ROOT}/var/run/mysql"
    assert mounts(alone)[point] == Nullfs("/var/run/mysql", point)
    assert mounts(SAMPLE)[point] == Nullfs("/usr/jails/mysql/root/var/run/mysql", point)
    [conf] = [each for each in used(alone, "files.put") if each["path"].endswith("/web.conf")]
    assert point not in conf["content"]
    assert conf["content"].count("/bin/realpath") == 1, "its own logs alone"


def test_the_host_daemon_still_serves_after_this_step() -> None:
    checks = jail_step(SAMPLE, "web").checks
    [still] = [each for each in checks if each.until and each.test.startswith("service::")]
    assert (still.test, still.until) == ("service::runs_on_host", "web.cutover")


def test_the_jail_starts_last_when_nothing_more_is_written_into_its_tree() -> None:
    operations = [str(each).partition("(")[0] for each in jail_step(SAMPLE, "web").operations]
    assert operations[-2:] == ["jail.started", "following.followed"], "that one writes in the jail"
    assert operations.count("jail.started") == 1


@pytest.mark.parametrize("yes", ["YES", "yes", "TRUE", "On", "1"])
def test_the_check_of_the_boot_takes_for_yes_what_rc_subr_does(yes: str) -> None:
    """at_boot leaves such a value alone, so the check must not fail over it."""
    jail_checks.test_starts_at_boot(enabled_jails(f"{yes}\ndb web\n"), "web")


@pytest.mark.parametrize("told", ["NO\nweb", "YES\ndb webmail", "YES\n"])
def test_the_check_of_the_boot_sees_a_jail_that_would_stay_down(told: str) -> None:
    with pytest.raises(AssertionError):
        jail_checks.test_starts_at_boot(enabled_jails(told), "web")


def test_a_service_that_nothing_moves_does_not_share_the_jail_of_one_that_moves() -> None:
    order = tuple(each for each in SAMPLE.order if each != "mysql")
    shared = changed({"services": ("web", "mysql")}).model_copy(update={"order": order})
    with pytest.raises(Refused, match=r'jails\.web\.services: "mysql" shares the jail with "web"'):
        jail_steps(shared, "web")
    jail_steps(shared, "web", moves_others=True)


def test_only_bind_hands_over_without_an_overlap() -> None:
    web = SAMPLE.services["web"].model_copy(update={"overlap": False})
    site = SAMPLE.model_copy(update={"services": {**SAMPLE.services, "web": web}})
    with pytest.raises(Refused, match=r"services\.web\.overlap = false: is for services\.bind"):
        jail_steps(site, "web")


def test_a_named_at_another_port_alone_is_refused(tmp_path: Path) -> None:
    """What compares zones and answers asks port 53."""
    text = SAMPLE.path.read_text().replace("{ port = 53,", "{ port = 5353,")
    text = re.sub(r"(?ms)^\[policy\]$.*?(?=^\[)", "", text)
    text = text.replace('"policy", ', "")
    path = tmp_path / "site.toml"
    path.write_text(text)
    with pytest.raises(Refused, match=r"services\.bind\.ports: none is 53"):
        plan.make(site.read(path))

"""What a need, or a check that refuses, changes in a draft."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from operations.needs import Need
from rollout.engine.checks import Verdict
from rollout.engine.checks import named as name_of
from rollout.plan.step import Check
from rollout.probe.certificates import Certificates
from survey import fitting
from survey.draft import Draft
from survey.drafting import Way, drafted
from survey.findings import collected
from survey.host import Host
from tests.unit.survey.seen import host

THERE = {
    "/var/vmail": "directory",
    "/data/pages": "directory",
    "/opt/vacation/v": "file",
    "/opt/vacation": "directory",
    "/var/log/site": "directory",
    "/usr/local/etc/extra": "directory",
    "/etc/my.cnf": "file",
}


def need(kind: str, what: str, *, written: bool = False) -> Need:
    return Need(kind, what, "file:7", written)


@pytest.fixture
def seen() -> Host:
    return host()


@pytest.fixture
def draft(seen: Host) -> Draft:
    return drafted(seen, Way("203.0.113.2"))


@pytest.mark.parametrize(
    ("wanted", "table", "key", "added"),
    [
        (need("log", "/var/log/x.log"), "services.mail", "log_files", "/var/log/x.log"),
        (need("path", "/var/log/y.log"), "services.mail", "log_files", "/var/log/y.log"),
        (need("path", "/var/log/site/a.log"), "services.mail", "logs", "/var/log/site"),
        (need("path", "/var/log/site"), "services.mail", "logs", "/var/log/site"),
        (need("path", "/usr/local/etc/a.conf"), "services.mail", "configuration", None),
        (need("path", "/etc/my.cnf"), "services.mail", "configuration", None),
        (need("path", "/var/vmail", written=True), "services.mail", "data", "/var/vmail"),
        (
            need("path", "/usr/local/etc/extra", written=True),
            *("services.mail", "data", "/usr/local/etc/extra"),
        ),
        (need("path", "/data/pages"), "jails.mail", "mounts", {"source": "/data/pages"}),
        (need("working directory", "/data/pages"), "jails.mail", "mounts", None),
        (need("path", "/opt/vacation/v"), "jails.mail", "mounts", {"source": "/opt/vacation"}),
        (need("socket", "/var/run/x/s"), "jails.mail", "mounts", {"source": "/var/run/x"}),
    ],
)
def test_a_need_becomes_a_line(
    draft: Draft, wanted: Need, table: str, key: str, added: object
) -> None:
    assert fitting._added(draft, "mail", wanted, THERE)
    expected = added or (wanted.what if key == "configuration" else {"source": "/data/pages"})
    assert expected in draft.get(table, key)
    assert "file:7" in draft.tables[table][key].seen
    assert not fitting._added(draft, "mail", wanted, THERE), "once is enough"


@pytest.mark.parametrize(
    "wanted",
    [
        need("path", "/etc/secrets"),  # no jail gets the whole of /etc
        need("path", "/tmp/x"),
        Need("path", "/var/named", "rc.conf:4: named_chrootdir=/var/named"),
        need("socket", "/var/run/x"),
        need("path", "/data/with space"),
        need("path", "/usr/local/etc/postfix-queue", written=True),
        need("port", "tcp 127.0.0.1:6379"),
        need("path", "/root/x", written=True),
    ],
)
def test_what_no_line_of_a_site_file_should_say_is_left_to_the_checks(
    draft: Draft, wanted: Need
) -> None:
    before = draft.data()
    assert not fitting._added(draft, "mail", wanted, {"/var/named": "directory"})
    assert draft.data() == before


def mended(seen: Host, draft: Draft, test: str, message: str, **values: object) -> bool:
    there = fitting.parsed(draft).site
    asked = Check(test, tuple(values.items()))
    verdict = Verdict(name_of(asked), False, 0.0, message)
    return fitting._mended(seen, draft, there, {verdict.name: asked}, verdict)


def test_a_service_that_a_check_refuses_stays_with_the_reason(seen: Host, draft: Draft) -> None:
    assert mended(seen, draft, "web::local_backends_are_reached", "no, since", service="web")
    assert "web" not in draft.order
    assert draft.left == {"web": ["no, since"]}
    assert "services.web" in draft.tables
    froms = {each["from"] for each in draft.get("policy", "allow")}
    assert froms == {"bind", "mysql", "mail"}, "a jail that is not built has no policy"
    # Another reason in the same run.
    assert not mended(seen, draft, "needs::are_met", "and this", service="web")
    assert draft.left == {"web": ["no, since", "and this"]}


@pytest.mark.parametrize(
    ("test", "values"),
    [
        ("preflight::name_of_jail_is_free", {"jail": "mail"}),
        ("preflight::configuration_exists", {"path": "/etc/mail"}),
        ("mail_server::sends_from_an_address_that_it_will_have", {}),
    ],
)
def test_a_check_of_a_jail_a_path_or_a_subject_is_of_its_service(
    seen: Host, draft: Draft, test: str, values: dict[str, object]
) -> None:
    assert mended(seen, draft, test, "no", **values)
    assert draft.left == {"mail": ["no"]}


@pytest.mark.parametrize(
    "test", ["preflight::kernel_takes_changes", "preflight::firewall_of_the_host_is_in_force"]
)
def test_what_is_wrong_with_the_host_is_told(seen: Host, draft: Draft, test: str) -> None:
    order = draft.order
    assert not mended(seen, draft, test, "the host is odd")
    assert (draft.told, draft.left, draft.order) == (["the host is odd"], {}, order)


def test_a_service_that_is_ill_now_is_told_and_moves_all_the_same(seen: Host, draft: Draft) -> None:
    assert not mended(seen, draft, "service::runs_on_host", "it is down", service="web")
    assert (draft.told, draft.left) == (["it is down"], {})


def test_what_a_line_of_the_site_file_mends_is_mended(seen: Host, draft: Draft) -> None:
    assert mended(seen, draft, "named::zones_may_be_open_twice", "dynamic", service="bind")
    assert draft.get("services.bind", "overlap") is False
    names = "mysql::binary_logs_have_names_of_their_own"
    assert mended(seen, draft, names, "dcserver-bin", service="mysql")
    assert draft.get("jails.mysql", "hostname") == "dcserver.example.org"
    asks = 'none of these: jails.web.parameters = { "mount.fdescfs" = "1", sysvshm = "new" } (see'
    kernel = "web::kernel_gives_the_jail_the_same"
    assert mended(seen, draft, kernel, asks, service="web")
    assert draft.get("jails.web", "parameters") == {"mount.fdescfs": "1", "sysvshm": "new"}
    assert draft.left == {}
    # If that did not help, the service stays.
    assert mended(seen, draft, names, "still", service="mysql")
    assert draft.left == {"mysql": ["still"]}


def test_a_port_without_a_certificate_is_asked_whether_it_answers(seen: Host, draft: Draft) -> None:
    ports = [{"port": 465, "probe": "smtps"}, {"port": 25, "probe": "smtp"}]
    draft.put("services.mail", "ports", ports)
    said = "203.0.113.2:465/tcp presents no certificate (LookupError: no answer)"
    test = "service::presents_the_same_certificate"
    assert mended(seen, draft, test, said, service="mail")
    assert draft.get("services.mail", "ports") == [{"port": 465}, {"port": 25, "probe": "smtp"}]
    assert not mended(seen, draft, test, said, service="mail")


def test_the_directory_of_a_socket_that_pages_may_use_is_mounted(draft: Draft) -> None:
    paths = ("/var/run/redis/redis.sock", "/tmp/mysql.sock", "/tmp/x.sock", "/var/run/devd.pipe")
    seen = host(unix=tuple((str(900 + n), path) for n, path in enumerate(paths)))
    test = "staying::daemons_are_found_from_the_jail"
    assert mended(seen, draft, test, "sockets", service="web")
    assert draft.get("jails.web", "mounts") == [{"source": "/var/run/redis"}]


def test_where_no_service_is_left_a_plan_can_still_be_made_and_assessed(
    seen: Host, draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(due: list[Check], *_: object) -> list[Verdict]:
        asked = [each for each in due if each.test == "preflight::daemon_is_enabled"]
        return [Verdict(name_of(each), False, 0.0, "no: sysrc x=YES") for each in asked]

    monkeypatch.setattr("rollout.engine.checks.run", refusing)
    outside: Any = SimpleNamespace(certificates=Certificates())
    session: Any = None  # nothing is asked of the host
    fitting.checked(seen, draft, session, outside)
    made = fitting.parsed(draft)
    assert (draft.order, made.site.built) == (["preflight", "base", "network"], ())
    assert set(draft.left) == {"bind", "mysql", "web", "mail"}
    found = [each for each in collected(draft, made, {}) if each.severity == "stops"]
    assert {each.id for each in found} == {"preflight.daemon_is_enabled"}
    assert [each.about for each in found] == [*draft.left]
    assert found[0].here == "no"
    assert found[0].todo == "sysrc x=YES\nthen survey the host again"

"""The picture of a server shows what the fingerprint says, and no more."""

from __future__ import annotations

from typing import Any

from rollout.report import snapshot
from tests.unit.rollout.reported import AFTER, BEFORE, SAMPLE


def leads(found: dict[str, Any]) -> dict[str, str | None]:
    return {f"{each['port']}/{each['proto']}": each["leads_to"] for each in found["ports"]}


def test_before_everything_leads_to_the_host() -> None:
    found = snapshot.read(SAMPLE, BEFORE)
    assert set(leads(found).values()) == {"host"}
    assert found["jails"] == []
    assert found["daemons"] == ["apache24", "mysql-server", "named", "sendmail"]
    assert found["interfaces"][1] == {"name": "vtnet0", "addresses": ["203.0.113.2"]}
    assert found["reach"] is None


def test_after_a_move_the_ports_lead_where_the_rules_in_force_lead() -> None:
    found = snapshot.read(SAMPLE, AFTER)
    assert leads(found) == {
        "53/udp": "bind",
        "53/tcp": "bind",
        "3306/tcp": "mysql",
        "80/tcp": "host",  # its rule is there, and switched off
        "25/tcp": "host",
    }
    by = {each["port"]: each["by"] for each in found["ports"]}
    assert by[3306] == "rule 53: fwd 10.80.0.3,3306 tcp from any to 203.0.113.2 3306 in"
    assert by[80] == "service apache24 runs on the host"
    assert [rule["on"] for rule in found["rules"] if rule["number"] == 54] == [False]


def test_mounts_belong_to_the_jail_that_they_are_in() -> None:
    found = snapshot.read(SAMPLE, AFTER)
    jails = {jail["name"]: jail for jail in found["jails"]}
    assert [mount["source"] for mount in jails["mysql"]["mounts"]] == ["/bin", "/var/db/mysql"]
    assert [mount["source"] for mount in found["mounts"]] == ["/dev/vtbd0p3"]
    assert jails["mysql"]["services"] == ["mysql"]


def test_a_daemon_that_runs_nowhere_leaves_its_port_to_nobody() -> None:
    facts = [fact for fact in BEFORE if fact != "service named runs"]
    assert leads(snapshot.read(SAMPLE, facts))["53/tcp"] is None


def test_a_jail_of_that_name_elsewhere_is_somebody_elses() -> None:
    facts = [*BEFORE, "jail mysql /elsewhere -", "mount /x /elsewhere2/x nullfs ro"]
    [jail] = snapshot.read(SAMPLE, facts)["jails"]
    assert (jail["of_site"], jail["addresses"], jail["mounts"]) == (False, [], [])


def test_who_may_talk_to_whom_is_told_only_while_the_policy_is_in_force() -> None:
    place = SAMPLE.places["policy"]
    deny = f"{place.number:05} set {place.set} deny ip from 10.80.0.2,10.80.0.3 to any"
    found = snapshot.read(SAMPLE, [*AFTER, f"rule {deny}"])
    assert found["limited"]
    pairs = {(each["from"], each["to"]): each["ports"] for each in found["reach"]}
    assert pairs["internet", "mysql"] == ["3306/tcp"]
    assert pairs["bind", "internet"] == ["any"]
    assert ("web", "mysql") not in pairs, "there is no jail web yet"
    off = snapshot.read(SAMPLE, [*AFTER, f"rule # DISABLED {deny}"])
    assert (off["limited"], off["reach"]) == (False, None)


def test_rules_of_other_spellings_are_read_alike() -> None:
    facts = [fact.replace("203.0.113.2 3306", "203.0.113.2 dst-port 3306") for fact in AFTER]
    assert leads(snapshot.read(SAMPLE, facts))["3306/tcp"] == "mysql"


def test_a_longer_port_is_another_port() -> None:
    facts = [fact.replace("203.0.113.2 3306", "203.0.113.2 33060") for fact in AFTER]
    assert leads(snapshot.read(SAMPLE, facts))["3306/tcp"] is None


def test_a_port_leads_where_its_instance_leads_from_the_public_address() -> None:
    """ipfw prints the redirections last first; another address leads to another one of a jail."""
    more = "redirect_addr 10.80.0.254 203.0.113.21 redirect_addr 10.80.0.2 203.0.113.2"
    facts = [e.replace("redirect_addr 10.80.0.2 203.0.113.2", more) for e in AFTER]
    assert facts != AFTER
    assert leads(snapshot.read(SAMPLE, facts))["53/udp"] == "bind"

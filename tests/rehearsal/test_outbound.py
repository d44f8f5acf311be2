"""Policy, egress and traffic on the stand-in: in force at once and after a boot, and the checks
notice manual changes that break them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout import plan, site, usage
from rollout.engine.listener import Listener
from rollout.engine.runner import Runner
from rollout.errors import Refused, RolledBack
from rollout.plan import Plan
from rollout.rehearsal.box import standin_box
from standin import StandIn
from tests.rehearsal.sites import ordered

SAMPLE = Path(__file__).parents[2] / "site.example.toml"
FIREWALL = site.read(SAMPLE).firewall.model_copy(update={"first_rule": 50})
"""So that a rule of the host can stand before all of ours."""
EGRESS = site.read(SAMPLE).model_copy(update={"firewall": FIREWALL}).places["egress"]
TSO_ON = (
    "daemon -f sh -c 'i=0; while [ $i -lt 100 ]; do ifconfig vtnet0 tso; sleep 0.1; "
    "i=$((i + 1)); done'"
)


def planned() -> Plan:
    made = ordered("traffic", "egress", "bind", "mysql", "web", "policy")
    return plan.make(made.site.model_copy(update={"firewall": FIREWALL}))


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StandIn, Runner]]:
    """All steps applied, once for the tests, each of which restores what it changes."""
    whole = planned()
    with (
        standin_box(whole.site, tmp_path_factory.mktemp("outbound")) as box,
        Runner(whole, box.target, box.outside, Listener(), lambda step, gate: "me") as runner,
    ):
        assert isinstance(box.target, StandIn)
        runner.apply()
        yield box.target, runner


def failures(runner: Runner) -> str:
    """The failures of the checks of these steps, once all of the steps are done."""
    steps = [step for step in runner.plan.steps if step.name in ("traffic", "egress", "policy")]
    asked = [check for step in steps for check in step.checks if check.until is None]
    assert len(asked) == 10
    return "\n".join(
        f"{each.name}: {each.message}" for each in runner.run_checks(asked) if not each.passed
    )


def test_all_checks_pass_at_first(applied: tuple[StandIn, Runner]) -> None:
    assert failures(applied[1]) == ""


@pytest.mark.parametrize(
    ("by_hand", "back", "seen"),
    [
        (
            "ipfw set disable 21",
            "ipfw set enable 21",
            "web to 10.80.0.3:22/tcp: expected no connection",
        ),
        (
            "ipfw -q add 40 allow ip from 10.80.0.3 to any; "
            "ipfw -q add 40 allow tcp from any to 10.80.0.3 established",
            "ipfw -q delete 40",
            "mysql to 10.80.0.2:53/tcp: expected no connection",
        ),
        (
            "ipfw -q add 40 deny tcp from 10.80.0.4 to 10.80.0.3",
            "ipfw -q delete 40",
            "web to 10.80.0.3:3306/tcp: expected a connection",
        ),
        (
            "ipfw -q add 51 set 21 deny ip from 10.80.0.9 to any",
            "rules=/usr/local/etc/cellblock/rules/policy.rules; "
            "ipfw -q set 21 delete 51; ipfw -q $rules",
            "policy.rules differs from the rules that ipfw has now",
        ),
        (
            f"ipfw -q add 60 nat {EGRESS.number} ip from any to not 10.80.0.0/24 out xmit vtnet0",
            "ipfw -q delete 60",
            "nat rules that also match packets from 203.0.113.2 itself",
        ),
        (
            f"ipfw -q add 60 nat {EGRESS.number} ip from any to not 10.80.0.0/24 out xmit vtnet0",
            "ipfw -q delete 60",
            "download through the forwarded port 8999: expected 4194304 bytes",
        ),
        ("ifconfig vtnet0 tso", "ifconfig vtnet0 -tso", "vtnet0 has TSO4, TSO6 enabled"),
        (
            "rm /usr/local/etc/cellblock/rules/egress.ifconfig",
            "echo vtnet0 -tso -lro -vlanhwtso >/usr/local/etc/cellblock/rules/egress.ifconfig",
            "egress.ifconfig",
        ),
        ("service jail onestop web", "service jail onestart web", "these jails: web"),
    ],
)
def test_manual_changes_are_found(
    applied: tuple[StandIn, Runner],
    by_hand: str,
    back: str,
    seen: str,
) -> None:
    standin, runner = applied
    standin.run(by_hand)
    try:
        assert seen in failures(runner)
    finally:
        standin.run(back)


def test_traffic_is_counted_by_jail_without_touching_it(applied: tuple[StandIn, Runner]) -> None:
    standin, runner = applied
    site = runner.plan.site

    def counted() -> dict[str, int]:
        rows = usage.read(site, runner.session.output, 0)
        return {row["jail"]: row["received"]["packets"] for row in rows}

    before = counted()
    for _ in range(3):
        assert standin.who_answers("203.0.113.2", 80) == "web"
    now = counted()
    assert now["web"] == before["web"] + 3 * 2  # the first packet of each, and the third
    assert now["mysql"] == before["mysql"]
    [row] = [row for row in usage.read(site, runner.session.output, 1) if row["jail"] == "web"]
    assert row["received"]["packets_per_second"] == 0


def test_a_boot_changes_nothing(applied: tuple[StandIn, Runner]) -> None:
    """Last of the tests that share the fixture: the boot ends the connection."""
    standin, runner = applied
    runner.connection.close()
    standin.power_off()
    standin.boot()
    with Runner(runner.plan, standin, runner.outside, Listener(), lambda step, gate: "me") as again:
        assert failures(again) == ""


def test_a_fault_that_is_there_before_undoes_the_step(tmp_path: Path) -> None:
    whole = planned()
    with (
        standin_box(whole.site, tmp_path) as box,
        Runner(whole, box.target, box.outside, Listener()) as runner,
    ):
        runner.apply("traffic")
        standin = box.target
        assert isinstance(standin, StandIn)
        standin.run(TSO_ON)
        with pytest.raises(RolledBack, match="upload from jail bind through nat"):
            runner.apply("egress")
        assert f" {EGRESS.number} set {EGRESS.set} " not in standin.run("ipfw -S list").stdout
        assert f"nat {EGRESS.number}" not in standin.run("ipfw nat show config").stdout
        assert "TSO4" in standin.run("ifconfig vtnet0").stdout


def test_a_public_address_that_the_host_does_not_have(tmp_path: Path) -> None:
    text = SAMPLE.read_text()
    old = 'services = ["web"]\noutbound = "nat"'
    new = 'services = ["web"]\noutbound = "public"\npublic_addresses = ["203.0.113.99"]'
    assert old in text
    file = tmp_path / "my-site.toml"
    file.write_text(text.replace(old, new))
    whole = plan.make(site.read(file))
    with (
        standin_box(whole.site, tmp_path) as box,
        Runner(whole, box.target, box.outside, Listener()) as runner,
    ):
        with pytest.raises(Refused, match=r"jails\.web\.public_addresses: 203\.0\.113\.99"):
            runner.apply()
        assert runner.session.run("ls /var/db/cellblock").code != 0


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param("ipfw -f flush", id="flushed"),
        pytest.param(f"ipfw set disable {EGRESS.set}", id="egress disabled"),
        pytest.param("sysctl net.inet.ip.fw.enable=0", id="ipfw off"),
        pytest.param("kldunload ipfw_nat; kldunload ipfw", id="unloaded"),
    ],
)
def test_no_jail_starts_without_the_rules_that_confine_it(
    applied: tuple[StandIn, Runner], lost: str
) -> None:
    box, _ = applied
    box.run(f"service jail onestop web; {lost}")
    refused = box.run("service jail onestart web")
    started = box.run("jls -j web jid").returncode == 0
    mounted = box.run("mount -p | grep -c /usr/jails/web/root").stdout.strip()
    box.run(
        "kldload ipfw_nat; sysctl net.inet.ip.fw.enable=1; ipfw -f flush; "
        f"service cellblock_firewall start; ipfw set enable {EGRESS.set}; "
        "service jail onestart web"
    )
    assert (started, mounted) == (False, "0"), refused.stdout
    assert box.run("jls -j web jid").returncode == 0, "it starts once the rules are back"


def test_no_jail_starts_at_a_boot_that_does_not_load_the_rules(
    applied: tuple[StandIn, Runner],
) -> None:
    box, _ = applied
    box.run("sysrc cellblock_firewall_enable=NO")
    box.power_off()
    box.boot()
    assert box.run("jls name").stdout == ""
    assert "no jail starts: ipfw does not enforce" in box.run("cat /var/log/messages").stdout
    box.run("sysrc cellblock_firewall_enable=YES")
    box.power_off()
    box.boot()
    assert box.run("jls name").stdout.split() == ["bind", "mysql", "web"]

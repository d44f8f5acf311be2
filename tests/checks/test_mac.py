"""The kernel keeps accounts apart: it can, nobody else's rules are in the way, and it does."""

from __future__ import annotations

import re
from pathlib import Path
from shlex import quote
from typing import Any

from operations import audit
from operations.facts import SEES_ALL, AccessRules
from rollout.site import HOST, Site

_TRIES = Path(__file__).with_name("mac.sh")
_ACCOUNTS = 8
"""So many try each other at each place: the rules are by ranges of uids, not by account."""
_ENABLED = "security.mac.bsdextended.enabled"


def of_ranges(site: Site) -> str:
    """The uids of accounts, as the scripts read them."""
    return " ".join(_ranges(site))


def _ranges(site: Site) -> list[str]:
    return [f"{low}:{high}" for low, high in site.uids]


def _rows_of(host: Any, name: str) -> list[list[str]]:
    """The rows of /etc/passwd or /etc/group."""
    return [row.split(":") for row in host.check_output(f"cat /etc/{name}").splitlines()]


def test_kernel_has_the_framework(host: Any) -> None:
    """GENERIC has the option MAC; without it no policy can be loaded."""
    assert host.run("sysctl -n security.mac.labeled").rc == 0, (
        "the kernel cannot keep accounts apart: sysctl knows no security.mac: expected a kernel "
        "with the option MAC, as GENERIC has it; or take mac out of the order"
    )


def said_by_others(script: str) -> str:
    """sh that prints what else on the host uses mac_bsdextended and mac_seeotheruids."""
    return (
        f"{AccessRules().command()} | sed -e 's/^/ugidfw list: /'; "
        f"sysctl -ie {_ENABLED} | grep '=0$'; "
        f"kenv -q {_ENABLED} | sed -n -e 's/^0$/{_ENABLED}=0/p'; "
        f"sysctl -ie {SEES_ALL}_enabled | grep '=1$'; "
        "case $(sysrc -n ugidfw_enable | tr a-z A-Z) in YES|TRUE|ON|1) "
        f'file=$(sysrc -n bsdextended_script); if [ "$file" != {quote(script)} ]; then '
        'echo "rc.conf: ugidfw_enable=YES, rules of $file"; fi;; esac; '
        "ls -d /etc/rc.conf.d/ugidfw /usr/local/etc/rc.conf.d/ugidfw 2>/dev/null"
    )


def test_nobody_else_uses_it(host: Any, script: str) -> None:
    """The rules of mac_bsdextended(4) are one list, and replacing it would drop others' rules."""
    found = host.run(f"({said_by_others(script)}) || true").stdout.splitlines()
    assert not found, (
        f"this server uses mac_bsdextended or mac_seeotheruids for itself: {'; '.join(found)}: "
        "their rules and settings are one for the whole kernel, and Cellblock changes none that "
        "are not its own: add the rule of the step mac to yours by hand (cellblock plan mac "
        "--offline shows it) and take mac out of the order, or remove yours"
    )


def test_daemons_are_no_accounts(host: Any, site: Site) -> None:
    """A web server with a uid among those of accounts would read no page of theirs."""
    rows = _rows_of(host, "passwd")
    uids = {row[0]: int(row[2]) for row in rows if len(row) > 2}
    found = [
        f"services.{name}.user = {service.user} (uid {uids[service.user]})"
        for name, service in site.services.items()
        if any(low <= uids.get(service.user, -1) <= high for low, high in site.uids)
    ]
    assert not found, (
        f"{', '.join(found)}: is among the accounts (uids {of_ranges(site)}), so it could not read "
        "what belongs to them any more: give it a uid outside, or take mac out of the order"
    )


def test_groups_are_as_the_site_file_says(host: Any, site: Site) -> None:
    """Who is in the shared group, and who may watch all processes, is decided by them."""
    gids = {row[0]: row[2] for row in _rows_of(host, "group") if len(row) > 2}
    named = {"shared": site.mac.shared, "watchers": site.mac.watchers}
    for key, group in named.items():
        assert group is None or group in gids, (
            f'mac.{key} = "{group}": /etc/group has no such group: expected one of the host'
        )
    shared = site.mac.shared
    of_group = [
        row[0]
        for row in _rows_of(host, "passwd")
        if len(row) > 3
        and any(low <= int(row[2]) <= high for low, high in site.uids)
        and row[3] == gids.get(shared or "")
    ]
    own = f"the group of all files of {', '.join(of_group[:5])}" if of_group else ""
    if gids.get(shared or "") == "0":
        own = "the group of /tmp, and so of all files there"
    assert not own, (
        f'mac.shared = "{shared}": is {own}, which would be left to their modes: expected a group '
        "that only the shared directories have"
    )


def sharing(site: Site) -> str:
    """sh that prints what accounts use of each other's, a line each."""
    return audit.typed(audit.SHARING, _ranges(site))


def test_accounts_share_nothing(host: Any, site: Site) -> None:
    """The rule keeps accounts out of each other's files: what they share today would be denied."""
    answer = host.run(sharing(site))
    assert answer.rc == 0, (
        f"the homes of the accounts could not be searched: {answer.stderr.strip()[-500:]}"
    )
    found = [row.replace("\t", " ") for row in answer.stdout.splitlines()]
    more = f" and {len(found) - 10} more" if len(found) > 10 else ""
    assert not found, (
        "accounts use what belongs to others, and could not any more: "
        f"{'; '.join(found[:10])}{more} (cellblock audit lists all): give it to the account that "
        "uses it (chown), or give what is shared a group of its own and name it as mac.shared"
    )


def test_rules_are_in_force(host: Any, site: Site) -> None:
    """ugidfw prints names where passwd and group have them."""
    listed = host.run(AccessRules().command()).stdout.splitlines()
    rows = reversed(_rows_of(host, "passwd"))
    names = {row[0]: row[2] for row in rows if len(row) > 2}
    has = {re.sub(r"(?<=uid )\S+", lambda span: _numbers(span[0], names), row) for row in listed}
    wanted = [f"{n} {rule}" for n, rule in enumerate(site.mac.rules(site.uids))]
    lost = [rule for rule in wanted if rule not in has]
    assert not lost, (
        f"accounts are not kept apart: ugidfw has no rule {lost[0]} ({len(listed)} others): "
        "service ugidfw restart sets it again; somebody has removed it"
    )


def _numbers(span: str, names: dict[str, str]) -> str:
    low, _, high = span.partition(":")
    return f"{names.get(low, low)}:{names.get(high or low, high or low)}"


def test_all_comes_back_at_boot(host: Any, script: str, lines: tuple[str, ...]) -> None:
    said = host.run("sysrc -n ugidfw_enable bsdextended_script; cat %s", script).stdout.splitlines()
    assert said[:2] == ["YES", script], (
        "accounts would not be kept apart after a restart: expected ugidfw_enable=YES and "
        f"bsdextended_script={script} in rc.conf, found {' and '.join(said[:2]) or 'neither'}"
    )
    lost = [line for line in lines if line not in said[2:]]
    assert not lost, f"{script} lacks the line {lost[0]}, so the next boot would not set it"


def tried(host: Any, site: Site, place: str, what: str) -> list[list[str]]:
    """What two accounts at a time could do: account, neighbour, what, open or closed."""
    inside = "" if place == HOST else f"jexec {place} "
    words = [what, str(_ACCOUNTS), *_ranges(site)]
    answer = host.run(inside + audit.typed(_TRIES, words))
    assert answer.rc == 0, (
        f"the accounts of {_where(place)} could not be tried: {answer.stderr.strip()[-500:]}"
    )
    rows = [row.split() for row in answer.stdout.splitlines()]
    assert any(row[0] != row[1] for row in rows), (
        f"nothing was tried in {_where(place)}: expected two accounts at least with uids of "
        f"{of_ranges(site)}"
    )
    return rows


def _where(place: str) -> str:
    return "the host" if place == HOST else f"jail {place}"


def test_accounts_are_kept_apart(host: Any, site: Site, place: str) -> None:
    """By real files of mode 777, in /var/tmp and in homes (mac.sh beside this file)."""
    rows = tried(host, site, place, "files")
    wrong = [
        f"{who} gets {what.replace(':', ' ', 1)} of {whose}"
        for who, whose, what, answer in rows
        if who != whose and answer == "open"
    ]
    wrong += [
        f"{who} does not get its own: {what.replace(':', ' ', 1)}"
        for who, whose, what, answer in rows
        if who == whose and answer == "closed"
    ]
    assert not wrong, (
        f"{len(wrong)} of {len(rows)} tries in {_where(place)} did not end as expected: "
        f"{'; '.join(wrong[:5])}"
    )


def test_processes_of_others_are_hidden(host: Any, site: Site, place: str) -> None:
    rows = tried(host, site, place, "processes")
    wrong = [
        f"{who} sees a process of {whose}" if who != whose else f"{who} does not see its own"
        for who, whose, _, answer in rows
        if (answer == "open") != (who == whose)
    ]
    assert not wrong, (
        f"{len(wrong)} of {len(rows)} tries in {_where(place)} did not end as expected: "
        f"{'; '.join(wrong[:5])} (security.mac.seeotheruids)"
    )

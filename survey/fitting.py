"""The draft compared with the host by Cellblock's own knowledge, and completed until it fits.

What a daemon needs and its jail would not have is added (mounts, data, logs). Then the checks of
`check` are run: what they refuse is mended where the site file can mend it, and else the service
stays on the host, with what the check says.
"""

from __future__ import annotations

import copy
import posixpath
import re
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from operations import mailers, php
from operations.carried import Further, Named, is_in
from operations.jail import PROGRAMS
from operations.needs import Need
from rollout import plan, site
from rollout.engine import checks
from rollout.engine.checks import Outside, Verdict
from rollout.errors import CellblockError
from rollout.host import bundle
from rollout.host.session import Answers, Session, testinfra_host
from rollout.plan import Plan
from rollout.plan.step import Check
from rollout.probe.watches import watches
from rollout.site import Site
from rollout.site.model import is_plain
from steps import carriers
from steps.carriers import FRESH
from survey.draft import Draft, Obstacle, jail_of
from survey.drafting import JAILS, policy
from survey.facts import Kinds, Mailed
from survey.host import Host
from survey.services import SUBJECTS
from tests.checks.needing import Needing, of_services

_ROUNDS = 4
"""Of completing a draft by what its daemons need: one addition may bring another need."""
_UNTOUCHED = (
    *("/", "/etc", "/usr", "/usr/local", "/usr/local/etc", "/var", "/var/db", "/root", "/home"),
    *("/usr/home", "/opt"),
    *(JAILS, *FRESH),
)
"""No jail gets one of these as a whole."""


def parsed(draft: Draft) -> Plan:
    """The plan of the draft. Raises Refused where the draft contradicts itself."""
    return plan.make(site.parse(copy.deepcopy(draft.data()), Path("site.toml")))


def completed(host: Host, draft: Draft, session: Session) -> None:
    """Add what the daemons of each service need, and their jails would not have."""
    for _ in range(_ROUNDS):
        made = parsed(draft)
        found: dict[str, list[Need]] = {}
        # Side by side: what they ask of the host shares round trips.
        for ended in testinfra_host(session).backend.together.run(
            [partial(_looked, host, made, session, each, found) for each in _moving(made.site)]
        ):
            if ended.error is not None:
                raise ended.error
        wanted = [(service, need) for service, needs in found.items() for need in needs]
        paths = [each for _, need in wanted for each in (need.what, posixpath.dirname(need.what))]
        there = host.ask(Kinds, paths=[each for each in dict.fromkeys(paths) if each[:1] == "/"])
        changed = [_added(draft, service, need, there) for service, need in wanted]
        if not any(changed):
            return


def _moving(there: Site) -> list[str]:
    return [each for jail in there.built for each in there.jails[jail].services]


def _looked(
    host: Host, made: Plan, session: Session, service: str, found: dict[str, list[Need]]
) -> None:
    found[service] = []  # in the order in which they move, however the answers come
    found[service] = _lacking(host, made, session, service)


def _lacking(host: Host, made: Plan, session: Session, service: str) -> list[Need]:
    """What the checks would refuse: of the daemon's needs, and of what configurations name."""
    there = made.site
    carried = carriers.of(made.steps, there)
    running = of_services(host.ask, there, carried)
    needing = Needing(testinfra_host(session), host.ask, running, carried, there)
    found = [need for need, met in needing.of(service).met if met.outcome == "refused"]
    return found + [_as_need(each) for each in _named(host, there, service)]


def _as_need(named: Named) -> Need:
    return Need("path", named.path, named.said, written=named.kind == "directory")


def _named(host: Host, there: Site, service: str) -> list[Named]:
    jail, table = there.jail_of(service), there.services[service]
    if table.pages:
        names = php.names(table.configuration)
        has = there.paths(jail)
    elif mailers.are_known(table.rc):
        scripts = tuple(there.services[each].rc for each in there.jails[jail].services)
        names = (mailers.Configuration(scripts),)
        has = (*there.paths(jail), *mailers.OWN)
    else:
        return []
    further = Further(names=names, there=(*has, *PROGRAMS), trees=there.base.jails)
    lost = further.lost(host.ask)
    if not table.pages:
        shown = [each.path for each in further.shown(host.ask)]
        own = [each for each in host.ask(Mailed) if not is_in(each.path, (*further.there, *shown))]
        lost += [Named(e.path, "directory" if not e.named_in else "file", e.said) for e in own]
    return lost


def _added(draft: Draft, service: str, need: Need, there: dict[str, str]) -> bool:
    """Whether a line was added to the draft that meets the need."""
    table, jail = f"services.{service}", f"jails.{jail_of(draft, service)}"
    # With its chroot mounted, a daemon would read there what Cellblock has not adapted.
    if not is_plain(need.what) or "chroot" in need.said:
        return False
    if need.kind == "log":
        return draft.add(table, "log_files", [need.what], need.said)
    if need.kind == "socket":
        return _mounted(draft, jail, posixpath.dirname(need.what), need.said)
    if need.kind not in ("path", "working directory"):
        return False
    if need.what.startswith("/var/log/"):
        return _logged(draft, table, need, there)
    return _had(draft, table, jail, need, there)


def _logged(draft: Draft, table: str, need: Need, there: dict[str, str]) -> bool:
    path = need.what
    if posixpath.dirname(path) == "/var/log" and there.get(path) != "directory":
        return draft.add(table, "log_files", [path], need.said)
    return draft.add(table, "logs", [_below("/var/log", path)], need.said)


def _had(draft: Draft, table: str, jail: str, need: Need, there: dict[str, str]) -> bool:
    """Configuration is copied; what is written is shared, and else mounted."""
    path = need.what
    local = path.startswith("/usr/local/etc/")
    systems = path.startswith("/etc/") and there.get(path) == "file"  # as /etc/my.cnf
    if (local or systems) and not need.written:
        return draft.add(table, "configuration", [path], need.said)
    folder = path if there.get(path) == "directory" else posixpath.dirname(path)
    if folder in _UNTOUCHED:
        return False
    if need.written or local:
        copied = draft.get(table, "configuration", [])
        return not any(is_in(each, [folder]) for each in copied) and draft.add(
            table, "data", [folder], need.said
        )
    return _mounted(draft, jail, folder, need.said)


def _below(tree: str, path: str) -> str:
    return f"{tree}/{path.removeprefix(f'{tree}/').partition('/')[0]}"


def _mounted(draft: Draft, jail: str, folder: str, seen: str) -> bool:
    if folder in _UNTOUCHED or not is_plain(folder):
        return False
    return draft.add(jail, "mounts", [{"source": folder}], seen)


# Checks of the operator's machine and of the host's health: no other site file would help.
_OF_THE_MOMENT = (
    "preflight::host_runs_a_supported_freebsd",
    "preflight::login_is_root",
    "preflight::file_system_has_room",
    "service::runs_on_host",
    "service::presents_the_same_certificate",
)


_WITHOUT_SERVICES = ("preflight", "base", "network")


def checked(host: Host, draft: Draft, session: Session, outside: Outside) -> list[Verdict]:
    """Run the checks of `check` on the draft until it passes, or nothing more can be done.

    Returns the verdicts of those that were run last. It ends, too, when no service is left that
    could move.
    """
    verdicts: list[Verdict] = []
    for _ in range(len(SUBJECTS) * 2 + 1):
        if not set(draft.order) & set(SUBJECTS):
            # The other subjects have nothing to do without a service.
            draft.put("", "order", [each for each in draft.order if each in _WITHOUT_SERVICES])
            return verdicts
        made = parsed(draft)
        due = list(made.checks(1))
        outside.certificates.watch(watches(made.site))
        verdicts = checks.run(due, session, made.site, outside)
        failed = [each for each in verdicts if not each.passed] or _refused(made, session)
        by_name = {checks.named(each): each for each in due}
        draft.obstacles = [each for each in draft.obstacles if each.service]
        changed = [_mended(host, draft, made.site, by_name, each) for each in failed]
        if not any(changed):
            return verdicts
    return verdicts


def _refused(made: Plan, session: Session) -> list[Verdict]:
    """What a step refuses when it is compiled for the host, by the step's name."""
    answers = facts(made, session)
    found = []
    for number, step in enumerate(made.steps):
        try:
            bundle.compile_step(number + 1, step, answers)
        except CellblockError as error:
            found.append(Verdict(step.name, False, 0.0, str(error)))
    return found


def facts(made: Plan, session: Session) -> Answers:
    """The facts that a plan is made from. Each is a command of its own, as a survey keeps it."""
    known = checks.answers(session)
    lines = bundle.all_fact_commands(made.steps)
    asked = [line for line in lines if line not in known]
    said = session.run_all(asked, limit=600) if asked else []
    known |= {line: bundle.rows(each.out) for line, each in zip(asked, said, strict=True)}
    return {line: known[line] for line in lines}


def _mended(
    host: Host, draft: Draft, there: Site, by_name: dict[str, Check], verdict: Verdict
) -> bool:
    """Whether the draft was changed, so that the check is worth another run."""
    asked = by_name.get(verdict.name)
    values = dict(asked.values) if asked else {}
    test = asked.test if asked else ""
    service = _service(there, values, test, "" if asked else verdict.name)
    by, message = asked or verdict.name, verdict.message or verdict.name
    if asked and (mend := _MENDS.get(asked.test)) and mend(host, draft, service, verdict):
        return True
    if service in draft.order and (asked is None or asked.test not in _OF_THE_MOMENT):
        draft.obstacles.append(Obstacle(by, message, service))
        draft.put("", "order", [each for each in draft.order if each != service])
        policy(draft)
        return True
    stays = service if service in draft.left else ""
    draft.obstacles.append(Obstacle(by, message, stays))
    return False


_SUBJECTS = {each: each for each in SUBJECTS} | {"mail_server": "mail", "dovecot": "mail"}
"""Of checks without a service of their own: the file of the check, and what it is about."""


def _service(there: Site, values: dict[str, Any], test: str, step: str) -> str:
    """The subject that a check, or a step, is of."""
    if step:
        return step.partition(".")[0]
    name = values.get("service", "")
    jail = values.get("jail") or (there.jail_of(name) if name in there.services else "")
    if not jail:
        path = str(values.get("path") or values.get("directory") or "")
        owners = [
            each
            for each, table in there.services.items()
            if path in (*table.configuration, *table.data)
        ]
        jail = there.jail_of(owners[0]) if owners else ""
    inside = there.jails[jail].services if jail else ()
    name = name or _SUBJECTS.get(test.partition("::")[0], "")
    return next((each for each in inside if each in there.order), name)


def _without_overlap(host: Host, draft: Draft, service: str, verdict: Verdict) -> bool:
    if draft.get("services.bind", "overlap") is False:
        return False
    draft.put(
        "services.bind",
        "overlap",
        False,
        "named writes zones itself (named-checkconf -px): two must not write one directory",
    )
    return True


def _same_hostname(host: Host, draft: Draft, service: str, verdict: Verdict) -> bool:
    table = f"jails.{jail_of(draft, service)}"
    if draft.get(table, "hostname") == host.about.name:
        return False
    told = "as the host's: binary logs are called after it"
    draft.put(table, "hostname", host.about.name, told)
    return True


def _sockets_mounted(host: Host, draft: Draft, service: str, verdict: Verdict) -> bool:
    """Sockets of daemons that stay: their directories, where these are no jail's own."""
    table = f"jails.{jail_of(draft, service)}"
    own = {draft.get(f"services.{each}", "socket") for each in draft.names("services")}
    paths = [path for _, path in host.running.unix if path.startswith("/") and path not in own]
    changed = [
        _mounted(draft, table, posixpath.dirname(each), f"sockstat -u: the socket {each}")
        for each in paths
        if not is_in(each, ("/var/run/devd", "/var/run/casper"))
    ]
    return any(changed)


def _plain(host: Host, draft: Draft, service: str, verdict: Verdict) -> bool:
    """Ports at which no certificate was shown are asked whether they answer, and no more."""
    told = re.findall(r":(\d+)/tcp presents no certificate", verdict.message)
    changed = False
    for name in draft.names("services"):
        entries = draft.get(f"services.{name}", "ports")
        kept = [
            {key: each for key, each in entry.items() if key != "probe"}
            if str(entry["port"]) in told
            else entry
            for entry in entries
        ]
        if kept != entries:
            changed = True
            draft.put(f"services.{name}", "ports", kept)
    return changed


def _given_by_the_kernel(host: Host, draft: Draft, service: str, verdict: Verdict) -> bool:
    """The check names the parameters of jail(8) that give the jail what the host's daemon has."""
    named = re.search(r"\.parameters = (\{ .+? \}) ", verdict.message)
    wanted = tomllib.loads(f"given = {named[1]}")["given"] if named else {}
    table = f"jails.{jail_of(draft, service)}"
    had = draft.get(table, "parameters", {})
    if not wanted or wanted.items() <= had.items():
        return False
    draft.put(table, "parameters", had | wanted, "the host's daemon has these of the kernel")
    return True


_MENDS: dict[str, Callable[[Host, Draft, str, Verdict], bool]] = {
    "service::presents_the_same_certificate": _plain,
    "named::zones_may_be_open_twice": _without_overlap,
    "mysql::binary_logs_have_names_of_their_own": _same_hostname,
    "staying::daemons_are_found_from_the_jail": _sockets_mounted,
    "web::kernel_gives_the_jail_the_same": _given_by_the_kernel,
}
"""What a line of the site file mends, by the check that asks for it."""

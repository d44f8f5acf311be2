"""The host's root touches nothing by name below a tree that a jail can write (docs/security.md).

Every command of every step and undo is read, and every script that is left on the host. What is
known to be safe is taken out of its text; then none of these trees may be left in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from operations import queues
from rollout.host import bundle
from rollout.plan import Plan
from rollout.site import Site
from steps.render import render
from tests.unit.steps.test_render import VALUES
from tests.unit.steps.test_sample_steps import DOVECOT, PLAN

_WORD = r"""(?:'[^']*'|"[^"]*"|[^\s;&|<>()'"])+"""
_ONE_NAME = r"""/(?:"\$[nsd]"|\$[cd]\b)"""
"""A variable with one file name in it: of `ls`, of find -execdir, or made without a slash."""
_QUEUE = r"/var/spool/\w+-(?:bind|mysql|web|mail)"
_STOPPED = r"if jls -j \S+ jid >/dev/null 2>&1; then [^;]*; (?:else if|elif)"

ALLOWED = {
    "in the jail, where a link leads nowhere else": rf"\b(?:jexec|sysrc -j)(?: +{_WORD})+",
    "the jail is stopped, and the name leads where it says": rf"{_STOPPED} "
    r'\[ "\$\(realpath (\S+)\)" = \1 \]; then .*?; (?:else|fi)\b',
    "the jail is stopped and has no mounts: rm follows no link": r"if \[ -d (\S+) \]; then "
    r"! mount -p \| awk '[^']*' \| grep -q '[^']*' && rm -rfx \1; fi",
    "a temporary name of ours, which no file of the host's has": r"rm -f (?:\S+/)?\.\S+\.cellblock"
    r"(?:\.there)?\b",
    "text that is compared, or what a link says": r"-v (?:logs|below|root)=(?:'[^']*'|\S+)|"
    r"\bln -sf?h \S+(?= )|\)\" = \S+(?= \])",
    "the queue itself, which a jail has mounted and cannot replace": r"(?:\bcd|\bfsync \.|"
    rf"\bfsync|\[ -d|\binstall -d -m \d+ -o \w+ -g \w+|\bcd / && rm -rfx) {_QUEUE}"
    rf"(?=[ ;)]|$)",
    "the queue itself is renamed, in a directory of the host's": rf"\bkept={_QUEUE}"
    r"\.\$\(date \+%s\)"
    rf"|\bmv -h {_QUEUE} \"\$kept\"|echo \"notice: {_QUEUE} still has mail",
    "a file directly in the queue: its last name, not followed": r"(?:\bmv -h \S+|\brm -f|"
    r"\brm -rfx|-L|-e|-f|-ef|\becho)"
    rf" {_QUEUE}{_ONE_NAME}|\bmv -h {_QUEUE}{_ONE_NAME}|"
    rf"\[ {_QUEUE}{_ONE_NAME} -ef",
}
"""Why it is safe -> what it looks like."""
QUEUES = [
    *(queues.of_jail(each, "mail") for each in (queues.SENDMAIL, queues.POSTFIX)),
    *(queues.of_jail(queues.SUBMISSION, jail) for jail in ("bind", "mysql", "web", "mail")),
]


def writable(site: Site, built: set[str]) -> set[str]:
    """Trees that a jail can write which has run, and those that accounts write anyway."""
    found = set(QUEUES)
    for name, jail in site.jails.items():
        services = [site.services[each] for each in jail.services]
        found |= {path for each in services for path in (*each.data, *each.logs)}
        found |= {each.source for each in site.mounts(name) if each.writable}
        if name in built:
            found |= {f"{site.base.jails}/{name}/{each}" for each in ("root", "local-etc")}
    return found


def left(text: str, trees: set[str]) -> list[str]:
    """The trees that a command names otherwise, and what it does with names in a queue."""
    found = []
    if any(f"cd {each} " in text for each in QUEUES):
        found += re.findall(r"\bfind (?!-x)[^;|]*|\bfind [^;|$&]*\| *\w+|\bmv (?!-h)\S+", text)
    for safe in ALLOWED.values():
        text = re.sub(safe, " ", text)
    return found + sorted(
        tree for tree in trees if re.search(rf"(?<![\w/.-]){re.escape(tree)}(?![\w-])", text)
    )


def lines(made: Plan) -> Iterator[tuple[str, str, set[str]]]:
    """Step, command, and the trees that a jail can write when it runs."""
    site, built = made.site, set[str]()
    for number, step in enumerate(made.steps, 1):
        commands = bundle.compile_step(number, step, None).commands
        for command in commands:
            before = writable(site, built)
            if found := re.match(r"service jail onestart (\w+)", command.do):
                built.add(found[1])
            if "<<'END-OF-FILE'" not in command.do:
                yield step.name, command.do, before
            # It may run long after its jail has.
            yield step.name, command.undo or "", writable(site, set(site.jails))


@pytest.mark.parametrize("made", [PLAN, DOVECOT], ids=["sample", "postfix"])
def test_no_command_names_what_a_jail_can_write(made: Plan) -> None:
    found = {(name, text): rest for name, text, trees in lines(made) if (rest := left(text, trees))}
    assert not found


def test_no_script_that_is_left_on_the_host_does() -> None:
    text = render("mysql/quota", **VALUES["mysql/quota"])
    inside = re.sub(r"\$(?:inside|daemon) sh -c (?:[^\n\\]|\\.|\\\n)*", " ", text)
    assert inside.count("$data") == 0, "only inside the jail, or below find while it is stopped"
    assert "-exec " not in text and text.count("-execdir ") == 3


ROOT = "/usr/jails/web/root"


@pytest.mark.parametrize(
    ("guarded", "bare"),
    [
        (f"jexec web sh -c 'rm {ROOT}/x'", f"rm {ROOT}/x"),
        (
            "if jls -j web jid >/dev/null 2>&1; then jexec web true; "
            f'elif [ "$(realpath {ROOT}/etc)" = {ROOT}/etc ]; then rm {ROOT}/etc/x; fi',
            f"if jls -j web jid >/dev/null 2>&1; then jexec web true; else rm {ROOT}/etc/x; fi",
        ),
        (f"ln -sfh {ROOT}/var/run/x /var/run/x", f"cp {ROOT}/var/run/x /var/run/x"),
        (
            'cd /var/spool/mqueue-mail && mv -h "$n" /var/spool/mqueue/"$n"',
            'cd /var/spool/mqueue-mail && mv "$n" /var/spool/mqueue/"$n"',
        ),
        (
            "cd /var/spool/postfix-mail && find -x defer -execdir sh -c 'x' {} \\;",
            "cd /var/spool/postfix-mail && find -x defer | while read -r n; do x; done",
        ),
        (
            'mv -h "$n" /var/spool/postfix-mail/"$s"',
            'mv -h "$n" /var/spool/postfix-mail/deferred/"$s"',
        ),
        ("jexec web chown www /usr/home/a", "chown www /usr/home/a"),
        ("jexec web true", "find /var/db/mysql -exec chown 1001 {} +"),
    ],
)
def test_the_reader_is_red_without_a_guard(guarded: str, bare: str) -> None:
    trees = writable(PLAN.site, set(PLAN.site.jails))
    assert not left(guarded, trees)
    assert left(bare, trees)


PROJECT = Path(__file__).parents[3]
RECURSIVE = re.compile(r"\bgrep (?!-D skip )(?:-\S+ )*-[a-zA-Z]*r")


def test_no_recursive_grep_waits_for_a_fifo() -> None:
    """FreeBSD's grep opens one that it finds; a daemon's user had every later check hang by one."""
    files = [
        each
        for place in ("operations", "steps", "rollout", "tests/checks")
        for each in (PROJECT / place).rglob("*")
        if each.suffix in (".py", ".sh", ".j2", ".awk")
    ]
    found = [
        f"{each.relative_to(PROJECT)}: {line.strip()}"
        for each in files
        for line in each.read_text(encoding="utf-8").splitlines()
        if RECURSIVE.search(line)
    ]
    assert len(files) > 100
    assert not found
    assert RECURSIVE.search("grep -rnIsF x /etc") and RECURSIVE.search("grep -E -hr x /etc")

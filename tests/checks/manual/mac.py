"""The kernel keeps accounts apart: it can, nobody else's rules are in the way, and it does."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from operations.command import ANY, Look
from operations.facts import AccessRules
from rollout.site import HOST, Site
from tests.checks import test_mac

_FILE = "/var/tmp/cellblock-try"


def kernel_has_the_framework(site: Site) -> Iterator[Look]:
    yield Look("sysctl -n security.mac.labeled", ANY)


def nobody_else_uses_it(site: Site, script: str) -> Iterator[Look]:
    yield Look(test_mac.said_by_others(script))


def daemons_are_no_accounts(site: Site) -> Iterator[Look]:
    """Users of daemons among the uids of accounts."""
    users = " ".join(dict.fromkeys(f"-e ^{each.user}:" for each in site.services.values()))
    for low, high in site.uids:
        yield Look(f"grep {users} /etc/passwd | awk -F: '$3 >= {low} && $3 <= {high}'")


def groups_are_as_the_site_file_says(site: Site) -> Iterator[Look]:
    """The group is there, and no account has it as the group of its own files."""
    for group in filter(None, (site.mac.shared, site.mac.watchers)):
        yield Look(f"grep -c '^{group}:' /etc/group", "1")
    if site.mac.shared:
        gid = f"$(grep '^{site.mac.shared}:' /etc/group | cut -d: -f3)"
        for low, high in site.uids:
            awk = f"$3 >= {low} && $3 <= {high} && $4 == gid {{print $1}}"
            yield Look(f'awk -F: -v gid="{gid}" {quote(awk)} /etc/passwd')


def accounts_share_nothing(site: Site) -> Iterator[Look]:
    """Files in homes that belong to another account; cellblock audit finds more."""
    rows = " || ".join(f"$3 >= {low} && $3 <= {high}" for low, high in site.uids)
    others = "".join(f" ! -uid {uid}" for uid in (0, "$uid"))
    yield Look(
        f"awk -F: '{rows} {{print $3, $6}}' /etc/passwd | while read -r uid home; do "
        f"find -x $home{others}; done"
    )


def rules_are_in_force(site: Site) -> Iterator[Look]:
    """With names in place of the lowest and the highest uid, where accounts have them."""
    yield Look(AccessRules().command(), f"0 subject uid {ANY} ! uid_of_subject mode n{ANY}")


def all_comes_back_at_boot(site: Site, script: str, lines: tuple[str, ...]) -> Iterator[Look]:
    yield Look("sysrc -n ugidfw_enable bsdextended_script", f"YES\n{script}")
    yield Look(f"cat {script}", "\n".join(lines))


def accounts_are_kept_apart(site: Site, place: str) -> Iterator[Look]:
    """The second account tries a file of the first one, of mode 777."""
    tries = (
        f"install -o $1 -m 777 /dev/null {_FILE} && "
        f"if {_as_second('cat')} {_FILE} >/dev/null 2>&1; then echo open; else echo closed; fi; "
        f"rm {_FILE}"
    )
    yield Look(_tried(site, place, tries), "closed")


def processes_of_others_are_hidden(site: Site, place: str) -> Iterator[Look]:
    first = _as_second("sleep").replace("$2", "$1")
    tries = (
        f"{first} 5 >/dev/null 2>&1 & "
        f"if {_as_second('ps')} -p $! >/dev/null; then echo seen; else echo hidden; fi"
    )
    yield Look(_tried(site, place, tries), "hidden")


def _as_second(program: str) -> str:
    return f"chroot -u $2 -g $(id -g $2) -G $(id -g $2) / {program}"


def _tried(site: Site, place: str, tries: str) -> str:
    rows = " || ".join(f"$3 >= {low} && $3 <= {high}" for low, high in site.uids)
    names = f"$(awk -F: '{rows} {{print $1}}' /etc/passwd)"
    inside = "" if place == HOST else f"jexec {place} "
    return f"{inside}sh -c {quote(f'set -- {names}; {tries}')}"

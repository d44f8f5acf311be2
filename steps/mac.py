"""Mac: the kernel keeps accounts apart, whatever the modes of their files say."""

from __future__ import annotations

from operations import files, mac, rc
from rollout.errors import Refused
from rollout.plan.step import Check, Gate, Step, Use, check, use
from rollout.site import HOST, Site

REQUIRES = ("base",)

_NAME = "mac"
_SCRIPT = "/usr/local/etc/cellblock/ugidfw"


def preflight(site: Site) -> tuple[Check, ...]:
    """What must hold on the host before anything begins."""
    named = site.mac.shared or site.mac.watchers
    return (
        check("mac::kernel_has_the_framework"),
        check("mac::nobody_else_uses_it", until=_NAME, script=_SCRIPT),
        check("mac::daemons_are_no_accounts"),
        *([check("mac::groups_are_as_the_site_file_says")] if named else []),
    )


def steps(site: Site) -> tuple[Step, ...]:
    if not site.uids:
        raise Refused(
            f"{site.path}: order: mac needs uids of a jail, to know which accounts to keep apart",
            todo="set uids = [lowest, highest] in the jail that the accounts belong to",
        )
    later = [name for name in site.order[site.order.index(_NAME) :] if name in site.services]
    if later:
        raise Refused(
            f'{site.path}: order: "mac" must come after the services, since its checks run inside '
            "their jails",
            evidence=site.order_line,
        )
    rules, hidden = site.mac.rules(site.uids), site.mac.processes == "own"
    lines = mac.at_boot(rules, hidden, site.mac.watchers)
    return (
        Step(
            name=_NAME,
            does="keep accounts apart in the kernel",
            why="From now on no process of an account can read, write, list or run what belongs to "
            "another account, whatever its mode says, on the host and in the jails"
            + ("; and nobody but root sees processes of others." if hidden else "."),
            operations=(
                use(files.put, path=_SCRIPT, content="".join(f"{each}\n" for each in lines)),
                use(rc.variable, name="bsdextended_script", value=_SCRIPT),
                use(rc.variable, name="ugidfw_enable", value="YES"),
                use(mac.loaded, module=mac.FILES),
                *(_hidden(site) if hidden else []),
                use(mac.ruled, rules=rules),
            ),
            tell=(
                "all accounts: what belongs to another account is closed, also if its mode is 777",
                *(["monitors that are not root: they see their own processes"] if hidden else []),
            ),
            checks=(
                check("mac::rules_are_in_force"),
                check("mac::all_comes_back_at_boot", script=_SCRIPT, lines=tuple(lines)),
                *(
                    check(f"mac::{each}", place=place)
                    for place in _places(site)
                    for each in _tried(hidden)
                ),
            ),
            gate=Gate(
                question="Accounts will lose what they share with each other. Go on?",
                look_at=("cellblock audit, which lists what accounts use of each other's",),
                unless=(check("mac::accounts_share_nothing"),),
            ),
        ),
    )


def _hidden(site: Site) -> list[Use]:
    watchers = site.mac.watchers
    return [
        use(mac.loaded, module=mac.PROCESSES),
        *([use(mac.watched_by, group=watchers)] if watchers else []),
    ]


def _places(site: Site) -> tuple[str, ...]:
    """The host, and each jail that has accounts."""
    return (HOST, *(name for name in site.built if site.jails[name].uids))


def _tried(hidden: bool) -> tuple[str, ...]:
    return (
        "accounts_are_kept_apart",
        *(["processes_of_others_are_hidden"] if hidden else []),
    )

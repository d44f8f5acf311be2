"""MySQL by its name: people are told, and localhost goes only when nobody needs it any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from operations import audit, files, firewall
from rollout.errors import Refused
from rollout.plan.step import Gate, Step, check, use
from rollout.site import Site
from steps.base import RULES
from steps.mysql import LINK_AT_BOOT
from steps.render import render

REQUIRES = ("mysql",)

_MYSQL = "mysql"
_OURS = "/usr/local/etc/cellblock"


def steps(site: Site) -> tuple[Step, ...]:
    return (_name(site), _notices(site), _retire(site))


def notices(site: Site, found: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """A letter for each account: which of its lines still say localhost, and what to write there.

    `found` is account -> findings with `path` and `line`.
    """
    name = site.jails[site.jail_of(_MYSQL)].hostname
    return {
        account: render("mysql/notice", account=account, name=name, findings=findings)
        for account, findings in found.items()
    }


def _name(site: Site) -> Step:
    jail = site.jails[site.jail_of(_MYSQL)]
    before = site.order[: site.order.index("mysql_by_name")]
    jails = dict.fromkeys(site.jail_of(name) for name in before if name in site.services)
    known = {"name": jail.hostname, "address": str(jail.address)}
    return Step(
        name="mysql.name",
        does="a host name that leads to MySQL",
        why=f"{jail.hostname} leads to MySQL's jail on the host as it does in the jails, so that "
        "people can write it where they wrote localhost.",
        operations=(use(files.headed, path="/etc/hosts", line=f"{jail.address}\t{jail.hostname}"),),
        checks=(
            check("names::resolves_on_host", **known),
            *(check("names::resolves_in_jail", jail=each, **known) for each in jails),
        ),
    )


def _notices(site: Site) -> Step:
    name = site.jails[site.jail_of(_MYSQL)].hostname
    path = f"{_OURS}/mysql.notices"
    return Step(
        name="mysql.notices",
        does="record that users were told",
        why="Whoever still says localhost was told, and what to write instead; the host keeps a "
        "note of it.",
        operations=(
            use(files.put, path=path, content=f"People were told to use {name} for MySQL.\n"),
        ),
        checks=(check("files::is_there", path=path),),
        gate=Gate(
            question="Have the notices gone out to every account that cellblock audit names?",
            look_at=(
                "cellblock audit --notices DIRECTORY: a letter for each account",
                "that accounts may log in to MySQL from other hosts than localhost (GRANT): "
                f"{name} sees the jail's or the server's address",
            ),
        ),
    )


def _retire(site: Site) -> Step:
    service = site.services[_MYSQL]
    if not site.uids:
        raise Refused(
            f"{site.path}: order: mysql_by_name asks people's files, but no jail has uids",
            todo="give the jail of the accounts their lowest and highest uid",
        )
    ranges = [f"{low}:{high}" for low, high in site.uids]
    place = site.places["localhost"]
    script = f"{_OURS}/audit.sh"
    socket = service.socket
    target = f"{site.root(site.jail_of(_MYSQL))}{socket}"
    name = site.jails[site.jail_of(_MYSQL)].hostname
    return Step(
        name="mysql.retire",
        does="localhost leads to MySQL no more",
        why="localhost leads to MySQL no more, now that nobody's files say so: neither 127.0.0.1 "
        "nor the host's socket. Programs in a jail that mounts the socket's directory keep it.",
        operations=(
            use(files.put, path=script, content=audit.SCRIPT.read_text(encoding="utf-8")),
            use(audit.found_clean, script=script, ranges=ranges),
            use(firewall.switched_off, set=place.set, file=f"{RULES}/localhost.rules"),
            *(
                [
                    use(files.removed, path=LINK_AT_BOOT),
                    use(files.unlinked, path=socket, target=target),
                ]
                if socket
                else []
            ),
        ),
        checks=(
            *(check("names::localhost_is_closed", port=port) for port in service.tcp_ports),
            *(check("names::answers", name=name, port=port) for port in service.tcp_ports),
            *([check("files::is_absent", path=socket)] if socket else []),
        ),
        tell=("every account that got a notice",),
        gate=Gate(
            question="May localhost stop leading to MySQL, on the host and in the jails?",
            look_at=(
                "cellblock audit: no line may look for MySQL on localhost",
                "backup jobs, crontabs and daemons of the host itself: the audit reads homes only",
            ),
        ),
    )

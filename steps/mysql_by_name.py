"""MySQL by its name: users are notified; localhost stops working when no script needs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from operations import audit, files, firewall
from rollout.errors import Refused
from rollout.plan.step import Gate, Step, check, use
from rollout.site import Site
from steps.base import RULES
from steps.handover import link_at_boot
from steps.render import render

REQUIRES = ("mysql",)

_MYSQL = "mysql"
_OURS = "/usr/local/etc/cellblock"


def steps(site: Site) -> tuple[Step, ...]:
    return (_name(site), _notices(site), _retire(site))


def notices(site: Site, found: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """A letter for each account: which of its lines still say localhost, and what to write instead.

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
    known: dict[str, Any] = {"name": jail.hostname, "address": str(jail.address)}
    return Step(
        name="mysql.name",
        does="a host name that leads to MySQL",
        why=f"{jail.hostname} resolves to MySQL's jail on the host, as it does in the jails, so "
        "that users can write it instead of localhost.",
        operations=(use(files.headed, path="/etc/hosts", line=f"{jail.address}\t{jail.hostname}"),),
        checks=(
            check("name::resolves_on_host", **known),
            *(check("name::resolves_in_jail", jail=each, **known) for each in jails),
        ),
    )


def _notices(site: Site) -> Step:
    name = site.jails[site.jail_of(_MYSQL)].hostname
    path = f"{_OURS}/mysql.notices"
    return Step(
        name="mysql.notices",
        does="record that users were told",
        why="Records on the host that all users whose scripts still say localhost were notified.",
        operations=(
            use(files.put, path=path, content=f"People were told to use {name} for MySQL.\n"),
        ),
        checks=(check("path::exists", path=path),),
        gate=Gate(
            question="Have the notices gone out to every account that cellblock audit lists?",
            look_at=(
                "cellblock audit --notices DIRECTORY, which writes a letter for each account",
                "whether accounts may log in to MySQL from hosts other than localhost (GRANT): at "
                f"{name} they come from a jail's or the server's address",
            ),
        ),
    )


def _retire(site: Site) -> Step:
    service = site.services[_MYSQL]
    if not site.uids:
        raise Refused(
            f"{site.path}: order: mysql_by_name checks users' files, but no jail has uids",
            todo="set the uids of the jail with the accounts to their lowest and highest uid",
        )
    ranges = [f"{low}:{high}" for low, high in site.uids]
    place = site.places["localhost"]
    script = f"{_OURS}/audit.sh"
    socket = service.socket
    shown = site.shown_socket(_MYSQL)
    if socket and not shown:
        raise Refused(
            f'{site.path}: services.mysql.socket: "{socket}" is in a directory that the host and '
            f"jail {site.jail_of(_MYSQL)} share, so scripts would still find MySQL there",
            evidence=site.order_line,
            todo="give MySQL a socket elsewhere, as /var/run/mysql/mysql.sock, or take "
            "mysql_by_name out of the order",
        )
    name = site.jails[site.jail_of(_MYSQL)].hostname
    return Step(
        name="mysql.retire",
        does="localhost leads to MySQL no more",
        why="MySQL no longer answers on localhost, neither on 127.0.0.1 nor on the host's socket, "
        "since no script uses it any more. A jail that mounts the socket's directory keeps it.",
        operations=(
            use(files.put, path=script, content=audit.SCRIPT.read_text(encoding="utf-8")),
            use(audit.found_clean, script=script, ranges=ranges),
            use(firewall.switched_off, set=place.set, file=f"{RULES}/localhost.rules"),
            *(
                [
                    use(files.removed, path=link_at_boot(_MYSQL)),
                    use(files.unlinked, path=socket, target=shown),
                ]
                if socket and shown
                else []
            ),
        ),
        checks=(
            *(
                check("network::port_is_closed_on_localhost", port=port)
                for port in service.tcp_ports
            ),
            *(check("network::port_answers", name=name, port=port) for port in service.tcp_ports),
            *([check("path::is_absent", path=socket)] if socket else []),
        ),
        tell=("every account that got a notice",),
        gate=Gate(
            question="May MySQL stop answering on localhost, on the host and in the jails?",
            look_at=(
                "cellblock audit: it must list no script that uses MySQL through localhost",
                "backup jobs, crontabs and daemons of the host: the audit reads only users' homes",
            ),
        ),
    )

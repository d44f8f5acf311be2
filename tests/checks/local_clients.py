"""What of Apache's and its sites' judges clients of this host: programs in jails come from other
addresses than 127.0.0.1 and the public one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from shlex import quote
from typing import Any

from rollout.site import Service, Site
from tests.checks.asking import acting_as
from tests.checks.references import Found, lines, parted

_OF_THIS_HOST = r"127[.\\]|localhost"
"""Of a pattern, too, in which dots are behind backslashes."""
_JUDGING = (
    "RewriteCond[[:space:]].*REMOTE_(ADDR|HOST)|SetEnvIf(NoCase)?[[:space:]]+.?Remote_(Addr|Host)|"
    "<(If|ElseIf)[[:space:]].*(REMOTE_ADDR|REMOTE_HOST|-R )|Require[[:space:]]+expr[[:space:]]|"
    "DOSWhitelist[[:space:]]|SecRule[[:space:]]+.?REMOTE_(ADDR|HOST)"
)
"""What judges clients by their address, and is not adapted in the jail's copy."""
_LISTS = "(Require|Allow|Deny)[[:space:]]+(not[[:space:]]+)?(ip|host|from)[[:space:]]"
_MOST = 20


def letting_in(host: Any, site: Site, name: str) -> Iterator[Found]:
    """What lets in clients of this host: programs in jails come from other addresses by then.

    In .htaccess files, which are read as Apache's own account, and, of Apache's configuration, what
    no step adapts (operations/listens.awk).
    """
    daemon = site.services[name]
    if daemon.rc != "apache24":
        return
    public = str(site.host.wan_address).replace(".", r"[.\\]+")
    here = f"({_OF_THIS_HOST}|{public})"
    begins = "^[[:space:]]*"
    conf = f"{begins}({_JUDGING}|<VirtualHost[[:space:]]).*{here}"
    beside = f"{begins}(({_JUDGING}|{_LISTS}).*{here}|Require[[:space:]]+(not[[:space:]]+)?local)"
    homes = _public_directories(site, name)
    find = (
        f'find -H "$@" -maxdepth 4 -name .htaccess -type f -exec grep -nHsiE {quote(beside)} {{}} +'
    )
    data = " ".join(map(quote, daemon.data))
    asked = f"set -- {data} $({homes}); {find}"
    rows = lines(host, f"grep -D skip -rnIsiE {quote(conf)} {' '.join(daemon.configuration)}")
    rows += lines(host, acting_as(daemon.user, asked))
    told = [each for each in map(parted, rows) if not _knows_jails(site, each[2])]
    told = [each for each in told if not _is_adapted(daemon, each[2])]
    told = [each for each in told if not re.search(r"\blog|dontlog", each[2], re.IGNORECASE)]
    jail, lan = site.jail_of(name), site.lan.network
    for path, number, text in told[:_MOST]:
        yield Found(
            f"{path}:{number}",
            text.split()[0].lstrip("<"),
            f"gate: programs of jail {jail} that ask Apache at 127.0.0.1 or the public address "
            f"come from {site.jails[jail].address} then; if one of these is to be let in, name "
            f"{lan} there, too",
        )
    if len(told) > _MOST:
        yield Found(f"{len(told) - _MOST} further lines", "127.0.0.1", "gate: the same")


def logging_in_plainly(host: Any, site: Site, name: str) -> Iterator[Found]:
    """A webmail (Roundcube) that asks Dovecot at the public address without TLS. Only a client with
    that address may, and no program of a jail has it; once mail has moved, jails may, too.
    """
    daemon, order = site.services[name], site.order
    has_dovecot = any(each.rc == "dovecot" for each in site.services.values())
    first = "mail" in order and name in order and order.index("mail") < order.index(name)
    if daemon.rc != "apache24" or not has_dovecot or first:
        return
    find = f"find -H {' '.join(map(quote, daemon.data))} -maxdepth 4 -name config.inc.php -type f "
    asked = f"{find} -exec grep -nHsE '(default|imap)_host' {{}} +"
    for path, number, text in map(parted, lines(host, acting_as(daemon.user, asked))):
        said = re.search(r"^[^#/]*(default_host|imap_host)\W+([\w.-]+)(:143)?['\"]", text)
        wan = str(site.host.wan_address)
        found = said and lines(host, f"getent hosts {quote(said[2])}")[:1]
        if said and (said[2] == wan or (found and found[0].split()[:1] == [wan])):
            yield Found(
                f"{path}:{number}",
                f"{said[1]} {said[2]}",
                f"gate: without TLS the host's Dovecot lets in clients at {wan} alone, and "
                f"programs of jail {site.jail_of(name)} come from another address: write "
                "localhost, or tls://",
            )


def _is_adapted(daemon: Service, text: str) -> bool:
    """A virtual host, but for one at 127.0.0.1 beside others at its port: who asks that in the jail
    gets one of these.
    """
    public = [each.port for each in daemon.ports if each.public]
    is_one = re.match(r"\s*<VirtualHost\s", text, re.IGNORECASE) is not None
    return is_one and not any(re.search(rf"127[\d.]+:{port}\b", text) for port in public)


def _public_directories(site: Site, name: str) -> str:
    """sh that prints what Apache serves of each account."""
    lowest, highest = site.jails[site.jail_of(name)].uids or (1, 0)
    return (
        f"awk -F: -v name={quote(site.accounts.public)} '$3 >= {lowest} && $3 <= {highest} "
        '{print $6 "/" name}\' /etc/passwd'
    )


def _knows_jails(site: Site, text: str) -> bool:
    """Whether a line has the jails' network, an address in it, or a beginning of them."""
    plain = text.replace("\\", "")
    prefix = str(site.lan.network.network_address).rpartition(".")[0]
    return re.search(rf"(?<![\d.]){re.escape(prefix)}(?!\d)", plain) is not None

"""Network clients: nc, fetch, host, drill. The model decides which daemon answers each."""

from __future__ import annotations

import re
import shlex
from http import HTTPStatus
from urllib.parse import urlsplit

from standin.commands import command
from standin.daemons import configs, mail, php, zones
from standin.linux.shim import Call, Failed, Reply, Unknown, getopt
from standin.model.answers import SocketAt, taken, who_answers
from standin.model.host import Host

SERVICES = {25: "smtp", 80: "http", 53: "domain", 443: "https", 3306: "mysql", 22: "ssh"}
SERVICES |= {21: "ftp", 110: "pop3", 143: "imap", 587: "submission"}


def reach(
    host: Host,
    call: Call,
    address: str,
    port: int,
    proto: str = "tcp",
    *,
    sender: str = "",
    sender_port: int = 0,
) -> SocketAt | None:
    """Which daemon answers this caller."""
    if address == "localhost":
        address = "127.0.0.1"
    source = call.rootdir.name or "host"
    return who_answers(host, address, port, proto, source, sender=sender, sender_port=sender_port)


# After these Apache ends the connection, whatever other requests it carried.
DROPPED = (400, 408, 411, 413, 414, 500, 501, 503)


@command("/usr/bin/nc")
async def nc(host: Host, call: Call) -> Reply:
    if call.args[:1] == ("--smtp",):
        return await _smtp(host, call, call.args[1], int(call.args[2]))
    return await _nc(host, call)


async def _nc(host: Host, call: Call) -> Reply:
    usage = "usage: nc [-46DdEFhklNnrStUuvz] [-w timeout] [-s source] [destination] [port]"
    found, rest = getopt(call, "46nuvzlNw:s:p:U", usage, 1)
    if "U" in found and len(rest) == 1:
        return Reply(exit=0 if who_answers(host, rest[0], 0, "tcp", call.rootdir.name) else 1)
    if len(rest) != 2 or not rest[1].isdigit() or {"z", "N"} <= found.keys():
        raise Unknown(f"{usage}\n", 1)
    port = int(rest[1])
    if "l" in found:
        host.offers[rest[0], port] = (len(await call.stdin()), call.pid)
        return Reply()
    address = _resolve(host, call, rest[0]) or ""
    if not address:
        return Reply(exit=1, err="nc: getaddrinfo: Name does not resolve\n")
    if host.network.owner(address) is None and address != "localhost":
        return await _outwards(host, call, found, address, port)
    return await _within(host, call, found, address, (rest[0], port))


async def _within(
    host: Host, call: Call, found: dict[str, str], address: str, named: tuple[str, int]
) -> Reply:
    """To a port of the host or of a jail; `named` is how the caller names it."""
    own, port, proto = found.get("s", ""), named[1], "udp" if "u" in found else "tcp"
    if own and own not in host.addresses_of(call.rootdir):
        return Reply(exit=1, err="nc: bind failed: Can't assign requested address\n")
    if "z" not in found and proto == "tcp":
        return await _talked(host, call, address, port)
    sender_port = int(found.get("p", 0))
    answering = reach(host, call, address, port, proto, sender=own, sender_port=sender_port)
    if "z" not in found:
        return await _datagram(call, answering)
    return _succeeded(named[0], port, proto) if answering else Reply(exit=1)


async def _datagram(call: Call, answering: SocketAt | None) -> Reply:
    """What is heard, until -w seconds pass without a word. Of an answer only its length counts."""
    asked = await call.stdin()
    if answering is None or not asked:
        return Reply(exit=0 if answering else 1)
    if answering.daemon.kind.rc != "named":
        raise Unknown("nc: only named is asked over UDP in the stand-in\n", 70)
    return Reply("an answer of DNS to a question of that length".ljust(len(asked)))


async def _outwards(
    host: Host, call: Call, found: dict[str, str], address: str, port: int
) -> Reply:
    """Connect to a server outside that accepts every connection."""
    own = host.addresses_of(call.rootdir)
    nic = [str(one.ip) for one in host.network.interfaces[host.network.nic].inet]
    source = found.get("s") or next((one for one in own if one in nic), own[0])
    if "z" in found:
        reached = taken(host, source, address, port) is not None
        return _succeeded(address, port, "tcp") if reached else Reply(exit=1)
    came = taken(host, source, address, port, len(await call.stdin()))
    host.sent[port] = came or 0
    return Reply(exit=1 if came is None else 0)  # 0 even when it gave up after -w seconds


def _succeeded(address: str, port: int, proto: str) -> Reply:
    name = SERVICES.get(port, "*")
    return Reply(err=f"Connection to {address} {port} port [{proto}/{name}] succeeded!\n")


async def _talked(host: Host, call: Call, address: str, port: int) -> Reply:
    answering = reach(host, call, address, port)
    if answering is None:
        return Reply(exit=1)
    if answering.daemon.kind.rc in mail.MTAS:
        # A client may wait for the first answers before it says more.
        first = shlex.quote(mail.greeting(host, answering.rootdir))
        return Reply(then=f"printf %s {first}; exec nc --smtp {address} {port}")
    if answering.daemon.kind.rc != "apache24":
        raise Unknown("nc: only Apache and mail servers are talked to in the stand-in\n", 70)
    return await _http(host, call, answering, f"{address}:{port}")


async def _smtp(host: Host, call: Call, address: str, port: int) -> Reply:
    lines = [line for line in (await call.stdin_text()).split("\r\n") if line]
    answering = reach(host, call, address, port)
    if answering is None:
        return Reply(exit=1)
    client = mail.client_of(host, call.rootdir.name or "host", address)
    rest = lines[1:] if lines and lines[0].startswith("EHLO") else lines
    return Reply(mail.converse(host, answering.rootdir, client, rest))


async def _http(host: Host, call: Call, answering: SocketAt, at: str) -> Reply:
    """GETs over one connection, answered one after the other."""
    asked = (await call.stdin_text()).replace("\r\n", "\n")
    out = ""
    for path, name in re.findall(r"^GET (\S+) HTTP/1\.[01]\nHost: (\S+)$", asked, re.MULTILINE):
        try:
            status, body = php.respond(host, answering.rootdir, path, name, at)
        except php.Unmodelled as error:
            raise Unknown(f"httpd: {path}: {error}\n", 70) from None
        reason = HTTPStatus(status).phrase
        out += f"HTTP/1.1 {status} {reason}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        if status in DROPPED:
            break
    return Reply(out)


@command("/usr/bin/openssl")
async def openssl(host: Host, call: Call) -> Reply:
    """s_client -quiet -connect ADDRESS:PORT -servername NAME, of a web server. Seen on 15.0."""
    match call.args:
        case ("s_client", "-quiet", "-connect", door, "-servername", _):
            address, _, port = door.rpartition(":")
        case _:
            raise Unknown("openssl: only s_client -quiet -connect -servername is modelled\n", 70)
    answering = reach(host, call, address, int(port))
    if answering is None:
        return Reply(exit=1, err="connect:errno=61\n")
    rc = answering.daemon.kind.rc
    if int(port) == 80 or configs.certificate(answering.rootdir, rc) is None:
        return Reply(exit=1, err="error:0A000139:SSL routines::record layer failure\n")
    if rc != "apache24":
        raise Unknown("openssl: only Apache is talked to in the stand-in\n", 70)
    return await _http(host, call, answering, door)


@command("/usr/bin/fetch")
def fetch(host: Host, call: Call) -> Reply:
    usage = "usage: fetch [-146AadFlMmnPpqRrsUv] [-T seconds] [-o file] URL ..."
    found, rest = getopt(call, "146AadFlMmnPpqRrsUvo:T:w:", usage, 1)
    if len(rest) != 1 or not rest[0].startswith("http://"):
        raise Unknown(f"{usage}\n", 1)
    url = urlsplit(rest[0])
    name, port = url.hostname or "", url.port or 80
    address = _resolve(host, call, name)
    answering = reach(host, call, address, port) if address else None
    if answering is None or answering.daemon.kind.rc != "apache24":
        why = "Connection refused" if address else "Host does not resolve"
        raise Failed(f"fetch: {rest[0]}: {why}\n")
    page = _page(answering, name, url.path, f"{address}:{port}")
    if page is None:
        raise Failed(f"fetch: {rest[0]}: Not Found\n")
    if found.get("o") == "-":
        return Reply(page)
    target = found.get("o") or url.path.rpartition("/")[2] or "fetch.out"
    call.rootdir.path(target, call.cwd).write_text(page)
    return Reply()


def _page(answering: SocketAt, name: str, path: str, at: str) -> str | None:
    chosen = configs.virtual_host(answering.rootdir, name, at)
    place = path + "index.html" if path.endswith("/") or not path else path
    return answering.rootdir.read(f"{chosen.root}/{place}")


def _resolve(host: Host, call: Call, name: str) -> str | None:
    if name == "localhost":
        return "127.0.0.1"
    if name.replace(".", "").isdigit():
        return name
    for line in (call.rootdir.read("/etc/hosts") or "").splitlines():
        words = line.partition("#")[0].split()
        if name in words[1:] and ":" not in words[0]:
            return words[0]
    for server in _nameservers(call):
        records = _ask(host, call, server, (name, "A"))
        if records:
            return records[0].value
    return None


def _ask(
    host: Host,
    call: Call,
    server: str,
    question: tuple[str, str],
    proto: str = "udp",
    *,
    sender: str = "",
) -> list[zones.Record] | None:
    """None when no name server answers."""
    found = reach(host, call, server, 53, proto, sender=sender)
    if found is None or found.daemon.kind.rc != "named":
        return None
    return zones.lookup(found.daemon, *question)


def _nameservers(call: Call) -> list[str]:
    """The name servers of resolv.conf(5), in order."""
    rows = map(str.split, (call.rootdir.read("/etc/resolv.conf") or "").splitlines())
    return [words[1] for words in rows if words[:1] == ["nameserver"]]


def _resolver(call: Call) -> str:
    """The first name server; this machine when resolv.conf(5) has none."""
    return next(iter(_nameservers(call)), "127.0.0.1")


@command("/usr/bin/host")
def host_(host: Host, call: Call) -> Reply:
    found, rest = getopt(call, "t:Tv46W:", "Usage: host [-aCdilrTvVw] [-t type] name [server]", 1)
    if not 1 <= len(rest) <= 2:
        raise Unknown("Usage: host [-aCdilrTvVw] [-t type] name [server]\n", 1)
    server = rest[1] if len(rest) == 2 else _resolver(call)
    kind = found.get("t", "A").upper()
    records = _ask(host, call, server, (rest[0], kind), "tcp" if "T" in found else "udp")
    if records is None:
        return Reply(";; connection timed out; no servers could be reached\n", exit=1)
    out = ""
    if len(rest) == 2:
        out = f"Using domain server:\nName: {server}\nAddress: {server}#53\nAliases: \n\n"
    if not records:
        return Reply(f"{out}Host {rest[0]} not found: 3(NXDOMAIN)\n", exit=1)
    words = {"A": "has address", "MX": "mail is handled by", "NS": "name server"}
    words |= {"SOA": "has SOA record", "TXT": "descriptive text"}
    for record in records:
        out += f"{rest[0]} {words.get(kind, kind)} {record.value}\n"
    return Reply(out)


@command("/usr/local/bin/nsupdate")
async def nsupdate(host: Host, call: Call) -> Reply:
    """Only `server ADDRESS` and `update add NAME TTL TYPE DATA` are known; it sends at `send`."""
    server, records = _resolver(call), []
    for line in (await call.stdin_text()).splitlines():
        match line.split(maxsplit=2):
            case ["server", address]:
                server = address
            case ["update", "add", record]:
                records.append(record)
            case ["send"]:
                found = reach(host, call, server, 53, "udp")
                if found is None or found.daemon.kind.rc != "named":
                    raise Failed("; Communication with server failed: timed out\n", 1)
                for record in records:
                    name, ttl, *rest = record.split()
                    zone = next(
                        (z for z in found.daemon.loaded if f".{name}".endswith(f".{z}.")), ""
                    )
                    try:
                        zones.update(found.daemon, zone, f"{name} {ttl} IN {' '.join(rest)}")
                    except zones.UpdateError as error:
                        raise Failed(f"update failed: {error}\n", 2) from None
            case _:
                raise Unknown(f"nsupdate: {line} is not known to the stand-in\n", 1)
    return Reply()


TRANSFER = "AXFR"


def _transfer(host: Host, call: Call, server: str, zone: str, sender: str) -> Reply:
    """As drill 1.8.3 prints what a BIND 9.18 sends: the records alone, the SOA first and last."""
    found = reach(host, call, server, 53, "tcp", sender=sender)
    if found is None or found.daemon.kind.rc != "named":
        raise Failed("Error: error sending query: No (valid) nameservers defined in the resolver\n")
    records = zones.read(zone, found.daemon.loaded.get(zone, ""))
    if not records:
        return Reply(
            ";; ->>HEADER<<- opcode: QUERY, rcode: NOTAUTH, id: 0\n;; flags: qr ; QUERY: 1, "
            f"ANSWER: 0, AUTHORITY: 0, ADDITIONAL: 0 \n;; QUESTION SECTION:\n;; {zone}.\tIN\t"
            f"{TRANSFER}\n\n;; ANSWER SECTION:\n",
            err="AXFR failed.\n",
        )
    start = [one for one in records if one.kind == "SOA"]
    rest = [one for one in records if one.kind != "SOA"]
    return Reply("".join(_row(one.name, one) for one in (*start, *rest, *start)))


def _row(name: str, one: zones.Record) -> str:
    return f"{name.rstrip('.')}.\t{one.ttl}\tIN\t{one.kind}\t{one.value}\n"


def _client(host: Host, call: Call, server: str, sender: str) -> str:
    """The address from which a name server sees the caller come."""
    return sender or mail.client_of(host, call.rootdir.name or "host", server)


ROOT_SERVER = "198.41.0.4"


def _resolved(
    host: Host, found: SocketAt, client: str, name: str, kind: str
) -> tuple[list[zones.Record], str, str]:
    """The answer's records, its rcode and flags, as BIND 9.18 has them (recorded with drill 1.8.3).

    What is in no zone is asked of the root, the only one that answers outside. The host reaches it.
    """
    own = host.addresses_of(found.rootdir)
    nets = [str(one.network) for each in host.network.interfaces.values() for one in each.inet]
    nets = [f"{each}/32" for each in own] if found.rootdir.name else nets
    recurses = configs.named_recurses(found.rootdir, client, [*own, "127.0.0.1"], nets)
    ra = " ra" if recurses else ""
    wanted = name.rstrip(".").lower()
    if any(f".{wanted}".endswith(f".{zone}") for zone in found.daemon.loaded):
        records = zones.lookup(found.daemon, name, kind)
        return records, "NOERROR" if records else "NXDOMAIN", f"qr aa rd{ra}"
    if not recurses:
        return [], "REFUSED", "qr rd"
    gets_out = not found.rootdir.name or taken(host, own[0], ROOT_SERVER, 53) is not None
    if not wanted and gets_out:
        return [zones.Record(".", 518400, "NS", "a.root-servers.net.")], "NOERROR", "qr rd ra"
    return [], "SERVFAIL", "qr rd ra"


@command("/usr/bin/drill")
def drill(host: Host, call: Call) -> Reply:
    server, names, proto, sender, words = _resolver(call), [], "udp", "", list(call.args)
    short = "-Q" in words
    while words:
        word = words.pop(0)
        if word.startswith("@"):
            server = word[1:]
        elif word == "-I" and words:
            sender = words.pop(0)
        elif word == "-t":
            proto = "tcp"
        elif word.startswith("-") and word not in ("-4", "-u", "-Q"):
            raise Unknown(f"drill: {word} is not known to the stand-in\n", 1)
        elif not word.startswith("-"):
            names.append(word)
    asked = (*zones.KINDS, TRANSFER)
    kinds = [word.upper() for word in names if word.upper() in asked]
    name = next((word for word in names if word.upper() not in asked), ".")
    kind = kinds[0] if kinds else "A"
    if kind == TRANSFER:
        return _transfer(host, call, server, name, sender)
    found = reach(host, call, server, 53, proto, sender=sender)
    if found is None or found.daemon.kind.rc != "named":
        raise Failed("Error: error sending query: No (valid) nameservers defined in the resolver\n")
    records, status, flags = _resolved(host, found, _client(host, call, server, sender), name, kind)
    if short:
        return Reply("".join(f"{one.value}\n" for one in records))
    lines = [f";; ->>HEADER<<- opcode: QUERY, rcode: {status}, id: 4711"]
    lines.append(f";; flags: {flags} ; QUERY: 1, ANSWER: {len(records)}, AUTHORITY: 0")
    lines += [";; QUESTION SECTION:", f";; {name}.\tIN\t{kind}", "", ";; ANSWER SECTION:"]
    rows = "".join(_row(name, one) for one in records)
    return Reply("\n".join([*lines, f"{rows}", f";; SERVER: {server}", ""]))

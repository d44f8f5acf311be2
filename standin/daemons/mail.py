"""Mail: which server accepts a message, whose mailbox gets it, and what stays in which queue.

A message in sendmail's queue is two files: df with its text, qf with its recipients. In Postfix's
queue it is one file, whose first line is its recipient.
"""

from __future__ import annotations

import re
from pathlib import Path

from standin.daemons import configs, zones
from standin.etc.passwd import Account, accounts
from standin.linux import owners
from standin.linux.rootdir import RootDir
from standin.model.answers import who_answers
from standin.model.host import Host

MTAS = ("sendmail", "postfix")
POSTFIX = "/var/spool/postfix"
QUEUE, SUBMISSION = "/var/spool/mqueue", "/var/spool/clientmqueue"
SENDMAIL_CF, SUBMIT_CF = "/etc/mail/sendmail.cf", "/etc/mail/submit.cf"
_numbers = iter(range(1, 1_000_000))


def names(host: Host, rootdir: RootDir) -> list[str]:
    """sendmail's class w: the names whose mail it accepts as local."""
    if _has_postfix(rootdir):
        return _postfix_names(host, rootdir)
    own = hostname(host, rootdir)
    listed = (rootdir.read("/etc/mail/local-host-names") or "").split()
    addresses = [f"[{address}]" for address in host.addresses_of(rootdir)]
    return list(dict.fromkeys([*listed, own, own.partition(".")[0], "localhost", *addresses]))


def hostname(host: Host, rootdir: RootDir) -> str:
    jail = host.jail_of(rootdir)
    return jail.hostname if jail else host.kernel.sysctls["kern.hostname"]


def own_name(host: Host, rootdir: RootDir, file: str = SENDMAIL_CF) -> str:
    """sendmail's $j: of several lines Dj the last one counts; without one it is the hostname."""
    return _macro_j(host, rootdir, rootdir.read(file) or "")


def _domain_added(host: Host, rootdir: RootDir) -> str:
    """What submission adds to a name without a domain: $j as it was when the rules were read.

    So a line Dj below the first rule does not count (asked of a 15.0: root@mysql.example.org).
    """
    text = rootdir.read(SUBMIT_CF) or ""
    return _macro_j(host, rootdir, re.split(r"(?m)^R", text)[0])


def _macro_j(host: Host, rootdir: RootDir, text: str) -> str:
    told = re.findall(r"(?m)^Dj(\S+)", text)
    return str(told[-1]) if told else hostname(host, rootdir)


def _has_postfix(rootdir: RootDir) -> bool:
    """sendmail's programs are on every host; a main.cf means that Postfix handles the mail."""
    return rootdir.read(configs.MAIN_CF) is not None


def _postfix_names(host: Host, rootdir: RootDir) -> list[str]:
    known = configs.main_cf(rootdir)
    told = known.get("mydestination", "$myhostname, localhost")
    return re.split(r"[, ]+", told.replace("$myhostname", known.get("myhostname", "")))


def aliases(rootdir: RootDir) -> dict[str, str]:
    lines = (rootdir.read("/etc/mail/aliases") or "").splitlines()
    pairs = (line.partition(":") for line in lines if ":" in line and not line.startswith("#"))
    return {name.strip(): to.strip() for name, _, to in pairs}


class NotSubmitted(Exception):
    """sendmail(1) ends with this message and exit code: nobody took the mail."""

    def __init__(self, text: str, exit: int) -> None:
        super().__init__(text)
        self.exit = exit


def submit(host: Host, rootdir: RootDir, recipient: str, text: str) -> None:
    """Submit mail as sendmail(8) does for a program: to 127.0.0.1, or queued for later."""
    if configs.mailer(rootdir) != configs.SENDMAIL:
        if not _has_postfix(rootdir):
            missing = f"open {configs.MAIN_CF}: No such file or directory"
            raise NotSubmitted(f"sendmail: fatal: {missing}\n", 75)
        _one_file(rootdir, "maildrop", recipient, text)
        flush(host, rootdir)
    elif not _handed_over(host, rootdir, recipient, text):
        _queue(host, rootdir, SUBMISSION, recipient, text)


def flush(host: Host, rootdir: RootDir) -> None:
    """A running Postfix tries everything in its queue; without one the mail stays there."""
    if not any(each.kind.rc == "postfix" and each.rootdir == rootdir for each in host.daemons):
        return
    for folder in ("maildrop", "deferred"):
        for place in sorted(rootdir.path(f"{POSTFIX}/{folder}").glob("*")):
            recipient, _, text = place.read_text().partition("\n")
            place.unlink()
            take(host, rootdir, recipient, text)


def _one_file(rootdir: RootDir, folder: str, recipient: str, text: str) -> None:
    place = rootdir.path(f"{POSTFIX}/{folder}")
    place.mkdir(parents=True, exist_ok=True)  # as Postfix does when it starts
    (place / f"STANDIN{next(_numbers):06d}").write_text(f"{recipient}\n{text}")


def _handed_over(host: Host, rootdir: RootDir, recipient: str, text: str) -> bool:
    source = rootdir.name or "host"
    found = who_answers(host, "127.0.0.1", 25, "tcp", source)
    if found is None or found.daemon.kind.rc not in MTAS:
        return False
    client = client_of(host, source, "127.0.0.1")
    domain = _domain_added(host, rootdir)
    recipient = recipient if "@" in recipient else f"{recipient}@{domain}"
    for answer in (
        sender_answer(host, found.rootdir, client, f"root@{domain}"),
        recipient_answer(host, found.rootdir, client, recipient),
    ):
        if answer.startswith("4"):
            return False
        if answer.startswith("55"):
            _log(
                rootdir,
                f"sendmail[700]: A1: from=root, msgid={_message_id(text)}",
                f"sendmail[700]: A1: to={recipient}, mailer=relay, relay=[127.0.0.1], "
                f"reply={answer}, stat=Data format error",
            )
            raise NotSubmitted("", 65)  # EX_DATAERR, without a word; the sender gets it back
    take(host, found.rootdir, recipient, text)
    return True


def client_of(host: Host, source: str, address: str) -> str:
    """The address from which a server sees the host (source "host") or a jail come."""
    own = host.jails[source].addresses if source in host.jails else [address]
    return own[0]


def greeting(host: Host, rootdir: RootDir) -> str:
    """What the server says first, and to EHLO."""
    name = own_name(host, rootdir)
    if _has_postfix(rootdir):
        name = configs.main_cf(rootdir).get("myhostname", hostname(host, rootdir))
    return f"220 {name} ESMTP\r\n250-{name}\r\n250 HELP\r\n"


def converse(host: Host, rootdir: RootDir, client: str, lines: list[str]) -> str:
    """The server's answers to all lines after EHLO."""
    said = ""
    for line in lines:
        verb = line.upper().partition(":")[0]
        address = line.partition("<")[2].partition(">")[0]
        if verb == "MAIL FROM":
            said += sender_answer(host, rootdir, client, address)
        elif verb == "RCPT TO":
            said += recipient_answer(host, rootdir, client, address)
        else:
            said += {"RSET": "250 2.0.0 Reset state", "QUIT": "221 2.0.0 closing"}[verb]
        said += "\r\n"
    return said


def sender_answer(host: Host, rootdir: RootDir, client: str, sender: str) -> str:
    domain = sender.partition("@")[2]
    if domain and not _sender_is_accepted(host, rootdir, client, domain):
        return f"553 5.1.8 <{sender}>... Domain of sender address {sender} does not exist"
    return f"250 2.1.0 <{sender}>... Sender ok"


def recipient_answer(host: Host, rootdir: RootDir, client: str, recipient: str) -> str:
    user, _, domain = recipient.partition("@")
    if recipient in _virtual(rootdir):
        return f"250 2.1.5 <{recipient}>... Recipient ok"
    if domain and domain not in names(host, rootdir):
        if _relays_for(host, rootdir, client):
            return f"250 2.1.5 <{recipient}>... Recipient ok"
        if _has_postfix(rootdir):
            return f"454 4.7.1 <{recipient}>: Relay access denied"
        return f"550 5.7.1 <{recipient}>... Relaying denied"
    if _account(rootdir, user) is None and user not in aliases(rootdir):
        return f"550 5.1.1 <{recipient}>... User unknown"
    return f"250 2.1.5 <{recipient}>... Recipient ok"


def _virtual(rootdir: RootDir) -> list[str]:
    """The keys of Postfix's virtual maps."""
    known = configs.main_cf(rootdir)
    told = [known.get(f"virtual_{kind}_maps", "") for kind in ("alias", "mailbox")]
    files = [each.partition(":")[2] for each in told if each]
    return [line.split()[0] for file in files for line in _lines(rootdir, file) if line.strip()]


def _relays_for(host: Host, rootdir: RootDir, client: str) -> bool:
    if _has_postfix(rootdir):
        words = re.split(r"[, ]+", configs.main_cf(rootdir).get("mynetworks", "127.0.0.1/32"))
        return client in [word.partition("/")[0] for word in words]
    access = [line.split() for line in _lines(rootdir, "/etc/mail/access")]
    relays = (rootdir.read("/etc/mail/relay-domains") or "").split()
    return client == "127.0.0.1" or client in relays or [f"Connect:{client}", "RELAY"] in access


def _sender_is_accepted(host: Host, rootdir: RootDir, client: str, domain: str) -> bool:
    """sendmail's check_mail (proto.m4): a sender's domain can be looked up; for a client that is
    localhost, its own name ($j) does, too. In a jail it does for nobody (all asked of a 15.0).
    """
    local = client == "127.0.0.1" and not rootdir.name
    own = own_name(host, rootdir) if local else "localhost"
    if _has_postfix(rootdir) or domain in (own, "localhost"):
        return True
    hosts = (line.partition("#")[0].split() for line in _lines(rootdir, "/etc/hosts"))
    if any(domain in words[1:] for words in hosts):
        return True
    servers = (line.split() for line in _lines(rootdir, "/etc/resolv.conf"))
    for words in servers:
        if words[:1] != ["nameserver"]:
            continue
        found = who_answers(host, words[1], 53, "udp", rootdir.name or "host")
        if found is not None and found.daemon.kind.rc == "named":
            return any(zones.lookup(found.daemon, domain, kind) for kind in ("A", "MX"))
    return False


def _lines(rootdir: RootDir, file: str) -> list[str]:
    return (rootdir.read(file) or "").splitlines()


def _log(rootdir: RootDir, *lines: str) -> None:
    with rootdir.path("/var/log/maillog").open("a") as file:
        file.writelines(f"Nov 28 12:00:00 host {line}\n" for line in lines)


def take(host: Host, rootdir: RootDir, recipient: str, text: str) -> None:
    """Handle a message that the MTA has accepted."""
    sent = _delivered(host, rootdir, recipient, text)
    if not sent and _has_postfix(rootdir):
        _one_file(rootdir, "deferred", recipient, text)
    elif not sent:
        _queue(host, rootdir, QUEUE, recipient, text)
    _log(rootdir, *_logged(rootdir, recipient, text, sent))


def _logged(rootdir: RootDir, recipient: str, text: str, sent: bool) -> tuple[str, str]:
    """The line that has the message's id, and the one that tells what became of it."""
    if _has_postfix(rootdir):
        by, status = "smtp", "deferred (connection timed out)"
        if sent:
            by, status = "local", "sent (delivered to mailbox)"
            if box := _virtual_box(rootdir, recipient):  # as virtual/maildir.c and mailbox.c say
                by, kind = "virtual", "maildir" if box.endswith("/") else "mailbox"
                status = f"sent (delivered to {kind})"
        return (
            f"postfix/cleanup[701]: 4F1: message-id={_message_id(text)}",
            f"postfix/{by}[702]: 4F1: to=<{recipient}>, relay={by}, status={status}",
        )
    what = "local, dsn=2.0.0, stat=Sent" if sent else "esmtp, dsn=4.0.0, stat=Deferred: timed out"
    return (
        f"sm-mta[701]: B1: from=<root>, msgid={_message_id(text)}, proto=ESMTP",
        f"sm-mta[702]: B1: to={recipient}, mailer={what}",
    )


def _account(rootdir: RootDir, name: str) -> Account | None:
    return next((account for account in accounts(rootdir) if account.name == name), None)


def _message_id(text: str) -> str:
    head = text.partition("\n\n")[0]
    found = [line for line in head.splitlines() if line.lower().startswith("message-id:")]
    return found[0].partition(":")[2].strip() if found else ""


def _delivered(host: Host, rootdir: RootDir, recipient: str, text: str) -> bool:
    if virtual := _virtual_box(rootdir, recipient):
        _put_into(host, rootdir, virtual, text)
        return True
    user, _, domain = recipient.partition("@")
    if domain and domain not in names(host, rootdir):
        return False  # no server answers at the other end of the wire
    account = _account(rootdir, aliases(rootdir).get(user, user)) or _account(rootdir, user)
    if account is None:
        return True  # bounced
    box = rootdir.path(f"/var/mail/{account.name}")
    fresh = not box.exists()
    with box.open("a") as file:
        file.write(f"From sender\n{text.rstrip()}\n\n")
    if fresh:
        owners.change(host.rootdir.root, box, account.uid, account.gid)
        box.chmod(0o600)
    return True


def _virtual_box(rootdir: RootDir, recipient: str) -> str:
    """The path of Postfix's virtual mailbox for an address, "" if it has none."""
    known = configs.main_cf(rootdir)
    file = known.get("virtual_mailbox_maps", "").partition(":")[2]
    rows = (line.split() for line in _lines(rootdir, file)) if file else ()
    found = {row[0]: row[1] for row in rows if len(row) == 2}.get(recipient, "")
    return f"{known.get('virtual_mailbox_base', '')}/{found}" if found else ""


def _put_into(host: Host, rootdir: RootDir, box: str, text: str) -> None:
    """As virtual(8) does: into a maildir, which it makes, or a file of virtual_uid_maps' user."""
    known = configs.main_cf(rootdir)
    uid, gid = (
        int(known.get(f"virtual_{kind}_maps", "static:0").partition(":")[2])
        for kind in ("uid", "gid")
    )
    place = rootdir.path(box)
    if box.endswith("/"):
        for each in (place, *(place / name for name in ("new", "cur", "tmp"))):
            if not each.is_dir():
                each.mkdir(parents=True, mode=0o700)
                owners.change(host.rootdir.root, each, uid, gid)
        place = place / "new" / f"{next(_numbers)}.standin"
    with place.open("a") as file:
        file.write(f"{text.rstrip()}\n")
    owners.change(host.rootdir.root, place, uid, gid)


def _queue(host: Host, rootdir: RootDir, folder: str, recipient: str, text: str) -> None:
    name = f"STANDIN{next(_numbers):06d}"
    place = rootdir.path(folder)
    (place / f"df{name}").write_text(text)
    (place / f"qf{name}").write_text(f"R{recipient}\n")


def waiting(rootdir: RootDir, folder: str) -> list[tuple[Path, Path]]:
    """(qf, df) of each complete message."""
    found = (
        (qf, qf.with_name(f"df{qf.name[2:]}")) for qf in sorted(rootdir.path(folder).glob("qf*"))
    )
    return [(qf, df) for qf, df in found if df.exists()]


def run_queue(host: Host, rootdir: RootDir, folder: str) -> None:
    for qf, df in waiting(rootdir, folder):
        recipient, text = qf.read_text().removeprefix("R").strip(), df.read_text()
        send = _handed_over if folder == SUBMISSION else _delivered
        try:
            done = send(host, rootdir, recipient, text)
        except NotSubmitted:
            done = True  # bounced
        if done:
            qf.unlink()
            df.unlink()

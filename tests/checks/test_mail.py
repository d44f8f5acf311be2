"""Mail: what must be well before it moves, that names and people move along, that all arrives."""

from __future__ import annotations

import secrets
from shlex import quote
from typing import Any

from operations.mail import POSTFIX, SENDMAIL, Queue
from rollout.site import Site

_NAMES = "echo '$=w' | /usr/sbin/sendmail -bt | sed -e 's/^> //'"

# A map is made anew from its text, in a place that is thrown away, by the program that the
# administrator would use.
_MAKEMAP = (
    "d=$(mktemp -d /var/run/maps.XXXXXX) && "
    "awk '/^K/ && $2 ~ /^(hash|btree|dbm)$/ {print $2, $NF}' /etc/mail/sendmail.cf | sort -u | "
    'while read -r type file; do if [ -f "$file" ]; then '
    'makemap "$type" "$d/map" < "$file" 2>&1 || echo "makemap refuses $file"; rm -f "$d"/*; fi; '
    "done; awk -F'[=,]' '/^O AliasFile=/ {for (n = 2; n <= NF; n++) print $n}' "
    "/etc/mail/sendmail.cf | sed -e 's/.*://' | "
    'while read -r file; do if [ -f "$file" ]; then cp "$file" "$d/aliases"; '
    'out=$(/usr/sbin/sendmail -bi -oA"$d/aliases" 2>&1) || '
    'printf "newaliases refuses %s: %s\\n" "$file" "$out"; fi; done; rm -rf "$d"'
)
_POSTMAP = (
    "d=$(mktemp -d /var/run/maps.XXXXXX) && "
    "{ postconf -x | grep -oE '(hash|btree|dbm|cdb|lmdb):/[^, ]+'; echo; } | sort -u | "
    'while IFS=: read -r type file; do if [ -f "$file" ]; then cp "$file" "$d/map"; '
    'case $(postconf -hx alias_database) in *"$file"*) make=postalias;; *) make=postmap;; esac; '
    '"$make" "$type:$d/map" 2>&1 || echo "$make refuses $file"; rm -f "$d"/*; fi; done; '
    'rm -rf "$d"'
)


def _is_sendmail(site: Site) -> bool:
    return site.services["mail"].rc == "sendmail"


def queue_of(site: Site) -> Queue:
    return SENDMAIL if _is_sendmail(site) else POSTFIX


def map_question(site: Site) -> str:
    """sh that makes every map anew, in a place that is thrown away, and prints what is refused."""
    return _MAKEMAP if _is_sendmail(site) else _POSTMAP


def names_question(site: Site) -> str:
    """sh that prints the names which an MTA takes for its own, and words about them."""
    return _NAMES if _is_sendmail(site) else "postconf -hx mydestination | tr -s ', ' '\\n\\n'"


def test_maps_are_right(host: Any, site: Site) -> None:
    said = host.check_output(map_question(site)).splitlines()
    wrong = [line for line in said if not line.startswith("WARNING")]
    assert not wrong, (
        f"a mail map is not as expected, and would be refused when it is made anew: {wrong}"
    )


def test_queue_can_be_moved(host: Any, site: Site) -> None:
    queue = queue_of(site)
    at = quote(queue.directory)
    told = (
        "awk -F= '/^O QueueDirectory=/ {print $2}' /etc/mail/sendmail.cf"
        if _is_sendmail(site)
        else "postconf -h queue_directory"
    )
    configured = host.check_output(told)
    assert configured == queue.directory, (
        f"the queue is {configured}: expected {queue.directory}, and no queue groups"
    )
    assert host.run(f"[ -d {at} ] && [ ! -L {at} ]").rc == 0, f"{at}: expected a directory"
    here, above = host.check_output(f"stat -f %d {at} {at}/..").split()
    assert here == above, (
        f"{at} is a file system of its own: messages could not be moved beside it by a rename"
    )


def test_names_are_the_hosts(host: Any, site: Site) -> None:
    """A jail whose MTA does not take a name for its own bounces the name's mail, or loops."""
    ask = names_question(site)
    jail = site.jail_of("mail")
    ours = set(host.check_output(f"jexec {jail} sh -c {quote(ask)}").splitlines())
    theirs = {name for name in host.check_output(ask).splitlines() if " " not in name}
    missing = sorted(name for name in theirs - ours if "IPv6" not in name and name != ">")
    assert theirs and not missing, f"jail {jail} does not take mail for {', '.join(missing)}"


# Who has mail on this system: a spool, a maildir or a forward; name, uid, and what there is.
PEOPLE = (
    "awk -F: '$3 >= 1000 && $3 < 65530 {print $1, $3, $6}' /etc/passwd | "
    "while read -r name uid home; do "
    "if [ -e /var/mail/$name ]; then echo $name $uid spool; fi; "
    "if [ -d $home/Maildir ]; then echo $name $uid maildir; fi; "
    "if [ -e $home/.forward ]; then echo $name $uid forward; fi; done"
)


def test_accounts_are_there(host: Any, site: Site) -> None:
    jail = site.jail_of("mail")
    on_host = set(host.check_output(PEOPLE).splitlines())
    in_jail = set(host.check_output(f"jexec {jail} sh -c {quote(PEOPLE)}").splitlines())
    missing = sorted(on_host - in_jail)
    assert not missing, (
        f"mail of these is not in jail {jail}: {', '.join(missing)}; see its uids, its mounts and "
        "services.mail.data"
    )


def test_host_takes_nothing(host: Any, site: Site, service: str) -> None:
    for listen in site.services[service].ports:
        rows = host.check_output(f"sockstat -46lq -j 0 -P {listen.proto} -p {listen.port}")
        assert not rows, f"the host still listens on {listen.port}: {rows}"


def test_host_queue_is_empty(host: Any, site: Site) -> None:
    queue = queue_of(site)
    left = host.check_output(f"cd {queue.directory} && {queue.control}")
    assert not left, f"{queue.directory} still has {left.split()}"


def test_from_the_host_arrives(host: Any, site: Site) -> None:
    """One message to root, who reads such mail: the jail's own log says that it was taken there.

    Not the mailbox, which both servers write to.
    """
    mark = f"cellblock.{secrets.token_hex(6)}"
    message = (
        f"Subject: cellblock: the host's own mail arrives\\nMessage-Id: <{mark}@cellblock>\\n"
        "\\nSent by a check, through the host's sendmail command.\\n"
    )
    sent = host.run(f"printf {quote(message)} | /usr/sbin/sendmail root")
    assert sent.rc == 0, f"sendmail on the host says: {(sent.stdout + sent.stderr).strip()}"
    jail = site.jail_of("mail")
    looked = host.run(
        f"i=0; until jexec {jail} grep -q {mark} /var/log/maillog; "
        "do [ $i -lt 30 ] || exit 1; sleep 1; i=$((i + 1)); done"
    )
    assert looked.rc == 0, f"a message from the host did not reach jail {jail} within 30 s"

"""What decides at the next boot, and at night: rc.conf, who flushes rules, what backups read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from shlex import quote
from typing import Any

from operations import rc
from rollout.site import Site
from tests.checks import filesystems
from tests.checks.naming import CALLED


def _overriding(site: Site) -> Iterator[tuple[str, str]]:
    """The names of files in rc.conf.d, and the variables there that rc.conf has to decide on."""
    yield "jail", "jail_enable|jail_list"
    for name in ("netif", "network"):
        yield name, f"cloned_interfaces|ifconfig_{site.lan.interface}(_[a-z0-9]+)?"
    yield "ipfw", "firewall_coscripts"
    for service in (name for name in site.order if name in site.services):
        scripts = (site.services[service].rcvar, *(e.rcvar for e in site.companions(service)))
        for rcvar in scripts:
            yield rcvar.removesuffix("_enable"), rcvar


def test_rc_conf_decides(host: Any, site: Site) -> None:
    """rc.subr(8) reads /etc/rc.conf.d/NAME, and that of /usr/local/etc, after rc.conf."""
    read = list(_overriding(site))
    names = "|".join(dict.fromkeys(each for _, each in read))
    files = " ".join(f"{at}/{file} {at}/{file}/*" for file, _ in read for at in rc.FOLDERS)
    rows = host.run(
        f"{{ grep -nE {quote(f'^[[:space:]]*(export[[:space:]]+)?({names})=')} {files} /dev/null; "
        f"grep -nE '^[[:space:]]*ifconfig_{site.lan.interface}_name=' /etc/rc.conf "
        "/etc/rc.conf.local /etc/rc.conf.d/netif /etc/rc.conf.d/network; } 2>/dev/null"
    ).stdout.splitlines()
    renamed = [row for row in rows if re.search(r"_name=", row)]
    told = [
        row
        for row in rows
        if row not in renamed
        and any(
            re.search(rf"/rc[.]conf[.]d/{file}(/[^:]*)?:\d+:\s*(export\s+)?({names})=", row)
            for file, names in read
        )
    ]
    assert not renamed, (
        f"{'; '.join(renamed)}: at boot {site.lan.interface} gets another name (Bastille's "
        "bastille0 comes so), and the jails' addresses would be on no interface: give "
        "lan.interface another one that is free, lo2 say"
    )
    assert not told, (
        f"{'; '.join(told)}: rc.subr(8) reads this after rc.conf, so what Cellblock writes to "
        "rc.conf would not count at the next boot: move the line to /etc/rc.conf"
    )


_NO_PROGRAMS = "where programs do not run (noexec)"


def test_jails_are_on_a_disk(host: Any, site: Site) -> None:
    """Their trees are in base.jails, and the journal, by which a rollback goes back, in /var/db."""
    kept = [site.base.jails, "/var/db"]
    said = host.check_output(
        f'for each in {" ".join(map(quote, kept))}; do while [ ! -d "$each" ]; do '
        'each=${each%/*}; each=${each:-/}; done; realpath "$each"; done; '
        "echo ==; mount -p; echo ==; cat /etc/fstab 2>/dev/null || :"
    )
    real, there, table = (part.splitlines() for part in f"{said}\n".split("==\n"))
    mounted, lines = filesystems.lines(there), filesystems.lines(table)
    unfit = []
    for path, place in zip(kept, real, strict=True):
        at = filesystems.holding(place, mounted)
        _, _, kind, options, *_ = mounted[at]
        found = _unfit(kind, options.split(","), lines.get(at, []), root=at == "/")
        unfit += [
            f"{path} is on {at} ({kind}), {why}"
            for why in found
            if path == site.base.jails or why != _NO_PROGRAMS
        ]
    assert not unfit, (
        f"{'; '.join(unfit)}: after a restart no jail would be there, or none could be built: let "
        "base.jails and /var/db be on a disk that comes by /etc/fstab, writable and with programs, "
        "or name another directory in base.jails"
    )


def _unfit(kind: str, options: Sequence[str], line: Sequence[str], *, root: bool) -> Iterator[str]:
    """Why a file system, with its line of fstab(5), cannot hold jails or the journal."""
    if kind == "tmpfs" or line[2:3] == ["mfs"]:
        yield "which is in memory, and empty after a restart"
    elif kind != "zfs" and not root and (not line or "noauto" in line[3].split(",")):
        yield "which does not come at boot by /etc/fstab"
    if "ro" in options:
        yield "which is read only"
    if "noexec" in options:
        yield _NO_PROGRAMS


_STARTED = (
    "/etc/rc.local /etc/crontab /etc/cron.d/* /var/cron/tabs/root /usr/local/etc/cron.d/* "
    "/etc/daily.local /etc/weekly.local /etc/dhclient-exit-hooks /etc/devd/* /usr/local/etc/rc.d/*"
)
_FLUSHING = (
    f"{{ ls -d {_STARTED}; "
    f"grep -hE '^[^#]*(ipfw|firewall|[.]rules)' {_STARTED} | tr -s '[:space:];|&()\"`=' '\\n' | "
    "grep -E '^/(etc|root|usr/local/(etc|s?bin))/[A-Za-z0-9_./+-]+$'; } 2>/dev/null | sort -u | "
    "while read -r each; do "
    "case $each in *cellblock*|/etc/rc.d/*|/etc/rc.firewall) continue;; "
    '/usr/local/etc/rc.d/*) service "${each##*/}" enabled 2>/dev/null || continue;; esac; '
    'if [ -f "$each" ] && grep -qsI ipfw "$each"; then '
    "grep -nHE '^[^#]*[[:space:]]flush([^A-Za-z]|$)' \"$each\" | "
    "grep -vwE 'table|pipe|queue|sched|nat'; fi; done"
)
"""sh: the lines by which what starts at boot, or now and then, deletes all rules of ipfw. rc.d/ipfw
runs firewall_script besides, and then firewall_coscripts, which add Cellblock's again."""


def test_rules_are_flushed_by_rc_alone(host: Any) -> None:
    """After a flush nothing leads to the jails any more."""
    rows = host.run(_FLUSHING).stdout.splitlines()
    assert not rows, (
        f"{'; '.join(rows[:5])}: this deletes Cellblock's rules, too, and nobody would be led to a "
        "jail: let rc.d/ipfw load the rules (firewall_enable=YES and firewall_script in rc.conf), "
        "and write `service ipfw restart` there, which brings Cellblock's again"
    )


_NIGHTLY = (
    "/etc/crontab /etc/cron.d /var/cron/tabs/root /usr/local/etc/cron.d /usr/local/etc/periodic"
)
_COPIES = r"(?:^|[\s/;|&(])(rsync|tar|bsdtar|gtar|cpio|restic|borg|duplicity|tarsnap)\s"
_WITHIN = re.compile(
    r"\s(--one-file-system|--exclude\S*|-[A-Za-z]*x[A-Za-z]*|-X|--include\S*|-T)(\s|=|$)"
)


def test_backups_do_not_read_jails_again(host: Any, site: Site) -> None:
    """What jails mount is in base.jails once more: a backup of / would hold it several times, and
    fill its disk, unless it stays in one file system or leaves that directory out.
    """
    asked = (
        f"grep -D skip -rnIE '(rsync|tar|gtar|cpio|restic|borg|duplicity|tarsnap)[[:space:]]' "
        f"{_NIGHTLY} /etc/daily.local /etc/weekly.local /root/bin $({CALLED}) 2>/dev/null"
    )
    above = {str(each) for each in PurePosixPath(site.base.jails).parents}
    told = []
    for row in host.run(asked).stdout.splitlines():
        file, line, text = row.split(":", 2)
        tool = None if text.lstrip().startswith("#") else re.search(_COPIES, text)
        said = text[tool.end() :] if tool else ""
        if re.search(r"(^|\s)[\"']?\$\S+\s+[\"']?/|\\$", said):
            continue  # options are elsewhere
        read = _read(tool[1], said) if tool else []
        whole = [word for word in read if word == "/" or word.rstrip("/") in above - {"/"}]
        if tool and whole and not _WITHIN.search(text[tool.end(1) :]):
            told.append(f"{file}:{line}: {tool[1]} of {whole[0]}")
    assert not told, (
        f"{'; '.join(dict.fromkeys(told))}: it would copy what jails mount (homes, databases, "
        f"programs) once more for each jail: leave out {site.base.jails} (--exclude), or let it "
        "stay in one file system (-x, --one-file-system)"
    )


def _read(tool: str, text: str) -> list[str]:
    """The words that a command is given; not where rsync(1) writes, nor where tar(1) goes first."""
    words = [word.strip("'\"") for word in re.split(r"[;|&><]", text)[0].split()]
    given = [
        word
        for before, word in zip(["", *words], words, strict=False)
        if before != "-C" and not word.startswith("-")
    ]
    return given[:-1] if tool == "rsync" else given

"""Logs of a service that moved: one newsyslog rotates each, and the host can still read them."""

from __future__ import annotations

from shlex import quote
from typing import Any

from operations.facts import NEWSYSLOG, of_logs, within
from rollout.site import Site


def test_are_rotated_once(host: Any, site: Site, service: str) -> None:
    """Not by the host, which would follow the jail's links; each by the jail's newsyslog."""
    daemon, jail = site.services[service], site.jail_of(service)
    inside = tuple(f"{each}/" for each in (*daemon.logs, *daemon.data))
    logs = [*daemon.log_files, *inside]
    ours = of_logs(logs, 'ours($1) {print FILENAME ": " $1}')
    still = host.check_output(within(ours, " ".join(NEWSYSLOG))).splitlines()
    assert not still, f"the host's newsyslog still rotates logs of the jail: {'; '.join(still)}"
    mark = f"# cellblock: in jail {jail}: "
    marked = host.run(f"grep -hs '^{mark}' {' '.join(NEWSYSLOG)}").stdout.splitlines()
    wanted = {line.removeprefix(mark).split()[0] for line in marked}
    files = f"cat {' '.join(NEWSYSLOG)} 2>/dev/null"
    there = host.run("jexec %s sh -c %s", jail, files).stdout
    rotated = {line.split()[0] for line in there.splitlines() if line.strip()}
    lacking = {log for log in wanted - rotated if log in logs or log.startswith(inside)}
    assert not lacking, (
        f"newsyslog of jail {jail} has no entry for {', '.join(sorted(lacking))}: nothing would "
        "rotate it"
    )


def test_patterns_are_of_one_service(host: Any, site: Site, service: str) -> None:
    """An entry of newsyslog moves as a whole: nobody would rotate what else its pattern fits."""
    daemon = site.services[service]
    own = (*daemon.log_files, *(f"{each}/" for each in (*daemon.logs, *daemon.data)))
    ours = of_logs(own, 'ours($1) && $1 ~ /[*?[]/ {print FILENAME ": " $1}')
    rows = host.check_output(within(ours, " ".join(NEWSYSLOG))).splitlines()
    others = []
    for place, _, pattern in (row.partition(": ") for row in rows):
        there = host.run(f"at={quote(pattern)}; ls -d $at 2>/dev/null").stdout.splitlines()
        # Old ones have a number behind the name.
        found = [each for each in there if not each.startswith(own)]
        others += [f"{place}: {pattern}, which fits {', '.join(found[:3])}, too"] if found else []
    assert not others, (
        f"services.{service}: newsyslog rotates its logs by a pattern that has others: "
        f"{'; '.join(others)}: when they move, nobody would rotate these: give them lines of their "
        f"own, or name them in services.{service}.log_files if its daemon writes them"
    )


def test_are_readable_on_the_host(host: Any, site: Site, service: str) -> None:
    jail = site.jail_of(service)
    for log in site.services[service].log_files:
        target = site.shown(jail, log)
        # Not resolved: the target does not exist until something is logged.
        found = host.run("readlink %s", log).stdout.strip()
        assert found == target, f"{log}: expected a link to {target}; found {found or 'no link'}"
        has = host.run("jexec %s test -s %s", jail, log).rc == 0
        assert not has or host.run("test -s %s", log).rc == 0, (
            f"{log} in jail {jail} has entries, but {log} on the host shows none"
        )


def test_messages_are_syslogds(host: Any) -> None:
    """In a jail its own syslogd takes them, with the host's syslog.conf, which another logger of
    the host (syslog-ng, rsyslog) does not read.
    """
    asked = "sockstat -ulq | awk '$6 == \"/var/run/log\" {print $2, $3}'"
    rows = host.run(asked).stdout.splitlines()
    others = [row for row in rows if not row.startswith("syslogd ")]
    sends = host.run("grep -sE '^[^#]*[[:space:]]@[A-Za-z0-9]' /etc/syslog.conf").stdout
    assert not others or sends, (
        f"{others[0]} takes messages at /var/run/log (sockstat -ul), in the place of syslogd(8), "
        "which does so in jails, by /etc/syslog.conf: messages of what moves would not reach it. "
        "Write `*.* @ADDRESS` there, where that program takes messages over UDP (of the "
        "jails, too), or any other machine"
    )

"""What else on the host names a daemon: crontabs, newsyslog, hooks, scripts, other daemons."""

from __future__ import annotations

from typing import Any

from operations.facts import NEWSYSLOG, of_logs, within
from rollout.site import Site
from tests.checks import naming


def test_nothing_names_the_daemon(host: Any, site: Site, service: str) -> None:
    found = [each for each in naming.found(host, site, service) if each.stops]
    assert not found, "\n".join(map(str, found))


def test_nothing_is_to_be_told(host: Any, site: Site, service: str) -> None:
    """For a plan, which lists what goes on by itself, too."""
    found = naming.found(host, site, service)
    assert not found, "\n".join(map(str, found))


def test_service_is_asked_in_jail(host: Any, site: Site, service: str) -> None:
    """By its plain words: what a crontab or a hook says."""
    script, jail = site.services[service].rc, site.jail_of(service)
    here = host.run("service %s status", script)
    there = host.run("service -j %s %s status", jail, script)
    assert (here.rc, here.stdout) == (there.rc, there.stdout), (
        f"service {script} status says {here.stdout.strip()!r}: expected what the daemon of jail "
        f"{jail} says, {there.stdout.strip()!r}"
    )


def test_logs_are_rotated_once(host: Any, site: Site, service: str) -> None:
    """Not by the host, which would follow links of the jail's; each by the jail's newsyslog."""
    daemon, jail = site.services[service], site.jail_of(service)
    inside = tuple(f"{each}/" for each in (*daemon.logs, *daemon.data))
    logs = [*daemon.log_files, *inside]
    ours = of_logs(logs, 'ours($1) {print FILENAME ": " $1}')
    still = host.check_output(within(ours, " ".join(NEWSYSLOG)))
    assert not still, f"newsyslog of the host still rotates {still}"
    mark = f"# cellblock: in jail {jail}: "
    marked = host.run(f"grep -hs '^{mark}' {' '.join(NEWSYSLOG)}").stdout.splitlines()
    wanted = {line.removeprefix(mark).split()[0] for line in marked}
    files = f"cat {' '.join(NEWSYSLOG)} 2>/dev/null"
    there = host.run("jexec %s sh -c %s", jail, files).stdout
    rotated = {line.split()[0] for line in there.splitlines() if line.strip()}
    lacking = {log for log in wanted - rotated if log in logs or log.startswith(inside)}
    assert not lacking, f"nobody rotates {', '.join(sorted(lacking))} in jail {jail}"


def test_logs_are_read_on_the_host(host: Any, site: Site, service: str) -> None:
    jail = site.jail_of(service)
    for log in site.services[service].log_files:
        target = f"{site.shown_logs(jail)}/{log.removeprefix('/var/log/')}"
        # Not resolved: a log in which nothing was written yet need not be there.
        assert host.run("readlink %s", log).stdout.strip() == target, (
            f"{log} does not lead to {target}"
        )
        has = host.run("jexec %s test -s %s", jail, log).rc == 0
        assert not has or host.run("test -s %s", log).rc == 0, f"{log} does not show the jail's"

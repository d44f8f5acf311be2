"""What else on the host names a daemon: crontabs, newsyslog, hooks, scripts, other daemons."""

from __future__ import annotations

import re
from typing import Any

from rollout.site import Service, Site

PLACES = (
    "/etc/crontab /etc/cron.d /var/cron/tabs /etc/newsyslog.conf /etc/newsyslog.conf.d "
    "/etc/periodic.conf /etc/periodic.conf.local /etc/syslog.conf /etc/syslog.d /etc/rc.local "
    "/etc/blacklistd.conf /usr/local/etc /root/bin"
)


def test_nothing_names_the_daemon(host: Any, site: Site, service: str) -> None:
    daemon = site.services[service]
    named = words(daemon)
    patterns = " ".join(f"-e '{word}'" for word in named)
    # One pass over all places; what they say besides stays on the host: a crontab has passwords.
    said = host.run(f"grep -rnIsF {patterns} {PLACES}").stdout
    ours = own(site)
    meant = re.compile(rf"(?<![\w.-])({'|'.join(map(re.escape, named))})(?![\w-])")
    found = [
        f"{path}:{number}: {word[0]}"
        for path, number, text in map(_parted, said.splitlines())
        if not path.startswith(ours) and not text.lstrip().startswith("#")
        if (word := meant.search(text))
    ]
    assert not found, "\n".join(found)


def words(daemon: Service) -> list[str]:
    """By which other files mean the daemon itself, or its configuration."""
    scripts = [f"service {daemon.rc}", f"/etc/rc.d/{daemon.rc}", f"/usr/local/etc/rc.d/{daemon.rc}"]
    return [*scripts, *daemon.names, *daemon.configuration]


def own(site: Site) -> tuple[str, ...]:
    """Where a daemon names itself, and where we do."""
    daemons = site.services.values()
    configuration = [path for daemon in daemons for path in daemon.configuration]
    return ("/usr/local/etc/cellblock/", "/usr/local/etc/rc.d/", *configuration)


def _parted(line: str) -> tuple[str, str, str]:
    path, _, rest = line.partition(":")
    number, _, text = rest.partition(":")
    return path, number, text

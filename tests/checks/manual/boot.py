"""What decides at the next boot: rc.conf, by what Cellblock writes there."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import Look
from rollout.site import Site


def rc_conf_decides(site: Site) -> Iterator[Look]:
    """None of its variables is in rc.conf.d, and the loopback of the jails keeps its name."""
    services = [site.services[name] for name in site.order if name in site.services]
    rcvars = "|".join(dict.fromkeys(each.rcvar for each in services))
    names = f"jail_enable|jail_list|cloned_interfaces|firewall_coscripts|{rcvars}".rstrip("|")
    lan = site.lan.interface
    places = "/etc/rc.conf.d /usr/local/etc/rc.conf.d"
    yield Look(f"grep -D skip -nrsE '^ *(({names})=|ifconfig_{lan}[_=])' {places}")
    yield Look(f"sysrc -qin ifconfig_{lan}_name")


def jails_are_on_a_disk(site: Site) -> Iterator[Look]:
    """Neither in memory nor read only, and where programs run."""
    above = f"at={site.base.jails}; while [ ! -d $at ]; do at=${{at%/*}}; at=${{at:-/}}; done"
    unfit = '$3 == "tmpfs" || $4 ~ /^ro|noexec/'
    yield Look(
        f"{above}; df $at /var/db | awk 'NR > 1 {{print $NF}}' | while read -r at; do "
        f"mount -p | awk -v at=$at '$2 == at && ({unfit}) {{print}}'; done"
    )


def rules_are_flushed_by_rc_alone(_: Site) -> Iterator[Look]:
    """No crontab, rc.local or script of one's own may run `ipfw flush`."""
    places = "/etc/rc.local /etc/crontab /etc/cron.d /var/cron/tabs /usr/local/etc/rc.d"
    yield Look(f"grep -D skip -rnsE '^[^#]*ipfw.*[[:space:]]flush' {places}")


def backups_do_not_read_jails_again(site: Site) -> Iterator[Look]:
    """Of / or what holds the jails; without --exclude, and across file systems."""
    files = "/etc/crontab /etc/cron.d /root/bin /var/cron/tabs/root /usr/local/etc/periodic"
    yield Look(
        f"grep -D skip -rnsE '(rsync|tar|restic|borg).* /(usr)?/?( |$)' {files} | "
        "grep -v -e exclude -e one-file-system -e ' -[a-zA-Z]*x'"
    )

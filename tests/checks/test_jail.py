"""A thin jail: it runs, has its address, and can write only what is its own."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Any

from operations.carried import LOCAL_ETC, Ask, is_in
from operations.companion import Enabled
from operations.jail import BASE, LOCAL
from operations.mail import ACCESS, MAIN_CF
from operations.mailers import WRAPPER
from operations.php import PLACES
from operations.settings import listed
from rollout.site import Site

if TYPE_CHECKING:
    from operations.doors import Ways
    from tests.checks.conftest import HostFirewall


def test_runs(jails: dict[str, list[str]], jail: str) -> None:
    assert jail in jails, f"jail {jail} does not run"


def test_has_its_address(
    firewall: HostFirewall,
    jails: dict[str, list[str]],
    site: Site,
    jail: str,
    ways: Ways | None,
) -> None:
    """And those at which it answers further addresses of the host over UDP."""
    there = jails.get(jail, [])
    found = ", ".join(there) or "none"
    first, *more = map(str, site.jails[jail].addresses)
    more += map(str, firewall.further(ways, site.jails[jail].address).values())
    # The kernel keeps the first and sorts the others.
    assert there[:1] == [first], f"addresses of jail {jail}: expected {first} first; found {found}"
    assert set(there[1:]) == set(more), (
        f"addresses of jail {jail}: expected {', '.join([first, *more])}; found {found}"
    )


def test_base_is_read_only(mounts: list[list[str]], site: Site, jail: str) -> None:
    for name in BASE:
        point = f"{site.root(jail)}/{name}"
        assert [point, "nullfs", "ro"] in mounts, f"{point} is not a read-only nullfs mount"


def test_has_its_mounts(host: Any, mounts: list[list[str]], site: Site, jail: str) -> None:
    """The data, logs and mounts of the site file, and the host's programs that it shares."""
    services = [site.services[each] for each in site.jails[jail].services]
    wanted = {path: "rw" for each in services for path in (*each.data, *each.logs)}
    wanted |= {each.point: "rw" if each.writable else "ro" for each in site.mounts(jail)}
    if site.jails[jail].software == "shared":
        shared = " ".join(f"/usr/local/{each}" for each in LOCAL)
        there = f"for each in {shared}; do [ ! -d $each ] || echo $each; done"
        wanted |= dict.fromkeys(host.check_output(there).split(), "ro")
        wanted["/usr/local/etc"] = "rw"
    has = {point: options.split(",")[0] for point, kind, options in mounts if kind == "nullfs"}
    root = site.root(jail)
    lost = [
        f"{root}{path} ({mode})"
        for path, mode in wanted.items()
        # /home may be a link to usr/home, which the mount table has.
        if mode not in (has.get(root + path), has.get(f"{root}/usr{path}"))
    ]
    assert not lost, f"jail {jail} lacks these nullfs mounts: {', '.join(lost)}"


def test_has_mounted(mounts: list[list[str]], site: Site, jail: str, path: str) -> None:
    """Without it the jail would use a directory of its own tree, which a rollback deletes."""
    point = f"{site.root(jail)}{path}"
    assert [point, "nullfs"] in [each[:2] for each in mounts], f"{point} is not a nullfs mount"


def test_has_its_configuration(host: Any, ask: Ask, site: Site, jail: str) -> None:
    """Of its services, and of the companions that the host enables; as far as the host has it."""
    names = site.jails[jail].services
    companions = [each for name in names for each in site.companions(name)]
    paths = [path for name in names for path in site.services[name].configuration]
    paths += [
        path for each in companions if ask(Enabled, script=each.rc) for path in each.configuration
    ]
    asked = f'for each in {" ".join(map(quote, paths))}; do [ ! -e "$each" ] || echo "$each"; done'
    has = host.check_output("jexec %s sh -c %s", jail, asked).splitlines()
    lost = [each for each in host.check_output(asked).splitlines() if each not in has]
    assert not lost, (
        f"jail {jail} does not have the configuration in {', '.join(lost)}: it is copied when the "
        "jail is built, so undo that step and apply it again"
    )


def test_has_what_was_changed_on_the_host(host: Any, site: Site, jail: str) -> None:
    """Since it was built: configuration that somebody edits where it always was, and certificates
    that are renewed there. Not what daemons write themselves, nor maps, which are made of files;
    and whoever changed the jail's later than the host's knows of both.
    """
    named = site.configuration(jail)
    ours = {WRAPPER}
    if "mail" not in site.jails[jail].services:
        ours |= {ACCESS, MAIN_CF}  # that of the host relays for jails (mail.relayed)
    users = {site.services[each].user for each in site.jails[jail].services} - {"root"}
    rows = [row.split(" ", 1) for row in host.check_output(changed(site, jail)).splitlines()]
    paths = [
        *dict.fromkeys(path for owner, path in rows if owner not in users and path not in ours)
    ]
    asked = (
        f"for each in {' '.join(map(quote, paths))}; do "
        'if [ -f "$each" ]; then echo "$(stat -L -f %m "$each") $(cksum < "$each")"; '
        "else echo 0 none; fi; done"
    )
    here = host.check_output(asked).splitlines() if paths else []
    there = host.check_output("jexec %s sh -c %s", jail, asked).splitlines() if paths else []
    lost = []
    for path, mine, its in zip(paths, here, there, strict=True):
        (when, content), (when_there, content_there) = mine.split(" ", 1), its.split(" ", 1)
        copied = content_there != "none" or is_in(path, named)
        if copied and content != content_there and int(when) > int(when_there):
            lost.append(path)
    assert not lost, (
        f"jail {jail} does not have what was changed on the host since it was built: "
        f"{', '.join(lost[:10])}: make the same change in the jail (`jexec {jail} vi "
        f"{lost[0]}`, say), and let its daemon reload it; it uses its own copy"
    )


def changed(site: Site, jail: str) -> str:
    """sh that prints owner and path of each file of configuration that is newer than the jail, and
    of each link to one, as certbot has them.
    """
    built = quote(f"{site.base.jails}/{jail}/fstab")
    newer = 'for each; do if [ -f "$each" ] && [ "$each" -nt "$0" ]; then '
    newer += "stat -L -f '%Su %N' \"$each\"; fi; done"
    shared = [LOCAL_ETC] if site.jails[jail].software == "shared" else []
    places = " ".join(map(quote, [*shared, *site.configuration(jail)]))
    return (
        f"ls {built} >/dev/null && {{ find -H {places} \\( -type l -o -type f -newer {built} \\) "
        f"! -name '*.db' -exec sh -c {quote(newer)} {built} {{}} + 2>/dev/null || true; }}"
    )


SUMS = (
    f"cd {LOCAL_ETC} && {listed(())} | while IFS= read -r each; do "
    '[ ! -f "$each" ] || printf \'%s\\0\' "$each"; done | xargs -0r cksum'
)


def test_has_what_all_may_read(host: Any, site: Site, jail: str) -> None:
    """Settings of programs that pages run, as they are on the host. What was adapted to the jail is
    asked elsewhere.
    """
    adapted = (*site.configuration(jail), *PLACES, WRAPPER)
    here = host.check_output(SUMS).splitlines()
    there = host.check_output("jexec %s sh -c %s", jail, SUMS).splitlines()
    names = {row.split(" ", 2)[2]: row for row in there}
    lost = []
    for row in set(here) - set(there):
        name = row.split(" ", 2)[2]
        path = f"{LOCAL_ETC}/{name.removeprefix('./')}"
        kept = is_in(path, [each for one in site.services.values() for each in one.data])
        if not kept and not (name in names and is_in(path, adapted)):
            lost.append(path)
    assert not lost, (
        f"jail {jail} does not have these as the host has them, and programs of pages may read "
        f"them: {', '.join(sorted(lost)[:10])}: undo that step and apply it again"
    )


def test_has_what_is_mounted_below(
    host: Any, mounts: list[list[str]], site: Site, jail: str
) -> None:
    """A file system that is mounted below what the jail mounts is not in that mount."""
    services = [site.services[each] for each in site.jails[jail].services]
    shown = {path: path for each in services for path in (*each.data, *each.logs)}
    shown |= {each.source: each.point for each in site.mounts(jail)}
    real = host.check_output(f"realpath {' '.join(shown)}").split() if shown else []
    points = [mount[0] for mount in mounts]
    lost = [
        point
        for at, target in zip(real, shown.values(), strict=True)
        for point in points
        if point.startswith(f"{at}/")
        and f"{site.root(jail)}{target}{point.removeprefix(at)}" not in points
    ]
    assert not lost, (
        f"jail {jail} does not have what is mounted on the host at {', '.join(lost)}: it has what "
        "lies under it"
    )


def test_gives_no_rights_by_programs(mounts: list[list[str]], site: Site, jail: str) -> None:
    """What the site file says to be nosuid is mounted so, and what is mounted below it, too."""
    root = site.root(jail)
    points = [f"{root}{point}" for _, point in site.nosuid(jail)]
    there = {
        at: options.split(",")
        for at, kind, options in mounts
        # /home may be a link to usr/home, which the mount table has.
        if any(f"{at}/".startswith((f"{e}/", f"{root}/usr{e.removeprefix(root)}/")) for e in points)
    }
    assert there, f"jail {jail} lacks its nullfs mounts: {', '.join(points)}"
    without = [at for at, options in there.items() if "nosuid" not in options]
    assert not without, (
        f"{', '.join(without)} is mounted without nosuid: a mount gets its options when the jail "
        f"starts, from {site.base.jails}/{jail}/fstab"
    )


def test_has_no_passwords(host: Any, jail: str) -> None:
    rows = host.check_output("jexec %s cat /etc/master.passwd", jail).splitlines()
    assert rows, f"/etc/master.passwd of jail {jail} is empty"
    with_password = [row.split(":")[0] for row in rows if row.split(":")[1:2] != ["*"]]
    assert not with_password, f"accounts with a password in jail {jail}: {', '.join(with_password)}"


def test_finds_names_as_the_host(host: Any, jail: str) -> None:
    files = "cat /etc/hosts /etc/resolv.conf 2>/dev/null || true"
    wanted, has = (
        _names(host.check_output(files)),
        _names(host.check_output(f"jexec {jail} sh -c '{files}'")),
    )
    assert wanted <= has, (
        f"/etc/hosts and /etc/resolv.conf of jail {jail} lack what the host's have: "
        f"{', '.join(sorted(wanted - has))}: they are written when the jail is built, so undo that "
        "step and apply it again"
    )


def test_has_the_time_of_the_host(host: Any, jail: str) -> None:
    """MySQL's NOW() and PHP's date are in the time zone of /etc/localtime."""
    asked = "date +%z%t%Z; sed -n 's/#.*//; /:/p' /etc/nsswitch.conf"
    here, there = host.run(asked).stdout, host.run("jexec %s sh -c %s", jail, asked).stdout
    assert here == there, (
        f"/etc/localtime or /etc/nsswitch.conf of jail {jail} differs from the host's: expected "
        f'"{" ".join(here.split())}"; found "{" ".join(there.split()) or "no answer"}": they are '
        "copied when the jail is built, so undo that step and apply it again"
    )


def _names(text: str) -> set[str]:
    """The names of hosts(5), and the lines of resolv.conf(5) but for the name servers."""
    rows = [row.partition("#")[0].split() for row in text.splitlines()]
    asked = {" ".join(row) for row in rows if row[:1] in (["search"], ["domain"], ["options"])}
    return asked | {
        name.lower() for row in rows for name in row[1:] if row[0][:1].isdigit() or ":" in row[0]
    }


def test_reaches_localhost_of_the_host(host: Any, site: Site, jail: str, service: str) -> None:
    """In a jail 127.0.0.1 is the jail's own address: a rule leads from there to the host."""
    for port in site.services[service].tcp_ports:
        ask = f"nc -z -w 10 127.0.0.1 {port}"
        if host.run(ask).rc == 0:
            assert host.run(f"jexec {jail} {ask}").rc == 0, (
                f"services.{service} stays on the host and answers there at 127.0.0.1:{port}, but "
                f"does not answer a program in jail {jail} that asks 127.0.0.1:{port}: see the "
                "rules of the sets that lead there (ipfw -S list), and what counts up meanwhile "
                "(ipfw -a list)"
            )


def test_waits_for_the_rules(host: Any, jail: str, ready: str) -> None:
    """jail(8) asks for the rules before it starts the jail, and they are in force now."""
    conf = f"/etc/jail.conf.d/{jail}.conf"
    asks = host.run(f"grep -qF '{ready}' {conf}").rc == 0
    assert asks, f"{conf} has no exec.prepare with {ready}: jail {jail} would start without rules"
    answer = host.run(ready)
    assert answer.rc == 0, (
        f"jail {jail} would not start again: {answer.stderr.strip() or f'{ready} fails'}"
    )


def test_starts_at_boot(jails_at_boot: list[str], jail: str) -> None:
    assert jail in jails_at_boot, (
        f"jail {jail} would not start at boot: expected it in jail_list, and jail_enable=YES, in "
        "rc.conf"
    )

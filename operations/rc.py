"""rc.conf variables and rc scripts, on the host or in a jail."""

from __future__ import annotations

import re
from hashlib import sha256

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.exceptions import OperationError

from operations import files
from operations.command import ANY, Commands, Reversible, quote
from operations.facts import Path, RcConf

# sysrc replaces rc.conf by a new file and does not sync it: after a power cut within the half
# minute that UFS waits, only half of rc.conf, with everybody's settings, would be left.
_SAVED = "fsync /etc/rc.conf*"
LIMITED = "timeout -k 5 20"
"""Before a command in a jail that an undo needs not: its root may see to it that it never ends."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FILES = ("/etc/rc.conf", "/etc/rc.conf.local")
FOLDERS = ("/etc/rc.conf.d", "/usr/local/etc/rc.conf.d")

_ASSIGNED = "s/^[[:space:]]*(export[[:space:]]+)?({prefix}(limits)?_[A-Za-z0-9_]+)=.*/\\2/p"
_NOT_CARRIED = "sendmail_([a-z]+_)*enable"  # the host's other sendmail daemons are not the jail's

HOSTS_OWN = ("sendmail",)
"""Scripts that control something on the host even after their daemon has moved: a null client. So
`service` on the host keeps controlling that."""


def _checked(name: str) -> str:
    # sysrc accepts a bad name and writes a line that breaks every later service command.
    if not _NAME.fullmatch(name):
        raise OperationError(f'"{name}" is not a valid name for an rc.conf variable')
    return name


def _kept(name: str) -> str:
    """sh that prints the value in the before-images of rc.conf, or fails if there is none."""

    def has(image: str) -> str:  # sysrc -f alone would print a default that the file does not set
        return f'grep -qs ^{name}= "$KEEP/{image}"'

    def value(image: str) -> str:
        return f'sysrc -f "$KEEP/{image}" -n {name}'

    return f"if {has('2')}; then {value('2')}; else {has('1')} && {value('1')}; fi"


@operation()
def variable(name: str, value: str) -> Commands:
    """Set a variable in rc.conf; the undo restores its old value, or removes it if it had none.

    In a plan without a host the undo reads the old value from a before-image.
    """
    conf = host.get_fact(RcConf)
    before = None if conf is None else conf.get(name)
    if before == value:
        host.noop(f'{_checked(name)} is "{value}" in rc.conf already')
        return
    # sysrc -c also reads /etc/defaults/rc.conf, and a value that is only there cannot be removed.
    ours = f"grep -qs ^{name}= {' '.join(_FILES)} && sysrc -c {name}={quote(value)}"
    absent = f"if {ours}; then sysrc -x {name}; fi"
    if conf is None:
        undo = (
            f'if [ ! -e "$KEEP/1" ]; then :; elif old=$({_kept(name)}); then sysrc {name}="$old"; '
            f"else {absent}; fi"
        )
    else:
        undo = absent if before is None else f"sysrc {name}={quote(before)}"
    yield Reversible(
        f"sysrc {_checked(name)}={quote(value)} && {_SAVED}",
        undo=f"{undo} && {_SAVED}",
        says=f'set {name}="{value}" in rc.conf',
        keep=_FILES if conf is None else (),
        owns={} if before is None else {f"rc.conf {name}": before},
        sees=f"{name}: {ANY} -> {value}",
    )


@operation()
def word(name: str, value: str) -> Commands:
    """Add a word to a list in rc.conf (cloned_interfaces, jail_list); the undo removes it."""
    conf = host.get_fact(RcConf)
    before = None if conf is None else conf.get(name)
    if before is not None and value in before.split():
        host.noop(f"{_checked(name)} has {value}")
        return
    undo = f"sysrc {name}-={quote(value)}"
    if conf is None:
        undo = (
            f'if [ -e "$KEEP/1" ]; then case " $({_kept(name)}) " in *" "{quote(value)}" "*) ;; '
            f'*) {undo}; if [ -z "$(sysrc -ni {name})" ] && ! {{ {_kept(name)}; }} >/dev/null; '
            f"then sysrc -ix {name}; fi;; esac; fi"
        )
    elif before is None:
        undo += f'; if [ -z "$(sysrc -ni {name})" ]; then sysrc -ix {name}; fi'
    yield Reversible(
        f"sysrc {_checked(name)}+={quote(value)} && {_SAVED}",
        undo=f"{undo} && {_SAVED}",
        says=f"add {value} to {name} in rc.conf",
        keep=_FILES if conf is None else (),
        sees=f"{name}: {ANY} -> {ANY} {value}",
    )


@operation()
def jail_variable(name: str, value: str, jail: str, root: str, before: str) -> Commands:
    """Set a variable in the rc.conf of a running jail; the undo sets it to `before`.

    Inside the jail with sysrc -j: from outside, a link planted as etc/rc.conf would be followed.
    In a stopped jail nobody can plant one, so there the path is checked and then used; not by
    sysrc(8), which lets sh run the file, outside of the jail. The undo asks nothing of the jail:
    its root may have put something else in the file's place.
    """
    _checked(name)
    file = f"{root}/etc/rc.conf"
    saved = f"jexec {quote(jail)} fsync /etc/rc.conf"
    line = quote(f's/^[[:space:]]*{name}=.*/{name}="{before}"/')
    stopped = (
        f'if [ "$(realpath {quote(file)})" = {quote(file)} ]; '
        f"then [ -f {quote(file)} ] && sed -i '' -e {line} {quote(file)} && fsync {quote(file)}; "
        "else false; fi"
    )
    told = f"notice: {name} could not be set in jail {jail}: its rc.conf is not as it should be"
    yield Reversible(
        f"sysrc -j {quote(jail)} {name}={quote(value)} && {saved}",
        undo=f"{{ if jls -j {quote(jail)} jid >/dev/null 2>&1; "
        f"then {LIMITED} sysrc -j {quote(jail)} {name}={quote(before)} && {LIMITED} {saved}; "
        f"else {stopped}; fi; }} || echo {quote(told)}",
        says=f'set {name}="{value}" in rc.conf of jail {jail}',
        sees=f"{name}: {ANY} -> {value}",
    )


LIBRARIES = "ldconfig_enable"
"""Of the script that tells programs where libraries are (ldconfig_paths); nothing reads it."""
YES = ("yes", "true", "on", "1")
"""What checkyesno of rc.subr(8) takes for yes, in any case."""


def read_for(prefix: str) -> str:
    """sh that prints the files that rc.subr(8) reads for a script, in its order: the last wins."""
    places = (f"{each}/{prefix} {each}/{prefix}/*" for each in FOLDERS)
    files = " ".join((*_FILES, *places))
    return f'for file in {files}; do if [ -f "$file" ]; then echo "$file"; fi; done'


def service_jail(rcvar: str) -> str:
    """sh that prints what makes rc.subr(8) start a daemon in a service jail (FreeBSD 15 and later).

    Lines of the files that it reads, as FILE:LINE:NAME=VALUE.
    """
    prefix = _checked(rcvar).removesuffix("_enable")
    said = f"^[[:space:]]*({prefix}_svcj|svcj_all_enable)="
    return f"files=$({read_for(prefix)}); grep -nE {quote(said)} $files /dev/null"


def statements(rcvar: str) -> str:
    """sh that prints what rc.subr(8) runs before a daemon besides settings of variables.

    Lines of the files that it reads, as FILE:LINE:WORD. Of rc.conf those that reach a daemon: what
    is exported, limits, the umask, and other files.
    """
    prefix = _checked(rcvar).removesuffix("_enable")
    words = "(export|umask|ulimit|limits|[.]|source)[[:space:]]+[^[:space:]=]*"
    own = quote(f":[[:space:]]*export[[:space:]]+{prefix}_")
    return (
        f"files=$({read_for(prefix)}); grep -noE {quote(f'^[[:space:]]*{words}')} $files /dev/null "
        f"| grep -vE {own}"
    )


def variables(rcvar: str) -> str:
    """sh that prints an rc script's variables as NAME='VALUE', but not `rcvar` itself.

    Their names begin with the script's own, as rcvar's does. The files are read by sh, as rc.subr
    does; a value may refer to another.
    """
    prefix = _checked(rcvar).removesuffix("_enable")
    names = (
        f"sed -nE {quote(_ASSIGNED.format(prefix=prefix))} $files /dev/null "
        f"| sort -u | grep -vxE {quote(f'{rcvar}|{_NOT_CARRIED}')}"
    )
    value = "$(printf %s \"$value\" | sed \"s/'/'\\\\\\\\''/g\")"
    return (
        f"(set +eu; files=$({read_for(prefix)}); names=$({names}); "
        'for file in $files; do . "$file"; done >/dev/null 2>&1; '
        'for name in $names; do eval "value=\\$$name"; '
        f'printf "%s=\'%s\'\\n" "$name" "{value}"; done)'
    )


@operation()
def variables_in_jail(rcvar: str, root: str) -> Commands:
    """Write an rc script's variables, as the host has them, into rc.conf of a jail.

    Without them the jail's daemon would have other data, options or files: the MySQL ports' script,
    for example, passes mysql_dbdir and makes a new, empty database where it finds none. Only before
    the jail has ever run. Undone with the jail's tree.
    """
    file = f"{root}/etc/rc.conf"
    yield Reversible(
        f"{variables(rcvar)} >> {quote(file)}",
        undo=":",
        says=f"copy the host's rc variables {rcvar.removesuffix('_enable')}_* to {file}",
    )


@operation()
def configuration_is_right(jail: str, command: str) -> Commands:
    """Let a daemon's own program, in a running jail, test its configuration."""
    yield Reversible(
        f"jexec {quote(jail)} {command}",
        undo=":",
        live=True,
        says=f"test the configuration in jail {jail}: {command}",
        sees=ANY,
    )


@operation()
def asked_in_jail(path: str, content: str) -> Commands:
    """Redirect `service X reload`, typed on the host, to the daemon in its jail.

    `content`, at `path` in rc.conf.d, is sh that rc.subr reads before it runs the rc command. A
    file that somebody else put there is not replaced.
    """
    now = host.get_fact(Path, path=path)
    ours = sha256(content.encode()).hexdigest()
    if now.kind != "absent" and now.sha256 != ours:
        raise OperationError(
            f"{path} exists already: expected nothing there, since that file is to redirect "
            "`service` on the host to the jail; move its settings into rc.conf"
        )
    yield from files.put._inner(path, content)

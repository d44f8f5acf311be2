"""Files, directories and links on the host, put in place by one rename."""

from __future__ import annotations

from hashlib import sha256

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.exceptions import OperationError

from operations.command import Commands, NewFile, Reversible, quote, staged
from operations.facts import HasLine, HasOurLine, IsDirectory, LeadsTo, Path, Replaceable, State


@operation()
def put(
    path: str, content: str, mode: str = "644", owner: str = "root:wheel", needed: str = ""
) -> Commands:
    """Put `content` at `path` by one rename; the undo puts back what was there, to the byte.

    The undo refuses when somebody changed the file since: it is not overwritten in silence. And as
    long as `needed` holds, a question in sh: what cannot be taken back without the file is to be
    tried again first.
    """
    now = host.get_fact(Path, path=path)
    ours = sha256(content.encode()).hexdigest()
    if now == State("file", mode, owner, ours):
        host.noop(f"{path} is as wanted")
        return
    if now.kind not in ("absent", "file"):
        raise OperationError(f"{path} is a {now.kind}: expected a file or nothing")
    new, at = quote(staged(path)), quote(path)
    yield NewFile(path, content)
    yield Reversible(
        f"chown {owner} {new} && chmod {mode} {new} && fsync {new} && mv -f {new} {at}",
        undo=unless(needed, path, _put_back(path, ours, now)),
        says=f"{'replace' if now.kind == 'file' else 'create'} {path}",
        keep=(path,) if now.kind == "file" else (),
        owns={path: now.sha256},
    )


def unless(needed: str, path: str, undo: str) -> str:
    """The undo of a file, which fails as long as that question is answered yes."""
    if not needed:
        return undo
    return f"if {needed}; then echo {quote(f'{path} is needed still')} >&2; false; else {undo}; fi"


def _put_back(path: str, ours: str, before: State) -> str:
    """Only a file that is still ours is taken away or replaced."""
    at, new = quote(path), quote(staged(path))
    foreign = (
        f"else echo {quote(f'{path} was changed by somebody since: left as it is')} >&2; false; fi"
    )
    if before.kind == "absent":
        return (
            f"if [ ! -e {at} ]; then :; "
            f'elif [ "$(sha256 -q {at})" = {ours} ]; then rm -f {at}; {foreign}'
        )
    return (
        f'if [ "$(sha256 -q {at})" = {before.sha256} ] && [ ! -e "$KEEP/1" ]; then :; '
        f'elif [ ! -e {at} ] || [ "$(sha256 -q {at})" = {ours} ] '
        f'|| [ "$(sha256 -q {at})" = {before.sha256} ]; '
        f'then cp -p "$KEEP/1" {new} && fsync {new} && mv -f {new} {at}; {foreign}'
    )


@operation()
def directory(path: str, mode: str = "755", owner: str = "root:wheel") -> Commands:
    """Make a directory; the undo removes it if it is empty, and leaves what others put there.

    A plan without a host does not know whether it is there already: its command looks, and notes in
    "$KEEP/made" for the undo that it was not.
    """
    now = host.get_fact(IsDirectory, path=path)
    if now.kind == "directory":
        host.noop(f"{path} is there")
        return
    if now.kind not in ("absent", "unknown"):
        raise OperationError(f"{path} is a {now.kind}: expected a directory or nothing")
    user, group = owner.split(":")
    at, made = quote(path), '"$KEEP/made"'
    do, says = f"install -d -m {mode} -o {user} -g {group} {at}", f"make directory {path}"
    undo = f'if [ -d {at} ] && [ -z "$(ls -A {at})" ]; then rmdir {at}; fi'
    if now.kind == "unknown":
        # mkdir, which says no to a file and to a link to a directory; install -d would follow that.
        do = (
            f"if [ ! -d {at} ] || [ -L {at} ]; then "
            f": > {made} && fsync {made} && mkdir {at} && {do}; fi"
        )
        undo = f"if [ -e {made} ] && [ ! -L {at} ]; then {undo}; fi"
        says += ", where there is none"
    yield Reversible(do, undo=undo, says=says)


@operation()
def line(path: str, old: str, new: str) -> Commands:
    """Replace a whole line of a file that other hands edit too; the undo turns it back.

    Nothing where the file has no such line.
    """
    if not host.get_fact(HasLine, path=path, line=old):
        host.noop(f"{path} has no line {old!r}")
        return
    yield Reversible(
        _exchanged(path, old, new),
        undo=_exchanged(path, new, old),
        says=f"{path}: {new!r} in place of {old!r}",
    )


def _exchanged(path: str, old: str, new: str) -> str:
    at, beside = quote(path), quote(staged(path))
    return (
        f"if grep -qxF {quote(old)} {at}; then cp -p {at} {beside} && "
        f"awk -v old={quote(old)} -v new={quote(new)} '$0 == old {{$0 = new}} {{print}}' {at} "
        f"> {beside} && fsync {beside} && mv -f {beside} {at}; fi"
    )


@operation()
def link(path: str, target: str) -> Commands:
    """Make a symbolic link where nothing or a dead socket is; the undo removes it if it is ours."""
    now = host.get_fact(Replaceable, path=path)
    if now == State("link", target=target):
        host.noop(f"{path} points to {target}")
        return
    if now.kind not in ("absent", "other"):
        raise OperationError(f"{path} is a {now.kind}: expected a socket or nothing")
    at, to = quote(path), quote(target)
    yield Reversible(
        f"ln -sfh {to} {at}",
        undo=f'if [ -L {at} ] && [ "$(readlink {at})" = {to} ]; then rm -f {at}; fi',
        says=f"link {path} -> {target}",
    )


@operation()
def headed(path: str, line: str) -> Commands:
    """Put one line at the head of a file that others edit too; the undo takes out just that line.

    At the head, so that what follows stays as it is to the byte, its missing last newline too.
    """
    if host.get_fact(HasOurLine, path=path, line=line):
        host.noop(f"{path} has the line {line!r}")
        return
    at, new, own = quote(path), quote(staged(path)), quote(line)
    replaced = f"fsync {new} && mv -f {new} {at}"
    yield Reversible(
        f"cp -p {at} {new} && {{ printf '%s\\n' {own} && cat {at}; }} > {new} && {replaced}",
        undo=f"rm -f {new}; if grep -qxF -- {own} {at}; then cp -p {at} {new} "
        f'&& if [ "$(head -n 1 {at})" = {own} ]; then tail -n +2 {at} > {new}; '
        f"else grep -vxF -- {own} {at} > {new}; fi && {replaced}; fi",
        says=f"{path}: add {' '.join(line.split())}",
    )


@operation()
def removed(path: str) -> Commands:
    """Remove a file of ours; the undo puts it back as it was, where nothing is."""
    at, beside = quote(path), quote(staged(path))
    yield Reversible(
        f"rm -f {at}",
        undo=f'if [ ! -e {at} ] && [ -e "$KEEP/1" ]; then cp -p "$KEEP/1" {beside} '
        f"&& fsync {beside} && mv -f {beside} {at}; fi",
        says=f"remove {path}",
        keep=(path,),
        owns={path: ""},
    )


@operation()
def unlinked(path: str, target: str) -> Commands:
    """Remove a symbolic link that leads to `target`; the undo makes it again where nothing is."""
    if not host.get_fact(LeadsTo, path=path, target=target):
        host.noop(f"{path} does not lead to {target}")
        return
    at, to = quote(path), quote(target)
    yield Reversible(
        f"rm {at}",
        undo=f"if [ ! -e {at} ] && [ ! -L {at} ]; then ln -sfh {to} {at}; fi",
        says=f"remove the link {path} -> {target}",
        owns={path: target},
    )

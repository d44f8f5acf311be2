"""Files, directories and links on the host; content is put in place by one rename."""

from __future__ import annotations

from hashlib import sha256
from pathlib import PurePosixPath

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.exceptions import OperationError

from operations.command import Commands, NewFile, Reversible, quote, staged
from operations.facts import HasLine, HasOurLine, IsDirectory, LeadsTo, Path, Replaceable, State


@operation()
def put(
    path: str, content: str, mode: str = "644", owner: str = "root:wheel", needed: str = ""
) -> Commands:
    """Put `content` at `path` by one rename; the undo restores what was there, byte for byte.

    The undo fails if the file was changed since: such a change is never overwritten silently. It
    also fails while `needed`, a line of sh, succeeds: what needs the file must be undone first.
    """
    now = host.get_fact(Path, path=path)
    ours = sha256(content.encode()).hexdigest()
    if now == State("file", mode, owner, ours):
        host.noop(f"{path} has this content already")
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
    """The undo of a file, which fails while `needed` succeeds."""
    if not needed:
        return undo
    return f"if {needed}; then echo {quote(f'{path} is needed still')} >&2; false; else {undo}; fi"


def _put_back(path: str, ours: str, before: State) -> str:
    """Removes or replaces only a file that is still as Cellblock wrote it."""
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
def directory(
    path: str,
    mode: str = "755",
    owner: str = "root:wheel",
    parents: bool = False,
) -> Commands:
    """Create a directory; the undo removes it only if it is empty.

    With `parents` those that are not there are commands of their own, which the undo removes, too:
    install(1) would make them, and nothing would take them away again.

    A plan without a host does not know whether it exists: then the command checks, and notes in
    "$KEEP/made" for the undo that it created it.
    """
    if parents:
        for above in reversed(PurePosixPath(path).parents[:-1]):
            if host.get_fact(IsDirectory, path=str(above)).kind == "absent":
                yield from _made_directory(str(above), "755", "root:wheel", known=True)
    now = host.get_fact(IsDirectory, path=path)
    if now.kind == "directory":
        host.noop(f"{path} exists")
        return
    if now.kind not in ("absent", "unknown"):
        raise OperationError(f"{path} is a {now.kind}: expected a directory or nothing")
    yield from _made_directory(path, mode, owner, known=now.kind == "absent")


def _made_directory(path: str, mode: str, owner: str, *, known: bool) -> Commands:
    """`known`: it is not there."""
    user, group = owner.split(":")
    at, made = quote(path), '"$KEEP/made"'
    do, says = f"install -d -m {mode} -o {user} -g {group} {at}", f"create directory {path}"
    undo = f'if [ -d {at} ] && [ -z "$(ls -A {at})" ]; then rmdir {at}; fi'
    if not known:
        # mkdir, which refuses a file and a link to a directory; install -d would follow the link.
        do = (
            f"if [ ! -d {at} ] || [ -L {at} ]; then "
            f": > {made} && fsync {made} && mkdir {at} && {do}; fi"
        )
        undo = f"if [ -e {made} ] && [ ! -L {at} ]; then {undo}; fi"
        says += ", if it does not exist"
    yield Reversible(do, undo=undo, says=says)


@operation()
def line(path: str, old: str, new: str) -> Commands:
    """Replace a whole line of a file that others edit, too; the undo replaces it back.

    Does nothing if the file has no such line.
    """
    if not host.get_fact(HasLine, path=path, line=old):
        host.noop(f'{path} has no line "{old}"')
        return
    yield Reversible(
        _exchanged(path, old, new),
        undo=_exchanged(path, new, old),
        says=f'in {path}, replace "{old}" with "{new}"',
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
    """Create a symbolic link in place of nothing or a dead socket; the undo removes it."""
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
        says=f"create the link {path} -> {target}",
    )


@operation()
def headed(path: str, line: str) -> Commands:
    """Put one line at the top of a file that others edit, too; the undo removes just that line.

    At the top, so that the rest stays the same, byte for byte, even without a final newline.
    """
    if host.get_fact(HasOurLine, path=path, line=line):
        host.noop(f'{path} has the line "{line}"')
        return
    at, new, own = quote(path), quote(staged(path)), quote(line)
    replaced = f"fsync {new} && mv -f {new} {at}"
    yield Reversible(
        f"cp -p {at} {new} && {{ printf '%s\\n' {own} && cat {at}; }} > {new} && {replaced}",
        undo=f"rm -f {new}; if grep -qxF -- {own} {at}; then cp -p {at} {new} "
        f'&& if [ "$(head -n 1 {at})" = {own} ]; then tail -n +2 {at} > {new}; '
        f"else grep -vxF -- {own} {at} > {new}; fi && {replaced}; fi",
        says=f"add to {path}: {' '.join(line.split())}",
    )


@operation()
def removed(path: str) -> Commands:
    """Remove a file that Cellblock wrote; the undo restores it if nothing is there."""
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
    """Remove a symbolic link to `target`; the undo creates it again if nothing is there."""
    if not host.get_fact(LeadsTo, path=path, target=target):
        host.noop(f"{path} is no link to {target}")
        return
    at, to = quote(path), quote(target)
    yield Reversible(
        f"rm {at}",
        undo=f"if [ ! -e {at} ] && [ ! -L {at} ]; then ln -sfh {to} {at}; fi",
        says=f"remove the link {path} -> {target}",
        owns={path: target},
    )

"""Configuration for each account of a uid range: one awk program makes it from passwd."""

from __future__ import annotations

from dataclasses import dataclass

from pyinfra.api import operation

from operations.command import ANY, Commands, NewFile, Reversible, quote, staged

EACH = "# each account:"
"""The line of a template after which everything is repeated for each account."""

# php-fpm would take a name made of digits for a uid.
_USABLE = (
    r"$1 ~ /^[A-Za-z0-9_.][A-Za-z0-9_.-]*$/ && $1 !~ /^[0-9]+$/ "
    r"&& $6 ~ /^(\/[A-Za-z0-9._+@-]+)+$/"
)
# /home and /usr/home are the same directory on many hosts; a web server matches only the path that
# it was given.
_ALSO = (
    'also = $6; if (!sub(/^\\/usr\\/home\\//, "/home/", also)) '
    'sub(/^\\/home\\//, "/usr/home/", also)'
)
FILLED = (
    f'NR == FNR {{if ($0 == "{EACH}") each = 1; else if (each) body = body $0 "\\n"; else print; '
    "next} $3 < lowest || $3 > highest {next} "
    f'!({_USABLE}) {{print "account " $1 ": its name or home " $6 " cannot stand in a '
    'configuration" > "/dev/stderr"; if (others) next; exit 1} '
    f"{{{_ALSO}; text = body; "
    "gsub(/@NAME@/, $1, text); gsub(/@UID@/, $3, text); gsub(/@GID@/, $4, text); "
    'gsub(/@HOME@/, $6, text); gsub(/@ALSO@/, also, text); printf "%s", text}'
)
"""awk: from a template and passwd(5), the text for the accounts from `lowest` to `highest`. With
`others` it goes on behind an account whose name cannot stand there."""
_OURS = "Written by cellblock"


@dataclass(frozen=True)
class InJail:
    """A file in a jail. `at_rest` is its path on the host while the jail is stopped.

    `desk` is a directory on the host, out of the jail's reach, for the text until it is used.
    """

    jail: str
    path: str
    at_rest: str
    desk: str


@operation()
def configured(file: InJail, template: str, uids: tuple[int, int]) -> Commands:
    """Write a file in a running jail: a template's head once, the rest for each account.

    In the template @NAME@, @UID@, @GID@ and @HOME@ are the account's; @ALSO@ is its home with /home
    instead of /usr/home, or the reverse. `uids` are the lowest and the highest. An existing file is
    kept as NAME.before, and the undo restores it. The template's first line must say that Cellblock
    wrote it; it stays in the jail as NAME.accounts, of which operations/following.py makes the file
    anew when accounts change.
    """
    jail, path, at_rest = file.jail, file.path, file.at_rest
    if _OURS not in template.split("\n", maxsplit=1)[0]:
        raise ValueError(f"{path}: the first line of its template does not say {_OURS!r}")
    source = f"{file.desk}/{path.rpartition('/')[2]}"
    yield NewFile(source, template)
    awk = (
        f"cat > {path}.accounts && awk -F: -v lowest={uids[0]} -v highest={uids[1]} "
        f"{quote(FILLED)} {path}.accounts /etc/passwd "
        f"> {path}.new && chmod 644 {path}.new && {_kept(path)} && mv -f {path}.new {path}"
    )
    new = staged(source)
    yield Reversible(
        f"jexec {quote(jail)} sh -euc {quote(awk)} < {quote(new)} && rm -f {quote(new)}",
        undo=f"rm -f {quote(new)}; if jls -j {quote(jail)} jid >/dev/null 2>&1; "
        f"then jexec {quote(jail)} sh -euc {quote(_back(path))}; "
        f'elif [ "$(realpath {quote(at_rest.rpartition("/")[0])})" = '
        f"{quote(at_rest.rpartition('/')[0])} ]; "
        f"then sh -euc {quote(_back(at_rest))}; else false; fi",
        says=f"write {path} in jail {jail}, for each account with a uid of {uids[0]} to {uids[1]}",
        owns={at_rest: ""},
    )


def _kept(path: str) -> str:
    return (
        f"if [ -e {path} ] && [ ! -e {path}.before ] && ! grep -q {quote(_OURS)} {path}; "
        f"then cp -p {path} {path}.before; fi"
    )


def _back(path: str) -> str:
    """Correct if nothing, half or all was done, and when run twice: only our file is removed.

    mv -h: what a stopped jail left at the path may be a link to a directory of the host.
    """
    return (
        f"rm -f {path}.new {path}.last {path}.refused {path}.accounts; "
        f"if [ -e {path}.before ]; then mv -fh {path}.before {path}; "
        f"elif [ -e {path} ] && grep -q {quote(_OURS)} {path}; then rm -f {path}; fi"
    )


@operation()
def tested(jail: str, script: str) -> Commands:
    """Let a daemon in a jail test its configuration before anything depends on it.

    Through its rc script, which knows the file; "one" since its rcvar may still be NO.
    """
    yield Reversible(
        f"service -j {quote(jail)} {quote(script)} oneconfigtest",
        undo=":",
        says=f"test the configuration of {script} in jail {jail}",
        sees=ANY,
    )

"""File commands whose options or output differ from Linux's, translated to this machine's and back.

Their error messages are rewritten as BSD prints them, `rm: PATH: reason`.
"""

from __future__ import annotations

import re
import shlex
import time
from contextlib import suppress
from dataclasses import dataclass

from standin.commands import command
from standin.linux import file_flags, owners
from standin.linux.binaries import REAL
from standin.linux.shim import Call, Failed, Reply, Unknown, getopt, real
from standin.model.host import Host

# GNU's "rm: cannot remove 'PATH': reason", and similar ones, as BSD prints them.
BSD_WORDS = (
    r"s/^([^:]*\/)?([a-z]+): [^':]*'([^']*)'( for reading)?: /\2: \3: /;"
    r"s/^([^:]*\/)([a-z]+): /\2: /;"
)


@dataclass(frozen=True)
class Tool:
    """`letters` are the options in FreeBSD's getopt; options not in `drop` are passed on."""

    letters: str
    usage: str
    drop: str = ""
    exit: int = 64
    rename: tuple[tuple[str, str], ...] = ()
    writes: bool = False


TOOLS = {
    "cp": Tool("HLPRafinpsvlx", "usage: cp [-R [-H | -L | -P]] [-f | -i | -n] [-alpsvx]",
               rename=(("-x", "--one-file-system"),), writes=True),
    "mv": Tool("fihnv", "usage: mv [-f | -i | -n] [-hv] source target",
               rename=(("-h", "-T"),), exit=64, writes=True),
    "rm": Tool("dfiIPRrvWx", "usage: rm [-f | -i] [-dIPRrvWx] file ...",
               drop="PW", rename=(("-x", "--one-file-system"),), exit=64, writes=True),
    "ln": Tool("sfhiFnvLPw", "usage: ln [-s [-F] | -L | -P] [-f | -iw] [-hnv] source target",
               drop="w", rename=(("-h", "-n"), ("-F", "-n")), exit=1, writes=True),
    "touch": Tool("acfhmA:d:r:t:", "usage: touch [-A [-][[hh]mm]SS] [-achm] [-r file] file ...",
                  drop="f", exit=1, writes=True),
    "mkdir": Tool("m:pv", "usage: mkdir [-pv] [-m mode] directory_name ...", exit=64),
    "rmdir": Tool("pv", "usage: rmdir [-pv] directory ...", exit=1),
    "truncate": Tool("cr:s:", "usage: truncate [-c] -s [+|-]size[K|k|M|m|G|g|T|t] file ...",
                     exit=1, writes=True),
    "tail": Tool("Fb:c:fn:qrv", "usage: tail [-F | -f | -r] [-qv] [-b # | -c # | -n #] [file]",
                 exit=1),
    "readlink": Tool("fn", "usage: readlink [-fn] [file ...]", exit=1),
}  # fmt: skip


def filtered(*argv: str) -> str:
    """sh code: run a command of this machine and print its errors as BSD does."""
    run = shlex.join((f"{REAL}/{argv[0]}", *argv[1:]))
    sed = shlex.join((f"{REAL}/sed", "-E", BSD_WORDS))
    return (
        f"{{ said=$({run} 2>&1 >&3 3>&-); code=$?; }} 3>&1;"
        f' [ -z "$said" ] || printf "%s\\n" "$said" | {sed} >&2; exit $code'
    )


@command(
    *("/bin/cp", "/bin/ln", "/bin/mkdir", "/bin/mv", "/bin/rm", "/bin/rmdir"),
    *("/usr/bin/readlink", "/usr/bin/tail", "/usr/bin/touch", "/usr/bin/truncate"),
)
def tool(host: Host, call: Call) -> Reply:
    found = TOOLS[call.name]
    call = _with_old_options(call)
    given, rest = getopt(call, found.letters, found.usage, found.exit)
    if found.writes:
        recursive = call.name == "rm" and bool({"r", "R"} & given.keys())
        file_flags.refuse_protected(host.rootdir, call, rest, recursive=recursive)
    if call.name == "tail" and "r" in given:
        raise Unknown("tail: -r is not known to the stand-in\n", 1)
    options = _options(found, given)
    if call.name == "mv" and len(rest) == 2 and not _exists(call, rest[0]):
        raise Failed(f"mv: rename {rest[0]} to {rest[1]}: No such file or directory\n")
    at_once = {"mv": _moved, "rm": _removed}.get(call.name)
    if at_once and given.keys() <= {"f"} and call.is_of_our_user() and at_once(call, given, rest):
        return Reply()
    if call.name == "cp" and {"R", "a"} & given.keys():
        # BSD: a slash after the source means its contents.
        rest = [word + "." if word.endswith("/") else word for word in rest[:-1]] + rest[-1:]
    return Reply(then=filtered(call.name, *options, "--", *rest))


# What the journal does all the time needs no process of this machine. False in less simple cases:
# then the real command does it, or prints the reason why not.


def _moved(call: Call, given: dict[str, str], words: list[str]) -> bool:
    if len(words) != 2 or words[0].endswith("/") or words[1].endswith("/"):
        return False
    source, target = (call.rootdir.path(word, call.cwd, follow=False) for word in words)
    if call.rootdir.path(words[1], call.cwd).is_dir():
        return False
    try:
        if not target.exists() or not target.samefile(source):
            source.rename(target)
            return True
    except OSError:
        return False
    return False


def _removed(call: Call, given: dict[str, str], words: list[str]) -> bool:
    if "f" not in given or any(word.rpartition("/")[2] in ("", ".", "..") for word in words):
        return False
    try:
        for word in words:
            with suppress(FileNotFoundError):
                call.rootdir.path(word, call.cwd, follow=False).unlink()
    except OSError:
        return False
    return True


def _exists(call: Call, word: str) -> bool:
    place = call.rootdir.path(word, call.cwd, follow=False)
    return place.exists() or place.is_symlink()


def _with_old_options(call: Call) -> Call:
    """`tail -1`."""
    if call.name == "tail" and call.args and re.fullmatch(r"-\d+", call.args[0]):
        argv = ("tail", "-n", call.args[0][1:], *call.args[1:])
        return Call(argv, call.rootdir, call.pid, call.cwd)
    return call


def _options(found: Tool, given: dict[str, str]) -> list[str]:
    renamed = dict(found.rename)
    options: list[str] = []
    for letter, value in given.items():
        if letter not in found.drop:
            options.append(renamed.get(f"-{letter}", f"-{letter}"))
            takes_value = f"{letter}:" in found.letters
            options += [value] if takes_value else []
    return options


@command("/usr/bin/sed")
def sed(host: Host, call: Call) -> Reply:
    """-i takes an argument here: the suffix, which may be empty."""
    usage = "usage: sed script [-EHalnru] [-i extension] [file ...]"
    options: list[str] = []
    words, scripts = list(call.args), False
    suffix: str | None = None
    while words and re.match(r"-.", words[0]) and words[0] != "--":
        word = words.pop(0)
        if word.startswith("--"):
            raise Unknown(f"sed: illegal option -- -\n{usage}\n", 1)
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in "Eranu":
                options.append(f"-{'E' if letter == 'r' else letter}")
            elif letter in "efiI":
                value = letters or (words.pop(0) if words else "")
                letters = ""
                if letter in "iI":
                    suffix = value
                else:
                    options += [f"-{letter}", value]
                    scripts = True
            else:
                raise Unknown(f"sed: illegal option -- {letter}\n{usage}\n", 1)
    if suffix is not None:
        files = words if scripts else words[1:]
        file_flags.refuse_protected(host.rootdir, call, files)
        options.append(f"-i{suffix}")
    return Reply(then=f"exec {real('sed', '--posix', *options, *words)}")


@command("/usr/bin/find")
def find(host: Host, call: Call) -> Reply:
    """-x stays on one file system; -E, -s and -d are BSD's, too."""
    words, options, front = list(call.args), [], []
    while words and re.fullmatch(r"-[EHLPXdsx]+", words[0]):
        for letter in words.pop(0)[1:]:
            if letter in "HLP":
                front.append(f"-{letter}")
            elif letter in "xdE":
                options.append({"x": "-xdev", "d": "-depth", "E": "-regextype"}[letter])
                options += ["posix-extended"] if letter == "E" else []
            else:
                raise Unknown(f"find: illegal option -- {letter}\n", 1)
    places = []
    while words and not re.match(r"[-!(]", words[0]):
        places.append(words.pop(0))
    if not places:
        raise Unknown("usage: find [-H | -L | -P] [-EXdsx] [-f path] path ... [expression]\n", 1)
    if "-printf" in words or "-regextype" in words:
        raise Unknown("find: -printf: unknown primary or operator\n", 1)
    words = _with_flags(host, words)
    options.append("-nowarn")  # GNU's find would print advice for a person at a terminal
    return Reply(then=filtered("find", *front, *places, *options, *_bsd_primaries(words)))


def _with_flags(host: Host, words: list[str]) -> list[str]:
    """-flags +A,B: any of these is set (find(1)). The stand-in's flags are no file system's."""
    if "-flags" not in words:
        return words
    at = words.index("-flags")
    wanted = set(words[at + 1].removeprefix("+").split(","))
    if not words[at + 1].startswith("+") or wanted - {*file_flags.PROTECTING, *file_flags.OTHER}:
        raise Unknown(f"find: -flags: {words[at + 1]}: invalid flags string\n", 1)
    inodes = [
        key.partition(":")[2]
        for key, flags in file_flags.read(host.rootdir).items()
        if wanted & {*flags}
    ]
    asked = [word for inode in inodes for word in ("-o", "-inum", inode)]
    return [*words[:at], "(", "-false", *asked, ")", *words[at + 2 :]]


def _bsd_primaries(words: list[str]) -> list[str]:
    """-perm +MODE is BSD's form of /MODE."""
    return [
        f"/{word[1:]}" if before == "-perm" and word.startswith("+") else word
        for before, word in zip(["", *words], words, strict=False)
    ]


@command("/usr/bin/install")
def install(host: Host, call: Call) -> Reply:
    usage = "usage: install [-bCcpSsv] [-f flags] [-g group] [-m mode] [-o owner] file1 file2"
    found, rest = getopt(call, "bCcdpSsUvB:f:g:h:l:M:m:N:o:", usage)
    if unknown := found.keys() - set("bCcdpSUvglmo"):
        raise Unknown(f"install: -{min(unknown)} is not known to the stand-in\n{usage}\n")
    file_flags.refuse_protected(host.rootdir, call, rest)
    if "s" in found.get("l", ""):
        return Reply(then=filtered("ln", "-sf", *rest))
    options = [f"-{letter}" for letter in found if letter in "bCdpv"]
    options += ["-m", found.get("m", "755")]
    owner = {letter: value for letter, value in found.items() if letter in "og"}
    if not (owner and owners.has_one_user()):
        options += [part for letter, value in owner.items() for part in (f"-{letter}", value)]
        return Reply(then=filtered("install", *options, *rest))
    target = rest[-1]
    if "d" not in found and call.rootdir.path(target, call.cwd).is_dir():
        target = f"{target}/{rest[0].rpartition('/')[2]}"
    who = ("/usr/sbin/chown", f"{owner.get('o', '')}:{owner.get('g', '')}", target)
    return Reply(then=f"( {filtered('install', *options, *rest)} ) && exec {shlex.join(who)}")


@command("/usr/bin/wc")
def wc(host: Host, call: Call) -> Reply:
    found, rest = getopt(call, "clmwL", "usage: wc [-Lclmw] [file ...]", 1)
    columns = len(found) or 3
    program = (
        f'{{ for (i = 1; i <= {columns}; i++) printf " %7d", $i;'
        f' for (i = {columns} + 1; i <= NF; i++) printf " %s", $i; print "" }}'
    )
    options = [f"-{letter}" for letter in found]
    count = real("wc", *options, *(["--", *rest] if rest else []))
    return Reply(
        then=f"counts=$({count}); code=$?; printf '%s\\n' \"$counts\" | "
        f"{real('awk', program)}; exit $code"
    )


UTC_FIELDS = frozenset(("%Y", "%m", "%d", "%H", "%M", "%S", "%s"))
"""Formats that the model prints itself, without a process of this machine."""


@command("/bin/date")
def date(host: Host, call: Call) -> Reply:
    """-r takes seconds or a file; FreeBSD has no -d as GNU has. -f %s sets the clock."""
    usage = "usage: date [-jnRu] [-r seconds|file] [-f input_fmt new_date] [+output_fmt]"
    found, rest = getopt(call, "jnRur:f:v:I:", usage, 1)
    if {"v", "I"} & found.keys():
        raise Unknown("date: -v and -I are not known to the stand-in\n", 1)
    if "f" in found:
        if found.keys() - {"f", "u"} or found["f"] != "%s" or not (rest and rest[0].isdigit()):
            raise Unknown("date: of -f the stand-in knows only date -f %s SECONDS\n", 1)
        host.kernel.set_clock(int(rest.pop(0)))
    if "r" not in found and len(rest) == 1 and rest[0].startswith("+"):
        asked = set(re.findall("%.", rest[0]))
        if asked <= {"%s"} or ("u" in found and asked <= UTC_FIELDS):
            now = host.kernel.now()
            layout = rest[0][1:].replace("%s", str(now))
            return Reply(time.strftime(layout, time.gmtime(now)) + "\n")
    options = [f"-{letter}" for letter in found if letter in "Ru"]
    if when := found.get("r"):
        options += ["-d", f"@{when}"] if when.isdigit() else ["-r", when]
    else:
        options += ["-d", f"@{host.kernel.now()}"]
    return Reply(then=f"exec {real('date', *options, *rest)}")


@command("/bin/realpath")
def realpath(host: Host, call: Call) -> Reply:
    found, rest = getopt(call, "q", "usage: realpath [-q] [path ...]", 1)
    out, err = "", ""
    for word in rest or ["."]:
        if call.rootdir.path(word, call.cwd).exists():
            out += call.rootdir.inner(word, call.cwd) + "\n"
        elif "q" not in found:
            err += f"realpath: {word}: No such file or directory\n"
    return Reply(out, err, 1 if err else 0)


@command("/usr/bin/mktemp")
def mktemp(host: Host, call: Call) -> Reply:
    found, rest = getopt(call, "dqup:t:", "usage: mktemp [-d] [-p tmpdir] [-q] [-t prefix]", 1)
    options = [f"-{letter}" for letter in found if letter in "dqu"]
    if "t" in found:
        folder = found.get("p", "/tmp")  # noqa: S108 - where FreeBSD makes them
        return Reply(then=filtered("mktemp", *options, f"{folder}/{found['t']}.XXXXXXXXXX"))
    below = ["-p", found["p"]] if "p" in found else []
    return Reply(then=filtered("mktemp", *options, *below, *rest))


@command("/bin/chflags")
def chflags(host: Host, call: Call) -> Reply:
    usage = "usage: chflags [-fhvx] [-R [-H | -L | -P]] flags file ..."
    found, rest = getopt(call, "fhHLPRvx", usage, 1)
    if "R" in found or len(rest) < 2:
        raise Unknown(f"{usage}\n", 1)
    for word in rest[1:]:
        if not call.rootdir.path(word, call.cwd).exists():
            raise Failed(f"chflags: {word}: No such file or directory\n")
        file_flags.change(call.rootdir.path(word, call.cwd), host.rootdir, rest[0])
    return Reply()


@command("/usr/bin/fsync", "/libexec/standin/bin/fsync")
def fsync(host: Host, call: Call) -> Reply:
    """Only records the sync: a stand-in need not survive a power loss of this machine."""
    _, rest = getopt(call, "", "usage: fsync file ...")
    for word in rest:
        try:
            host.note_synced(call.rootdir.path(word, call.cwd))
        except (FileNotFoundError, NotADirectoryError):
            raise Failed(f"fsync: open {word}: No such file or directory\n", 66) from None
    return Reply()

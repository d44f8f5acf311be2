"""pkg(8), for the packages that the model knows, and their files."""

from __future__ import annotations

import io
import json
import os
import tarfile

from standin.commands import command
from standin.linux.rootdir import RootDir
from standin.linux.shim import Call, Failed, Reply, Unknown, getopt
from standin.model.host import Host

BOOTSTRAPPED = "/usr/local/sbin/pkg"
STORE = "/var/db/pkg/standin.json"
FILES = {
    "bind918": (
        "/usr/local/sbin/named", "/usr/local/etc/rc.d/named", "/usr/local/etc/namedb/named.conf",
    ),
    "apache24": (
        "/usr/local/sbin/httpd", "/usr/local/sbin/apachectl", "/usr/local/etc/rc.d/apache24",
        "/usr/local/etc/apache24/httpd.conf",
    ),
    "mariadb1011-server": (
        "/usr/local/libexec/mariadbd", "/usr/local/etc/rc.d/mysql-server", "/usr/local/bin/mysql",
        "/usr/local/bin/mysqladmin", "/usr/local/etc/mysql/my.cnf",
    ),
}  # fmt: skip
NOT_THERE = (
    "The package management tool is not yet installed on your system.\n"
    "Please set ASSUME_ALWAYS_YES=yes environment variable to be able to bootstrap in"
    " non-interactive (stdin not being a tty)\n"
)


def installed(rootdir: RootDir) -> list[str]:
    found: list[str] = json.loads(rootdir.read(STORE) or "[]")
    return found


def _name(package: str) -> str:
    return package.rpartition("-")[0]


@command("/usr/sbin/pkg", BOOTSTRAPPED)
def pkg(host: Host, call: Call) -> Reply:
    words = list(call.args)
    is_there = call.rootdir.path(BOOTSTRAPPED).exists()
    if words == ["-N"]:
        if not is_there:
            raise Failed("pkg: pkg is not installed\n")
        return Reply(err=f"pkg: {len(installed(call.rootdir))} packages installed\n")
    if not is_there:
        raise Failed(NOT_THERE)
    rootdir = call.rootdir
    while words and words[0] in ("-j", "-c", "-r") and len(words) > 1:
        option, value = words.pop(0), words.pop(0)
        if option == "-j":
            jail = host.jail(value)
            if jail is None:
                raise Failed(f"pkg: jail {value} not found\n")
            rootdir = jail.rootdir
        else:
            rootdir = RootDir("chroot", rootdir.path(value, call.cwd))
    if not words or words[0] not in (*VERBS, "add"):
        raise Unknown(f"pkg: unknown command: {' '.join(words)}\n", 64)
    if words[0] == "add":
        return _add(Call(tuple(words), call.rootdir, call.pid, call.cwd), rootdir)
    return VERBS[words[0]](Call(tuple(words), rootdir, call.pid, call.cwd))


def _matching(rootdir: RootDir, patterns: list[str]) -> list[str]:
    return [
        package
        for package in installed(rootdir)
        if not patterns or _name(package) in patterns or package in patterns
    ]


def _info(call: Call) -> Reply:
    found, rest = getopt(call, "eEqxoOlad", "Usage: pkg info [-eEqx] <pkg-name>", 64)
    shown = _matching(call.rootdir, rest)
    if rest and not shown:
        quiet = {"e", "E", "q"} & found.keys()
        raise Failed("" if quiet else f"pkg: No package(s) matching {rest[0]}\n")
    if "l" in found:
        return Reply("".join(f"\t{file}\n" for one in shown for file in FILES[_name(one)]))
    return Reply("" if "e" in found or "q" in found else "".join(f"{one}\n" for one in shown))


def _query(call: Call) -> Reply:
    _, rest = getopt(call, "ax", "Usage: pkg query <query-format> <pkg-name>", 64)
    if not rest:
        raise Unknown("Usage: pkg query <query-format> <pkg-name>\n", 64)
    shown = _matching(call.rootdir, rest[1:])
    out = ""
    for package in shown:
        files = FILES.get(_name(package), ()) if "%Fp" in rest[0] else ("",)
        name, _, version = package.rpartition("-")
        for file in files:
            values = {"%Fp": file, "%n": name, "%v": version, "%o": f"ports/{name}", "%a": "0"}
            line = rest[0]
            for mark, value in values.items():
                line = line.replace(mark, value)
            out += f"{line}\n"
    return Reply(out, exit=0 if shown else 1)


def _create(call: Call) -> Reply:
    found, rest = getopt(call, "ao:f:nqv", "Usage: pkg create [-on] <pkg-name> ...", 64)
    folder = call.rootdir.path(found.get("o", "."), call.cwd)
    shown = _matching(call.rootdir, rest)
    if not shown:
        raise Failed(f"pkg: No package(s) matching {' '.join(rest)}\n")
    for package in shown:
        with tarfile.open(folder / f"{package}.pkg", "w") as archive:
            manifest = json.dumps({"package": package}).encode()
            entry = tarfile.TarInfo("+MANIFEST")
            entry.size = len(manifest)
            archive.addfile(entry, io.BytesIO(manifest))
            for file in FILES.get(_name(package), ()):
                if call.rootdir.path(file).exists():
                    archive.add(call.rootdir.path(file), file)
    return Reply()


def _add(call: Call, into: RootDir) -> Reply:
    """-r names another root to install into; the package file itself is read from this one."""
    _, rest = getopt(call, "AfIMq", "Usage: pkg add [-IAfqM] <pkg-name> ...", 64)
    for word in rest:
        source = call.rootdir.path(word, call.cwd)
        if not source.exists():
            raise Failed(f"pkg: {word}: No such file or directory\n")
        _unpack(into, str(source))
    return Reply()


def _unpack(rootdir: RootDir, source: str) -> None:
    with tarfile.open(source) as archive:
        for entry in archive:
            content = archive.extractfile(entry)
            if content is None:
                continue
            if entry.name == "+MANIFEST":
                package = json.loads(content.read())["package"]
                place = rootdir.path(STORE)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(json.dumps(sorted({*installed(rootdir), package})))
                continue
            place = rootdir.path("/" + entry.name)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content.read())
            place.chmod(entry.mode)
            os.chown(place, entry.uid, entry.gid)


def _which(call: Call) -> Reply:
    _, rest = getopt(call, "qo", "Usage: pkg which [-qo] <file> [...]", 64)
    for package in installed(call.rootdir):
        if rest and rest[0] in FILES.get(_name(package), ()):
            return Reply(f"{rest[0]} was installed by package {package}\n")
    raise Failed(f"{rest[0]} was not found in the database\n")


VERBS = {
    "info": _info,
    "query": _query,
    "create": _create,
    "which": _which,
}

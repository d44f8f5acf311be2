"""This machine's own commands, copied so that they run in a FreeBSD tree and in a thin jail.

A thin jail sees /bin, /lib and /libexec of the host, and nothing else that Linux would need. So the
copies name an ELF interpreter where FreeBSD has its own, in /libexec, and the libraries lie flat in
/lib, which every loader searches.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

INTERPRETER = b"/libexec/ld-elf.so.1"

# Run as they are, at FreeBSD's own path: what scripts use of them is the same on both systems.
PLAIN = {
    "/bin": "cat dd echo expr kill ls pwd sleep sync test [",
    "/sbin": "",
    "/usr/bin": "awk basename cmp comm cut diff dirname du egrep env false fgrep fold grep gunzip"
    " gzip head join mkfifo nice nl nohup od paste printf seq sort split tar tee tr true tsort"
    " tty uniq xargs yes zcat whoami cksum expand unexpand column rev",
    "/usr/sbin": "",
}
# Run by the shims, which translate FreeBSD's options and output to these and back.
BEHIND_SHIMS = (
    "awk chmod cp date df env false find flock install ln mkdir mktemp mv readlink rm rmdir sed"
    " setsid sleep tail timeout touch truncate wc chroot chown"
)
SHELL = "/libexec/standin/sh"
SHIMS_SHELL = "/libexec/standin/shims-sh"
"""The interpreter of the shims. It starts thousands of times a rollout, so it is klibc's dash where
that is installed: without glibc, which asks the processor for much that it then does not use, it
starts in a sixth of the time. It knows no names of signals, so all other scripts have SHELL."""
KLIBCS = "/usr/lib/klibc/bin/sh"
REAL = "/libexec/standin/real"
ENTER = f"{REAL}/enter"
"""chroot(8) without options."""
KLIBC = {
    "sleep": ("/bin/sleep", f"{REAL}/sleep"),
    "cat": ("/bin/cat",),
    "chroot": (ENTER,),
}
"""Programs that start most often, and where: klibc's, too, where that is installed."""


def _wanted() -> dict[str, str]:
    """The source of each command, by its path in the tree."""
    wanted = {f"{REAL}/{name}": name for name in BEHIND_SHIMS.split()}
    for folder, names in PLAIN.items():
        wanted |= {f"{folder}/{name}": name for name in names.split() if "." not in name}
    shims = KLIBCS if Path(KLIBCS).exists() else "sh"
    for name, places in KLIBC.items():
        found = shutil.which(name, path=str(Path(KLIBCS).parent))
        wanted |= dict.fromkeys(places, found or name)
    return wanted | {SHELL: "sh", "/bin/sh": "sh", SHIMS_SHELL: shims}


def _libraries(binary: Path) -> dict[str, Path]:
    """The libraries of a binary by name. klibc's is one, which is its interpreter, too."""
    if klibc := re.search(rb"/lib/(klibc-[\w-]+\.so)\0", binary.read_bytes()[:4096]):
        name = klibc.group(1).decode()
        return {name: Path("/lib", name)}
    listing = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=False)
    found = re.findall(r"^\s*(?:\S+ => )?(/\S+) \(", listing.stdout, re.MULTILINE)
    return {Path(path).name: Path(path) for path in found}


def _interpreter(image: bytes) -> bytes | None:
    match = re.search(rb"/lib[0-9a-z/_.-]*/ld-[0-9a-z_.-]+\.so\.[0-9]+\0", image[:4096])
    return match.group(0) if match else None


def _copy(binary: Path, target: Path) -> None:
    image = binary.read_bytes()
    if old := _interpreter(image):
        image = image.replace(old, INTERPRETER.ljust(len(old), b"\0"), 1)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(image)
    target.chmod(0o555)


def _identity(wanted: dict[str, str]) -> str:
    """Identifies a cache, so that one of other commands or of older versions is not used."""
    marks = [repr(sorted(wanted.items())), Path(__file__).read_text()]
    for name in sorted(set(wanted.values())):
        path = shutil.which(name)
        marks.append(f"{path} {Path(path).stat().st_mtime_ns if path else ''}")
    return hashlib.sha256("\n".join(marks).encode()).hexdigest()[:16]


def cache() -> Path:
    """The copies, in the layout of the tree; made on the first call on this machine."""
    wanted = _wanted()
    caches = Path(os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))) / "cellblock"
    place = caches / f"standin-{_identity(wanted)}"
    if place.is_dir():
        return place
    caches.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=caches))
    fresh.chmod(0o755)
    libraries: dict[str, Path] = {}
    for path, name in wanted.items():
        if found := shutil.which(name):
            real = Path(found).resolve()
            _copy(real, fresh / path[1:])
            libraries |= _libraries(real)
    for name, library in libraries.items():
        is_loader = name.startswith("ld-")
        _copy(library, fresh / (INTERPRETER.decode()[1:] if is_loader else f"lib/{name}"))
    try:
        fresh.rename(place)
    except OSError:  # another process on this machine was first; its copies are as good
        shutil.rmtree(fresh)
    return place


def lay(tree: Path) -> None:
    """Put the commands into the tree: hard links where the file system allows, else copies."""
    source = cache()
    for folder, _, names in os.walk(source):
        target = tree / Path(folder).relative_to(source)
        target.mkdir(parents=True, exist_ok=True)
        for name in names:
            try:
                os.link(f"{folder}/{name}", target / name)
            except OSError:
                shutil.copy2(f"{folder}/{name}", target / name)

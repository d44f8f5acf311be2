"""mdconfig(8), newfs(8) and fsck_ffs(8), for disks over files; what they print was seen on 15.0."""

from __future__ import annotations

from standin.commands import command
from standin.linux.shim import Call, Failed, Reply, Unknown, getopt
from standin.model.host import Host

_NONE = "No such file or directory"


@command("/sbin/mdconfig")
def mdconfig(host: Host, call: Call) -> Reply:
    usage = "usage: mdconfig -a -t vnode -f file | -d -u unit | -l [-v] [-f file]"
    found, rest = getopt(call, "adlnrvf:o:s:t:u:", usage, 1)
    if rest or set("nros") & found.keys() or found.get("t", "vnode") != "vnode":
        raise Unknown(f"{usage}\nmdconfig: this is not known to the stand-in\n", 1)
    try:
        if "a" in found:
            return Reply(f"md{host.memory_disks.attach(found['f'])}\n")
        if "l" in found:
            return _listed(host, found.get("f"), words="v" in found)
    except FileNotFoundError:
        raise Failed(f"mdconfig: realpath: {_NONE}\n") from None
    unit = host.memory_disks.unit(found.get("u", ""))
    if unit is None:
        raise Failed(f"mdconfig: ioctl(/dev/mdctl): {_NONE}\n")
    if any(entry.source == f"/dev/md{unit}" for entry in host.mounts.table):
        raise Failed("mdconfig: ioctl(/dev/mdctl): Device busy\n")
    del host.memory_disks.units[unit]
    return Reply()


def _listed(host: Host, file: str | None, *, words: bool) -> Reply:
    disks = host.memory_disks
    if file is not None and not host.rootdir.path(file).exists():
        raise FileNotFoundError
    units = sorted(disks.units) if file is None else disks.over(file)
    if words:
        rows = (f"md{n}\tvnode\t{disks.size(n) >> 20:6}M\t{disks.units[n]}\t-\t" for n in units)
        return Reply("".join(f"{row}\n" for row in rows))
    if file is not None and not units:
        return Reply(exit=255)
    return Reply("".join(f"md{unit} " for unit in units) + "\n" * bool(units))


@command("/sbin/newfs")
def newfs(host: Host, call: Call) -> Reply:
    found, rest = getopt(call, "jnUL:", "usage: newfs [ -fsoptions ] special-device", 1)
    unit = host.memory_disks.unit(rest[0]) if rest else None
    if unit is None or {"j", "L"} & found.keys():
        raise Unknown("newfs: known to the stand-in is newfs [-n] [-U] /dev/mdN\n", 1)
    host.memory_disks.format(unit)
    size = host.memory_disks.size(unit)
    return Reply(
        f"/dev/md{unit}: {size / (1 << 20):.1f}MB ({size // 512} sectors) block size 32768, "
        "fragment size 4096\n"
    )


@command("/sbin/fsck_ffs")
def fsck_ffs(host: Host, call: Call) -> Reply:
    _, rest = getopt(call, "fnpy", "usage: fsck_ffs [-BCdEFfnpRrSyZ] filesystem ...", 1)
    device = rest[0] if rest else ""
    unit = host.memory_disks.unit(device)
    if unit is None:
        raise Failed(f"Can't stat {device}: {_NONE}\n", 3)
    wrong = f"{device}: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.\n"
    if any(entry.source == device for entry in host.mounts.table):
        return Reply(f"{device}: NO WRITE ACCESS\n{wrong}", exit=8)
    try:
        host.memory_disks.files(unit)
    except FileNotFoundError:
        return Reply(f"{device}: CAN'T CHECK FILE SYSTEM.\n{wrong}", exit=8)
    return Reply(f"{device}: FILE SYSTEM CLEAN; SKIPPING CHECKS\n")

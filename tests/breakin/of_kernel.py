"""Attempts by system calls: processes of others, the kernel's settings, jails, modules."""

from __future__ import annotations

from tests.breakin.attempt import (
    HERE,
    HURT,
    LEARNT,
    NO_KERNEL,
    NO_PROCESSES,
    RAN,
    Attempt,
    Goal,
)

PARAMETERS = "allow.mount allow.raw_sockets children.max"
"""Those of a jail that it must not change."""
_WAS = f"{HERE}/state-before"
STATE = (
    "state() { sysctl -n kern.hostname kern.securelevel security.bsd.see_other_uids "
    "net.inet.ip.forwarding net.inet.ip.fw.enable "
    "net.inet.ip.fw.one_pass kern.ipc.shm_allow_removed "
    "kern.boottime | sed 's/,.*//'; kldstat | awk '{print $NF}'; kenv -q breakin; "
    "ifconfig -a inet | grep -v -e options -e nd6; "
    "netstat -rn -f inet | awk '{print $1, $2, $NF}'; "
    "arp -an | grep -v incomplete | awk '{print $2, $4}' | grep -v "
    "'203[.]0[.]113'; mdconfig -l; swapinfo | awk '{print $1}'; }"
)
"""sh that defines what must stay as it is in the host's kernel."""
_STATE = Goal(f'[ "$(state)" != "$(cat {_WAS})" ]', "kenv breakin=1", "kenv -u breakin")
"""The host's name, a sysctl, module, address, route, neighbour, memory disk or swap has changed."""


def _state(name: str, does: str) -> Attempt:
    return Attempt(name, "root", _STATE, does, lacks=NO_KERNEL)


SETTINGS = (
    _state(
        "kernel modules",
        "kldload mac_none; kldload nullfs; kldload tmpfs; kldload -n if_tap; kldunload ipfw_nat",
    ),
    _state(
        "sysctls",
        "sysctl kern.securelevel=3; sysctl "
        "security.bsd.see_other_uids=0; sysctl net.inet.ip.forwarding=1",
    ),
    _state(
        "the firewall switched off by sysctl",
        "sysctl net.inet.ip.fw.enable=0; sysctl net.inet.ip.fw.one_pass=0",
    ),
    _state("the kernel's environment", "kenv breakin=1"),
    _state("the host's name", "hostname pwned.example; sysctl kern.hostname=pwned"),
    _state("a restart", "reboot -qn; halt -qn; shutdown -r now; kill -INT 1"),
    _state(
        "an address of another",
        "ifconfig lo1 inet 10.80.0.99/32 alias; ifconfig lo0 inet "
        "127.0.0.9/32 alias; ifconfig vtnet0 inet 203.0.113.99/24 alias",
    ),
    _state(
        "an address taken away",
        "ifconfig lo1 inet 10.80.0.2 -alias; ifconfig lo1 inet 10.80.0.3 -alias",
    ),
    _state(
        "an interface switched off", "ifconfig lo1 down; ifconfig vtnet0 down; ifconfig lo1 destroy"
    ),
    _state(
        "a route",
        "route -n add 198.51.100.0/24 127.0.0.1; route -n "
        "change default 10.80.0.4; route -n delete default",
    ),
    _state(
        "a neighbour on lo1 (ARP)",
        "arp -S 10.80.0.2 02:00:00:00:00:01; arp -s 203.0.113.77 02:00:00:00:00:01; arp -d -a",
    ),
    _state(
        "a memory disk and swap",
        "mdconfig -a -t swap -s 1m; swapoff -a; dd if=/dev/zero "
        "of=/tmp/swap bs=64k count=1; swapon /tmp/swap",
    ),
    _state(
        "interfaces of its own",
        "ifconfig tap create; ifconfig bridge create; ifconfig "
        "epair create; ngctl mkpeer eiface ether ether",
    ),
    Attempt(
        "the clock",
        "root",
        Goal('[ "$(date +%Y)" -gt 2029 ]', "", ""),
        "date 203101010000; date -u 203101010000",
        lacks=NO_KERNEL,
    ),
    Attempt(
        "the firewall's rules removed",
        "root",
        Goal(
            f'[ "$(ipfw -S list | sort | md5)" != "$(cat {HERE}/rules-before)" ]',
            "ipfw -q add 30000 set 19 count ip from any to any",
            "ipfw -q delete 30000",
        ),
        "ipfw -qf flush; ipfw -q set disable 21; ipfw -q "
        "delete 1; ipfw -q add 1 allow ip from any to any; "
        "ipfw -q table all destroy; ipfw -q nat 1 delete; pfctl -d; service ipfw onestop",
        lacks="ipfw(8) in a jail",
    ),
)

PROCESSES = (
    Attempt(
        "signals to processes of the host",
        "root",
        HURT,
        "for p in $victim $victim_www; do kill -STOP $p; kill -KILL $p; done",
        lacks=NO_PROCESSES,
    ),
    Attempt(
        "signals to a process of the same user on the host",
        "daemon",
        HURT,
        "kill -STOP $victim_www; kill -KILL $victim_www; "
        "pkill -KILL -f 8639[89]; killall -9 sleep.breakin",
        lacks=NO_PROCESSES,
    ),
    Attempt(
        "a process of the host traced",
        "root",
        HURT,
        "(truss -o /tmp/truss-$mark -p $victim & sleep 1; "
        "kill $!); (truss -p $victim_www & sleep 1; kill $!)",
        lacks=NO_PROCESSES,
    ),
    Attempt(
        "a core of a process of the host",
        "root",
        LEARNT,
        "gcore -c /tmp/loot-$mark $victim",
        lacks=NO_PROCESSES,
    ),
    Attempt(
        "a trace by ktrace of the host's processes",
        "root",
        LEARNT,
        "ktrace -f /tmp/loot-$mark -d -i -p $victim; ktrace -f /tmp/loot-$mark -d -i -p 1",
        lacks=NO_PROCESSES,
    ),
    Attempt(
        "what the host's processes have in their environment",
        "root",
        LEARNT,
        "(ps -axewww; procstat -e $victim; procstat -c $victim; procstat -a env; sysctl "
        "-b kern.proc.env.$victim) > /tmp/loot-$mark 2>/dev/null",
        lacks=NO_PROCESSES,
    ),
    Attempt(
        "the same, of the same user on the host",
        "daemon",
        LEARNT,
        "(ps -axewww; procstat -e $victim_www) > /tmp/loot-$mark 2>/dev/null",
        lacks=NO_PROCESSES,
    ),
    Attempt(
        "the priority of a process of the host",
        "root",
        Goal(
            f'[ "$(ps -o nice= -p $(cat {HERE}/pid))" -ne 0 ]',
            f"renice 7 -p $(cat {HERE}/pid)",
            f"renice -7 -p $(cat {HERE}/pid); renice 0 -p $(cat {HERE}/pid)",
        ),
        "renice 19 -p $victim; idprio 31 -$victim; rtprio 31 -$victim; cpuset -l 0 -p $victim",
        lacks=NO_PROCESSES,
    ),
    Attempt(
        "shared memory of the host",
        "root",
        Goal(
            "! posixshmcontrol ls | grep -q /breakin",
            "posixshmcontrol rm /breakin",
            "posixshmcontrol create -l 4096 /breakin || posixshmcontrol create /breakin",
        ),
        "posixshmcontrol rm /breakin; posixshmcontrol rm /../../breakin; "
        "for i in $(ipcs -m | awk '/^m/ {print $2}'); do ipcrm -m $i; done",
        lacks=NO_KERNEL,
    ),
    Attempt(
        "kernel messages of the host",
        "root",
        LEARNT,
        "(dmesg -a; sysctl kern.msgbuf) > /tmp/loot-$mark",
        lacks=NO_KERNEL,
    ),
    Attempt(
        "accounting of all processes",
        "root",
        Goal(
            '[ -s "$root/tmp/acct" ]',
            ': > "$root/tmp/acct"; accton "$root/tmp/acct"; ls /; ls /',
            'accton; rm -f "$root/tmp/acct"',
        ),
        ": > /tmp/acct; accton /tmp/acct",
        lacks=NO_KERNEL,
    ),
    Attempt(
        "a jail of its own with the host's /",
        "root",
        RAN,
        'jail -c path=/ name=out persist command=/bin/sh -c "breakin-hit $mark"; jail '
        '-c path=/ host=inherit ip4=inherit command=/bin/sh -c "breakin-hit $mark"',
        lacks=NO_KERNEL,
    ),
    Attempt(
        "into another jail",
        "root",
        RAN,
        'for j in 0 1 2 3 4 5 6 bind mysql web mail; do jexec $j sh -c "breakin-hit $mark"; done',
        lacks="jexec(8) in a jail",
    ),
    Attempt(
        "its own jail's parameters",
        "root",
        Goal(
            f'[ "$(jls -j "$jail" {PARAMETERS})" != "$(cat {HERE}/params-$jail)" ]',
            'jail -m name="$jail" allow.raw_sockets=1',
            'jail -m name="$jail" allow.raw_sockets=0',
        ),
        "for j in 1 2 3 4 5 6 $jail; do jail -m jid=$j allow.mount=1; jail "
        "-m name=$j allow.raw_sockets=1 children.max=9; done; jail -r 1",
        lacks=NO_KERNEL,
    ),
    Attempt(
        "another jail stopped",
        "root",
        Goal(
            f'[ "$(jls name | sort | tr "\\n" " ")" != "$(cat {HERE}/jails-before)" ]',
            "jail -c name=planted path=/ persist",
            "jail -R planted",
        ),
        "for j in bind mysql web mail 1 2 3 4; do [ $j = $jail ] "
        "|| jail -R $j; jail -r $j; service jail onestop $j; done",
        lacks=NO_KERNEL,
    ),
    Attempt(
        "the limits of others",
        "root",
        Goal("rctl | grep -q breakin", "", ""),
        "rctl -a user:breakin:maxproc:deny=1; rctl -r :",
        lacks=NO_KERNEL,
    ),
)

ATTEMPTS = (*SETTINGS, *PROCESSES)

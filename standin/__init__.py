"""The stand-in: a FreeBSD 13.2 look-alike host in a directory, for rehearsals and crash tests.

    with StandIn.build(Path("/tmp/box"), BaseHost.sample()) as standin:
        standin.boot()
        standin.run("service named onestatus")

It needs Linux, Python 3.11, sh and the usual file commands, and nothing else: no package, no
network. A user who is not root gets a user namespace, see "Limits".

What is real
    Processes, signals, pipes, files, owners, modes, sockets in the file system, and nullfs, tmpfs
    and devfs mounts (bind and tmpfs mounts in a private mount namespace). Scripts run under this
    machine's sh, with copies of this machine's file commands, in a chroot with a process 1 of its
    own. A jail is one more chroot, and sees commands only through its own mounts. A daemon is a
    sleeping process, so it can be killed, and it keeps a file system busy.

What is modelled
    FreeBSD's commands are shims (one sh file, many links) over one model of the host, in memory:
    services, jails, interfaces and addresses, ipfw, kernel modules and sysctls. Process 1
    (machine/server.py) holds the model; it reads from /proc which command was called, and replies
    in sh. rc.conf, jail.conf, fstab, passwd and the daemons' configurations are files of the tree.
    The stand-in reads them when FreeBSD would: at boot, and when something starts. So a power cut
    leaves only the files, and a boot builds the rest anew, in rcorder's order, with local rc
    scripts under a small rc.subr.

    `who_answers` follows a client's first packet through the rules to a socket, and the reply back.
    `query` reaches the rows of whichever mysqld answers at an address.

How it reports what it does not model
    A command, option or statement that FreeBSD or the stand-in does not know fails with FreeBSD's
    words, or with 70 where there is no model of it, and adds a line to `StandIn.strange`. A test
    that ends with `assert standin.strange == []` used modelled commands only.

How good it is
    tests/contract/ compares it with a recording of a real FreeBSD 13.2, and with a real FreeBSD
    where an image is available.

Limits
    Plain file commands (cat, mkdir, chmod, grep, awk, sort, tar ...) are this machine's own, GNU
    options included; those whose options or output matter are translated (commands/files.py).
    chflags protects files from commands, not from a redirection of sh. IPv6 has addresses but no
    packets. The firewall judges and counts only the first three packets of a connection.
    dummynet pipes are not modelled; of TSO only that it stops an upload through nat. A power cut
    loses nothing that was written or, on request, the tails of files (linux/power_loss.py), but
    never a name. Jails have no limits and no vnet. MySQL users, TLS and mail delivery do not
    exist. `break_at` cannot break commands that are not shims by name, but it can break the file
    that sh runs. Without root and without newuidmap(1) there is only one user: owners are then
    kept in a file of the stand-in, see linux/owners.py.
"""

from standin.linux.memory import memory
from standin.model.network import OUTSIDE
from standin.samples.base_host import BaseHost
from standin.standin import HostDown, QueryFailed, StandIn

__all__ = ["OUTSIDE", "BaseHost", "HostDown", "QueryFailed", "StandIn", "memory"]

"""The stand-in: a FreeBSD 13.2 look-alike host in a directory, for rehearsals and crash tests.

    with StandIn.build(Path("/tmp/box"), BaseHost.sample()) as standin:
        standin.boot()
        standin.run("service named onestatus")

It needs Linux, Python 3.11, sh and the usual file commands, and nothing else: no package, no
network. Who is not root gets a user namespace, see "Limits".

What is real
    Processes, signals, pipes, files, owners, modes, sockets in the file system, and nullfs, tmpfs
    and devfs mounts (bind and tmpfs mounts in a private mount namespace): scripts run under this
    machine's sh, with copies of this machine's file commands, in a chroot, below a process number 1
    of their own. A jail is one more chroot, and sees commands only through its own mounts. A daemon
    is a sleeping process, so it can be killed, and keeps a file system busy.

What is modelled
    FreeBSD's commands are shims (one sh file, many links) over one model of the host, in memory:
    services, jails, interfaces and addresses, ipfw, kernel modules and sysctls. The model's home is
    process 1 (machine/server.py); it reads from /proc who called it and how, and answers in sh.
    rc.conf, jail.conf, fstab, passwd and the daemons' configurations are files of the tree, read
    when FreeBSD would read them: at boot, and when something starts. So the power takes everything
    but the files, and a boot makes the rest anew, in rcorder's order, with local rc scripts under a
    small rc.subr.

    `who_answers` follows a client's first packet through the rules to a socket, and the reply back.
    `query` reaches the rows of whichever mysqld answers at an address.

How it says that it does not know
    A command, option or statement that FreeBSD or the stand-in does not know fails with FreeBSD's
    words, or with 70 where no model stands behind it, and `StandIn.strange` has a line of it. A
    test that ends with `assert standin.strange == []` was answered by the model throughout.

How good it is
    tests/contract/ holds it against a recording of a real FreeBSD 13.2, and against a real one
    where an image is at hand.

Limits
    Plain file commands (cat, mkdir, chmod, grep, awk, sort, tar ...) are this machine's own, GNU
    options included; those whose options or words matter are translated (commands/files.py).
    chflags holds against commands, not against a redirection of sh. IPv6 has addresses but no
    packets. Only the opening packet of a connection and the answer to it are judged, and counted;
    of pipes there is none, of TSO only that it stops an upload through nat. A power cut loses
    nothing that was written or, when asked to, the tails of files (linux/power_loss.py), but never
    a name. Jails have no limits and no vnet. Users in MySQL, TLS and mail delivery do not exist.
    Commands beside the shims cannot be broken (`break_at`) by name, but the file that sh runs can.
    Without root and without newuidmap(1) there is one user only: owners are then kept in a file of
    ours, see linux/owners.py.
"""

from standin.model.network import OUTSIDE
from standin.samples.base_host import BaseHost
from standin.standin import HostDown, QueryFailed, StandIn

__all__ = ["OUTSIDE", "BaseHost", "HostDown", "QueryFailed", "StandIn"]

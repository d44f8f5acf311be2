"""Attempts by files: names, links, FIFOs, set-uid programs, directories that are swapped."""

from __future__ import annotations

from tests.breakin.attempt import (
    CHANGED,
    FILLED,
    HERE,
    LEARNT,
    NO_ACCOUNTS,
    NO_KERNEL,
    RAN,
    WRITTEN,
    Attempt,
    Goal,
    Whom,
    mounted,
)

FUNCTIONS = r"""
evil() { # directory: names that an unquoted or twice read name would run, and links to the host
    cd "$1" || return
    nl='
'
    hit="breakin-hit $mark"
    for n in "\$($hit)" "\`$hit\`" ";$hit;" "a|$hit" "-exec $hit ;" "x$nl$hit" "'$hit'" "a&$hit&"
    do
        : > "./$n"
    done
    for n in victim secret hit-$mark; do ln -s /root/breakin/$n "./$n-$mark"; done
    for n in /etc /root/breakin / ..; do ln -s $n "./to$(echo $n | tr -c 'a-z\n' -)$mark"; done
    ln -s /root/breakin/victim "./a${nl}b$mark"
    mkdir -p "./d$nl/e" "./-rf $mark" && ln -s /root/breakin "./d$nl/e/out"
    mkfifo "./fifo-$mark"
}
swapping() { # directory: is in turns itself and a link to a directory of the host
    cd "${1%/*}" || return
    n=0
    while [ $n -lt 4000 ] && [ ! -e /tmp/enough ]; do
        mv "./${1##*/}" "./aside-$mark" && ln -s "$2" "./${1##*/}"
        rm "./${1##*/}" && mv "./aside-$mark" "./${1##*/}"
        n=$((n + 1))
        sleep $pace
    done
}
"""
"""For all attempts."""

_OUT = "../../../../../../../../../.."


def _named(place: str, what: str, whom: Whom, *jails: str) -> Attempt:
    return Attempt(
        f"names that run, links and FIFOs in {what}",
        whom,
        RAN,
        f"evil {place}",
        jails,
        lasting=True,
    )


def _linked(place: str, what: str, whom: Whom, *jails: str) -> Attempt:
    """The same place, told by what would be followed."""
    return Attempt(
        f"links to a file of root in {what}",
        whom,
        CHANGED,
        f"cd {place} && ln -s {HERE}/victim ./victim-{'$mark'} && ln -sf {HERE}/victim ./core",
        jails,
        lasting=True,
    )


_IN_HOME = "/usr/home/user001"
NAMES = (
    _named("/etc", "/etc", "root"),
    _named("/usr/local/etc", "/usr/local/etc", "root"),
    _named("/var/log", "/var/log", "root"),
    _named("/var/run", "/var/run", "root"),
    _named("/var/cron/tabs", "the crontabs", "root"),
    _named("/tmp", "/tmp", "daemon"),
    _named("/root", "root's home", "root"),
    _named("/var/spool/mqueue", "the mail queue", "root", "mail"),
    _named("/var/spool/clientmqueue", "the submission queue", "root"),
    _named("/var/mail", "the mailboxes", "root", "mail"),
    _named("/usr/local/etc/namedb/working", "the zones", "daemon", "bind"),
    _named("/var/db/mysql", "the databases", "daemon", "mysql"),
    _named("/usr/local/www", "the document roots", "root", "web"),
    _named("/usr/local/etc/apache24/Includes", "the virtual hosts", "root", "web"),
    _named(_IN_HOME, "a home", "account", "web", "mail"),
    _named(f"{_IN_HOME}/public_html", "pages", "account", "web"),
    _linked("/var/db/mysql", "the databases", "daemon", "mysql"),
    _linked("/usr/local/etc/namedb/working", "the zones", "daemon", "bind"),
    _linked("/var/log", "the logs", "root"),
    _linked("/var/mail", "the mailboxes", "root", "mail"),
    _linked(f"{_IN_HOME}/public_html", "pages", "account", "web"),
    Attempt(
        "queue files with links for names",
        "root",
        CHANGED,
        f"cd /var/spool/mqueue && for n in qfA1 dfA1 xfA1 "
        f"hfA2 tfA3; do ln -sfh {HERE}/victim ./$n; done",
        ("mail",),
        lasting=True,
    ),
    Attempt(
        "a queue file whose name has a newline and a path",
        "root",
        WRITTEN,
        "cd /var/spool/mqueue && n='dfA9\n../../../etc/cron.d/'$mark && "
        'mkdir -p "./dfA9\n.." && echo "$mark" > "./dfA9\n$mark" && : "$n"',
        ("mail",),
        lasting=True,
    ),
    Attempt(
        "a mailbox that is a link",
        "root",
        CHANGED,
        f"cd /var/mail && ln -s {HERE}/victim ./breakin",
        ("mail",),
        lasting=True,
    ),
    Attempt(
        "a database whose name ends a shell's quote",
        "daemon",
        RAN,
        "cd /var/db/mysql && mkdir -p \"./user001_'; breakin-hit "
        "$mark; '\" './user001_$(breakin-hit '$mark')'",
        ("mysql",),
        lasting=True,
    ),
    Attempt(
        "a zone whose name is a command",
        "root",
        RAN,
        'printf \'\\nzone "$(breakin-hit %s).example" { '
        'type primary; file "/root/breakin/secret"; };\\n\''
        " $mark >> /usr/local/etc/namedb/breakin-$mark.conf",
        ("bind",),
        lasting=True,
    ),
    Attempt(
        "a virtual host whose names are commands",
        "root",
        RAN,
        "printf '<VirtualHost *:81>\\nServerName $(breakin-hit "
        '%s)\\nDocumentRoot "/x;breakin-hit %s;"\\n'
        "</VirtualHost>\\n' $mark $mark > /usr/local/etc/apache24/breakin-$mark",
        ("web",),
        lasting=True,
    ),
)

LINKS = (
    Attempt("out by ..", "root", LEARNT, f"cat {_OUT}{HERE}/secret > /tmp/loot-$mark"),
    Attempt(
        "out by .. as an account",
        "account",
        LEARNT,
        f"cat {_OUT}{HERE}/secret > /tmp/loot-$mark",
        ("web", "mail"),
    ),
    Attempt(
        "out by .. from a mounted directory",
        "root",
        LEARNT,
        f"cd /usr/home 2>/dev/null || cd /var; cat "
        f"{_OUT}{HERE}/secret ../../../../root/breakin/secret"
        " > /tmp/loot-$mark",
    ),
    Attempt(
        "out by a chroot in the jail",
        "root",
        LEARNT,
        "mkdir -p /tmp/c && cp -R /bin /lib /libexec /tmp/c/ && chroot /tmp/c /bin/sh -c "
        f"'cd ../../../../../../..; cat .{HERE}/secret "
        f"{_OUT}{HERE}/secret' > /tmp/loot-$mark; rm -rf /tmp/c",
    ),
    Attempt(
        "out by an open directory, after a chroot",
        "root",
        LEARNT,
        'p=/compat/linux/usr/bin/perl; [ -x $p ] && mkdir -p /tmp/d && $p -e \'opendir(D, "/"); '
        'chroot("/tmp/d"); chdir(D); chdir("..") for 1..50; '
        'chroot("."); open(F, "root/breakin/secret") '
        "&& print <F>' > /tmp/loot-$mark",
        ("mysql", "web"),
        lacks=NO_KERNEL,
    ),
    Attempt(
        "out by a descriptor that a process of the jail has open",
        "root",
        LEARNT,
        "for n in 0 1 2 3 4 5 6 7 8 9; do cat /dev/fd/$n/../../root/breakin/secret "
        "/dev/fd/$n/root/breakin/secret; done > /tmp/loot-$mark 2>/dev/null",
    ),
    Attempt(
        "a hard link to a file of the host's root",
        "root",
        CHANGED,
        f"ln {_OUT}{HERE}/victim /tmp/hard-$mark; ln -P {HERE}/victim /usr/home/hard-$mark",
    ),
    Attempt(
        "a hard link to another's file, for whoever changes owners",
        "account",
        Goal(
            "[ \"$(stat -f '%Su %Lp' /usr/home/user002/breakin-victim)\" != 'user002 600' ]",
            "chmod 644 /usr/home/user002/breakin-victim",
            "chmod 600 /usr/home/user002/breakin-victim",
        ),
        f"ln /usr/home/user002/breakin-victim {_IN_HOME}/hard-$mark; "
        f"ln -s /usr/home/user002/breakin-victim {_IN_HOME}/soft-$mark",
        ("web",),
        lasting=True,
    ),
    Attempt(
        "a link in what is shown of the logs, read by root",
        "root",
        Goal(
            f'cat "/usr/jails/.shown/$jail/var/log/look-$mark" | cmp -s - {HERE}/secret',
            'jexec "$jail" sh -c "cd /var/log; rm -f look-$mark; cat > look-$mark" '
            f"< {HERE}/secret",
            'jexec "$jail" rm -f "/var/log/look-$mark"',
        ),
        f"ln -s {HERE}/secret /var/log/look-$mark",
        ("web",),
    ),
    Attempt(
        "a link in the place of the logs that are shown",
        "root",
        Goal(
            '[ -e "/usr/jails/.shown/$jail/var/log/secret" ]',
            "",
            "",
        ),
        f"mkdir -p /tmp/l && cp -R /var/log/. /tmp/l/ && mv "
        f"/var/log /var/log-$mark && ln -s {HERE} /var/log; "
        "rm /var/log; mv /var/log-$mark /var/log",
        ("web",),
    ),
)

OTHERS = (
    Attempt(
        "a base program is overwritten",
        "root",
        WRITTEN,
        "for d in /bin /sbin /lib /libexec /usr/bin /usr/sbin /usr/lib /usr/libexec /usr/share; do "
        'echo "$mark" > $d/breakin-$mark; done',
    ),
    Attempt(
        "a program of packages is overwritten",
        "root",
        WRITTEN,
        "for d in /usr/local/bin /usr/local/sbin /usr/local/libexec /usr/local/lib; do "
        'echo "$mark" > $d/breakin-$mark; done',
    ),
    Attempt(
        "the host's rc.conf by every path that leads up",
        "root",
        WRITTEN,
        "for d in /usr/local/etc /var/log /var/db /usr/home /root; do "
        'echo "# $mark" >> $d/../../../../../../etc/rc.conf.d/$mark; done',
    ),
    Attempt(
        "a crontab of root in the jail",
        "root",
        RAN,
        "printf '* * * * * breakin-hit %s\\n@reboot breakin-hit "
        "%s\\n' $mark $mark >> /var/cron/tabs/root; "
        "mkdir -p /etc/cron.d; printf '* * * * * root breakin-hit %s\\n' $mark >> /etc/cron.d/x",
        lasting=True,
    ),
    Attempt(
        "a crontab of an account in the jail",
        "account",
        RAN,
        'echo "* * * * * breakin-hit $mark" | crontab -',
        ("web",),
        lasting=True,
        lacks="crontab(1) in a jail",
    ),
    Attempt(
        "rc scripts of the jail that run commands",
        "root",
        RAN,
        'echo "breakin-hit $mark" >> /etc/rc.local; mkdir -p /etc/rc.conf.d; '
        'echo "x=\\$(breakin-hit $mark)" > /etc/rc.conf.d/cron',
        lasting=True,
    ),
    Attempt(
        "an rc.shutdown that runs commands",
        "root",
        RAN,
        'echo "breakin-hit $mark" >> /etc/rc.shutdown',
        lasting=True,
    ),
    Attempt(
        "newsyslog of the jail runs commands",
        "root",
        RAN,
        'mkdir -p /etc/newsyslog.conf.d && echo "/var/log/x-$mark '
        '644 1 1 * R /usr/local/sbin/breakin-hit" '
        "> /etc/newsyslog.conf.d/x.conf",
        lasting=True,
    ),
    Attempt(
        "FIFOs where pages' settings are looked for",
        "account",
        RAN,
        f"cd {_IN_HOME}/public_html && mkfifo wp-config.php .htaccess .user.ini .env; "
        "cd .. && mkfifo .forward .procmailrc .mailfilter",
        ("web",),
        lasting=True,
    ),
    Attempt(
        "FIFOs in the jail's configuration",
        "root",
        RAN,
        "mkdir -p /etc/rc.conf.d /usr/local/etc/rc.conf.d; mkfifo /etc/breakin.fifo "
        "/usr/local/etc/breakin.conf /var/cron/tabs/fifo",
        lasting=True,
    ),
    Attempt(
        "a set-uid program in the jail's tree, run by an account of the host",
        "root",
        Goal(
            f'su -m user002 -c "$root/tmp/suid-$mark {HERE}/hit-$mark"; [ -e {HERE}/hit-$mark ]',
            RAN.planted,
            RAN.clean,
        ),
        "cp /usr/bin/touch /tmp/suid-$mark && chmod 4755 /tmp/suid-$mark",
        lasting=True,
        lacks=NO_ACCOUNTS,
    ),
    Attempt(
        "a set-uid program in what is shown of the logs",
        "root",
        Goal(
            'su -m user002 -c "/usr/jails/.shown/$jail/var/log/suid-$mark '
            f'{HERE}/hit-$mark"; [ -e {HERE}/hit-$mark ]',
            RAN.planted,
            RAN.clean,
        ),
        "cp /usr/bin/touch /var/log/suid-$mark && chmod 4755 /var/log/suid-$mark",
        ("web",),
        lasting=True,
        lacks=NO_ACCOUNTS,
    ),
    Attempt(
        "code in its rc.conf, for whoever reads that with sh",
        "root",
        RAN,
        'echo "breakin-hit $mark >/dev/null 2>&1 || :" >> /etc/rc.conf',
        lasting=True,
    ),
    Attempt(
        "a directory of pages is swapped for a link",
        "account",
        WRITTEN,
        f"mkdir -p {_IN_HOME}/public_html/turn && echo "
        f"$mark > {_IN_HOME}/public_html/turn/$mark && "
        f"(swapping {_IN_HOME}/public_html/turn /etc >/dev/null 2>&1 &)",
        ("web",),
        lasting=True,
    ),
    Attempt(
        "a database's directory is swapped for a link",
        "daemon",
        CHANGED,
        "mkdir -p /var/db/mysql/user001_turn && : > /var/db/mysql/user001_turn/victim && "
        f"(swapping /var/db/mysql/user001_turn {HERE} >/dev/null 2>&1 &)",
        ("mysql",),
        lasting=True,
    ),
    Attempt(
        "the directory of zones is swapped for a link",
        "daemon",
        CHANGED,
        "cd /usr/local/etc/namedb/working && mkdir -p turn && : > turn/victim && "
        f"(swapping /usr/local/etc/namedb/working/turn {HERE} >/dev/null 2>&1 &)",
        ("bind",),
        lasting=True,
    ),
    Attempt(
        "the submission queue is swapped for a link",
        "root",
        CHANGED,
        f"(swapping /var/spool/clientmqueue {HERE} >/dev/null 2>&1 &)",
        ("mail",),
        lasting=True,
    ),
    Attempt(
        "a directory of /etc is swapped for a link",
        "root",
        WRITTEN,
        "mkdir -p /etc/turn && echo $mark > /etc/turn/$mark "
        "&& (swapping /etc/turn /etc >/dev/null 2>&1 &)",
        lasting=True,
    ),
    Attempt(
        "a directory of /usr/local/etc is swapped for a link",
        "root",
        WRITTEN,
        "mkdir -p /usr/local/etc/turn && echo $mark > /usr/local/etc/turn/$mark && "
        "(swapping /usr/local/etc/turn /etc >/dev/null 2>&1 &)",
        lasting=True,
    ),
    Attempt(
        "the mode of the data's directory turns",
        "daemon",
        CHANGED,
        "(n=0; while [ $n -lt 4000 ] && [ ! -e /tmp/enough ]; do for d in /var/db/mysql "
        "/usr/local/etc/namedb/working; do chmod 750 $d; "
        "sleep $pace; chmod 755 $d; sleep $pace; done; "
        "n=$((n + 1)); done >/dev/null 2>&1 &)",
        ("bind", "mysql"),
        lasting=True,
    ),
    Attempt(
        "a process that no signal but KILL ends",
        "root",
        RAN,
        "(trap '' TERM HUP INT QUIT; n=0; while [ $n -lt 1500 ]; do sleep 1; n=$((n + 1)); done "
        ">/dev/null 2>&1 &)",
        ("bind",),
        lasting=True,
    ),
    Attempt(
        "an rc.shutdown that never ends",
        "root",
        RAN,
        "echo 'sleep 1000' >> /etc/rc.shutdown",
        ("mysql",),
        lasting=True,
    ),
    Attempt(
        "a log of the jail is flooded",
        "root",
        WRITTEN,
        "(n=0; while [ $n -lt 2000 ] && [ ! -e /tmp/enough ]; do logger -p daemon.err "
        '"$mark $n"; n=$((n + 1)); sleep $pace; done >/dev/null 2>&1 &)',
        lasting=True,
    ),
    Attempt(
        "a file that its owner's flags protect",
        "account",
        WRITTEN,
        "mkdir /tmp/kept-$mark && cd /tmp/kept-$mark && : > f && chflags uunlnk f && "
        "chflags uchg .",
        lasting=True,
    ),
    Attempt(
        "the disk is filled by an account",
        "account",
        FILLED,
        "dd if=/dev/zero of=/tmp/full-$mark bs=64k",
        last=True,
        lacks="a disk in the stand-in holds what it is given",
    ),
    Attempt(
        "the disk is filled to its last block, and with as many files as it can have",
        "root",
        FILLED,
        "dd if=/dev/zero of=/root/full bs=64k; "
        "n=0; while : > /var/log/$mark.$n; do n=$((n + 1)); done",
        last=True,
        lacks="a disk in the stand-in holds what it is given",
    ),
    Attempt(
        "messages with escape sequences and HTML in the logs",
        "daemon",
        WRITTEN,
        'logger "$(printf "\\033]0;%s\\007\\033[2J<script>%s</script>" $mark $mark)"',
        lasting=True,
    ),
)

MOUNTS = (
    Attempt(
        "the host's / mounted",
        "root",
        mounted("/mnt"),
        "mkdir -p /mnt; mount -t nullfs / /mnt",
        lacks=NO_KERNEL,
    ),
    Attempt(
        "a devfs mounted",
        "root",
        mounted("/tmp/dev"),
        "mkdir -p /tmp/dev; mount -t devfs devfs /tmp/dev",
        lacks=NO_KERNEL,
    ),
    Attempt(
        "a procfs mounted",
        "root",
        mounted("/tmp/proc"),
        "mkdir -p /tmp/proc; mount -t procfs proc /tmp/proc || mount -t linprocfs proc /tmp/proc",
        lacks=NO_KERNEL,
    ),
    Attempt(
        "a tmpfs mounted",
        "root",
        mounted("/tmp/mem"),
        "mkdir -p /tmp/mem; mount -t tmpfs tmpfs /tmp/mem",
        lacks=NO_KERNEL,
    ),
    Attempt(
        "the base remounted writable",
        "root",
        Goal(
            'mount -p | awk -v at="$root/bin" \'$2 == at '
            "&& $4 !~ /^ro/ {found = 1} END {exit !found}'",
            "",
            "",
        ),
        "mount -u -o rw /bin; mount -u -o rw /usr/bin",
        lacks=NO_KERNEL,
    ),
    Attempt(
        "the base unmounted",
        "root",
        Goal(
            "! mount -p | awk -v at=\"$root/usr/include\" '$2 == at {found = 1} END {exit !found}'",
            'umount "$root/usr/include"',
            'mount -t nullfs -o ro /usr/include "$root/usr/include"',
        ),
        "umount /usr/include; umount -f /usr/include",
        lacks=NO_KERNEL,
    ),
    Attempt(
        "a device node made",
        "root",
        Goal(
            'find -x "$root/tmp" "$root/root" \\( -type c -o -type b \\) | grep -q .',
            'mknod "$root/tmp/c" c 0 4',
            'rm "$root/tmp/c"',
        ),
        "mknod /tmp/c-$mark c 0 4; mknod /root/b-$mark b 0 4; mknod /dev/c-$mark c 0 4",
        lacks=NO_KERNEL,
    ),
    Attempt(
        "the host's disk and memory read",
        "root",
        Goal(
            'find -x "$root/tmp" -type f -name "loot-$mark" -size +0 | grep -q .',
            'jexec "$jail" sh -c "echo x > /tmp/loot-$mark"',
            'jexec "$jail" rm -f "/tmp/loot-$mark"',
        ),
        "for d in vtbd0 vtbd0p1 ada0 da0 mem kmem io pci bpf bpf0 mdctl acpi kbd0 klog; do "
        "head -c 512 /dev/$d; done > /tmp/loot-$mark 2>/dev/null",
        lacks=NO_KERNEL,
    ),
    Attempt(
        "hidden devices shown again",
        "root",
        Goal(
            '[ -e "$root/dev/mem" ]',
            'devfs -m "$root/dev" rule apply path mem unhide',
            'devfs -m "$root/dev" rule apply path mem hide',
        ),
        "devfs rule apply path mem unhide; devfs -m /dev "
        "rule -s 0 applyset; devfs -m /dev ruleset 0",
        lacks=NO_KERNEL,
    ),
)

ATTEMPTS = (*NAMES, *LINKS, *OTHERS, *MOUNTS)

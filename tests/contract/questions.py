"""What the recording does not hold: asked of the stand-in and of a real FreeBSD, and compared.

Each conversation starts on a freshly booted host, and its commands are asked in order.
"""

from __future__ import annotations

CONVERSATIONS: dict[str, tuple[str, ...]] = {
    "rc.conf": (
        "printf 'a=\"1\"  # why\\n' >/etc/rc.conf.local",
        "sysrc -f /etc/rc.conf.local a=2",
        "cat /etc/rc.conf.local",
        "sysrc -n a",
        "sysrc a_list+='ipfw nullfs' && sysrc a_list-=ipfw && sysrc -n a_list",
        "sysrc -x a_list; sysrc -c no_such=1; rm /etc/rc.conf.local",
    ),
    "service": (
        "sysrc named_enable=NO",
        "service named status",
        "service named enabled",
        "service named onestatus | sed 's/[0-9][0-9]*/N/'",
        "service named gracefulstop; echo $?",
        "sysrc named_enable=YES",
        "kill -9 $(cat /var/run/named/pid); sleep 1; service named onestatus",
    ),
    "ipfw": (
        "ipfw set show",
        "kenv net.inet.ip.fw.default_to_accept=1",
        "kldload ipfw",
        "ipfw -q add 500 deny tcp from 192.0.2.0/24 to me 80,443 in",
        "ipfw -q add 600 set 3 skipto 900 ip from any to not 10.0.0.0/8 via lo0",
        "ipfw add 700 pass all from any to any keep-state",
        "ipfw add allow tcp from any to any dst-port 22 setup",
        "ipfw -S list",
        "ipfw delete 12345",
        "ipfw set disable 3 5; ipfw set show",
        "ipfw set move 3 to 4; ipfw -S list 600",
        "ipfw -q delete 500 600 700 800; ipfw list",
        "kldunload ipfw",
    ),
    "addresses": (
        "ifconfig lo7 create && ifconfig lo7 inet 10.80.7.1 netmask 255.255.255.0 alias",
        "ifconfig lo7 inet | tail -1",
        "ifconfig lo7 inet 10.80.7.1 delete; ifconfig lo7 inet; ifconfig lo7 destroy",
        "ifconfig lo0 frobnicate >/dev/null 2>&1; echo $?",
    ),
    "mounts": (
        "mkdir -p /var/tmp/q/a /var/tmp/q/b && mount -t tmpfs tmpfs /var/tmp/q/a",
        "mount -t nullfs /var/tmp/q/a /var/tmp/q/b && mount -p | tail -2",
        "mount -u -o ro /var/tmp/q/b && touch /var/tmp/q/b/x",
        "umount /var/tmp/q/a; umount /var/tmp/q/b && umount /var/tmp/q/a; rm -r /var/tmp/q",
        "mount -t nullfs /nosuch /mnt; echo $?",
    ),
    "jails": (
        "mkdir -p /usr/jails/q /etc/jail.conf.d",
        "printf 'q { path=/usr/jails/q; host.hostname=q.x; ip4.addr=10.99.99.9; persist; }'"
        " >/etc/jail.conf.d/q.conf",
        "service jail onestart q",
        "jls -n -j q name ip4.addr path",
        "service jail onestop q",
        "jail -c name=q path=/usr/jails/q 'ip4.addr=lo0|10.99.99.9' persist; ifconfig lo0 inet",
        "jail -r q; ifconfig lo0 inet",
        "rm -r /etc/jail.conf.d /usr/jails",
    ),
    "files": (
        "cd /var/tmp && rm nosuch; cp nosuch x; mv nosuch x; mkdir /etc; rmdir /etc",
        "cd /var/tmp && mkdir q q/s && touch q/s/f && cp -R q/ r && ls r && rm -r q r",
        "ln -s a /var/tmp/l && ln -sfh b /var/tmp/l && stat -f '%HT %Y' /var/tmp/l; rm /var/tmp/l",
        "printf 'a b\\n' | wc; printf 'a b\\n' | wc -lw",
        "printf abc | sha256; printf abc | md5; sha256 -r /dev/null",
        "install -d -m 750 -o www /var/tmp/w && stat -f '%Su:%Sg %Lp' /var/tmp/w; rmdir /var/tmp/w",
        "stat -f '%Sp %OLp %HT %N' /etc/passwd /home",
        "lockf -n -t 0 /var/tmp/nosuch true; echo $?",
        "timeout --foreground 1 sh -c 'sleep 3'; echo $?",
        "daemon -f -p /var/run/q.pid sleep 3; sleep 1; test -s /var/run/q.pid; echo $?",
        "rm -rf /var/tmp/x",
    ),
    "accounts": (
        "pw groupadd q -g 3000 && pw useradd q -u 3001 -g q -c Q -d /nonexistent -G www",
        "pw groupshow www; pw usershow q; id q; grep ^q: /etc/passwd",
        "pw userdel q; pw groupshow q; pw groupdel q; pw groupshow www",
    ),
}

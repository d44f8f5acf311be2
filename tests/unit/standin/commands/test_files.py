"""File commands behave as BSD's do."""

from __future__ import annotations

from hashlib import sha256

import pytest

from standin import StandIn


@pytest.mark.parametrize(
    ("command", "exit", "stdout", "stderr"),
    [
        ("rm /nosuch", 1, "", "rm: /nosuch: No such file or directory\n"),
        ("rm -f /nosuch", 0, "", ""),
        ("cp /nosuch /tmp/x", 1, "", "cp: /nosuch: No such file or directory\n"),
        ("cd /tmp && printf a >f && stat -f '%N %z %HT' f", 0, "f 1 Regular File\n", ""),
        ("stat -f '%Su:%Sg %Lp' /root /tmp", 0, "root:wheel 750\nroot:wheel 777\n", ""),
        ("ln -s /etc/hosts /tmp/l && stat -f '%HT %Y' /tmp/l", 0, "Symbolic Link /etc/hosts\n", ""),
        ("printf abc | sha256 | cut -c1-8", 0, "ba7816bf\n", ""),
        ("printf abc >/tmp/d; sha256 -r /tmp/d | cut -c60-", 0, "015ad /tmp/d\n", ""),
        ("install -d -m 750 -o www -g www /tmp/w && stat -f '%Su %Lp' /tmp/w", 0, "www 750\n", ""),
        ("printf 'x\\n' >/tmp/s; sed -i '' s/x/y/ /tmp/s; cat /tmp/s", 0, "y\n", ""),
        ("mkdir -p /tmp/a/b /tmp/c; touch /tmp/a/b/f; cp -R /tmp/a/ /tmp/c; ls /tmp/c", 0,
         "b\n", ""),
        ("printf '1\\n2\\n3\\n' | tail -2", 0, "2\n3\n", ""),
        ("find -x /etc/mail -name aliases", 0, "/etc/mail/aliases\n", ""),
        ("jot 3", 0, "1\n2\n3\n", ""),
        ("mktemp -d -t foo | cut -d. -f1 | cut -c6-", 0, "foo\n", ""),
        ("cat /dev/null; echo $?", 0, "0\n", ""),
        ("printf 'x\\n' | install -m 600 /dev/stdin /tmp/i && cat /tmp/i", 0, "x\n", ""),
        ("daemon -p /d.pid -f sleep 5; sleep 0.1; kill -0 $(cat /d.pid)", 0, "", ""),
    ],
)  # fmt: skip
def test_behaves(shared: StandIn, command: str, exit: int, stdout: str, stderr: str) -> None:
    done = shared.run(command)
    assert (done.returncode, done.stdout, done.stderr) == (exit, stdout, stderr)


# What the model does itself in simple cases must equal what this machine's command does, which
# an option that changes nothing selects.
LAID = "mkdir -p /r/d/in; cd /r; echo a >a; echo b >b; ln a same; ln -s b link; ln -s d folder; "
LOOK = "; echo $?; ls -R1 /r; cat /r/a /r/b /r/link; rm -rf /r"


@pytest.mark.parametrize(
    "words",
    ["a b", "-f a new", "a same", "a link", "link new", "a d", "a folder", "d new", "d link",
     "d folder", "no new", "a no/new", "a b/", "a new/", "folder/ new", "a b d", "/r/a /r/d/in/a",
     "/r/d /r/d/in", "a /mnt/ro/a"],
)  # fmt: skip
def test_mv_leaves_the_same_by_either_way(server: StandIn, words: str) -> None:
    server.run("mkdir -p /mnt/ro; mount -t nullfs -o ro /etc /mnt/ro")
    own, real = (server.run(f"{LAID} mv {how} {words}{LOOK}") for how in ("", "-v"))
    assert own.stdout.splitlines() == [
        line for line in real.stdout.splitlines() if "->" not in line and "renamed" not in line
    ]
    assert own.stderr == real.stderr


@pytest.mark.parametrize(
    "words",
    ["a", "a b no link", "folder", "d", "a d b", "folder/", "d/in/..", "d/.", "a/x",
     "same /etc/nosuch", "/mnt/ro/hosts"],
)  # fmt: skip
def test_rm_leaves_the_same_by_either_way(server: StandIn, words: str) -> None:
    server.run("mkdir -p /mnt/ro; mount -t nullfs -o ro /etc /mnt/ro")
    own, real = (server.run(f"{LAID} rm {how} {words}{LOOK}") for how in ("-f", "-fx"))
    assert (own.stdout, own.stderr) == (real.stdout, real.stderr)


def test_the_model_acts_only_for_its_own_user(server: StandIn) -> None:
    server.run("mkdir /root/of-root; echo kept >/root/of-root/file; chmod 755 /root /root/of-root")
    www = server.run("chroot -u www -g www -G www / id -u")
    if www.returncode:
        pytest.skip(f"no other user can be had here: {www.stderr}")
    for command in ("rm -f /root/of-root/file", "mv /root/of-root/file /tmp/mine"):
        assert "denied" in server.run(f"chroot -u www -g www -G www / {command}").stderr
    assert (server.root / "root/of-root/file").exists()


@pytest.mark.parametrize("words", ["+%s", "-u +%Y-%m-%dT%H:%M:%SZ", "-u '+now %s'", "'+%s of %s'"])
def test_date_prints_what_the_real_date_prints(server: StandIn, words: str) -> None:
    told = server.run(f"date {words}; /libexec/standin/real/date {words}; date {words}")
    first, real, last = told.stdout.splitlines()
    assert real in (first, last)


@pytest.mark.parametrize(
    "command",
    ["stat -c %U /etc", "cp --archive /etc /x", "sed --in-place s/a/b/ /etc/hosts", "date -d now",
     "find /etc -printf x", "install --directory /x", "readlink -m /x", "mktemp --directory"],
)  # fmt: skip
def test_what_only_gnu_knows_is_an_error(shared: StandIn, command: str) -> None:
    before = len(shared.strange)
    assert shared.run(command).returncode != 0
    assert len(shared.strange) > before


def test_real_mounts(server: StandIn) -> None:
    server.run("mkdir -p /mnt/a /mnt/b; mount -t nullfs -o ro /etc /mnt/a")
    assert server.run("touch /mnt/a/x").returncode == 1
    assert server.run("mount -u -o rw /mnt/a").returncode == 1  # a nullfs stays as it is
    server.run("umount /mnt/a; mount -t nullfs /etc /mnt/a; touch /mnt/a/x")
    assert (server.root / "etc/x").exists()
    assert (
        server.run(
            "(cd /mnt/a && exec sleep 9) >/dev/null 2>&1 & sleep 0.2; umount /mnt/a"
        ).returncode
        == 1
    )
    server.run("mount -t tmpfs tmpfs /mnt/b; touch /mnt/b/x")
    assert not (server.root / "mnt/b/x").exists()
    server.run("mkdir /mnt/c; mount -t nullfs /mnt/b /mnt/c")
    assert "Device busy" in server.run("umount /mnt/b").stderr
    assert server.run("umount /mnt/c; umount /mnt/b").returncode == 0


def test_accounts(server: StandIn) -> None:
    server.run("pw groupadd web -g 3000; pw useradd kim -u 3001 -g web -G www -m -c Kim")
    assert server.run("id kim").stdout == "uid=3001(kim) gid=3000(web) groups=3000(web),80(www)\n"
    assert server.run("stat -f %Su:%Sg /home/kim").stdout == "kim:web\n"
    assert server.run("grep -c kim /etc/passwd /etc/master.passwd").stdout.count(":1\n") == 2
    server.run("mkdir /tmp/etc; cp /etc/master.passwd /tmp/etc/")
    server.run("pwd_mkdb -d /tmp/etc -p /tmp/etc/master.passwd")
    assert server.run("grep -c kim /tmp/etc/passwd").stdout == "1\n"
    assert server.run("pw userdel kim").returncode == 0
    assert server.run("id kim").returncode == 1


def test_sysrc_keeps_what_stands_behind_the_value(server: StandIn) -> None:
    server.run("printf 'a=\"1\"  # why\\nb=2\\n' >/etc/rc.conf.local; sysrc a=3 b+=4")
    assert server.run("cat /etc/rc.conf.local").stdout == 'a="3"  # why\nb="2 4"\n'


def test_packages_can_be_carried_into_another_root(server: StandIn) -> None:
    assert server.run("pkg info -E apache24").stdout == "apache24-2.4.57\n"
    assert server.run("pkg info -e nosuch").returncode == 1
    server.run("mkdir -p /usr/jails/w/var/db/pkg; cd /tmp; pkg create -o /tmp apache24")
    assert server.run("pkg -r /usr/jails/w add /tmp/apache24-2.4.57.pkg").returncode == 0
    assert server.run("ls /usr/jails/w/usr/local/sbin").stdout == "apachectl\nhttpd\n"


def test_a_digest_is_of_what_is_in_the_file_now(server: StandIn) -> None:
    """Cached until the file changes: by its name, through a link, and when written in place."""
    server.run("echo one > /root/x; ln -s x /root/link; sleep 0.2; sha256 -q /root/x /root/link")
    told = server.run(
        "for word in two six ten; do echo $word > /root/x; sha256 -q /root/x /root/link; done"
    ).stdout.split()
    wanted = [sha256(f"{word}\n".encode()).hexdigest() for word in ("two", "six", "ten")]
    assert told == [each for each in wanted for _ in range(2)]
    server.run("sleep 0.2; sha256 -q /root/x; touch -r /etc/passwd /root/x; echo six > /root/x")
    assert server.run("sha256 -q /root/link").stdout.strip() == wanted[1]
    server.run("echo two > /root/y; sleep 0.2; sha256 -q /root/y; mv /root/y /root/x")
    assert server.run("sha256 -q /root/x").stdout.strip() == wanted[0]


def test_one_stat_is_asked_for_names_of_every_kind(server: StandIn) -> None:
    server.run(
        "mkdir -p /root/d/e; ln -s d/e /root/link; echo x > /root/d/e/f; ln -s f /root/d/e/g"
    )
    names = "etc /etc d/e/.. link/f link/g ./link link/ / . /root/link/../e/f"
    found = server.run(f"cd /root; stat -f '%N %HT %Y' {names}; cd /; stat -f '%N %HT' etc /etc")
    assert found.stderr == "stat: etc: No such file or directory\n"
    assert found.stdout.splitlines() == [
        "/etc Directory ",
        "d/e/.. Directory ",
        "link/f Regular File ",
        "link/g Symbolic Link f",
        "./link Symbolic Link d/e",
        "link/ Directory ",
        "/ Directory ",
        ". Directory ",
        "/root/link/../e/f Regular File ",
        "etc Directory",
        "/etc Directory",
    ]

"""Accounts kept apart on a real FreeBSD: a hundred of them try each other's files of mode 777.

By PHP and CGI in the web jail, and by cron and a shell on the host; the pages of all stay as they
were, and what it costs in requests a second is printed.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from box.qemu.guest import Guest
from tests.lab.operator import Operator
from tests.rehearsal.test_guest_accounts import AT_HAND, MORE_PEOPLE, PEOPLE, deployed, set_up

pytestmark = [pytest.mark.guest, pytest.mark.measured, pytest.mark.timeout(3600)]

ORDER = '"preflight", "base", "network", "web", "mac"'
BEFORE = "web.retire"
WEB = "10.80.0.4"
PHP = "/compat/linux/usr/bin/php-cgi"
# Each account has a page, a file for everybody, and scripts that read that of the next account. By
# two processes for all: an emulated machine starts few of them a second.
LAID = f"""
umask 022
awk -F: '$3 >= 1001 && $3 <= 1999 {{ print $1, $3 }}' /etc/passwd > /root/people
awk '
    function put(name, mode, text) {{
        print text > (home name); close(home name)
        print "./" who "/public_html/" name " type=file uid=" uid " mode=" mode > "/root/modes"
    }}
    {{ name[NR] = $1; number[NR] = $2 }}
    END {{
        for (i = 1; i <= NR; i++) {{
            who = name[i]; uid = number[i]; home = "/usr/home/" who "/public_html/"
            print "./" who " type=dir\\n./" who "/public_html type=dir" > "/root/modes"
            theirs = "/usr/home/" name[i % NR + 1] "/public_html/secret.txt"
            put("index.html", "0644", "the page of " who)
            put("secret.txt", "0777", "secret")
            put("try.sh", "0755", "#!/bin/sh\\ncat " theirs " >/dev/null 2>&1 " \\
                "&& echo open || echo closed")
            put("try.cgi", "0755", "#!/bin/sh\\necho Content-Type: text/plain; echo\\n. ./try.sh")
            put("try.php", "0755", "#!{PHP}\\n<?php echo \\"\\\\n\\", " \\
                "@file_get_contents(\\"" theirs "\\") ? \\"open\\" : \\"closed\\", \\"\\\\n\\";")
            put("own.php", "0755", "#!{PHP}\\n<?php echo \\"\\\\nran\\\\n\\";")
            tab = "/var/cron/tabs/" who
            print "* * * * * /bin/sh " home "try.sh >> /usr/home/" who "/cron.out" > tab; close(tab)
        }}
    }}' /root/people
(echo '. type=dir'; cat /root/modes) > /root/spec
mtree -eU -p /usr/home -f /root/spec >/dev/null || [ $? = 2 ]
head -n 8 /root/people > /root/few
chmod 600 /var/cron/tabs/*
touch /var/cron/tabs
"""
ASK = f"""
ask() {{ # page, times: what Apache in the jail answers for it from each account
    awk -v page="$1" -v times="${{2:-1}}" '
        {{ for (i = 0; i < times; i++) print "/~" $1 "/" page }}' /root/people > /root/asked
    rm -f /root/asked.*; split -l 50 /root/asked /root/asked.
    for part in /root/asked.*; do
        awk '
            {{ row[NR] = $0 }}
            END {{
                for (i = 1; i <= NR; i++) {{
                    printf "GET %s HTTP/1.1\\r\\nHost: www.example.org\\r\\n", row[i]
                    printf "%s\\r\\n", (i < NR ? "" : "Connection: close\\r\\n")
                }}
            }}' "$part" | nc -w 120 {WEB} 80
    done | tr -d '\\r'
}}
"""
TRIED = {
    "php": "ask try.php | grep -x -e open -e closed | sort | uniq -c",
    "cgi": "ask try.cgi | grep -x -e open -e closed | sort | uniq -c",
    "shell": "while read -r name uid; do "
    'su -m "$name" -c "sh /usr/home/$name/public_html/try.sh" </dev/null; '
    "done < /root/people | sort | uniq -c",
}
PAGES = "ask index.html | grep '^the page of' | sort | sha256"
ALL, SOME, FEW = "/root/people", "/root/few", 8
COST = {"a static page": ("index.html", 8), "PHP by suexec": ("own.php", 1)}


@pytest.fixture
def operator(fresh_guest: Guest, tmp_path: Path) -> Operator:
    made = Operator(fresh_guest, tmp_path, probes=0.5)
    set_up(made, ORDER, "suexec", probed=4)
    assert fresh_guest.sh(MORE_PEOPLE.format(number=PEOPLE - AT_HAND), timeout=600).exit == 0
    done = fresh_guest.sh(LAID, timeout=600)
    assert done.exit == 0, done.stderr
    return made


def counted(guest: Guest, command: str, few: bool = False) -> dict[str, int]:
    """How many accounts got what is the next one's, and how many did not."""
    people = command.replace(ALL, SOME) if few else command
    done = guest.sh(ASK.replace(ALL, SOME if few else ALL) + people, timeout=900)
    rows = [row.split() for row in done.stdout.splitlines()]
    return {answer: int(number) for number, answer in rows}


def by_cron(guest: Guest) -> dict[str, int]:
    outs = "/usr/home/*/cron.out"
    guest.sh(f"rm -f {outs}")
    count = f"cat {outs} 2>/dev/null | wc -l"
    guest.wait_until(lambda: int(guest.sh(count).stdout) >= PEOPLE, "tried by cron", 300.0)
    return counted(guest, f"cat {outs} | head -n {PEOPLE} | sort | uniq -c")


def rates(guest: Guest) -> dict[str, float]:
    """Requests a second."""
    found = {}
    for what, (page, times) in COST.items():
        timed = f"/usr/bin/time -p sh -c '. /root/ask; ask {page} {times}'"
        guest.sh(f"cat > /root/ask <<'EOF'\n{ASK}\nEOF")
        done = guest.sh(f"{timed} 2>&1 >/root/answers | grep ^real", timeout=900)
        found[what] = round(PEOPLE * times / float(done.stdout.split()[1]), 1)
    return found


def test_a_hundred_accounts_cannot_read_each_other(operator: Operator) -> None:
    guest = operator.guest
    deployed(operator, "apply", "--yes", "--to", BEFORE)
    before, pages = operator.fingerprint(), guest.sh(ASK + PAGES, timeout=300).stdout
    cost = {"before": rates(guest)}
    for how, command in TRIED.items():
        assert counted(guest, command, few=True) == {"open": FEW}, how

    deployed(operator, "apply", "--yes")
    for how, command in TRIED.items():
        assert counted(guest, command) == {"closed": PEOPLE}, how
    assert by_cron(guest) == {"closed": PEOPLE}
    assert guest.sh(ASK + PAGES, timeout=300).stdout == pages
    cost["with mac"] = rates(guest)
    guest.power_off()
    guest.boot()
    assert guest.sh("ugidfw list | tail -n 1").stdout.startswith("0 subject uid alice:")
    assert counted(guest, TRIED["php"], few=True) == {"closed": FEW}

    deployed(operator, "rollback", "--to", BEFORE)
    assert operator.fingerprint() == before
    assert guest.sh("kldstat -q -m mac_bsdextended || kldstat -q -m mac_seeotheruids").exit == 1
    for how, command in TRIED.items():
        assert counted(guest, command, few=True) == {"open": FEW}, how
    assert guest.sh(ASK + PAGES, timeout=300).stdout == pages
    cost["after"] = rates(guest)
    print(json.dumps(cost, indent=2))

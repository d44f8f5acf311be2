"""Each service of the sample arrives with all its needs; `make mutants` takes their carriers away.

The host has something for each carrier to carry, so that one left out would be missed: an rc
variable of each daemon, what the configurations name, and all directories of programs. What does
not move listens at 127.0.0.1 alone, where only a rule leads a jail to it. What all may read below
/usr/local/etc comes into the jail of pages in any case, so the companion's file is root's alone.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from operations.jail import LOCAL
from rollout.rehearsal.box import standin_box
from tests.rehearsal.on_standin import runner, typed
from tests.rehearsal.sites import ordered

HOST = (
    f"cd /usr/local && mkdir -p {' '.join(LOCAL)} && "
    "sysrc named_flags=-4 mysql_args=--x=1 apache24_flags=-DX sendmail_procname=x "
    "ldconfig_paths=/srv/lib && "
    "mkdir -p /srv/pages /srv/certs && "
    "echo 'Alias /more /srv/pages' >> /usr/local/etc/apache24/httpd.conf && "
    "echo 'O CACertPath=/srv/certs' >> /etc/mail/sendmail.cf && "
    "mkdir -p /usr/local/etc/php-fpm.d && sysrc php_fpm_enable=YES php_fpm_umask=022 && "
    "printf '[www]\\nuser = www\\ngroup = www\\nlisten = /var/run/php-fpm.sock\\n' "
    "> /usr/local/etc/php-fpm.conf && chmod 600 /usr/local/etc/php-fpm.conf && "
    "service php-fpm start"
)
AT_LOOPBACK = {
    "bind": ":",  # it has an address for each of its sockets
    "mysql": "echo 'bind-address = 127.0.0.1' >> /usr/local/etc/mysql/my.cnf && "
    "service mysql-server restart",
    "web": "sed -i '' -e 's/^Listen .*/Listen 127.0.0.1:80/' /usr/local/etc/apache24/httpd.conf && "
    "service apache24 restart",
    "mail": "sysrc sendmail_enable=NO sendmail_submit_enable=YES && service sendmail restart",
}


def host_of(subject: str) -> str:
    """What is typed on the host before."""
    stay = [each for name, each in AT_LOOPBACK.items() if name != subject]
    return " && ".join([HOST, *stay])


@pytest.mark.whole
@pytest.mark.parametrize("subject", AT_LOOPBACK)
def test_service_arrives_with_all_its_needs(subject: str, tmp_path: Path) -> None:
    made = ordered(subject)
    with standin_box(made.site, tmp_path) as box:
        typed(box, host_of(subject))
        with runner(made, box) as there:
            there.apply()
            assert [each for each in there.verify() if not each.passed] == []

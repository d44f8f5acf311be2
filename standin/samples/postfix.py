"""A server whose mail runs on Postfix and Dovecot: the text of its files."""

from __future__ import annotations

from standin.rc import rc_scripts
from standin.rc.rc_scripts import Header
from standin.samples.files import Entry, folder

MAIN_CF = """\
myhostname = dcserver.example.org
mydestination = $myhostname, example.org, localhost
mynetworks = 127.0.0.1/32
inet_interfaces = 203.0.113.2, localhost
virtual_alias_maps = hash:/usr/local/etc/postfix/virtual
alias_maps = hash:/etc/mail/aliases
alias_database = hash:/etc/mail/aliases
"""
MASTER_CF = """\
smtp       inet  n  -  n  -  -  smtpd
submission inet  n  -  n  -  -  smtpd
"""
DOVECOT = "protocols = imap pop3\nmail_location = maildir:~/Maildir\n"
MAILER_CONF = """\
sendmail	/usr/local/sbin/sendmail
mailq		/usr/local/sbin/sendmail
newaliases	/usr/local/sbin/sendmail
"""
SCRIPTS = {
    "postfix": Header("NETWORKING SERVERS", keywords="shutdown", rcvar="postfix_enable"),
    "dovecot": Header("LOGIN", keywords="shutdown", rcvar="dovecot_enable"),
}


def accounts(others: dict[str, str]) -> dict[str, str]:
    """The same accounts with the one that the port of Postfix creates."""
    mine = {
        "/etc/master.passwd": "postfix:*:125:125::0:0:Postfix:/nonexistent:/usr/sbin/nologin\n",
        "/etc/group": "postfix:*:125:\nmaildrop:*:126:postfix\n",
    }
    return {file: text + mine.get(file, "") for file, text in others.items()}


def entries(rc_conf: str) -> dict[str, Entry]:
    mine = 'sendmail_enable="NONE"\npostfix_enable="YES"\ndovecot_enable="YES"\n'
    found = {
        "/etc/rc.conf": Entry(rc_conf.replace('sendmail_enable="YES"\n', mine)),
        "/etc/mail/mailer.conf": Entry(MAILER_CONF),
        "/usr/local/etc/postfix/main.cf": Entry(MAIN_CF),
        "/usr/local/etc/postfix/master.cf": Entry(MASTER_CF),
        "/usr/local/etc/postfix/virtual": Entry("info@example.org user001\n"),
        "/usr/local/etc/postfix/virtual.db": Entry(""),
        "/etc/mail/aliases.db": Entry(""),
        **{
            f"/var/spool/postfix/{name}": folder(0o700)
            for name in ("active", "deferred", "hold", "incoming", "maildrop", "pid")
        },
        "/var/spool/postfix/private": folder(0o700, "postfix"),
        "/var/spool/postfix/public": folder(0o710, "postfix", "maildrop"),
    }
    return found | dovecot() | _script("postfix")


def dovecot() -> dict[str, Entry]:
    return {"/usr/local/etc/dovecot/dovecot.conf": Entry(DOVECOT), **_script("dovecot")}


def _script(name: str) -> dict[str, Entry]:
    return {f"/usr/local/etc/rc.d/{name}": Entry(rc_scripts.text(name, SCRIPTS[name]), 0o555)}

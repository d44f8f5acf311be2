"""A base host: the files that make one server differ from a freshly installed one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from standin.model.hardware import Hardware
from standin.samples import files, postfix
from standin.samples.files import Entry

PEOPLE = 100


@dataclass(frozen=True)
class BaseHost:
    """`entries` are files and directories, `accounts` the texts of master.passwd and group.

    `without` are paths of a fresh host that this one does not have. An owner who has no account is
    given by number.
    """

    accounts: Mapping[str, str]
    entries: Mapping[str, Entry]
    links: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    hardware: Hardware = field(default_factory=Hardware)

    @classmethod
    def sample(cls, people: int = PEOPLE) -> BaseHost:
        """The sample server: BIND, MySQL, Apache, sendmail, a hundred users, no ipfw."""
        return cls(files.accounts(people), files.server(people))

    @classmethod
    def busy(cls) -> BaseHost:
        """The same with foreign configuration: other rules, another jail, other aliases."""
        return cls(files.accounts(PEOPLE), files.server(PEOPLE) | files.other_peoples())

    @classmethod
    def with_postfix(cls, people: int = PEOPLE) -> BaseHost:
        """The sample with Postfix and Dovecot in sendmail's place."""
        accounts = postfix.accounts(files.accounts(people))
        return cls(accounts, files.server(people) | postfix.entries(files.RC_CONF))

    @classmethod
    def with_dovecot(cls) -> BaseHost:
        """The sample, where people read the mail of its sendmail by Dovecot."""
        sample = cls.sample()
        rc_conf = Entry(files.RC_CONF + 'dovecot_enable="YES"\n')
        more = {**postfix.dovecot(), "/etc/rc.conf": rc_conf}
        return replace(sample, entries={**sample.entries, **more})

    @classmethod
    def recorded(cls) -> BaseHost:
        """The host of tests/contract/freebsd-13.2.json, freshly booted: no pkg, php-fpm, redis."""
        without = (
            *("/usr/local/sbin/pkg", "/usr/local/sbin/php-fpm", "/usr/local/etc/rc.d/php-fpm"),
            *("/usr/local/bin/redis-server", "/usr/local/etc/rc.d/redis"),
        )
        return cls(files.recorded_accounts(), files.recorded(), without=without)

    def with_files(self, files: Mapping[str, str]) -> BaseHost:
        """The same with these files in addition, owned by root and world-readable."""
        more = {path: Entry(text) for path, text in files.items()}
        return replace(self, entries={**self.entries, **more})

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> BaseHost:
        entries = {path: Entry(**entry) for path, entry in found.pop("entries").items()}
        hardware = Hardware.of(found.pop("hardware"))
        return cls(entries=entries, hardware=hardware, **found)

"""Secrets in what a host answers: a survey names them, and does not have them.

A word stands in the place of each, the same for the same secret, so that what is equal on the host
is equal in the survey. Left out are values of keys that are called like a secret, hashes of
passwords, private keys, and passwords in URLs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from rollout.host.survey import Answer, LeftOut

_NAMES = r"password|passwd|passphrase|secret|token|credentials?|api[_-]?key|private[_-]?key|psk"
_KEY = rf"(?<![\w/])[\w.-]*(?:{_NAMES}|[_.](?:pass|pw|key))"
"""How a secret's key ends, as in DB_PASSWORD, mysqli.default_pw, wpa_psk; it is no path's end."""
_VALUE = r"(?:\"(?P<double>[^\"\n]+)|'(?P<single>[^'\n]+)|(?P<bare>[^\s\"'`;,\\]+))"
_LOGIN = r"(?!(?:smtps?|lmtp|relay|local|virtual|error|discard|retry|uucp|esmtp|pipe):)[^\s:]+"
"""Before a password; in a transport(5) the same place has how mail is sent."""
_SHAPES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (what, re.compile(pattern))
    for what, pattern in (
        ("", rf"(?i)(?P<what>{_KEY})[\"'\]]{{0,2}}[ \t]*(?:=>|=|:|,)[ \t]*{_VALUE}"),
        # Without a sign between them: Apache's SetEnv, named.conf's and redis.conf's keys.
        ("", rf"(?P<what>\b[A-Z0-9_]*(?:PASS|PW|PASSWORD|PASSWD|SECRET|TOKEN|KEY))[ \t]+{_VALUE}"),
        ("", rf"(?im)(?:^|_value)\s*(?P<what>secret|requirepass|masterauth|{_KEY})[ \t]+{_VALUE}"),
        ("a private key", r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----(?P<bare>.*?)-----END"),
        (
            "the hash of a password",
            r"(?P<bare>\$(?:1|2[abxy]?|3|5|6|7|y|apr1|argon2\w*)\$[^\s:\"',;]{8,})",
        ),
        ("the hash of a password", r"(?P<bare>\*[0-9A-F]{40}\b)"),
        ("the hash of a password", r"\{[A-Z0-9][A-Z0-9.-]*\}(?P<bare>[A-Za-z0-9+/=$.]{8,})"),
        ("the password in a URL", r"\b\w+://[^\s/:@]*:(?P<bare>[^\s/@]+)@"),
        (
            "the hash of a password",
            r"(?m)^(?:.*:\d+:)?[ \t]*[\w.@+-]+:(?=[^\s:]*[a-z])(?=[^\s:]*[A-Z])(?!/\w+/)"
            r"(?P<bare>[./0-9A-Za-z]{13})(?=:|\s*$)",
        ),
        ("the hash of a password", r"(?m)[^\s:]:[^:\n]+:(?P<bare>[0-9a-fA-F]{32})\s*$"),
        # On command lines, as crontab(5) has them.
        (
            "a password of a command",
            r"(?:^|[\s/])(?:mysql|mariadb)[\w-]*(?=\s)[^\n|;&]{0,1000}?\s-p"
            rf"(?!ath\b|erm\b|rint0?\b|rune\b|\$){_VALUE}",
        ),
        (
            "a password of a command",
            rf"(?<!\S)--[\w-]*pass(?:word|wd|phrase)?[= ][ \t]*(?![-$<%/]){_VALUE}",
        ),
        (
            "a password of a command",
            r"(?<!\S)(?:-[uU]|--(?:proxy-)?user[= ])[ \t]*[\"']?[\w.@-]+:(?!\d+(?:\s|$)|\$)"
            r"(?P<bare>[^\s\"']+)",
        ),
        # sendmail's AuthInfo, dma's auth.conf, Postfix's smtp_sasl_password_maps.
        ("a password for mail", r"[\"']P[:=](?P<bare>[^\"'\n]+)[\"']"),
        (
            "a password for mail",
            r"(?m)^(?:.*:\d+:)?[ \t]*[\w.+@-]+\|[\w.-]+:(?P<bare>\S+)\s*$",
        ),
        ("a password for mail", rf"\bstatic:\{{?\s*{_LOGIN}:(?P<bare>[^\s,}}\[/]+)"),
        ("a password for mail", rf"(?m)^[ \t]*\[[\w.:-]+\](?::\w+)?\s+{_LOGIN}:(?P<bare>\S+)\s*$"),
        ("the password in a URL", r"[?&]auth(?:\[\w*\])?=(?P<bare>[^\s&\"']+)"),
    )
)
_NO_SECRET = re.compile(
    r"[/$<%{(|].*|.*[(/]|\d{1,5}|\W+|LEFT-OUT-\d+|.*[.](so|php|sh|conf|inc|html?)|(?i:files|compat|"
    r"nis|ldap|winbind|cache|db|yes|no|true|false|on|off|none|null|auto|plain|required|sufficient|"
    r"optional|requisite|default|unset|empty|include|is|of|for|and|or)"
)
"""A path, a variable, a number, a word of nsswitch.conf(5) or PAM, a switch: also at such keys."""
_DISTINCT = re.compile(r"(?=.*\d)(?=.*[^\W\d])\S{6,}|\S{12,}|.*\s.*", re.DOTALL)
"""What is no word of something else: looked for everywhere, and not only where it was seen."""


class _Span(NamedTuple):
    start: int
    end: int
    what: str


def _spans(text: str) -> list[_Span]:
    """The secrets in a text, in order; of two that overlap the one that begins first."""
    found: list[_Span] = []
    for each in sorted(_matches(text), key=lambda span: (span.start, -span.end)):
        if not found or each.start >= found[-1].end:
            found.append(each)
    return found


def _matches(text: str) -> Iterator[_Span]:
    for what, pattern in _SHAPES:
        for each in pattern.finditer(text):
            groups = each.groupdict()
            group = next(name for name in ("double", "single", "bare") if groups.get(name))
            if what or not _NO_SECRET.fullmatch(groups[group].strip()):
                yield _Span(*each.span(group), what or groups["what"].strip())


class Secrets:
    """Takes the secrets out of texts. `left_out` grows by each that a command has printed."""

    def __init__(self) -> None:
        self._words: dict[str, str] = {}
        self.left_out: list[LeftOut] = []

    def answers(self, found: Mapping[str, Answer]) -> dict[str, Answer]:
        """Answers without secrets: what one command shows to be a secret is left out of all."""
        for command, each in found.items():
            self._named(command, f"{each.out}\n{each.err}")
        return {
            self.text(command): Answer(
                code=each.code, out=self.text(each.out), err=self.text(each.err)
            )
            for command, each in found.items()
        }

    def text(self, text: str) -> str:
        """The text without its secrets, and without those of the answers so far."""
        for each in reversed(_spans(text)):
            word = self._words.get(text[each.start : each.end])
            if word:
                text = text[: each.start] + word + text[each.end :]
        for secret in sorted(filter(_DISTINCT.fullmatch, self._words), key=len, reverse=True):
            if secret in text:
                text = text.replace(secret, self._words[secret])
        return text

    def _named(self, command: str, text: str) -> None:
        told = set()
        for each in _spans(text):
            secret = text[each.start : each.end]
            word = self._words.setdefault(secret, f"LEFT-OUT-{len(self._words) + 1}")
            if secret not in told:
                told.add(secret)
                self.left_out.append(LeftOut(command=command[:500], what=each.what, word=word))

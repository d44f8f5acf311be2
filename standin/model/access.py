"""Rules of mac_bsdextended(4): parsed, printed and asked as ugidfw(8) and the kernel do it.

After lib/libugidfw/ugidfw.c and sys/security/mac_bsdextended/mac_bsdextended.c, and as recorded on
15.0. Of a rule, ranges of uids and one group are known, and what they may not be. The stand-in has
no kernel of its own: only what it starts itself as another user, by chroot -u, is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MOST = 250
LETTERS = "arswx"


@dataclass(frozen=True)
class Side:
    """The subject or the object of a rule. None is any; `own`: an object that is the subject's."""

    uids: tuple[int, int] | None = None
    not_uids: bool = False
    gid: int | None = None
    not_gid: bool = False
    own: bool = False
    not_own: bool = False


@dataclass(frozen=True)
class AccessRule:
    subject: Side
    object: Side
    mode: str

    def denies(self, uid: int, gids: tuple[int, ...], owner: tuple[int, int], wanted: str) -> bool:
        """Whether it keeps this user from it. `wanted` is one of the letters of a mode."""
        subject, object = self.subject, self.object
        fits = (
            _fits(subject.uids, subject.not_uids, uid)
            and (subject.gid is None or (subject.gid in gids) != subject.not_gid)
            and _fits(object.uids, object.not_uids, owner[0])
            and (object.gid is None or (object.gid == owner[1]) != object.not_gid)
            and (not object.own or (owner[0] == uid) != object.not_own)
        )
        return fits and wanted not in self.mode

    def text(self, user: Callable[[int], str], group: Callable[[int], str]) -> str:
        """As ugidfw(8) prints it: with names where there are some."""
        parts = [word for side in ("subject", "object") for word in self._side(side, user, group)]
        return " ".join([*parts, "mode", self.mode or "n"])

    def _side(
        self, name: str, user: Callable[[int], str], group: Callable[[int], str]
    ) -> list[str]:
        side: Side = getattr(self, name)
        words = [name]
        if side.uids is not None:
            low, high = side.uids
            span = user(low) if low == high else f"{user(low)}:{user(high)}"
            words += [*(["!"] if side.not_uids else []), "uid", span]
        if side.gid is not None:
            words += [*(["!"] if side.not_gid else []), "gid", group(side.gid)]
        if side.own:
            words += [*(["!"] if side.not_own else []), "uid_of_subject"]
        return words


def _fits(span: tuple[int, int] | None, otherwise: bool, uid: int) -> bool:
    return span is None or (span[0] <= uid <= span[1]) != otherwise


def parsed(
    words: list[str], uid_of: Callable[[str], int | None], gid_of: Callable[[str], int | None]
) -> AccessRule:
    """A rule as it is typed. Raises ValueError with what ugidfw(8) says of a wrong one."""
    if words[:1] != ["subject"]:
        raise ValueError("Rule must begin with subject")
    if "object" not in words:
        raise ValueError("Rule must contain an object")
    if "mode" not in words:
        raise ValueError("Rule must contain mode")
    middle, end = words.index("object"), words.index("mode")
    if end + 2 != len(words):
        raise ValueError("mode expects mode value")
    for letter in words[-1]:
        if letter not in f"{LETTERS}n":
            raise ValueError(f"Unknown mode letter: {letter}")
    mode = "".join(letter for letter in LETTERS if letter in words[-1])
    subject = _side(words[1:middle], uid_of, gid_of)
    return AccessRule(subject, _side(words[middle + 1 : end], uid_of, gid_of), mode)


def _side(
    words: list[str], uid_of: Callable[[str], int | None], gid_of: Callable[[str], int | None]
) -> Side:
    found: dict[str, object] = {}
    negated = False
    rest = list(words)
    while rest:
        match rest.pop(0):
            case "!" if not negated:
                negated = True
                continue
            case "uid" if rest:
                ends = [_number("uid", end, uid_of) for end in rest.pop(0).split(":")]
                found |= {"uids": (ends[0], ends[-1]), "not_uids": negated}
            case "gid" if rest:
                found |= {"gid": _number("gid", rest.pop(0), gid_of), "not_gid": negated}
            case "uid_of_subject":
                found |= {"own": True, "not_own": negated}
            case word:
                raise ValueError(f"'{word}' not expected")
        negated = False
    return Side(**found)  # type: ignore[arg-type] # built just above


def _number(kind: str, word: str, of: Callable[[str], int | None]) -> int:
    number = of(word)
    if number is None:
        raise ValueError(f"invalid {kind}: '{word}'")
    return number


@dataclass
class Access:
    """The rules of the kernel, by number. `slots` never gets smaller while the module is loaded."""

    rules: dict[int, AccessRule]
    slots: int = 0

    def set(self, number: int, rule: AccessRule) -> None:
        self.rules[number] = rule
        self.slots = max(self.slots, number + 1)

    def denies(
        self,
        uid: int,
        gids: tuple[int, ...],
        place: Path,
        root: Path,
        *,
        wanted: str,
        owner: Callable[[Path], tuple[int, int]],
    ) -> bool:
        """Whether a rule keeps a user from a file, or from searching one of the directories above.

        `place` is below `root`. All rules are asked, as without firstmatch_enabled.
        """
        above = [each for each in place.parents if each.is_relative_to(root) and each.exists()]
        asked = [(each, "x") for each in above]
        asked += [(place, letter) for letter in wanted] if place.exists() else []
        return any(
            rule.denies(uid, gids, owner(each), letter)
            for rule in self.rules.values()
            for each, letter in asked
        )

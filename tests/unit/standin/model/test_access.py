"""Rules of mac_bsdextended(4) in the model: what the kernel's own ugidfw_rulecheck decides."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from standin.model.access import Access, parsed

APART = "subject uid 1001:1999 object uid 1001:1999 ! gid 3000 ! uid_of_subject mode n"
NUMBER = {"www": 80}


def number(word: str) -> int | None:
    return int(word) if word.isdigit() else NUMBER.get(word)


rule = partial(parsed, uid_of=number, gid_of=number)


@pytest.mark.parametrize(
    ("uid", "owner", "denied"),
    [
        (1001, (1002, 1002), True),
        (1001, (1001, 1001), False),
        (1001, (1002, 3000), False),
        (1001, (0, 0), False),
        (1001, (2000, 2000), False),
        (80, (1002, 1002), False),
        (0, (1002, 1002), False),
    ],
    ids=["another's", "its own", "shared", "root's", "no account's", "the web server", "root"],
)
def test_accounts_kept_apart(uid: int, owner: tuple[int, int], denied: bool) -> None:
    assert rule(APART.split()).denies(uid, (uid,), owner, "r") is denied


def test_a_mode_leaves_what_it_names() -> None:
    let = rule(["subject", "uid", "80", "object", "uid", "1001:1999", "mode", "rx"])
    assert not let.denies(80, (80,), (1001, 1001), "r")
    assert let.denies(80, (80,), (1001, 1001), "w")


def test_the_directories_above_have_to_be_searchable(tmp_path: Path) -> None:
    """A file of root in the home of another account is not reached."""
    file = tmp_path / "home" / "bob" / "x"
    file.parent.mkdir(parents=True)
    file.touch()
    access = Access({0: rule(APART.split())})
    owner = {file.parent: (1002, 1002)}
    denied = partial(
        access.denies,
        place=file,
        root=tmp_path,
        wanted="r",
        owner=lambda place: owner.get(place, (0, 0)),
    )
    assert denied(1001, (1001,))
    assert not denied(1002, (1002,))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("object mode n", "Rule must begin with subject"),
        ("subject mode n", "Rule must contain an object"),
        ("subject object", "Rule must contain mode"),
        ("subject object mode q", "Unknown mode letter: q"),
        ("subject uid nosuch object mode n", "invalid uid: 'nosuch'"),
        ("subject x object mode n", "'x' not expected"),
    ],
)
def test_what_ugidfw_says_of_a_wrong_one(words: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        rule(words.split())

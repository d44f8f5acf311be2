"""What of a stand-in that was built from a survey is made up, or cannot be as on the host."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from rollout.host.survey import Recording
from standin.daemons.kinds import KINDS
from survey.host import Host
from survey.standin import files
from survey.standin.files import Files
from survey.standin.running import cards

_SHOWN = 5


def words(recording: Recording, found: Files, there: Host) -> Iterator[str]:
    hashed = sum(each.password == files.HASH for each in found.logins)
    yield (
        f"{len(found.logins)} accounts, {hashed} of them with a password: the hashes are made up, "
        "and so are people's names"
    )
    if recording.left_out:
        kinds = ", ".join(dict.fromkeys(each.what for each in recording.left_out))
        words = len({each.word for each in recording.left_out})
        yield f"{words} secrets that the survey left out ({kinds}): each is a made-up word"
    yield (
        "databases, mail, pages and logs are empty; of homes and data there is what the survey's "
        "questions named, what is in the first directory, and of data the directories below"
    )
    yield (
        "the time that things take, load, and how full disks are: outages in this rehearsal are "
        "those of the stand-in"
    )
    first, *others = cards(there) or [""]
    if others:
        yield f"clients come by {first} alone, and not by {', '.join(others)}"


def of_scripts(scripts: Collection[str], there: Host) -> Iterator[str]:
    known = {kind.script_name for kind in KINDS}
    enabled = {each.name for each in there.scripts if any(on for _, on in each.rcvars)}
    silent = sorted(name for name in scripts if name in enabled and name not in known)
    if silent:
        yield (
            f"the stand-in has no daemon for {', '.join(silent)}: the rc script is there, and "
            "starts nothing"
        )


def of_files(made_up: Mapping[str, list[str]]) -> Iterator[str]:
    for kind, said in (
        ("secret", "that are called like a secret, and have made-up content"),
        ("program", "that are programs, and do nothing"),
        ("data", "that are empty here, for the survey has no data"),
    ):
        if made_up[kind]:
            yield f"{len(made_up[kind])} file(s) {said}: {_some(made_up[kind])}"


def _some(paths: Iterable[str]) -> str:
    found = list(paths)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"{', '.join(found[:_SHOWN])}{more}"

"""What `cellblock survey` prints, and the folder that it writes."""

from __future__ import annotations

import json
from pathlib import Path

from rollout.engine import answers
from rollout.errors import Refused
from rollout.host.survey import FILE
from rollout.terminal.harmless import harmless
from survey import page
from survey.survey import Surveyed
from survey.text import ordered

SITE = "site.toml"
ASSESSMENT = "assessment.txt"
PAGE = "assessment.html"
ANSWERS = "answers.toml"


def must_be_new(folder: Path) -> None:
    """Raises Refused for a folder that is there: somebody may have worked in it since."""
    if folder.exists() or folder.is_symlink():
        raise Refused(
            f"{folder} exists already, and no survey overwrites one",
            todo="name another folder by --output, or move that one away",
        )


def write(folder: Path, found: Surveyed) -> None:
    """Write the folder, readable by its owner alone. Raises Refused if it has come meanwhile."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        must_be_new(folder)
        raise
    for name, text in (
        (FILE, found.recording.text()),
        (SITE, found.text),
        (ASSESSMENT, harmless(found.assessed())),
        ("assessment.json", json.dumps(found.assessment(), indent=2) + "\n"),
        (PAGE, page.render(found.assessment(), found.counted(), folder)),
        (ANSWERS, answers.text(dict(found.gates), {})),
    ):
        (folder / name).write_text(text, encoding="utf-8", errors="replace")


def text(found: Surveyed, folder: Path) -> str:
    """The result in sentences, then what is left to decide, and what to type next."""
    draft = found.draft
    questions = ordered(draft)
    site = folder / SITE
    moves = f"{_some(len(found.moves), 'service')} can move ({', '.join(found.moves)})"
    lines = [
        f"Wrote {folder}: {moves if found.moves else 'no service can move as it is'}, "
        f"and {_some(len(questions), 'question')} "
        f"{'is' if len(questions) == 1 else 'are'} left.",
        f"{found.counted()}: see {folder / ASSESSMENT}, or {PAGE} beside it.",
    ]
    if draft.told or draft.unseen:
        lines.append("`check` does not pass yet:")
        lines += [f"  - {each}" for each in (*draft.unseen, *draft.told)]
    elif found.moves:
        lines.append(f"The draft passes `check` as it is: {found.checks} checks.")
    if draft.left:
        more = " (add each to `order` when it is mended)" if found.moves else ""
        lines += ["", f"These stay on the host for now{more}:"]
        lines += [f"  - {name}: {why}" for name, all_ in draft.left.items() for why in all_]
    if draft.strangers:
        lines += ["", "Also listens there, and stays:"]
        lines += [f"  - {e.daemon} at {', '.join(e.listens)}: {e.why}" for e in draft.strangers]
    if questions:
        lines += ["", f"Left to you, at QUESTION in {site}:"]
        lines += [f"  {number}. [{e.table}] {e.key}: {e.what}" for number, e in questions]
    if not found.moves:
        return "\n".join([*lines, "", "Next: mend what stops them, and survey the host again."])
    lines += [
        "",
        "Next:",
        f"  cellblock check --site {site}",
        f"  cellblock plan --site {site}",
        f"  cellblock rehearse --survey {folder}",
        f"`check` and `plan` with --survey {folder} ask the survey in place of the server.",
    ]
    return "\n".join(lines)


def _some(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"

"""What `cellblock survey` prints, and the file that it writes."""

from __future__ import annotations

from pathlib import Path

from rollout.errors import Refused
from survey.survey import Surveyed
from survey.text import ordered


def must_be_new(file: Path) -> None:
    """Raises Refused for a file that is there: somebody may have worked on it since."""
    if file.exists() or file.is_symlink():
        raise Refused(
            f"{file} exists already, and no survey overwrites a file",
            todo="name another one by --output, or move that one away",
        )


def write(file: Path, text: str) -> None:
    """Write the draft. Raises Refused if the file has come meanwhile, OSError as usual."""
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError:
        must_be_new(file)
        raise


def text(found: Surveyed, file: Path) -> str:
    """The result in sentences, then what is left to decide, and what to type next."""
    draft = found.draft
    names = [each for each in draft.order if f"services.{each}" in draft.tables]
    questions = ordered(draft)
    lines = [
        f"Wrote {file}: {_some(len(names), 'service')} can move ({', '.join(names)}), "
        f"and {_some(len(questions), 'question')} "
        f"{'is' if len(questions) == 1 else 'are'} left."
    ]
    if draft.told or draft.unseen:
        lines.append("`check` does not pass yet:")
        lines += [f"  - {each}" for each in (*draft.unseen, *draft.told)]
    else:
        lines.append(f"It passes `check` as it is: {found.checks} checks.")
    if draft.left:
        lines += ["", "These stay on the host for now (add each to `order` when it is mended):"]
        lines += [f"  - {name}: {why}" for name, all_ in draft.left.items() for why in all_]
    if draft.strangers:
        lines += ["", "Also listens there, and stays:"]
        lines += [f"  - {e.daemon} at {', '.join(e.listens)}: {e.why}" for e in draft.strangers]
    if questions:
        lines += ["", f"Left to you, at QUESTION in {file}:"]
        lines += [f"  {number}. [{e.table}] {e.key}: {e.what}" for number, e in questions]
    lines += [
        "",
        "Next:",
        f"  cellblock check --site {file}",
        f"  cellblock plan --site {file}",
        f"  cellblock rehearse --site {file}",
    ]
    return "\n".join(lines)


def _some(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"

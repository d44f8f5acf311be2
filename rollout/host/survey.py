"""The survey of a host as a file: what it was asked, and what it answered (survey.json)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rollout.errors import Refused

FILE = "survey.json"
VERSION = 1
"""Raised when a reader of the version before would misread a file."""
SCHEMA = Path(__file__).with_name("survey.schema.json")
"""JSON Schema of the file; a test compares it with the classes below."""


class Unanswered(Refused):
    """A survey stands in for the host, and does not have the answer to a question."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Answer(_Table):
    """What a command ended with. Bytes that are not UTF-8 are lone surrogates (Python's
    surrogateescape)."""

    code: int
    out: str = ""
    err: str = ""


class Presented(_Table):
    """A certificate, as rollout.probe.tls.Certificate has it."""

    sha256: str
    names: tuple[str, ...]
    ends: str | None


class LeftOut(_Table):
    """A secret that is not in the file: the command that printed it, what it is, and the word that
    stands in its place. The same secret has the same word."""

    command: str
    what: str
    word: str


class Recording(_Table):
    """All that a survey has read. `made` is in UTC, like 2026-11-30T13:00:00Z.

    `answers` are by the command, sh as it ran; `who` by place (ADDRESS:PORT/PROTO): who answered a
    client of the operator's machine there: "host", a jail's name, or null for nobody;
    `certificates` by the same places: null where none was presented.
    """

    version: Literal[1] = 1
    host: str
    release: str
    made: str
    answers: dict[str, Answer]
    who: dict[str, str | None] = Field(default_factory=dict)
    certificates: dict[str, Presented | None] = Field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()

    def text(self) -> str:
        return json.dumps(self.model_dump(mode="python"), indent=1) + "\n"


def schema() -> dict[str, Any]:
    """The file's JSON Schema."""
    made = Recording.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def read(folder: Path) -> Recording:
    """Read the survey in a folder. Raises Refused, naming the file and what was expected."""
    file = folder / FILE if folder.is_dir() else folder
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Refused(
            f"{file}: there is no such survey", todo="cellblock survey [USER@]HOST makes one"
        ) from None
    except OSError as error:
        raise Refused(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise Refused(f"{file}: no survey, for it is not JSON: {error}") from None
    version = data.get("version") if isinstance(data, dict) else None
    if version != VERSION:
        raise Refused(
            f"{file}: expected version {VERSION} of a survey; found {version!r}",
            todo="survey the host again with this Cellblock",
        )
    try:
        return Recording.model_validate(data)
    except ValidationError as error:
        rows = [
            f"{'.'.join(map(str, each['loc']))[:200]}: {each['msg']}" for each in error.errors()[:5]
        ]
        raise Refused(
            f"{file}: no survey, {error.error_count()} value(s) are not as expected",
            evidence="\n".join(rows),
            todo="survey the host again",
        ) from None

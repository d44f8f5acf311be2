"""One case: a host, given as its difference from the sample base host, and the expected result."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rollout import plan, site
from rollout.host import survey
from rollout.host.survey import Recording
from rollout.plan import Plan
from rollout.site import Site
from tests.rehearsal.sites import FIRST, POSTFIX, SAMPLE

GONE = "(gone)"
"""In [site]: the key is removed."""
Where = Annotated[str, Field(pattern=r"^(host|outside|jail:[a-z]+)$")]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Ask(_Table):
    """A question with the same answer before, after the apply, a restart and the rollback.

    `name`, `type`, `path` and `key` say what clients of a port ask for (asking.py). A `{mark}` in
    them is another word each time, and `arrives` the command whose output has, once, each mark
    that was acknowledged. `uses` are services without which this one's answer is another.
    """

    port: int | None = None
    address: str = ""
    proto: Literal["tcp", "udp"] = "tcp"
    source: str = Field("outside", alias="from")
    """host, outside, a jail's name, or the address of a client."""
    name: str = ""
    type: str = "A"
    path: str = ""
    key: str = ""
    every: float = 1.0
    """Seconds between two questions of a client."""
    arrives: str = ""
    uses: tuple[str, ...] = ()
    refused: bool = False
    """Nobody is expected to answer, before and after."""
    sql: str | None = None
    sh: str | None = None
    where: Where = "host"

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Ask:
        given = [each for each in (self.port, self.sql, self.sh) if each is not None]
        if len(given) != 1:
            raise ValueError("expected one of port, sql, sh")
        if self.port is not None and not self.address:
            raise ValueError("expected address, too")
        return self

    def __str__(self) -> str:
        if self.port is not None:
            asked = " ".join(filter(None, (self.name, self.type if self.name else "", self.path)))
            at = f"{self.address}:{self.port}/{self.proto} from {self.source}"
            return f"{at}: {asked}" if asked else at
        return self.sql or f"{self.sh} ({self.where})"


class At(_Table):
    """A command typed during the rollout: after a step is confirmed, or `while` it runs."""

    step: str
    sh: str
    during: bool = Field(False, alias="while")


class Meanwhile(_Table):
    """Data written after the apply, whose effect must survive the rollback."""

    sh: str | None = None
    sql: str | None = None
    where: Where = "host"
    then: str | None = None


class Case(_Table):
    """The format is described in the README of the cases."""

    what: str
    must: Literal["same", "refused", "same or refused"] = "same or refused"
    says: tuple[str, ...] = ()
    base: Literal["sample", "postfix"] = "sample"
    on: tuple[Literal["standin", "qemu"], ...] = ("standin", "qemu")
    order: tuple[str, ...] = ()
    survey: str = ""
    """The host is as this folder of `cellblock survey` has it, and the site file the one in it."""
    site: dict[str, Any] = {}
    append: dict[str, str] = {}
    files: dict[str, str] = {}
    owners: dict[str, str] = {}
    links: dict[str, str] = {}
    before: tuple[str, ...] = ()
    ask: tuple[Ask, ...] = ()
    at: At | None = None
    meanwhile: Meanwhile | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Case:
        if not self.survey and not (self.order and self.ask):
            raise ValueError("expected order and ask, or survey")
        return self

    def plan(self, sample: Path = SAMPLE) -> Plan:
        """The plan of its site: the sample's, or its survey's, with the case's own keys merged in.

        The order is the case's, and without one that of the survey's site file.
        """
        if self.survey:
            sample = Path(self.survey) / "site.toml"
        data = tomllib.loads(sample.read_text(encoding="utf-8"))
        if self.base == "postfix":
            data["services"] = {
                name: table for name, table in data["services"].items() if name != "mail"
            } | tomllib.loads(POSTFIX)["services"]
            data["jails"]["mail"]["services"] = ["mail", "imap"]
        if self.order:
            data["order"] = [*FIRST, *self.order]
        return plan.make(site.parse(merged(data, self.site), Path("site.toml")))


def merged(data: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`data` with `more` merged into it, table by table."""
    found = copy.deepcopy(dict(data))
    for key, value in more.items():
        if value == GONE:
            found.pop(key, None)
        elif isinstance(value, Mapping):
            found[key] = merged(found.get(key, {}), value)
        else:
            found[key] = value
    return found


def is_survey(path: Path) -> bool:
    return (path / survey.FILE).exists()


def read(path: Path) -> Case:
    """The case in a file, or a survey as a case: whoever asks its ports gets the same answers.

    Raises ValueError, naming the file and the key, for a file that is no case.
    """
    if is_survey(path):
        case = Case(what=f"the host of {path.name}", survey=str(path))
        return case.model_copy(update={"ask": _ports(case.plan().site)})
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        if folder := data.get("survey"):
            data["survey"] = str(path.parent / str(folder))
        return Case.model_validate(data)
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise ValueError(f"{path}: {error}") from None


def recording(case: Case) -> Recording:
    """Raises Refused where there is no survey."""
    return survey.read(Path(case.survey))


def _ports(there: Site) -> tuple[Ask, ...]:
    """Each port of the services that move, as clients outside and programs of the host ask it."""
    return tuple(
        Ask.model_validate(
            {"port": each.port, "proto": each.proto, "address": address, "from": source}
        )
        for jail in there.built
        for name in there.jails[jail].services
        for each in there.services[name].ports
        for source, address in (
            ("outside", str(there.host.wan_address)),
            ("host", "127.0.0.1"),
        )
        if each.public or source == "host"
    )

"""[watch]: from when on `cellblock watch` tells of something, and how often."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Percent = Annotated[int, Field(ge=1, le=100)]
Pattern = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""An id of a finding, in which * stands for any text."""


class Monitoring(BaseModel):
    """[watch]. `again_hours` is for what was told and is still so; 0 is never."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    certificate_days: Annotated[int, Field(ge=0, le=3650)] = 14
    disk_percent: Percent = 90
    limit_percent: Percent = 90
    queue: Annotated[int, Field(ge=1, le=10**9)] = 100
    again_hours: Annotated[int, Field(ge=0, le=8760)] = 24
    ignore: tuple[Pattern, ...] = ()

    def ignores(self, finding: str) -> bool:
        """Whether the finding with this id is not to be told."""
        return any(fnmatchcase(finding, each.replace("[", "[[]")) for each in self.ignore)

"""The site file, which describes the server. It is parsed once; unknown keys are refused."""

from rollout.site.model import (
    DISKS,
    JOURNAL,
    PARTS_BEFORE,
    SHOWN,
    Base,
    Jail,
    Listen,
    Mount,
    Place,
    Service,
    Site,
)
from rollout.site.policy import HOST, INTERNET, PROTOS, Allow, Egress, Policy, Proto, allowing
from rollout.site.reading import parse, read

__all__ = [
    "DISKS",
    "HOST",
    "INTERNET",
    "JOURNAL",
    "PARTS_BEFORE",
    "PROTOS",
    "SHOWN",
    "Allow",
    "Base",
    "Egress",
    "Jail",
    "Listen",
    "Mount",
    "Place",
    "Policy",
    "Proto",
    "Service",
    "Site",
    "allowing",
    "parse",
    "read",
]

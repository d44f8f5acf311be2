"""A look-alike of a FreeBSD 13.2 host."""

from standin.base import BaseHost
from standin.standin import HostDown, QueryFailed, StandIn

__all__ = ["BaseHost", "HostDown", "QueryFailed", "StandIn"]

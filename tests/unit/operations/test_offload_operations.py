"""TSO and similar capabilities are switched off, and back on as they were."""

from __future__ import annotations

import pytest
from pyinfra.api.exceptions import OperationError

from operations import offload
from operations.command import NewFile, Reversible
from operations.facts import Capabilities, Path, State
from tests.unit.operations.asking import yielded

BOOT = "/usr/local/etc/cellblock/rules/egress.ifconfig"


def switched(there: tuple[str, ...] | None) -> list[NewFile | Reversible]:
    facts = {Capabilities: there, Path: State()}
    return yielded(offload.off, facts, interface="vtnet0", at_boot=BOOT)


def test_they_are_off_now_and_at_boot_and_come_back() -> None:
    new, _, live = switched(("RXCSUM", "TSO4", "TSO6", "LRO", "VLAN_HWTSO"))
    assert isinstance(new, NewFile)
    assert (new.path, new.content) == (BOOT, "vtnet0 -tso -lro -vlanhwtso\n")
    assert isinstance(live, Reversible)
    assert live.do == "ifconfig vtnet0 -tso -lro -vlanhwtso"
    assert live.undo == "ifconfig vtnet0 tso4 tso6 lro vlanhwtso"
    assert live.live


def test_only_what_was_on_comes_back() -> None:
    live = switched(("TSO4", "TXCSUM"))[-1]
    assert isinstance(live, Reversible)
    assert live.undo == "ifconfig vtnet0 tso4"


def test_an_interface_that_has_none_on_is_left_alone_but_for_the_next_boot() -> None:
    assert len(switched(("RXCSUM",))) == 2


def test_no_such_interface_is_refused() -> None:
    with pytest.raises(OperationError, match="no interface vtnet0"):
        switched(None)

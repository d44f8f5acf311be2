"""[mac]: the rules for ranges of uids, and tables that say nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout import site
from rollout.errors import Refused
from rollout.site import parse
from rollout.site.mac import Mac
from rollout.site.model import Site

SAMPLE = site.read(Path(__file__).parents[4] / "site.example.toml")


def spans(*ranges: tuple[int, int]) -> list[tuple[str, str]]:
    rules = [rule.split() for rule in Mac().rules(ranges)]
    return [(words[2], words[5]) for words in rules]


def test_one_range_is_one_rule() -> None:
    assert Mac().rules([(1001, 1999)]) == (
        "subject uid 1001:1999 object uid 1001:1999 ! uid_of_subject mode n",
    )


def test_what_has_the_shared_group_is_left_to_its_mode() -> None:
    [rule] = Mac(shared="team").rules([(1001, 1999)])
    assert rule == ("subject uid 1001:1999 object uid 1001:1999 ! gid team ! uid_of_subject mode n")


def test_accounts_of_two_ranges_are_kept_apart_too() -> None:
    a, b = "1001:1999", "3000:3999"
    assert spans((3000, 3999), (1001, 1999)) == [(a, a), (a, b), (b, a), (b, b)]


@pytest.mark.parametrize("other", [(1500, 1700), (1500, 2500), (2000, 2500), (1001, 1999)])
def test_ranges_that_touch_are_one(other: tuple[int, int]) -> None:
    whole = f"1001:{max(1999, other[1])}"
    assert spans((1001, 1999), other) == [(whole, whole)]


@pytest.mark.parametrize(
    "table",
    [{"processes": "none"}, {"shared": "a b"}, {"accounts": "apart"}, {"watchers": "$(id)"}],
)
def test_what_is_not_known_is_refused(table: dict[str, str]) -> None:
    with pytest.raises(Refused, match=r"mac\."):
        changed(SAMPLE, mac=table)


def test_more_ranges_than_the_kernel_has_room_for() -> None:
    data = SAMPLE.model_dump(mode="json", by_alias=True)
    for n in range(16):
        jail = {**data["jails"]["web"], "address": f"10.80.0.{20 + n}", "services": [f"s{n}"]}
        data["jails"][f"j{n}"] = {**jail, "uids": [10_000 * (n + 1), 10_000 * (n + 1) + 10]}
        ports = [{"port": 5000 + n}]
        data["services"][f"s{n}"] = {"rc": "x", "rcvar": "x_enable", "ports": ports}
    data["firewall"] = {"first_set": 1}
    with pytest.raises(Refused) as caught:
        parse(data, Path("site.toml"))
    assert "the kernel has room for 250 rules" in str(caught.value)


def changed(sample: Site, **more: object) -> Site:
    return parse({**sample.model_dump(mode="json", by_alias=True), **more}, Path("site.toml"))

"""A daemon that only the site file knows moves with the answers that it had, or is undone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rollout import plan, site
from rollout.errors import Refused, RolledBack
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from tests.rehearsal.on_standin import host, runner, typed
from tests.rehearsal.sites import FIRST, SAMPLE

CACHE = """
[services.cache]
rc = "redis"
rcvar = "redis_enable"
user = "redis"
ports = [{{ port = 6379, probe = "tcp", public = false }}]
configuration = ["/usr/local/etc/redis.conf"]
data = ["/var/db/redis"]
move = "{move}"
questions = [{questions}]

[jails.cache]
address = "10.80.0.9"
hostname = "cache.example.org"
services = ["cache"]
uids = [535, 535]
"""
KEYS = "nc -z 127.0.0.1 6379 && cat /var/db/redis/dump.rdb"
ON_THE_HOST = "sockstat -46lq -j 0 -p 6379 | wc -l"
"""What it prints changes with the move."""
DAEMON = (
    "pw useradd redis -u 535 -s /usr/sbin/nologin; mkdir -p /var/run/redis /var/db/redis; "
    "printf 'dir /var/db/redis\\nprotected-mode no\\n' > /usr/local/etc/redis.conf; "
    "echo keys > /var/db/redis/dump.rdb; chown -R redis /var/run/redis /var/db/redis; "
    "sysrc redis_enable=YES; service redis start"
)


def made(where: Path, move: str, *questions: str) -> Plan:
    """The plan of the sample's first subjects and a cache, which moves so."""
    text = SAMPLE.read_text(encoding="utf-8")
    asked = ", ".join(f"'{each}'" for each in questions)
    text += CACHE.format(move=move, questions=asked)
    (where / "site.toml").write_text(text, encoding="utf-8")
    found = site.read(where / "site.toml")
    return plan.make(found.model_copy(update={"order": (*FIRST, "cache")}))


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Any]:
    """Runs a plan for a host with the daemon."""

    def ready(move: str, *questions: str) -> tuple[Plan, Box]:
        done = made(tmp_path, move, *questions)
        typed(box, DAEMON)
        return done, box

    with standin_box(site.read(SAMPLE), tmp_path / "box") as box:
        yield ready


@pytest.mark.parametrize("move", ["handover", "overlap"])
def test_it_moves_and_comes_back(there: Any, move: str) -> None:
    made, box = there(move, KEYS)
    with runner(made, box) as run:
        run.apply()
        assert host(box).who_answers("127.0.0.1", 6379, source="host") == "cache"
        assert [each for each in run.verify() if not each.passed] == []
        typed(box, "echo more >> /var/db/redis/dump.rdb")
        assert [each for each in run.verify() if not each.passed] == []
        run.rollback()
    assert host(box).who_answers("127.0.0.1", 6379, source="host") == "host"
    assert typed(box, "cat /var/db/redis/dump.rdb") == "keys\nmore\n"


def test_another_answer_after_the_hand_over_undoes_it(there: Any) -> None:
    made, box = there("handover", KEYS, ON_THE_HOST)
    with runner(made, box) as run:
        run.apply("cache.jail")
        with pytest.raises(RolledBack):
            run.apply()
    log = typed(box, "cat /var/db/cellblock/steps/*-cache.cutover/log")
    assert f"{ON_THE_HOST}: prints something else in jail cache than on the host" in log
    assert host(box).who_answers("127.0.0.1", 6379, source="host") == "host"


@pytest.mark.parametrize("move", ["handover", "overlap"])
def test_another_answer_in_the_jail_undoes_the_step(there: Any, move: str) -> None:
    question = "test -e /root/is-the-host && echo well; nc -z 127.0.0.1 6379; echo done"
    made, box = there(move, question)
    typed(box, "touch /root/is-the-host")
    with runner(made, box) as run, pytest.raises(RolledBack) as undone:
        run.apply()
    assert "prints something else in jail cache (5 bytes) than on the host (10 bytes)" in str(
        undone.value
    )
    assert host(box).who_answers("127.0.0.1", 6379, source="host") == "host"


def test_what_a_site_file_must_say(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"services.cache.questions: missing, and needed with move"):
        made(tmp_path, "handover")
    with pytest.raises(Refused, match=r"services\.cache\.move.*'overlap' or 'handover'"):
        made(tmp_path, "stop", KEYS)
    with pytest.raises(Refused, match="no password is allowed in 'redis-cli'"):
        made(tmp_path, "handover", "redis-cli --password=x dbsize")


@pytest.mark.parametrize(
    ("name", "changed", "told"),
    [
        ("cache", {"move": None}, r"'cache' is unknown; give services\.cache a move"),
        (
            "mysql",
            {"move": "handover"},
            r"services\.mysql\.move: Cellblock knows how 'mysql' moves",
        ),
    ],
)
def test_who_moves_as_described(
    tmp_path: Path, name: str, changed: dict[str, Any], told: str
) -> None:
    there = made(tmp_path, "handover", KEYS).site
    other = there.services[name].model_copy(update=changed)
    with pytest.raises(Refused, match=told):
        plan.make(there.model_copy(update={"services": {**there.services, name: other}}))

"""The clients of a case: they see each wrong answer, and each missing one, in its step."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rollout import site
from rollout.plan.step import Step
from tests.cases.__main__ import box_of
from tests.cases.asking import Question, of_client, on_mariadb
from tests.cases.case import Ask, Case, read
from tests.cases.clients import Asked, Clients, Mark, Marks, Tally, counted
from tests.cases.place import Host
from tests.cases.play import played

WEB = Question(service="web", kind="page", address="127.0.0.1", port=80, path="/")
SHOP = WEB.model_copy(update={"path": "/shop", "uses": ("mysql",)})
MYSQL = Question(service="mysql", kind="rows", address="127.0.0.1", port=3306, sql="SELECT 1")
GAPS = {"mysql.cutover": ["mysql"]}
MARKS = [Mark(0, "before"), Mark(10, "apply mysql.cutover"), Mark(20, "apply web.cutover")]


def answers(number: int, *given: tuple[float, str | None]) -> Iterator[Asked]:
    for at, answer in given:
        yield Asked(number, at, "m", answer, "" if answer else "TimeoutError: ")


def test_a_wrong_answer_is_counted_in_the_step_in_which_it_was_asked_for() -> None:
    asked = answers(0, (1, "200 new"), (11, "200 new"), (21, "200 old"), (22, "200 new"))
    counts = counted(asked, [WEB], ["200 new"], MARKS, GAPS)
    assert counts.tallies["web", "apply web.cutover"] == Tally(1, 1, 0, 0, 0.0)
    assert counts.tallies["web", "apply mysql.cutover"] == Tally(1, 0, 0, 0, 0.0)
    assert counts.faults == ("apply web.cutover: web: /: '200 old'",)
    assert counts.lines()[:2] == [
        "web: 3 right, 1 wrong, 0 failed",
        "  apply web.cutover: 1 right, 1 wrong, 0 failed",
    ]


def test_only_a_declared_gap_of_the_service_or_of_one_that_it_uses_is_no_fault() -> None:
    gone: tuple[tuple[float, str | None], ...] = ((9, "r"), (11, None), (12, None), (14.5, "r"))
    asked = [*answers(0, *gone), *answers(1, *gone), *answers(2, *gone, (21, None))]
    counts = counted(asked, [WEB, SHOP, MYSQL], ["r", "r", "r"], MARKS, GAPS)
    assert counts.tallies["mysql", "apply mysql.cutover"] == Tally(1, 0, 0, 2, 5.5)
    assert counts.tallies["web", "apply mysql.cutover"] == Tally(2, 0, 2, 2, 5.5)
    assert counts.tallies["mysql", "apply web.cutover"] == Tally(0, 0, 1, 0, 0.0)
    assert len(counts.faults) == 3


@contextmanager
def changing(answers: list[str]) -> Iterator[int]:
    """A web server that gives the first of these answers; the test changes them."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answers[0].replace("{path}", self.path).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *of: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def host(case: Case, port: int, arrived: str = "") -> Any:
    def question(ask: Any) -> Question:
        return WEB.model_copy(update={"port": port, "path": ask.path, "every": 0.1})

    return SimpleNamespace(
        case=case,
        silent=set(),
        question=question,
        plan=SimpleNamespace(steps=[]),
        sh=lambda command: (0, arrived),
    )


def a_case(**ask: Any) -> Case:
    asked = {"port": 80, "address": "127.0.0.1", **ask}
    return Case.model_validate({"what": "a page", "order": ["web"], "ask": [asked]})


def until(answer: str, clients: Clients) -> None:
    while answer not in clients.so_far():
        pass


def test_nothing_moves_before_clients_have_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.cases.clients._BEGINS_WITHIN", 0.0)
    with changing(["a page"]) as port:
        late = Clients(host(a_case(path="/"), port), ["200 a page"])
        with pytest.raises(RuntimeError, match="clients did not ask: "), late:
            pytest.fail("it began")


def test_clients_see_a_page_that_is_another_for_a_moment() -> None:
    given = ["the old page"]
    marks = Marks("before")
    with changing(given) as port:
        clients = Clients(host(a_case(path="/"), port), ["200 the old page"])
        with clients:
            until("the old page", clients)
            marks.step(Step("web.cutover", "", (), ()), "")
            given[0] = "an empty page"
            until("an empty page", clients)
            given[0] = "the old page"
    counts = clients.counted(marks.all)
    assert counts.tallies["web", "before"].wrong == 0
    assert counts.tallies["web", "apply web.cutover"].wrong >= 1
    assert "'200 an empty page'" in counts.faults[0]


@pytest.mark.parametrize(("arrived", "faults"), [("", 1), ("all", 0), ("twice", 1)])
def test_what_was_acknowledged_must_be_there_once(
    arrived: str, faults: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.cases.clients.ARRIVES_WITHIN", 0.0)
    case = a_case(path="/?{mark}", arrives="cat /var/mail/alice")
    with changing(["sent {path}"]) as port:
        made = host(case, port)
        clients = Clients(made, ["200 sent /?{mark}"])
        with clients:
            until("sent", clients)
    marks = [one.mark for one in clients.asked]
    text = " ".join(marks) + (f" {marks[0]}" if arrived == "twice" else "")
    made.sh = lambda command: (0, text if arrived else "")
    assert len(clients.counted([Mark(0, "before")]).faults) == faults


def test_on_the_stand_in_they_see_who_does_not_answer(tmp_path: Path) -> None:
    """Under clients, a case of one service is the same: MySQL's gap is no failure."""
    file = tmp_path / "mysql.toml"
    file.write_text(
        'what = "MySQL alone"\nmust = "same"\norder = ["mysql"]\n'
        'ask = [{ port = 3306, address = "203.0.113.2", every = 0.05 }]\n'
    )
    case, told = read(file), list[str]()
    plan = case.plan()
    came = played(case, partial(box_of, case, plan, "standin"), plan, told.append)
    assert str(came) == "same"
    assert [line.split(":")[0] for line in told if not line.startswith(" ")] == ["mysql"] * 2
    assert all(", 0 wrong, 0 failed" in line for line in told)


def test_each_host_has_keys_of_its_own_for_its_zones_and_keeps_them() -> None:
    nowhere: Any = None
    one, other = (Host(nowhere, nowhere, nowhere) for _ in range(2))
    told = ["A signed by example.org. key 59721\nDNSKEY 257 13 key 59721"]
    assert one.numbered(told) == other.numbered([told[0].replace("59721", "26828")])
    assert one.numbered(told) == other.numbered([told[0].replace("59721", "26828")])
    assert one.numbered(["DNSKEY 257 13 key 4711"]) != other.numbered(["DNSKEY 257 13 key 26828"])


SITE = site.read(Path(__file__).parents[2] / "box" / "site.toml")


def test_a_real_server_has_the_stand_ins_table_among_the_shops() -> None:
    """`SELECT COUNT(*) FROM rows` is a syntax error for MariaDB (seen on 10.11)."""
    assert on_mariadb("SELECT COUNT(*) FROM rows") == "SELECT COUNT(*) FROM shop.`rows`"
    assert on_mariadb("SELECT @@rows_sent") == "SELECT @@rows_sent"


@pytest.mark.parametrize(
    ("asked", "kind", "name"),
    [
        ({"port": 80, "address": "203.0.113.10"}, "page", "203.0.113.10"),
        ({"port": 53, "address": "203.0.113.2"}, "records", "example.org"),
        ({"port": 53, "address": "203.0.113.2", "name": "a.dyn", "key": "k"}, "update", "a.dyn"),
        ({"port": 25, "address": "203.0.113.2"}, "envelope", "postmaster"),
        ({"port": 25, "address": "203.0.113.2", "name": "a@b", "arrives": "x"}, "message", "a@b"),
        ({"port": 3306, "address": "203.0.113.2"}, "probe", ""),
        ({"sql": "SELECT 1"}, "rows", ""),
    ],
)
def test_a_port_is_asked_as_its_users_do(asked: dict[str, Any], kind: str, name: str) -> None:
    """At its own door: the same port of another address is another question."""
    doors = {("203.0.113.2", 53, "tcp"): ("127.0.0.1", 4053)}
    made = of_client(
        Ask.model_validate(asked),
        SITE,
        lambda address, port, proto: doors.get((address, port, proto), (address, port)),
    )
    assert made is not None
    assert (made.kind, made.name) == (kind, name)
    at = ("127.0.0.1", 4053) if made.service == "bind" else (asked.get("address", "203.0.113.2"),)
    assert (made.address, made.port)[: len(at)] == at


@pytest.mark.parametrize("file", sorted((Path(__file__).parent / "freebsd").glob("*.toml")))
def test_each_case_for_a_real_freebsd_has_a_plan_and_clients(file: Path) -> None:
    case = read(file)
    made = case.plan(Path(__file__).parents[2] / "box" / "site.toml")
    asked = [each for each in case.ask if each.sh is None]
    assert all(of_client(each, made.site, lambda *at: at[:2]) for each in asked)


@pytest.mark.parametrize(
    "asked",
    [
        {"sh": "true"},
        {"port": 80, "address": "203.0.113.2", "from": "host"},
        {"port": 80, "address": "203.0.113.2", "refused": True},
        {"port": 4711, "address": "203.0.113.2"},
    ],
)
def test_what_no_client_can_ask_from_outside(asked: dict[str, Any]) -> None:
    assert of_client(Ask.model_validate(asked), SITE, lambda *at: at[:2]) is None

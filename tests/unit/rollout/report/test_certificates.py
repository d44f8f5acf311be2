"""A service that presents another certificate than before: in the data, on the page, at the end."""

from __future__ import annotations

import json
from pathlib import Path

from rollout.probe.tls import Certificate, Presented
from rollout.report import certificates
from rollout.report.record import Act, Record
from tests.unit.rollout.reported import BEGAN, PLAN, act, names, presented, timeline

B, C = "b" * 64, "c" * 64
LAST = len(names()) - 1


def imaps(*shown: Presented) -> Act:
    return act(timelines=[timeline("imap 993/tcp", 30, certificates=shown)])


def ended(where: Path, *acts: Act) -> list[str]:
    """What is printed as the run ends."""
    said: list[str] = []
    with Record(PLAN, "apply", "root@203.0.113.2", where, said.append) as kept:
        for each in acts:
            kept.add(each)
    return said


def test_another_certificate_is_in_the_data_on_the_page_and_said_at_the_end(tmp_path: Path) -> None:
    at = 1 + LAST * 4.0 + 2  # in the last step, mysql.cutover
    changed = imaps(
        presented(0.4, "mail.example.org", "imap.example.org"),
        presented(at, "localhost", sha256=B),
    )
    line, report = ended(tmp_path, changed)
    assert line == (
        "imap 993/tcp: another certificate than before since mysql.cutover: "
        f"localhost, ends 2031-05-06T07:08:09Z (SHA-256 {'b' * 16}); before: "
        f"mail.example.org, imap.example.org, ends 2031-05-06T07:08:09Z (SHA-256 {'a' * 16})"
    )
    assert report.startswith("report: ")
    assert line in (tmp_path / "report.html").read_text(encoding="utf-8")
    [service] = json.loads((tmp_path / "report.json").read_text())["acts"][0]["services"]
    assert service["certificates"] == [
        {
            "since": 0.4,
            "step": None,
            "sha256": "a" * 64,
            "names": ["mail.example.org", "imap.example.org"],
            "ends": "2031-05-06T07:08:09Z",
        },
        {
            "since": at,
            "step": "mysql.cutover",
            "sha256": B,
            "names": ["localhost"],
            "ends": "2031-05-06T07:08:09Z",
        },
    ]


def test_the_same_certificate_as_before_is_not_worth_a_line(tmp_path: Path) -> None:
    same = imaps(presented(0.4, "mail.example.org"))
    assert [line.partition(":")[0] for line in ended(tmp_path, same, act())] == ["report"]
    assert "another certificate" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_one_that_changed_and_changed_back_is_told_once(tmp_path: Path) -> None:
    """Clients have seen it in between."""
    there_and_back = imaps(
        presented(0.4, "a"),
        presented(3, "b", sha256=B),
        presented(4, "a"),
        presented(5, "b", sha256=B),
        Presented(BEGAN + 6, Certificate(C, (), None)),
    )
    first, second, _ = ended(tmp_path, there_and_back)
    assert "since base: b, ends" in first
    assert f": not readable (SHA-256 {'c' * 16}); before: a, ends" in second


def test_of_several_acts_the_one_is_named(tmp_path: Path) -> None:
    changed = imaps(presented(0.4, "a"), presented(3, "b", sha256=B))
    line, _ = ended(tmp_path, act(), changed)
    assert line.startswith("apply: imap 993/tcp: another certificate")


def test_many_names_are_counted() -> None:
    shown = [
        {"names": [], "ends": None, "sha256": B, "step": None},
        {"names": ["a", "b", "c", "d", "e"], "ends": "2031", "sha256": C, "step": None},
    ]
    services = [{"service": "web", "certificates": shown}]
    [line] = certificates.of_act({"services": services})
    assert ": a, b, c, 2 more, ends 2031 " in line

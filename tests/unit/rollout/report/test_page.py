"""The page: its figures are the JSON's, hostile text is inert, it loads nothing from outside."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from rollout.probe.outage import Timeline
from rollout.report import page, summary
from rollout.report.evidence import Log
from tests.unit.rollout.reported import (
    AFTER,
    SAMPLE,
    act,
    broken,
    checks,
    failed,
    left,
    names,
    results,
    timeline,
)

VOID = {"meta", "link", "rect", "path", "line", "br", "input", "img"}
HOSTILE = '</pre></script><script>document.title="x"</script><img src=x onerror=alert(1)>{{ 7*7 }}'


@dataclass
class Read(HTMLParser):
    """The contents of a page, as a browser would parse it."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    figures: list[tuple[str, str]] = field(default_factory=list)
    _figure: str | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "data":
            self._figure = str(dict(attrs)["data-json"])

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self._figure is not None:
            self.figures.append((self._figure, data))
            self._figure = None

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read(text: str) -> Read:
    found = Read()
    found.feed(text)
    return found


def at(data: Any, pointer: str) -> Any:
    """The value that a JSON pointer refers to (RFC 6901)."""
    for key in pointer.split("/")[1:]:
        plain = key.replace("~1", "/").replace("~0", "~")
        data = data[int(plain)] if isinstance(data, list) else data[plain]
    return data


def test_the_figures_on_the_page_are_those_in_the_json(tmp_path: Path) -> None:
    stuck, error = broken()
    left(tmp_path, act(), stuck, error=error)
    data = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    found = read((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert len(found.figures) > 100
    for pointer, shown in found.figures:
        assert float(shown) == pytest.approx(at(data, pointer), abs=0.0005), pointer
    told = {pointer for pointer, _ in found.figures}
    for n, one in enumerate(data["acts"]):
        for m, service in enumerate(one["services"]):
            assert f"/acts/{n}/services/{m}/outage" in told
            for k in range(len(service["gaps"])):
                assert f"/acts/{n}/services/{m}/gaps/{k}/seconds" in told


def test_it_asks_nothing_of_anybody(tmp_path: Path) -> None:
    _, text = left(tmp_path, act())
    found = read(text)
    for tag, attrs in found.tags:
        assert tag not in ("script", "img", "iframe", "object", "embed", "audio", "video", "base")
        assert not [name for name in attrs if name.startswith("on")]
        for name in ("src", "href", "action", "data", "xlink:href"):
            assert (attrs.get(name) or "#").startswith(("#", "data:,")), (tag, attrs)
    assert not re.search(r"(?i)@import|url\((?!#)|https?:", text)
    assert "default-src 'none'" in text


def test_every_link_within_it_leads_somewhere_and_every_name_is_there_once(tmp_path: Path) -> None:
    _, text = left(tmp_path, act(), act("rollback"))
    found = read(text)
    ids = [attrs["id"] for _, attrs in found.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [str(attrs["href"]) for tag, attrs in found.tags if tag == "a"]
    assert len(links) > 2 * len(names())
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert set(re.findall(r"url\(#([^)]*)\)", text)) <= set(ids)


def test_every_tag_that_is_opened_is_closed(tmp_path: Path) -> None:
    _, text = left(tmp_path, act())
    opened = [tag for tag, _ in read(text).tags if tag not in VOID]
    for tag in set(opened):
        assert opened.count(tag) == len(re.findall(rf"</{tag}>", text)), tag


def test_hostile_text_is_inert_wherever_it_comes_from(tmp_path: Path) -> None:
    done = results([f"base{HOSTILE}"], ends=HOSTILE, verdicts=checks(2, failed=1))
    bad = act(
        HOSTILE,
        done,
        (Timeline(HOSTILE, 20.0, timeline("web", 5.0, gap=(1.0, 1.5), after=HOSTILE).runs),),
        after=[*AFTER, f"jail {HOSTILE}", f"mount {HOSTILE}", f"rule 00001 set 0 {HOSTILE}"],
        logs={done[0].step: Log([HOSTILE, "\x1b[31mred\x07 \u202eback\ufeff"], 7)},
        confirmed=[HOSTILE],
    )
    _, text = left(tmp_path, bad, error=ValueError(HOSTILE))
    found = read(text)
    assert not [tag for tag, _ in found.tags if tag in ("script", "img")]
    assert not [attrs for _, attrs in found.tags if "onerror" in attrs]
    assert HOSTILE in " ".join(found.words)
    assert "⟨U+001B⟩[31mred⟨U+0007⟩ ⟨U+202E⟩back⟨U+FEFF⟩" in found.text
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e]", text)


def test_nobody_watching_does_not_look_like_answers(tmp_path: Path) -> None:
    _, text = left(tmp_path, act(timelines=()))
    assert "The services were not watched." in text
    assert read(text).text.count("no outage") == 0
    assert "answered all the time" not in text
    _, text = left(tmp_path, act(timelines=(Timeline("web", 20.0, ()),)))
    assert 'class="unwatched"' in text
    assert "answered all the time" not in text
    assert re.search(r"<strong>not watched</strong>\s*</td>\s*<td class=\"n\">not known", text)
    _, text = left(tmp_path, act(timelines=(timeline("web", 40.0, blind=(5.0, 20.0)),)))
    assert "answered all the time" not in text
    assert "watched too thinly" in text


def test_an_outage_is_drawn_within_its_step_and_no_other_is_drawn(tmp_path: Path) -> None:
    data, text = left(tmp_path, act())
    [told] = data["acts"]
    step = next(each for each in told["steps"] if each["step"] == "mysql.cutover")
    drawn = re.findall(r'<g class="outage" data-start="([0-9.]+)" data-end="([0-9.]+)">', text)
    assert len(drawn) == 2, "once in the timeline, once large"
    for start, end in drawn:
        assert step["began"] < float(start) < float(end) < step["ended"]


def test_the_shortest_outage_is_wide_enough_to_be_seen(tmp_path: Path) -> None:
    done = results([f"step{n}" for n in range(200)])
    _, text = left(tmp_path, act(done=done, timelines=(timeline("web", 802, gap=(400, 400.1)),)))
    drawn = r'<g class="outage".*?<rect class="out" x="[0-9.]+" y="[0-9.]+" width="([0-9.]+)"'
    widths = re.findall(drawn, text)
    assert len(widths) == 2
    assert all(float(width) >= 3 for width in widths)


def test_a_run_of_no_steps_says_so(tmp_path: Path) -> None:
    _, text = left(tmp_path, act(done=(), timelines=(timeline("web", 1.5),)))
    assert "No step was run" in text
    assert "No checks were run." in text
    assert "no step was run" in text


def test_a_stuck_step_is_open_with_its_checks_and_what_to_do(tmp_path: Path) -> None:
    stuck, error = broken()
    _, text = left(tmp_path, stuck, error=error)
    [step] = re.findall(r"<details open>.*?</details>", text, flags=re.DOTALL)
    assert "mysql.cutover" in step
    assert "stuck" in step
    for place in (step, text.partition("</header>")[0]):
        assert "- service mysql-server runs\n+ rule 00056 set 26 &lt;deny&gt; all" in place
    before_folded = text.partition("<h3>Checks</h3>")[2].partition("<details>")[0]
    assert "jail claim 0" in before_folded
    assert "it does not" in before_folded
    assert "Next: see the log" in text


def test_a_step_that_failed_says_what_was_injected_when_and_how_it_compares(tmp_path: Path) -> None:
    act, error = failed()
    data, _ = left(tmp_path, act, error=error)
    text = page.render({**data, "zone": {"name": "CET", "offset": 3600}})
    [step] = re.findall(r"<details open>.*?</details>", text, flags=re.DOTALL)
    said = read(step).text
    assert "Injected on purpose: command 7 of mysql.cutover fails." in said
    assert (
        "2023-11-14 23:13:22 CET (UTC+01:00), 22:13:22 UTC: command 007 failed: ipfw rule 56"
    ) in said
    assert "rolled back" in said
    assert "compared with before: identical ( 320 facts)" in said
    assert "0 of 0" not in read(text).text
    header = read(text.partition("</header>")[0]).text
    assert "1 step rolled back" in header
    assert "no checks were run" in header
    data["acts"][0]["compared"] = {"when": "after", "facts": 320, "differences": []}
    header = read(page.render(data).partition("</header>")[0]).text
    assert "no checks were run" not in header
    assert "compared with before: identical ( 320 facts)" in header


def test_the_result_is_a_sentence_and_comes_first(tmp_path: Path) -> None:
    data, text = left(tmp_path, act())
    said = read(text).text
    assert said.index("Summary") < said.index(summary.run(data)) < said.index("exit code 0")


def test_an_act_of_a_rehearsal_says_which_part_it_is(tmp_path: Path) -> None:
    data, text = left(tmp_path, replace(act("rollback"), part="part 2 of 5"))
    assert data["acts"][0]["part"] == "part 2 of 5"
    header, _, main = text.partition("</header>")
    assert "part 2 of 5: rollback" in read(header).text
    assert "rollback part 2 of 5 of the rehearsal" in read(main).text


def test_the_pictures_come_before_the_tables(tmp_path: Path) -> None:
    _, text = left(tmp_path, act())
    drawn = [found.start() for found in re.finditer('<svg class="drawn', text)]
    assert len(drawn) == 4
    assert drawn[2] < text.index("<table")


@pytest.mark.parametrize(
    ("gap", "kind", "allowed"),
    [
        ((42.5, 43.1), "within", "limit 15 s"),
        ((5.0, 5.5), "out", "no outage was expected"),
        ((41.5, 58.0), "out", "limit 15 s, exceeded"),
    ],
)
def test_an_outage_within_its_limit_is_no_alarm_and_has_the_limit_beside_it(
    tmp_path: Path, gap: tuple[float, float], kind: str, allowed: str
) -> None:
    seen = (timeline("mysql", 60.0, gap=gap, after="mysql"),)
    _, text = left(tmp_path, act(timelines=seen))
    drawn = re.findall(r'<g class="outage".*?</g>', text, flags=re.DOTALL)
    assert len(drawn) == 2
    for each in drawn:
        assert f'<rect class="{kind}"' in each
        assert f"({allowed})</text>" in each
    alarmed = re.findall(r'class="(?:n )?ill">\s*<data', text)
    assert bool(alarmed) == (kind == "out")


def test_a_service_that_nobody_watched_has_a_row_that_says_so(tmp_path: Path) -> None:
    _, text = left(tmp_path, act())
    assert re.search(r'data-service="mail">.*?class="unwatched"', text, flags=re.DOTALL)
    row = re.search(r'<tr><td class="long">mail</td>.*?</tr>', text)
    assert row
    assert "<strong>not watched</strong>" in row[0]
    assert "not known" in row[0]


def test_every_step_has_its_name_in_the_timeline(tmp_path: Path) -> None:
    _, text = left(tmp_path, act())
    drawn = text.partition('<figure class="timeline">')[2].partition("</figure>")[0]
    assert re.findall(r'transform="rotate[^>]*>(.*?)</text>', drawn) == names()


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ({"name": "UTC", "offset": 0}, "2023-11-14 22:13:20 UTC"),
        ({"name": "CET", "offset": 3600}, "2023-11-14 23:13:20 CET (UTC+01:00), 22:13:20 UTC"),
        (
            {"name": "+0545", "offset": 20700},
            "2023-11-15 03:58:20 UTC+05:45, 2023-11-14 22:13:20 UTC",
        ),
        ({"name": "NST", "offset": -12600}, "2023-11-14 18:43:20 NST (UTC-03:30), 22:13:20 UTC"),
    ],
)
def test_times_are_the_operators_beside_utc(
    tmp_path: Path, zone: dict[str, Any], shown: str
) -> None:
    data, _ = left(tmp_path, act())
    assert f"Began at {shown}; took" in page.render({**data, "zone": zone})


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ("ConnectionRefusedError: [Errno 111] Connection refused", "Connection refused"),
        ("LookupError: no answer", "no answer"),
        ("TimeoutError: ", "TimeoutError: "),
        ("no answer", "no answer"),
    ],
)
def test_what_a_client_got_is_said_without_pythons_names(error: str, shown: str) -> None:
    assert page._got(error) == shown


def test_long_names_are_cut_in_drawings_and_whole_in_their_titles(tmp_path: Path) -> None:
    long = "a-jail-with-a-name-that-goes-on-and-on-and-on-and-on-for-longer-than-any-line"
    jails = [f"jail {long} /usr/jails/{long}/root 10.80.0.2"]
    seen = (timeline(long, 40.0, gap=(20.0, 20.5), after=long),)
    _, text = left(tmp_path, act(timelines=seen, after=[*AFTER, *jails]))
    drawn = re.findall(r"<text[^>]*>(.*?)</text>", text)
    assert drawn
    assert max(len(each) for each in drawn) < 60
    assert f"<title>{long}</title>" in text


def test_many_outages_are_counted_and_not_left_out_in_silence(tmp_path: Path) -> None:
    probes = [timeline("web", 40.0).probes[n] for n in range(790)]
    flapping = tuple(
        each if n % 3 else type(each)(each.start, each.end, "refused", None, held=False)
        for n, each in enumerate(probes)
    )
    data, text = left(tmp_path, act(timelines=(Timeline("web", 20.0, (flapping,)),)))
    gaps = len(data["acts"][0]["services"][0]["gaps"])
    assert gaps > 200
    assert f"web: {gaps - 100} more, in report.json" in text
    assert text.count("drawn large") == 12


def test_what_the_sample_is_called_is_on_the_page(tmp_path: Path) -> None:
    _, text = left(tmp_path, act())
    assert f"<h1>Apply to {SAMPLE.name}</h1>" in text


@pytest.mark.parametrize("value", ["a\u202eb", "a\x00b", "a\ud800b"])
def test_what_cannot_be_seen_is_named(value: str) -> None:
    assert page._visible(value) == f"a⟨U+{ord(value[1]):04X}⟩b"
    assert page._visible("a\n\tb") == "a\n\tb"


def test_what_a_box_does_not_have_of_a_surveyed_server_stands_on_the_page(tmp_path: Path) -> None:
    data, text = left(tmp_path, act(), not_modelled=["the host runs FreeBSD 15.0", HOSTILE])
    assert data["not_modelled"] == ["the host runs FreeBSD 15.0", HOSTILE]
    page_read = Read()
    page_read.feed(text)
    assert "In this it is not as the server: the host runs FreeBSD 15.0 " in page_read.text
    assert HOSTILE in page_read.text
    assert not any(tag == "script" for tag, _ in page_read.tags)
    _, without = left(tmp_path, act())
    assert 'id="lacking"' not in without

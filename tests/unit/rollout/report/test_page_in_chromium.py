"""The page in a real browser: reading, clicking, keyboard, narrow, dark and printed."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from rollout.probe.outage import Timeline
from rollout.rehearsal.verdicts import COLUMNS, OK
from rollout.report.evidence import Log
from rollout.report.record import Record
from tests.unit.rollout.chromium import chromium
from tests.unit.rollout.report.test_page import HOSTILE, at
from tests.unit.rollout.reported import (
    AFTER,
    EACH,
    PLAN,
    act,
    broken,
    checks,
    failed,
    left,
    names,
    results,
    timeline,
)
from tests.unit.survey.test_page import rendered

pytestmark = pytest.mark.slow

LONG = "a-name-that-goes-on-and-on-and-on-for-longer-than-any-line-of-a-table-has-room"
AXE = Path(__file__).parents[3] / "browser" / "node_modules" / "axe-core" / "axe.min.js"
OUTAGE = 'g.service[data-service="mysql"] g.outage rect'


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("profile"), "page") as browser:
        yield browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run forward, and one that stuck half-way, with names that no table has room for."""
    where = tmp_path_factory.mktemp("report")
    stuck, error = broken()
    long = act(
        "rollback",
        results([*names(), LONG], verdicts=checks(100)),
        (timeline(LONG, 40.0, gap=(20.0, 20.5), after=LONG), timeline("web", 40.0, blind=(9, 12))),
        after=[*AFTER, f"jail {LONG} /usr/jails/{LONG}/root 10.80.0.9"],
    )
    left(where, act(), long, stuck, error=error)
    return where


@pytest.fixture
def page(browser: webdriver.Chrome, report: Path) -> webdriver.Chrome:
    """The page, just opened, on a wide screen in light mode."""
    shown(browser, 1280)
    browser.get((report / "report.html").as_uri())
    return browser


def shown(browser: webdriver.Chrome, width: int, scheme: str = "light", media: str = "") -> None:
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": [feature]})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def ask(browser: webdriver.Chrome, script: str, *arguments: Any) -> Any:
    return browser.execute_script(script, *arguments)


def test_its_figures_are_those_in_the_json(page: webdriver.Chrome, report: Path) -> None:
    data = json.loads((report / "report.json").read_text(encoding="utf-8"))
    script = (
        "return [...document.querySelectorAll('data')].map(d => [d.dataset.json, d.textContent])"
    )
    figures = ask(page, script)
    assert len(figures) > 100
    for pointer, text in figures:
        assert float(text) == pytest.approx(at(data, pointer), abs=0.0005), pointer


def test_it_asks_nobody_for_anything_and_has_no_complaint(page: webdriver.Chrome) -> None:
    page.get_log("performance")  # type: ignore[no-untyped-call] # of the pages before
    page.refresh()
    rows = page.get_log("performance")  # type: ignore[no-untyped-call]
    events = [json.loads(row["message"])["message"] for row in rows]
    asked = [
        each["params"]["request"]["url"]
        for each in events
        if each["method"] == "Network.requestWillBeSent"
    ]
    assert asked
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert page.get_log("browser") == []  # type: ignore[no-untyped-call]


def test_the_outage_is_drawn_in_its_step_and_nowhere_else(page: webdriver.Chrome) -> None:
    timelines = page.find_elements(By.CSS_SELECTOR, "#a0 figure.timeline svg.drawn")
    whole, large = timelines
    for drawn in (whole, large):
        [out] = drawn.find_elements(By.CSS_SELECTOR, OUTAGE)
        assert len(drawn.find_elements(By.CSS_SELECTOR, "g.outage")) == 1
        [step] = [
            each.find_element(By.TAG_NAME, "rect")
            for each in drawn.find_elements(By.TAG_NAME, "a")
            if "mysql.cutover" in (each.get_attribute("aria-label") or "")
        ]
        assert step.rect["x"] <= out.rect["x"]
        assert out.rect["x"] + out.rect["width"] <= step.rect["x"] + step.rect["width"]


def test_a_click_on_a_step_of_the_timeline_opens_it(page: webdriver.Chrome) -> None:
    step = page.find_element(By.ID, "a0-s1")
    assert not step.is_displayed()
    page.find_element(By.CSS_SELECTOR, '#a0 figure a[href="#a0-s1"]').click()
    assert step.is_displayed()
    assert "applying" in step.find_element(By.XPATH, "..").text


def test_everything_that_folds_unfolds_by_a_click(page: webdriver.Chrome) -> None:
    folded = page.find_elements(By.CSS_SELECTOR, "details:not([open]) > summary")
    assert len(folded) > 30
    for summary in folded:
        ask(page, "arguments[0].scrollIntoView({block: 'center'})", summary)
        summary.click()
    assert page.find_elements(By.CSS_SELECTOR, "details:not([open])") == []


def test_the_keyboard_alone_will_do(page: webdriver.Chrome) -> None:
    """Tab reaches every visible link, fold and scrolled region, and Enter unfolds."""
    wanted = page.find_elements(By.CSS_SELECTOR, "a[href], summary, [tabindex='0']")
    wanted = [each for each in wanted if ask(page, "return arguments[0].checkVisibility()", each)]
    reached: list[Any] = []
    unfolded = 0
    for _ in range(len(wanted) + 20):
        page.switch_to.active_element.send_keys(Keys.TAB)
        focus = page.switch_to.active_element
        if focus.tag_name == "body":
            break
        reached.append(focus)
        outline = ask(page, "return getComputedStyle(arguments[0]).outlineStyle", focus)
        assert outline != "none", focus.get_attribute("outerHTML")
        if focus.tag_name == "summary" and unfolded < 3:
            before = focus.find_element(By.XPATH, "..").get_attribute("open")
            focus.send_keys(Keys.ENTER)
            assert focus.find_element(By.XPATH, "..").get_attribute("open") != before
            unfolded += 1
    missed = [each.get_attribute("outerHTML") for each in wanted if each not in reached]
    assert not missed
    assert len(wanted) > 50
    assert unfolded == 3


@pytest.mark.parametrize("width", [320, 400, 480, 1280])
def test_nothing_sticks_out_at_any_width(page: webdriver.Chrome, width: int) -> None:
    shown(page, width)
    for summary in page.find_elements(By.CSS_SELECTOR, "details"):
        ask(page, "arguments[0].open = true", summary)
    wide = ask(page, "return document.documentElement.scrollWidth")
    script = """return [...document.querySelectorAll('body *')].filter(e =>
        !e.closest('.scroll, svg') && e.getBoundingClientRect().right > innerWidth + 1)
        .map(e => e.outerHTML.slice(0, 90))"""
    assert ask(page, script) == []
    assert wide <= width


CONTRAST = """
const channel = c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const light = s => { const [r, g, b] = s.match(/[0-9.]+/g).map(Number).map(channel);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
const root = getComputedStyle(document.documentElement);
const probe = document.body.appendChild(document.createElement('span'));
const value = name => {
    probe.style.color = `var(--${name})`;
    return light(getComputedStyle(probe).color);
};
const told = arguments[0].map(([one, other]) => [one, other, ratio(value(one), value(other))]);
probe.remove();
return told;
"""
TEXTS = [
    *((name, "paper") for name in ("ink", "quiet", "link", "well", "ill")),
    *((name, "shade") for name in ("ink", "quiet")),
    *((f"on-{name}", name) for name in ("host", "jail", "unknown")),
]
# Drawn parts differ from the page and from each other, also without colours.
SHAPES = [("host", "paper"), ("out", "paper"), ("host", "jail"), ("quiet", "paper")]


@pytest.mark.parametrize(("scheme", "media"), [("light", ""), ("dark", ""), ("dark", "print")])
def test_it_can_be_read_by_day_in_the_dark_and_on_paper(
    page: webdriver.Chrome, scheme: str, media: str
) -> None:
    shown(page, 1280, scheme, media)
    paper = ask(page, "return getComputedStyle(document.body).backgroundColor")
    dark = scheme == "dark" and not media
    assert (paper == "rgb(255, 255, 255)") != dark, paper
    for one, other, ratio in ask(page, CONTRAST, TEXTS):
        assert ratio >= 4.5, (one, other, ratio)
    for one, other, ratio in ask(page, CONTRAST, SHAPES):
        assert ratio >= 2.5, (one, other, ratio)


def test_a_rehearsal_of_the_sample_prints_on_six_sheets(
    browser: webdriver.Chrome, tmp_path: Path
) -> None:
    done = names(PLAN.steps[-1].name)
    kept = Record(PLAN, "rehearse", "the stand-in", tmp_path, lambda text: None)
    with kept:
        for name in ("apply", "rollback", "apply again"):
            kept.add(act(name, results(done, verdicts=checks(100)), full(len(done))))
            kept.verified(checks(86))
        kept.verdicts = [{"step": each, **dict.fromkeys(COLUMNS, OK)} for each in done]
    shown(browser, 1280, "dark")
    browser.get((tmp_path / "report.html").as_uri())
    paper = {"printBackground": True, "preferCSSPageSize": True}
    printed = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", paper)["data"])
    assert printed.startswith(b"%PDF")
    sheets = re.findall(rb"/Type\s*/Page\b", printed)
    assert 3 <= len(sheets) <= 6


def full(steps: int) -> tuple[Timeline, ...]:
    """Five ports as the sample has them; MySQL is down once."""
    seconds = steps * EACH
    gap = (seconds / 2, seconds / 2 + 0.1)
    return (
        *(timeline(f"bind 53/{proto}", seconds) for proto in ("udp", "tcp")),
        timeline("mysql", seconds, gap=gap, after="mysql"),
        *(timeline(name, seconds) for name in ("web", "mail")),
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["long", "failed", "unwatched", "assessment"])
def test_axe_finds_nothing_that_keeps_people_from_using_it(
    browser: webdriver.Chrome, report: Path, tmp_path: Path, kind: str, scheme: str
) -> None:
    if not AXE.exists():
        pytest.skip("no axe-core here (make axe installs it by npm): it does not check the page")
    where = report
    if kind == "failed":
        found, error = failed()
        left(where := tmp_path, found, error=error)
    if kind == "unwatched":
        silent = act("rollback", missing="it does not answer")
        left(where := tmp_path, act(timelines=()), silent, not_modelled=["the release", HOSTILE])
    if kind == "assessment":
        (where := tmp_path).joinpath("report.html").write_text(rendered(tmp_path), encoding="utf-8")
    shown(browser, 1280, scheme)
    browser.get((where / "report.html").as_uri())
    for each in browser.find_elements(By.CSS_SELECTOR, "details"):
        ask(browser, "arguments[0].open = true", each)
    ask(browser, AXE.read_text(encoding="utf-8"))
    found = browser.execute_async_script(
        "axe.run(document, {resultTypes: ['violations']}).then(arguments[0])"
    )
    assert found["passes"]
    assert [
        (each["id"], each["help"], [node["html"][:150] for node in each["nodes"][:3]])
        for each in found["violations"]
    ] == []


@pytest.mark.parametrize("width", [360, 1280])
def test_an_assessment_fits_its_screen_and_runs_nothing(
    browser: webdriver.Chrome, tmp_path: Path, width: int
) -> None:
    (tmp_path / "assessment.html").write_text(rendered(tmp_path, f"root@{HOSTILE}"))
    shown(browser, width, "dark")
    browser.get((tmp_path / "assessment.html").as_uri())
    assert browser.title == f"Assessment of root@{HOSTILE}"
    assert ask(browser, "return document.scripts.length + document.images.length") == 0
    assert ask(browser, "return document.documentElement.scrollWidth") <= width
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]


def test_hostile_text_does_nothing_in_a_browser(browser: webdriver.Chrome, tmp_path: Path) -> None:
    done = results(names(), ends=HOSTILE, verdicts=checks(2, failed=1))
    logs = {done[-1].step: Log([HOSTILE, "</title><svg onload=document.title='x'>"], 0)}
    left(tmp_path, act(HOSTILE, done, logs=logs), error=ValueError(HOSTILE))
    shown(browser, 1280)
    browser.get((tmp_path / "report.html").as_uri())
    assert browser.title == "Apply to dcserver: interrupted"
    assert ask(browser, "return document.scripts.length + document.images.length") == 0
    assert ask(browser, "return document.querySelectorAll('[onerror], [onload]').length") == 0
    assert HOSTILE in browser.find_element(By.CSS_SELECTOR, "#end pre").text
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]

"""The runbook as HTML in a real browser: ticks are kept, cleared, and belong to one text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from tests.unit.rollout.chromium import chromium
from tests.unit.rollout.runbook.test_pages_html import HTML

pytestmark = pytest.mark.slow

TICKED = "input:checked"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("profile"), "runbook") as browser:
        yield browser


def test_ticks_are_there_again_and_belong_to_one_text(
    browser: webdriver.Chrome, tmp_path: Path
) -> None:
    name = "07-mysql.html"
    page = tmp_path / name
    page.write_text(HTML[name], encoding="utf-8")
    browser.get(page.as_uri())
    boxes = browser.find_elements(By.CSS_SELECTOR, "input[type=checkbox]")
    assert len(boxes) > 40
    wanted = ["mysql.jail-type-1", "mysql.cutover-gate"]
    for each in wanted:
        browser.find_element(By.ID, each).click()
    browser.refresh()
    ticked = [each.get_attribute("id") for each in browser.find_elements(By.CSS_SELECTOR, TICKED)]
    assert sorted(map(str, ticked)) == sorted(wanted)
    # Of another text under the same name nothing was done yet.
    page.write_text(HTML[name].replace("cellblock dc", "cellblock x dc"))
    browser.get(page.as_uri())
    assert browser.find_elements(By.CSS_SELECTOR, TICKED) == []
    page.write_text(HTML[name], encoding="utf-8")
    browser.get(page.as_uri())
    browser.find_element(By.ID, "clear").click()
    browser.refresh()
    assert browser.find_elements(By.CSS_SELECTOR, TICKED) == []
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call] # selenium's


def test_no_line_runs_out_of_the_page(browser: webdriver.Chrome, tmp_path: Path) -> None:
    """The longest command has more than a thousand letters."""
    browser.set_window_size(500, 900)
    for name, text in HTML.items():
        page = tmp_path / name
        page.write_text(text, encoding="utf-8")
        browser.get(page.as_uri())
        wide = browser.execute_script(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide == 0, name

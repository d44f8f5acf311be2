"""The runbook as HTML in a real browser: progress, copying, folding, keyboard, print."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.unit.rollout.chromium import chromium
from tests.unit.rollout.runbook.test_pages_html import ALL, HTML, Read

pytestmark = pytest.mark.slow

TICKED = "input:checked"
MYSQL = "07-mysql.html"
WANTED = ["mysql.jail-type-1", "mysql.cutover-gate"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    for name, text in ALL.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("profile"), "runbook") as browser:
        yield browser


@pytest.fixture
def browser(chrome: webdriver.Chrome, pages: Path) -> Iterator[webdriver.Chrome]:
    """On MySQL's page, with nothing done yet."""
    chrome.get((pages / MYSQL).as_uri())
    chrome.execute_script("localStorage.clear()")
    chrome.refresh()
    yield chrome
    assert chrome.get_log("browser") == []  # type: ignore[no-untyped-call] # selenium's


def ticked(browser: webdriver.Chrome) -> list[str]:
    return [str(e.get_attribute("id")) for e in browser.find_elements(By.CSS_SELECTOR, TICKED)]


def tick(browser: webdriver.Chrome) -> None:
    for each in WANTED:
        browser.find_element(By.ID, each).click()


def count(browser: webdriver.Chrome) -> str:
    return browser.find_element(By.ID, "count").text


def reset(browser: webdriver.Chrome) -> None:
    browser.find_element(By.ID, "reset").click()
    browser.switch_to.alert.accept()


def first(browser: webdriver.Chrome, selector: str) -> WebElement:
    return browser.find_element(By.CSS_SELECTOR, selector)


def test_ticks_are_there_again_and_belong_to_one_text(
    browser: webdriver.Chrome, pages: Path, tmp_path: Path
) -> None:
    assert len(browser.find_elements(By.CSS_SELECTOR, "input[type=checkbox]")) > 40
    tick(browser)
    browser.refresh()
    assert sorted(ticked(browser)) == sorted(WANTED)
    other = tmp_path / MYSQL
    other.write_text(HTML[MYSQL].replace('data-key="cellblock dc', 'data-key="cellblock x dc'))
    browser.get(other.as_uri())
    assert ticked(browser) == []
    browser.get((pages / MYSQL).as_uri())
    reset(browser)
    browser.refresh()
    assert ticked(browser) == []


def test_the_page_counts_what_is_done_without_the_undo(browser: webdriver.Chrome) -> None:
    read = Read(HTML[MYSQL])
    total = len([box for box in read.boxes if "-back-" not in box])
    assert count(browser) == f"0 of {total} done"
    tick(browser)
    assert count(browser) == f"2 of {total} done"
    undo = browser.find_element(By.ID, "mysql.jail-back-1")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", undo)
    undo.click()
    assert count(browser) == f"2 of {total} done"
    browser.find_element(By.ID, "reset").click()
    browser.switch_to.alert.dismiss()
    assert count(browser) == f"2 of {total} done", "a click by mistake costs nothing"


def test_the_index_shows_the_progress_of_each_step(browser: webdriver.Chrome, pages: Path) -> None:
    tick(browser)
    browser.find_element(By.LINK_TEXT, "All steps").click()
    done = {
        step: first(browser, f"tr[data-step='{step}'] .progress").text.partition(" of ")[0]
        for step in ("mysql.jail", "mysql.cutover", "web.jail")
    }
    assert done == {"mysql.jail": "1", "mysql.cutover": "1", "web.jail": "0"}
    assert count(browser).startswith("2 of ")
    reset(browser)
    assert count(browser).startswith("0 of ")
    browser.find_element(By.LINK_TEXT, "mysql.cutover").click()
    assert ticked(browser) == []


def test_a_button_copies_the_line_and_says_so(browser: webdriver.Chrome) -> None:
    browser.execute_cdp_cmd(
        "Browser.grantPermissions",
        {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]},
    )
    line = "//li[.//input[@id='mysql.cutover-type-19']]"
    code = browser.find_element(By.XPATH, f"{line}//pre/code")
    assert len(code.find_elements(By.CLASS_NAME, "part")) > 3
    button = browser.find_element(By.XPATH, f"{line}//button")
    button.send_keys(Keys.ENTER)
    copied = browser.execute_async_script(
        "navigator.clipboard.readText().then(arguments[arguments.length - 1])"
    )
    assert copied == code.get_property("textContent")
    assert "\n" not in copied
    assert button.text == "Copied"
    assert browser.find_element(By.ID, "said").text == "Command copied."
    assert browser.switch_to.active_element == button


def test_where_the_browser_has_no_clipboard_the_line_is_copied_all_the_same(
    browser: webdriver.Chrome,
) -> None:
    browser.execute_script(
        "navigator.clipboard.writeText = () => Promise.reject();"
        "document.addEventListener('copy', () => {"
        " window.copied = document.activeElement.value });"
    )
    line = "//li[.//input[@id='mysql.cutover-type-19']]"
    browser.find_element(By.XPATH, f"{line}//button").click()
    code = browser.find_element(By.XPATH, f"{line}//pre/code")
    assert browser.execute_script("return window.copied") == code.get_property("textContent")


def test_a_folded_line_is_one_line_when_it_is_selected(
    browser: webdriver.Chrome, pages: Path
) -> None:
    """A line shown on several lines contains no line break of the page."""
    for name, text in HTML.items():
        browser.get((pages / name).as_uri())
        selected = browser.execute_script(
            "return [...document.querySelectorAll('pre > code')].map((code) => {"
            " getSelection().selectAllChildren(code); return getSelection().toString() })"
        )
        assert selected == Read(text).code, name
    folded = first(browser, ".part + .part")
    before = folded.find_element(By.XPATH, "preceding-sibling::*[1]")
    assert folded.location["y"] > before.location["y"]
    assert first(browser, ".part").rect["height"] > 0


def test_it_is_usable_by_keyboard_alone(browser: webdriver.Chrome) -> None:
    browser.find_element(By.ID, "mysql.jail-type-1").send_keys(Keys.SPACE)
    assert ticked(browser) == ["mysql.jail-type-1"]
    webdriver.ActionChains(browser).send_keys(Keys.TAB).perform()
    there = browser.switch_to.active_element
    assert str(there.get_attribute("aria-label")).startswith("Copy the command: 1. ")
    assert there.value_of_css_property("outline-style") == "solid"


def test_no_line_runs_out_of_the_page(browser: webdriver.Chrome, pages: Path) -> None:
    """The longest command has more than a thousand letters."""
    screen = {"width": 400, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    for name in ALL:
        browser.get((pages / name).as_uri())
        wide = browser.execute_script(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide == 0, name
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_it_has_a_dark_mode_and_prints_black_on_white_without_buttons(
    browser: webdriver.Chrome,
) -> None:
    def colours() -> tuple[str, str]:
        body = browser.find_element(By.TAG_NAME, "body")
        return body.value_of_css_property("color"), body.value_of_css_property("background-color")

    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": dark})
    assert colours() == ("rgba(230, 230, 227, 1)", "rgba(23, 23, 22, 1)")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": dark})
    assert colours() == ("rgba(0, 0, 0, 1)", "rgba(255, 255, 255, 1)")
    for hidden in (".bar", "button.copy"):
        assert not first(browser, hidden).is_displayed()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})

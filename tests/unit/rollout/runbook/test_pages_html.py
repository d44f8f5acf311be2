"""The runbook as HTML: the same lines, with checkboxes; it needs nothing but its own pages."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from markupsafe import escape

from rollout.plan.step import Gate, use
from rollout.runbook import pages
from tests.unit.rollout.runbook.test_pages import PAGES, SAMPLE, made_of, replaced

ALL = pages.pages(SAMPLE, "html")
HTML = {name: text for name, text in ALL.items() if name != "index.html"}
VOID = {"meta", "input", "br", "link", "img"}


class Read(HTMLParser):
    """A page as a browser would parse it, as far as the tests need."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.code: list[str] = []
        self.boxes: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.script = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "input":
            self.boxes.append(str(dict(attrs)["id"]))
        if self.open[-2:] == ["pre", "code"]:
            self.code.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"pre", "code"} <= set(self.open):
            self.code[-1] += data
        if self.open[-1:] == ["script"]:
            self.script += data


PAGE = pytest.mark.parametrize("page", HTML)
EVERY = pytest.mark.parametrize("page", ALL)


@PAGE
def test_every_line_of_the_markdown_is_there_to_the_letter(page: str) -> None:
    read = Read(HTML[page])
    markdown = PAGES[page.replace(".html", ".md")]
    assert read.open == []
    for code in read.code:
        assert f"\n{code}\n" in markdown
    assert markdown.count("\n# expect: ") <= len(read.code)


@PAGE
def test_every_line_has_a_box_of_its_own(page: str) -> None:
    read = Read(HTML[page])
    assert len(read.boxes) == len(set(read.boxes)) >= len(read.code) > 0


@EVERY
def test_it_needs_nothing_but_its_own_pages(page: str) -> None:
    read = Read(ALL[page])
    assert not {"img", "link", "iframe", "object"} & {tag for tag, _ in read.tags}
    for _, attributes in read.tags:
        assert not {"src", "action", "style", "onclick"} & set(attributes)
    assert "http" not in ALL[page].partition("<body")[0]
    assert "@import" not in ALL[page]
    assert "url(" not in ALL[page]


def test_every_link_leads_to_a_page_and_a_step_of_it() -> None:
    """The index leads to each step, and each page to the index and to the pages beside it."""
    links = {
        (name, str(attributes["href"]))
        for name, text in ALL.items()
        for tag, attributes in Read(text).tags
        if tag == "a"
    }
    for _, link in links:
        file, _, step = link.partition("#")
        assert not step or f'id="{step}"' in ALL[file]
    assert {link.partition("#")[2] for name, link in links if name == "index.html"} == {
        step.name for step in SAMPLE.steps
    }
    between = {(name, link) for name, link in links if name != "index.html"}
    names = list(HTML)
    assert between == {
        *((name, "index.html") for name in names),
        *pairwise(names),
        *pairwise(reversed(names)),
    }


def test_the_index_has_why_and_outage_of_each_step_and_counts_what_is_to_do() -> None:
    index = Read(ALL["index.html"])
    text = ALL["index.html"]
    rows = [
        attributes for tag, attributes in index.tags if tag == "tr" and "data-step" in attributes
    ]
    assert [row["data-step"] for row in rows] == [step.name for step in SAMPLE.steps]
    boxes = [box for page in HTML.values() for box in Read(page).boxes]
    for row, step in zip(rows, SAMPLE.steps, strict=True):
        assert str(escape(step.why)) in text
        own = [box for box in boxes if box.startswith(f"{step.name}-") and "-back-" not in box]
        assert row["data-total"] == str(len(own))
    assert "mysql: up to 15 s without an answer" in text


@PAGE
def test_each_command_has_a_button_that_names_what_it_copies(page: str) -> None:
    read = Read(HTML[page])
    buttons = [a["aria-label"] for tag, a in read.tags if tag == "button" and "aria-label" in a]
    assert len(buttons) == len(read.code) > 0
    assert all(str(each).startswith("Copy the command: ") for each in buttons)


def test_what_a_site_or_a_step_says_is_text_and_no_markup() -> None:
    nasty = "<script>alert(1)</script> & `a < b`"
    made = made_of(use(replaced, path="/etc/<b>"), gate=Gate(nasty, (nasty,)), tell=(nasty,))
    made = replace(made, steps=(replace(made.steps[0], why=nasty),))
    page = pages.pages(made, "html")["01-one.html"]
    read = Read(page)
    assert [tag for tag, _ in read.tags].count("script") == 1
    assert "alert" not in read.script
    assert "<code>a &lt; b</code>" in page
    assert any(code.endswith("\necho new > /etc/<b>") for code in read.code)


def test_ticks_of_another_text_are_not_taken_for_this_ones() -> None:
    one, other = (
        re.findall(
            'data-key="([^"]+)"',
            pages.pages(made_of(use(replaced, path=path)), "html")["01-one.html"],
        )
        for path in ("/etc/a", "/etc/b")
    )
    assert len(one) == len(other) == 1
    assert one != other

"""The runbook as HTML: the same lines, with boxes to tick; it needs nothing but itself."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from rollout.plan.step import Gate, use
from rollout.runbook import pages
from tests.unit.rollout.runbook.test_pages import PAGES, SAMPLE, made_of, replaced

HTML = pages.pages(SAMPLE, "html")
VOID = {"meta", "input", "br", "link", "img"}


class Read(HTMLParser):
    """What a browser would make of it, as far as tests want to know."""

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
        if self.open[-2:] == ["pre", "code"]:
            self.code[-1] += data
        if self.open[-1:] == ["script"]:
            self.script += data


PAGE = pytest.mark.parametrize("page", HTML)


@PAGE
def test_every_line_of_the_markdown_is_there_to_the_letter(page: str) -> None:
    read = Read(HTML[page])
    markdown = PAGES[page.replace(".html", ".md")]
    assert read.open == []
    for code in read.code:
        assert f"\n{code}\n" in markdown
    assert markdown.count("\n# see: ") <= len(read.code)


@PAGE
def test_every_line_has_a_box_of_its_own(page: str) -> None:
    read = Read(HTML[page])
    assert len(read.boxes) == len(set(read.boxes)) >= len(read.code) > 0


@PAGE
def test_it_needs_nothing_but_itself(page: str) -> None:
    read = Read(HTML[page])
    assert not {"img", "link", "iframe", "object"} & {tag for tag, _ in read.tags}
    for _, attributes in read.tags:
        assert not {"src", "href", "action", "style", "onclick"} & set(attributes)
    assert "http" not in HTML[page].partition("<body>")[0]
    assert "@import" not in HTML[page]
    assert "url(" not in HTML[page]


def test_what_a_site_or_a_step_says_is_text_and_no_markup() -> None:
    nasty = "<script>alert(1)</script> & `a < b`"
    made = made_of(use(replaced, path="/etc/<b>"), gate=Gate(nasty, (nasty,)), tell=(nasty,))
    made = replace(made, steps=(replace(made.steps[0], why=nasty),))
    [page] = pages.pages(made, "html").values()
    read = Read(page)
    assert [tag for tag, _ in read.tags].count("script") == 1
    assert "alert" not in read.script
    assert "<code>a &lt; b</code>" in page
    assert any(code.endswith("\necho new > /etc/<b>") for code in read.code)


def test_ticks_of_another_text_are_not_taken_for_this_ones() -> None:
    one, other = (
        Read(*pages.pages(made_of(use(replaced, path=path)), "html").values()).script
        for path in ("/etc/a", "/etc/b")
    )
    assert one != other
    assert "localStorage" in one

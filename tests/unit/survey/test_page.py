"""The assessment's page: all findings are on it, hostile text is inert, it loads nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from survey import assessment, page, reference
from survey.assessment import Finding
from tests.unit.rollout.report.test_page import HOSTILE, Read

ESCAPES = "\x1b[2Jgone\x1b]0;title\x07"
CHECK = "preflight::daemon_is_enabled"
FINDINGS = (
    Finding(
        "preflight.daemon_is_enabled",
        "stops",
        "In its jail it starts at boot.",
        f"/usr/local/etc/apache24/extra/vhosts.conf:7: ServerName {HOSTILE}{ESCAPES}\nsecond line",
        reference.link(CHECK),
        about=f"web{HOSTILE}",
        todo="sysrc apache24_enable=YES\nservice apache24 start",
        look=("service apache24 enabled", f"grep {HOSTILE} " + "x" * 200),
    ),
    Finding("gate.web.retire", "for information", "It stops.", "a gate", "docs/steps.md"),
    Finding("moves", "for information", "Users notice.", "no gap", "docs/nowhere.md", about="web"),
)


def rendered(folder: Path, host: str = "root@www") -> str:
    data: dict[str, Any] = assessment.data(FINDINGS, host, "FreeBSD 14.1", "2026-11-30T13:00:00Z")
    return page.render(data, assessment.counted(FINDINGS).capitalize(), folder)


def read(text: str) -> Read:
    found = Read()
    found.feed(text)
    return found


def test_all_findings_are_there_the_most_severe_first(tmp_path: Path) -> None:
    found = read(rendered(tmp_path))
    text = found.text
    for each in FINDINGS:
        assert each.id in text
        assert each.why in text
        assert each.docs in text
    assert "1 finding stops a move, 0 to look at, 2 for information." in text
    assert "Said at /usr/local/etc/apache24/extra/vhosts.conf:7" in text
    assert "To do sysrc apache24_enable=YES service apache24 start" in text
    assert text.index("preflight.daemon_is_enabled") < text.index("gate.web.retire")
    titles = [each["aria-label"] for tag, each in found.tags if tag == "section"]
    assert titles == ["Stops", "For information"], "Look at it has none"


def test_its_links_lead_to_headings_of_the_documentation(tmp_path: Path) -> None:
    links = [each["href"] for tag, each in read(rendered(tmp_path)).tags if tag == "a"]
    away = [each for each in links if each and not each.startswith("#")]
    assert len(away) == 2, "one that is not there is no link"
    for each in away:
        file, _, anchor = each.partition("#")
        text = (tmp_path / file).read_text(encoding="utf-8")
        headings = re.findall(r"(?m)^#+ (.+)$", text)
        assert not anchor or anchor in [h.lower().replace(" ", "-") for h in headings]
    assert away[0].endswith("docs/checks.md#preflight-daemon-is-enabled")


def test_what_a_host_says_is_text(tmp_path: Path) -> None:
    found = read(rendered(tmp_path, f"root@{HOSTILE}"))
    tags = {tag for tag, _ in found.tags}
    assert not tags & {"script", "img", "svg", "link", "iframe", "object", "form"}
    assert not [each for _, those in found.tags for each in those if each.startswith("on")]
    assert found.text.count(HOSTILE) == 6  # the titles, the host, about, here, the folded command
    assert "\x1b" not in found.text
    assert "⟨U+001B⟩[2Jgone⟨U+001B⟩]0;title⟨U+0007⟩" in found.text


def test_it_loads_nothing(tmp_path: Path) -> None:
    text = rendered(tmp_path)
    assert "default-src 'none'; style-src 'unsafe-inline'" in text
    assert not re.findall(r"https?://|@import|url\(", text)
    assert "color-scheme: light dark" in text
    assert "@media print" in text

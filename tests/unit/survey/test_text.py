"""The text of a draft is a site file, whatever a host says."""

from __future__ import annotations

import tomllib

from survey.draft import Draft, Obstacle, Question, Stranger
from survey.text import text


def test_whatever_a_host_says_the_file_can_be_read() -> None:
    odd = 'x\n[host]\n\x1b]0;title\x07 "quoted" \udce9 é \\ #'
    draft = Draft()
    draft.put("", "name", "dc", odd)
    draft.put("services.web", "ports", [{"port": 80, "name": 'a"b\\', "public": False}], odd)
    draft.put("services.web", "data", [f"/usr/local/www/{n:060}" for n in range(3)], odd)
    draft.questions.append(Question("jails.web", "limits", odd, odd, ("limits = {}",)))
    draft.strangers.append(Stranger("odd", ("*:1/tcp4",), odd))
    draft.obstacles.append(Obstacle("web.jail", odd, "web"))
    draft.obstacles.append(Obstacle("base", odd))
    said = text(draft, [odd])
    assert tomllib.loads(said) == draft.data() | {"jails": {"web": {}}}
    assert "\x1b" not in said
    assert max(map(len, said.splitlines())) <= 100


def test_a_question_stands_above_its_key_and_in_the_head() -> None:
    draft = Draft()
    draft.put("", "name", "dc")
    draft.put("services.web", "rc", "apache24", "/etc/rc.conf:7")
    draft.put("policy", "allow", [{"from": "web", "to": "internet", "ports": ["any"]}])
    draft.questions.append(Question("services.web", "client", "Which?", "Nobody says.", ("c = 1",)))
    draft.questions.append(Question("policy", "allow", "Who?", "It is nowhere."))
    said = text(draft, ["made here"])
    head, _, body = said.partition('name = "dc"\n')
    assert "# 2 question(s) are left" in head
    assert "# 1. [policy] allow: Who?\n# 2. [services.web] client: Which?\n" in head
    assert "# QUESTION 1: Who?\n# It is nowhere.\nallow = [" in body
    assert body.endswith(
        '[services.web]\nrc = "apache24"                     # /etc/rc.conf:7\n'
        "# QUESTION 2: Which?\n# Nobody says.\n# c = 1\n"
    )


def test_a_draft_without_questions_says_so() -> None:
    draft = Draft()
    draft.put("", "name", "dc")
    assert "# Nothing is left to ask.\n" in text(draft, ["made here"])

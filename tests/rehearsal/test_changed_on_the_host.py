"""Who edits configuration on the host, where it always was, is told that the jail has another."""

from __future__ import annotations

from pathlib import Path

from rollout.engine.runner import Runner
from rollout.rehearsal.box import Box, standin_box
from tests.rehearsal.on_standin import runner, typed
from tests.rehearsal.sites import ordered

ETC = "/usr/local/etc/apache24"
LIVE = "/usr/local/etc/letsencrypt/live/www.example.org"
"""Of certbot: links to the newest certificate, elsewhere."""


def told(run: Runner) -> list[str]:
    """What the check of it says; no other fails."""
    failed = [each for each in run.verify() if not each.passed]
    assert {each.name for each in failed} <= {"jail has what was changed on the host: web"}
    return [each.message for each in failed]


def edited(box: Box, path: str, when: str, where: str = "") -> None:
    typed(box, f"{where}sh -c 'echo \"# edited\" >> {path} && touch -t {when} {path}'")


def test_an_edit_on_the_host_is_told_until_the_jail_has_it(tmp_path: Path) -> None:
    made = ordered("web")
    with standin_box(made.site, tmp_path) as box, runner(made, box) as run:
        run.apply()
        assert told(run) == []
        edited(box, f"{ETC}/httpd.conf", "209901010000")
        [message] = told(run)
        assert f"since it was built: {ETC}/httpd.conf: make the same change" in message
        edited(box, f"{ETC}/httpd.conf", "209901020000", "jexec web ")
        assert told(run) == []

        edited(box, f"{ETC}/Includes/shop.conf", "209901010000")
        assert f": {ETC}/Includes/shop.conf: make" in told(run)[0]
        typed(box, f"jexec web sh -c 'echo \"# edited\" > {ETC}/Includes/shop.conf'")
        assert told(run) == [], "the same content"

        typed(box, f"jexec web sh -c 'mkdir -p {LIVE} && echo old > {LIVE}/fullchain.pem'")
        typed(
            box, f"mkdir -p {LIVE} && echo new > {LIVE}/2.pem && ln -s 2.pem {LIVE}/fullchain.pem"
        )
        typed(box, f"touch -t 209901010000 {LIVE}/2.pem")
        assert f": {LIVE}/fullchain.pem: make" in told(run)[0]
        typed(box, f"rm -r {LIVE}")

        edited(box, f"{ETC}/maps.db", "209901010000")
        edited(box, "/usr/local/etc/of-another.conf", "209901010000")
        typed(
            box,
            f"echo x > {ETC}/state && touch -t 209901010000 {ETC}/state && chown www {ETC}/state",
        )
        assert told(run) == [], "what no person edits, or the jail does not use"

"""What a power cut takes from the files, on request."""

from __future__ import annotations

import time

import pytest

from standin import StandIn
from standin.linux import power_loss


def test_a_torn_file_has_lost_the_end_of_what_no_fsync_saved(server: StandIn) -> None:
    server.run(
        "printf 12345678 >/etc/new; printf 1234 >/etc/safe; fsync /etc/safe;"
        " printf 1234 >/etc/grown; fsync /etc/grown; printf 5678 >>/etc/grown;"
        " printf 12345678 >/etc/.staged; fsync /etc/.staged; mv /etc/.staged /etc/renamed;"
        " printf 12345678 >/etc/.other; mv /etc/.other /etc/careless;"
        " touch -t 202001010000 /etc/old; cp -p /etc/old /etc/empty;"
        " printf 12345678 >/etc/old; touch -t 202001010000 /etc/old; cp -p /etc/old /etc/copied"
    )
    lost = server.power_off(torn=True)
    texts = {
        name: (server.root / "etc" / name).read_text()
        for name in ("new", "safe", "grown", "renamed", "careless", "copied")
    }
    assert texts == {
        "new": "1234567",
        "safe": "1234",
        "grown": "1234567",
        "renamed": "12345678",
        "careless": "1234567",
        "copied": "1234567",
    }
    assert {"etc/new", "etc/grown", "etc/careless", "etc/copied"} <= set(lost)
    assert "etc/rc.conf" not in lost, "what the stand-in began with is on its disk"
    server.boot()
    assert server.is_up


def test_a_new_directory_is_lost_with_what_is_in_it_unless_it_was_fsynced(server: StandIn) -> None:
    server.run(
        "mkdir -p /etc/lost/below; echo x >/etc/lost/below/file; fsync /etc/lost/below/file"
        " /etc/lost/below; mkdir -p /etc/kept/seen; echo x >/etc/kept/file;"
        " touch -t 202001010000 /etc/kept; fsync /etc/kept;"
        " sleep 0.02; mkdir /etc/kept/lost"  # a file's time has ticks, of 4 ms or of 10
    )
    lost = server.power_off(torn=True)
    assert {"etc/lost", "etc/kept/lost"} <= set(lost)
    assert not (server.root / "etc/lost").exists()
    assert sorted(each.name for each in (server.root / "etc/kept").iterdir()) == ["file", "seen"]


def test_the_syncer_saves_what_is_older(server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    server.run("printf 12345678 >/etc/new")
    server.power_off()
    since = time.time() - 0.05  # a file's own time comes from a coarser clock
    (server.root / "etc/new").write_text("12345678")
    monkeypatch.setattr(power_loss, "SYNCER_SECONDS", 0)
    assert power_loss.tear(server.where, since) == []
    monkeypatch.setattr(power_loss, "SYNCER_SECONDS", 30)
    assert "etc/new" in power_loss.tear(server.where, since)

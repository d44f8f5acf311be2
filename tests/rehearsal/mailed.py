"""What the guest's tests of mail ask of alice's mailbox."""

from __future__ import annotations

from box.clients.results import Sent
from box.clients.send import judge


def must_have_arrived(sent: Sent, mailbox: str) -> None:
    """All that the server took, once each; and it took all that was sent."""
    verdict = judge(sent, mailbox)
    assert verdict.is_whole, f"lost {verdict.lost[:5]}, doubled {verdict.doubled[:5]}"
    assert not verdict.unacknowledged, verdict.unacknowledged[:5]
    assert not sent.failures, f"{len(sent.failures)} not taken: {sent.failures[:3]}"

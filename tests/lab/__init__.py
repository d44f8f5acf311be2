"""The laboratory: whole rollouts on a real FreeBSD guest, used by real clients on its network."""

"""The laboratory: whole rollouts on a real FreeBSD guest, under real clients on its wire."""

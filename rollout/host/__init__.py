"""Cellblock's part on the host (host.sh, the journal, bundles), and the session that reaches it."""

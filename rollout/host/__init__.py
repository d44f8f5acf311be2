"""Our half on the host (host.sh, the journal, bundles) and the way to it."""

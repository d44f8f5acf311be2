"""Looks at a host, read only, and drafts a site file for it."""

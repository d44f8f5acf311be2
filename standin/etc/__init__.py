"""FreeBSD's files in /etc, read and written as FreeBSD does: passwd(5) and group(5), rc.conf(5),
jail.conf(5). Of the host or of a jail; this package knows nothing of what runs.
"""

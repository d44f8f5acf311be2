"""What makes a bad moment: programs that copy or upgrade files, and releases without patches."""

from __future__ import annotations

from datetime import date

AT_WORK = (
    *("pkg", "pkg-static", "freebsd-update", "etcupdate", "mergemaster", "portmaster"),
    *("portupgrade", "periodic", "mysqldump", "mariadb-dump", "mariadb-backup", "xtrabackup"),
    *("pg_dump", "pg_dumpall", "dump", "rsync", "restic", "borg", "duplicity", "bsdtar", "tar"),
)
"""Programs by their names: backups, dumps of databases, upgrades."""

ENDS = {
    "13.0": date(2022, 8, 31), "13.1": date(2023, 7, 31), "13.2": date(2024, 6, 30),
    "13.3": date(2024, 12, 31), "13.4": date(2025, 6, 30), "13.5": date(2026, 4, 30),
    "14.0": date(2024, 9, 30), "14.1": date(2025, 3, 31), "14.2": date(2025, 9, 30),
    "14.3": date(2026, 6, 30), "14.4": date(2026, 12, 31), "15.0": date(2026, 9, 30),
    "15.1": date(2027, 3, 31),
    "13": date(2026, 4, 30), "14": date(2028, 11, 30), "15": date(2029, 12, 31),
}  # fmt: skip
"""When releases and branches get no more patches: https://www.freebsd.org/security/ and
https://www.freebsd.org/security/unsupported/. Of one that is not here its branch counts.
"""


def ends(release: str) -> date | None:
    """Of a release as uname -r prints it; None if that is not known."""
    number = release.partition("-")[0]
    return ENDS.get(number) or ENDS.get(number.partition(".")[0])

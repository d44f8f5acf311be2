"""Is this the moment?"""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import Look
from rollout.site import Site
from tests.checks.moments import AT_WORK, ENDS


def nothing_copies_or_upgrades_files_now(site: Site) -> Iterator[Look]:
    yield Look(
        f"ps -axww -J 0 -o args= | grep -E '(^|[ /])({'|'.join(AT_WORK)})( |$)' | grep -v grep"
    )


def no_restart_is_pending(site: Site) -> Iterator[Look]:
    yield Look("freebsd-version -kru | sort -u | wc -l | tr -d ' '", "1")


def release_gets_patches(site: Site) -> Iterator[Look]:
    table = "; ".join(f'e["{name}"] = "{day}"' for name, day in ENDS.items())
    yield Look(
        'awk -v r="$(uname -r)" -v d="$(date -u +%Y-%m-%d)" \'BEGIN { '
        f'{table}; n = r; sub(/-.*/, "", n); if (!(n in e)) sub(/[.].*/, "", n); '
        "if (n in e && d > e[n]) print e[n] }'"
    )


def no_file_system_is_nearly_full(site: Site) -> Iterator[Look]:
    yield Look("df -k -t ufs,zfs | awk 'int($(NF-1)) >= 95'")

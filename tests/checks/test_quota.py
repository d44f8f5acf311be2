"""What users have in MySQL counts for their disk quota."""

from __future__ import annotations

from typing import Any

from operations.quota import once
from rollout.site import Site

# MySQL's own, and MariaDB's; what begins with # is InnoDB's.
OWN = ("mysql", "performance_schema", "sys", "information_schema", "lost+found")


def database_question(directory: str) -> str:
    """sh that prints the directories of the databases."""
    return f"find -x {directory} -mindepth 1 -maxdepth 1 -type d ! -name '#*' | sed -e 's|.*/||'"


def test_databases_have_accounts(host: Any, site: Site, directory: str) -> None:
    """The space of a database is counted for the account that it belongs to."""
    rows = (line.split(":") for line in host.check_output("cat /etc/passwd").splitlines())
    accounts = {
        row[0]
        for row in rows
        if len(row) > 2 and any(low <= int(row[2]) <= high for low, high in site.uids)
    }
    known = {*OWN, *site.accounts.shared_databases}
    nobodys = [
        name
        for name in sorted(host.check_output(database_question(directory)).splitlines())
        if name not in known
        and not any(name == each or name.startswith(f"{each}_") for each in accounts)
    ]
    assert not nobodys, (
        f"databases that belong to no account, so no quota would count them: {', '.join(nobodys)}; "
        "list them in accounts.shared_databases, or name them after their account"
    )


def test_databases_belong_to_their_accounts(host: Any, script: str) -> None:
    """What was created since cron's last run is handed over first; what stays, cannot be."""
    given = host.run(f"{once(script)} give")
    assert given.rc == 0, f"{script} give fails: {(given.stderr or given.stdout).strip()}"
    wrong = host.check_output("sh %s wrong", script).splitlines()
    assert not wrong, (
        f"{len(wrong)} database files still belong to MySQL, not to their account; "
        f"the first: {wrong[0]}"
    )

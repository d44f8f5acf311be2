"""The disk quota of an account includes its databases: their files belong to it."""

from __future__ import annotations

from operations import files, quota
from rollout.errors import Refused
from rollout.plan.step import Check, Step, check, use
from rollout.site import JOURNAL, Site
from steps.render import render

REQUIRES = ("mysql",)

_MYSQL = "mysql"
_SCRIPT = "/usr/local/etc/cellblock/mysql.quota"
_CRON = "/etc/cron.d/cellblock-mysql-quota"


def preflight(site: Site) -> tuple[Check, ...]:
    """What must be healthy on the host before anything begins."""
    data = site.services[_MYSQL].data
    if not data:  # `steps` refuses it, with the reason
        return ()
    return (check("quota::databases_have_accounts", until="mysql.quota", directory=data[0]),)


def steps(site: Site) -> tuple[Step, ...]:
    service = site.services[_MYSQL]
    if not site.uids or not service.data:
        raise Refused(
            f"{site.path}: order: mysql_quota needs uids of a jail and services.mysql.data, to "
            "know the owners of the databases and where the databases are",
            todo="set both, or take mysql_quota out of `order`",
        )
    minutes = site.accounts.quota_minutes
    return (
        Step(
            name="mysql.quota",
            does="give databases' files to accounts",
            why="Database files belonged to MySQL, so no quota counted them; now they belong to "
            "the account whose name the database begins with. New tables follow within "
            f"{minutes} minutes.",
            operations=(
                use(
                    files.put,
                    path=_SCRIPT,
                    content=render(
                        "mysql/quota",
                        data=service.data[0],
                        user=service.user,
                        jail=site.jail_of(_MYSQL),
                        ranges=site.uids,
                        journal=JOURNAL,
                    ),
                    mode="555",
                ),
                use(quota.given, script=_SCRIPT),
                use(
                    files.put,
                    path=_CRON,
                    content=f"*/{minutes}\t*\t*\t*\t*\troot\t{quota.once(_SCRIPT)} give\n",
                ),
            ),
            checks=(
                check("quota::databases_belong_to_their_accounts", script=_SCRIPT),
                check("path::exists", path=_CRON),
            ),
        ),
    )

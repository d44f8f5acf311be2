"""Which accounts of MySQL's fit a client, and what they may use."""

from __future__ import annotations

import pytest

from tests.checks.granted import Client, Grants

WEB = Client("10.80.0.4", ("www.example.org",))


@pytest.mark.parametrize(
    ("host", "fits"),
    [
        ("%", True),
        ("", True),
        ("10.80.0.4", True),
        ("10.80.0.%", True),
        ("10.80.0._", True),
        ("10.80.0.40", False),
        ("10x80.0.4", False),
        ("10.80.0.0/255.255.255.0", True),
        ("10.80.0.0/24", True),
        ("10.80.1.0/255.255.255.0", False),
        ("10.80.0.4/255.255.255.0", False),
        ("%.example.org", True),
        ("WWW.example.org", True),
        ("www\\_example.org", False),
        ("localhost", False),
        ("127.0.0.1", False),
        ("::1", False),
    ],
)
def test_a_host_of_an_account(host: str, fits: bool) -> None:
    assert WEB.fits(host) is fits


def test_accounts_and_their_databases() -> None:
    # As mysql(1) prints ASKED by -N -B: columns separated by tabs.
    grants = Grants.read(
        "user\troot\tlocalhost\tY\nuser\tshop\tlocalhost\tN\nuser\tshop\t10.80.0.4\tN\n"
        "database\tshop\tlocalhost\tshop\ndatabase\tshop\t%\tlog\n"
        "plugin\tann\tlocalhost\t\nplugin\tshop\t%\tbert\nfile\tshop\tlocalhost\tY\n"
        "secure_file_priv\t\nskip_name_resolve\tON\n"
    )
    assert grants.by_socket == ("ann", "shop", "bert") and grants.with_files == ("shop@localhost",)
    kept = Grants.read("file\tshop\tlocalhost\tY\nsecure_file_priv\tNULL\n")
    assert kept.with_files == ()
    here = Client("127.0.0.1", ("localhost",))
    assert grants.let_in("shop", WEB) and not grants.let_in("root", WEB)
    assert grants.lost("shop", here, WEB) == ["shop"]
    assert grants.lost("root", here, WEB) == ["*"]
    assert not grants.finds_names

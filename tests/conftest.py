"""What tests share: the laboratory's fixtures (a real FreeBSD guest, where an image is at hand)."""

pytest_plugins = ["tests.lab.fixtures"]

from pathlib import Path

import pytest

from tests.lab import image


def lay(where: Path, *names: str) -> None:
    where.mkdir(exist_ok=True)
    for name in names:
        (where / name).touch()


def test_keys_are_found_beside_the_image(tmp_path: Path) -> None:
    lay(tmp_path, "box.qcow2", "id_ed25519", "known_hosts")
    found = image.find_image({"CELLBLOCK_BOX_IMAGE": str(tmp_path / "box.qcow2")})
    assert found == image.Image(
        tmp_path / "box.qcow2", tmp_path / "id_ed25519", tmp_path / "known_hosts"
    )


def test_the_default_is_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    cache = tmp_path / ".cache" / "cellblock"
    cache.mkdir(parents=True)
    lay(cache, "freebsd.qcow2", "id_ed25519", "known_hosts")
    assert image.find_image({}).disk == cache / "freebsd.qcow2"


def test_keys_may_be_elsewhere(tmp_path: Path) -> None:
    lay(tmp_path, "box.qcow2", "key", "hosts")
    found = image.find_image(
        {
            "CELLBLOCK_BOX_IMAGE": str(tmp_path / "box.qcow2"),
            "CELLBLOCK_BOX_KEY": str(tmp_path / "key"),
            "CELLBLOCK_BOX_KNOWN_HOSTS": str(tmp_path / "hosts"),
        }
    )
    assert (found.key, found.known_hosts) == (tmp_path / "key", tmp_path / "hosts")


@pytest.mark.parametrize(
    ("there", "variable"),
    [
        ([], "CELLBLOCK_BOX_IMAGE"),
        (["box.qcow2", "known_hosts"], "CELLBLOCK_BOX_KEY"),
        (["box.qcow2", "id_ed25519"], "CELLBLOCK_BOX_KNOWN_HOSTS"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, there: list[str], variable: str) -> None:
    lay(tmp_path, *there)
    with pytest.raises(image.Missing, match=rf"no .* at {tmp_path}.*set {variable}"):
        image.find_image({"CELLBLOCK_BOX_IMAGE": str(tmp_path / "box.qcow2")})


def test_missing_tools_are_named_with_their_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(image.Missing, match=r"qemu-system-x86_64 \(Debian: qemu-system-x86\)"):
        image.require_rights_and_tools()


def test_without_root_there_is_no_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "_has", lambda tool: True)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(image.Missing, match="only root"):
        image.require_rights_and_tools()

import subprocess
from pathlib import Path

import pytest

from box.qemu import image
from box.requirements import Missing, has
from rollout.errors import Refused


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
    with pytest.raises(Missing, match=rf"no .* at {tmp_path}.*\n.*with {variable}"):
        image.find_image({"CELLBLOCK_BOX_IMAGE": str(tmp_path / "box.qcow2")})


def test_an_image_with_neither_takes_them_from_a_seed(tmp_path: Path) -> None:
    lay(tmp_path, "box.qcow2")
    found = image.find_image({}, named=tmp_path / "box.qcow2")
    assert found == image.Image(tmp_path / "box.qcow2")
    assert found.wants_seed


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A qcow2 with something written to it."""
    if not has("qemu-img"):
        pytest.skip("no qemu-img on this machine")
    raw, disk = tmp_path / "raw", tmp_path / "disk.qcow2"
    raw.write_bytes(bytes(range(1, 256)) * 40_000)
    convert = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(disk)]
    subprocess.run(convert, check=True)
    return disk


def test_a_whole_image_is_known_by_its_format(disk: Path) -> None:
    assert image.format_of(disk) == "qcow2"


def test_a_disk_over_another_to_which_nobody_has_written_is_whole(
    disk: Path, tmp_path: Path
) -> None:
    over = tmp_path / "over.qcow2"
    create = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(disk), str(over)]
    subprocess.run(create, check=True)
    assert image.format_of(over) == "qcow2"


@pytest.mark.parametrize("left", [100, 300_000, 5_000_000])
def test_an_image_that_is_cut_short_is_refused(disk: Path, left: int) -> None:
    disk.write_bytes(disk.read_bytes()[:left])
    with pytest.raises(Refused, match=rf"{disk}: the image is damaged or cut short"):
        image.format_of(disk)

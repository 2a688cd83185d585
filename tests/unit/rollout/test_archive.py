"""Archives as people pack them, and as nobody should."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bundle.errors import RefusedVersion
from rollout import archive
from rollout.archive import unpack
from tests.unit.bundle.parts import on_file_system

FILES = {"mymodel/saved_model.pb": b"graph", "mymodel/variables/variables.index": b"x" * 3_000_000}
LEFT_BY_SYSTEMS = {"__MACOSX/mymodel/._saved_model.pb": b"", "mymodel/.DS_Store": b"", "mymodel/._variables": b""}


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return path


def tarred(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as packed:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content))
    return path


PACKED: dict[str, Callable[[Path, dict[str, bytes]], Path]] = {
    "m.zip": zipped,
    "M.ZIP": zipped,
    "m.tar": tarred,
    "m.tgz": tarred,
    "m.tar.gz": tarred,
}


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", PACKED)
def test_what_was_packed_comes_out(tmp_path: Path, name: str) -> None:
    packed = PACKED[name](tmp_path / name, FILES | LEFT_BY_SYSTEMS)
    assert archive.is_archive(packed)
    unpack(packed, tmp_path / "out")
    assert content(tmp_path / "out") == FILES


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("name", ["../out.pb", "/etc/out.pb", "a/../../out.pb", "a\\..\\out.pb", "..", "\x1b]0;x/../y"])
def test_a_name_that_leads_out_is_refused(
    tmp_path: Path, pack: Callable[[Path, dict[str, bytes]], Path], name: str
) -> None:
    packed = pack(tmp_path / ("m.zip" if pack is zipped else "m.tgz"), FILES | {name: b"evil"})
    refused(packed, "leads out of it")
    assert not (tmp_path / "out.pb").exists()


def refused(packed: Path, why: str) -> str:
    target = packed.parent / "out"
    with pytest.raises(RefusedVersion, match=why) as caught:
        unpack(packed, target)
    assert not target.exists()
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "m.tar.gz", "w:gz") as packed:
        entry = tarfile.TarInfo("mymodel/saved_model.pb")
        entry.type, entry.linkname = kind, "/etc/passwd"
        packed.addfile(entry)
    refused(tmp_path / "m.tar.gz", "mymodel/saved_model.pb in the archive is (a link|neither a file nor a folder)")


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as packed:
        entry = zipfile.ZipInfo("mymodel/saved_model.pb")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(entry, "/etc/passwd")
    refused(tmp_path / "m.zip", "is a link; expected files")


def test_set_id_bits_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "m.tar", "w") as packed:
        entry = tarfile.TarInfo("mymodel/saved_model.pb")
        entry.mode = 0o4755
        packed.addfile(entry)
    refused(tmp_path / "m.tar", "has a set-id bit")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    packed = zipped(tmp_path / "m.zip", FILES)
    data = bytearray(packed.read_bytes())
    at = data.rindex(b"PK\x01\x02", 0, data.index(b"PK\x01\x02") + 4)
    data[at + 8] |= 1
    packed.write_bytes(data)
    refused(packed, "is encrypted; pack it without a password")


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_half_an_archive_is_refused(tmp_path: Path, name: str, share: float) -> None:
    whole = PACKED[name](tmp_path / name, {"m/saved_model.pb": os.urandom(300_000)}).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    refused(tmp_path / name, "the archive cannot be unpacked")


@pytest.mark.parametrize("name", ["m.zip", "m.tgz"])
def test_what_is_no_archive_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(os.urandom(50_000))
    refused(tmp_path / name, "the archive cannot be unpacked")


@pytest.mark.parametrize("name", ["m.zip", "m.tgz"])
def test_two_files_of_one_name_are_refused(tmp_path: Path, name: str) -> None:
    packed = PACKED[name](tmp_path / name, {"m/saved_model.pb": b"one", "./m/saved_model.pb": b"two"})
    refused(packed, "the archive cannot be unpacked: .*File exists")


BOMB = """
import sys
from pathlib import Path
from rollout.archive import unpack
unpack(Path(sys.argv[1]), Path(sys.argv[2]) / "out")
"""


@pytest.mark.parametrize("name", ["m.zip", "m.tgz"])
def test_one_that_grows_beyond_the_room_is_refused(tmp_path: Path, name: str) -> None:
    packed = PACKED[name](tmp_path / name, {"m/saved_model.pb": bytes(40 << 20)})
    small = tmp_path / "small"
    small.mkdir()
    answer = on_file_system(small, "size=20m", BOMB, packed, small)
    assert "the archive unpacks to more than 10 MB, half of the room there is" in answer.stderr


def test_more_files_than_any_model_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_MOST_FILES", 10)
    packed = zipped(tmp_path / "m.zip", {f"m/{number}": b"" for number in range(11)})
    refused(packed, "holds more than 10 files")


def test_a_header_that_asks_for_memory_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "m.tar", "w") as packed:
        entry = tarfile.TarInfo("pax")
        entry.type, entry.size = tarfile.XHDTYPE, 1 << 30
        packed.fileobj.write(entry.tobuf(tarfile.GNU_FORMAT))
    refused(tmp_path / "m.tar", "has a header of 1073741824 bytes")


def test_the_copy_can_be_interrupted(tmp_path: Path) -> None:
    class Enough(BaseException):
        pass

    def look_up() -> None:
        raise Enough

    with pytest.raises(Enough):
        unpack(zipped(tmp_path / "m.zip", FILES), tmp_path / "out", look_up)
    assert not (tmp_path / "out").exists()

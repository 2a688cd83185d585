"""The ledger stays whole: through kills, full disks and several writers."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.errors import BundleError
from rollout import ledger
from rollout.ledger import Ledger
from tests.unit.bundle.parts import finish, on_file_system, python

APPEND_MANY = """
import sys
from pathlib import Path
from rollout.ledger import Ledger
for number in range(20):
    Ledger(Path(sys.argv[1])).append("published", number, origin=sys.argv[2] * 300)
"""


@pytest.fixture
def book(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "releases" / "M.jsonl")


def test_what_is_appended_is_read_back_in_order(book: Ledger) -> None:
    assert book.entries() == []
    written = [
        book.append(ledger.REFUSED, origin="drop/M/ä", reason="accuracy 0.1\nor so", verdicts={"whole": "passed"}),
        book.append(ledger.PUBLISHED, 3, figures={"accuracy.live": 0.5}),
    ]
    assert book.entries() == written
    assert written[0].version is None
    assert "@" in written[0].who


@pytest.mark.parametrize("torn", [b'{"time": "2026', b"x" * 10_000, b"\x00" * 5])
def test_a_torn_last_line_is_left_out_and_then_taken_off(book: Ledger, torn: bytes) -> None:
    first = book.append(ledger.PUBLISHED, 1)
    with book.path.open("ab") as file:
        file.write(torn)
    assert book.entries() == [first]
    second = book.append(ledger.AVAILABLE, 1)
    assert book.entries() == [first, second]
    assert len(book.path.read_bytes().splitlines()) == 2


def test_a_ledger_that_is_one_torn_line_begins_anew(book: Ledger) -> None:
    book.path.parent.mkdir()
    book.path.write_bytes(b'{"time"')
    entry = book.append(ledger.PUBLISHED, 1)
    assert book.entries() == [entry]


@pytest.mark.parametrize("line", ["{}", "[]", "nonsense", '{"version": "x"}'])
def test_a_line_that_somebody_spoiled_is_named(book: Ledger, line: str) -> None:
    book.append(ledger.PUBLISHED, 1)
    with book.path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(BundleError, match=rf"{book.path}:2 is no line of a ledger"):
        book.entries()


def test_writers_in_several_processes_do_not_mix_their_lines(book: Ledger) -> None:
    writers = [python(APPEND_MANY, book.path, letter) for letter in "abc"]
    assert [finish(writer) for writer in writers] == ["", "", ""]
    entries = book.entries()
    assert len(entries) == 60
    for letter in "abc":
        assert [entry.version for entry in entries if entry.origin == letter * 300] == list(range(20))


FULL = """
import sys
from pathlib import Path
from rollout.ledger import Ledger
folder = Path(sys.argv[1])
book = Ledger(folder / "m.jsonl")
written = 0
try:
    while True:
        book.append("checked", reason="r" * 700)
        written += 1
except OSError as error:
    print(error.filename, error.strerror)
print(len(book.entries()) == written)
(folder / "filler").unlink()
book.append("published", 1)
print(len(book.entries()) == written + 1)
"""


def test_a_line_that_the_disk_has_no_room_for_is_an_error_and_no_half(tmp_path: Path) -> None:
    fill = f"from pathlib import Path; import sys; Path(sys.argv[1], 'filler').write_bytes(bytes(40_000))\n{FULL}"
    answer = on_file_system(tmp_path, "size=64k", fill, tmp_path)
    assert answer.stdout.splitlines() == [f"{tmp_path}/m.jsonl No space left on device", "True", "True"], answer.stderr

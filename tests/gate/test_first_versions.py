"""What the gate says of the first version of a model, of every kind that people serve: nothing is known of them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from bundle.settings import Settings
from rollout import gate
from rollout.gate import inputs, mixing, subject
from tests.gate.graphs import edited
from tests.gate.kinds import kinds
from tests.gate.test_verdicts import failures, finding

# The graph restores copies of its variables: TensorFlow in Python serves what was saved so, and no server does.
FORGOTTEN = "trained"


@pytest.mark.parametrize("kind", sorted({*kinds()} - {FORGOTTEN}))
def test_it_passes_as_it_is(made: Path, settings: Settings, kind: str) -> None:
    report = gate.run(made / kind, None, settings)
    assert report.passed, report.reason


def test_one_that_no_server_could_ask_is_refused(made: Path, settings: Settings) -> None:
    report = gate.run(made / FORGOTTEN, None, settings)
    assert list(failures(report)) == ["outputs"]
    assert "serving_default does not answer pictures or numbers, alone and in batches: FAILED_PRECO" in report.reason
    assert "model.export('mymodel')" in finding(report, "outputs").remedy


def test_one_with_a_batch_of_its_own_is_warmed_up_and_timed_with_that(made: Path, settings: Settings) -> None:
    report = gate.run(made / "one_at_a_time", None, settings)
    assert finding(report, "warmup").figures == {"records": 1}
    assert "ms for 1;" in finding(report, "latency").detail


def test_a_slow_one_is_asked_little_and_gets_few_warm_up_requests(
    made: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server replays them before it serves, so that they must not take minutes."""
    monkeypatch.setattr(subject, "_SLOW_S", -1.0)
    slow = subject.Subject(made / "steps")
    slow.load()
    assert slow.make_warmup("Any", [])["records"] == 2  # Of two signatures.
    asked = slow.mix("serving_default", [])
    assert {len(each["asked"]) for each in asked.values()} == {mixing.COUNT}
    monkeypatch.setattr(mixing, "_SLOW_S", -1.0)
    asked = slow.mix("serving_default", [])
    assert [each["asked"] for each in asked.values()] == [[1, 3, 16]]


def test_one_that_takes_much_at_once_is_asked_with_as_much_as_there_is_room_for(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large, larger = subject.Subject(made / "steps"), subject.Subject(made / "steps")
    large.load()
    larger.load()
    row = 4 * 2 * 4  # Steps, numbers in each, bytes in each.
    monkeypatch.setattr(inputs, "_MOST_BYTES", 4 * row)
    assert large.make_warmup("Any", [])["records"] == 2 * 3  # Of 1, 2 and 4 rows, for two signatures.
    assert {tuple(each["asked"]) for each in large.mix("serving_default", []).values()} == {(1,)}
    monkeypatch.setattr(inputs, "_MOST_BYTES", row - 1)
    assert "at most 0 MB are made up here" in larger.make_warmup("Any", [])["without"]["serving_default"]
    with pytest.raises(subject.Unable, match="at most 0 MB are made up here"):
        larger.mix("serving_default", [])


def _no_such_type(info: Any) -> None:
    info.dtype = 999


def _no_type(info: Any) -> None:
    info.dtype = 0


def _more_than_any_machine_has(info: Any) -> None:
    info.tensor_shape.dim[1].size = 1 << 40


@pytest.mark.parametrize(
    ("edit", "check", "said"),
    [
        (_no_such_type, "graph", "of signature serving_default is of type 999, which TensorFlow does not have"),
        (_no_type, "graph", "of signature serving_default is of type 0, which TensorFlow does not have"),
        (_more_than_any_machine_has, "warmup", "1 at once take 8388608 MB; at most 64 MB are made up here"),
    ],
)
def test_what_a_signature_claims_ends_no_process(
    made: Path, settings: Settings, tmp_path: Path, edit: Any, check: str, said: str
) -> None:
    copy = Path(shutil.copytree(made / "steps", tmp_path / "copy"))
    with edited(copy) as meta:
        edit(next(iter(meta.signature_def["serving_default"].inputs.values())))
    detail = finding(gate.run(copy, None, settings), check).detail
    assert said in detail
    assert "Traceback" not in detail

"""What becomes of versions that answer wrongly, when a good one was published, and after it one without a manifest."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bundle import manifest
from bundle.environment import load
from bundle.settings import Settings
from rollout import gate, ledger, release, rollback, yardstick
from rollout.gate import command, examination, process, records, speed
from rollout.gate.command import Asked
from rollout.model import Model
from rollout.release import Order
from tests.engine.made import made_once
from tests.gate.conftest import Forked
from tests.gate.test_verdicts import failures, finding
from tests.unit.bundle.parts import MODEL, make_root


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once("tests.gate.answer_models", tmp_path_factory)


@pytest.fixture(scope="module")
def model(versions: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """Version 1 has a manifest, version 2, which is live, has none; no server runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "launch", Forked)
        patch.setattr(speed, "_TURN_S", 0.005)
        patch.setattr(speed, "_ROUNDS", 5)
        settings = load(make_root(tmp_path_factory.mktemp("bundle")), {})
        model = Model(MODEL, settings.models_dir / MODEL, settings, None)
        for name in ("good", "foreign"):
            release.release(model, Order(versions / name, name))
    yield model
    assert sorted(model.folders()) == [1, 2]


def report_on(model: Model, folder: Path, allow_signature_change: bool = False) -> gate.Report:
    return release.check(model, Order(folder, "a test", allow_signature_change=allow_signature_change))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nan", {"finite": "output_0 of serving_bytes is NaN or infinite for 40 of 40 images of the kept"}),
        ("infinity", {"finite": "output_0 of serving_default is NaN or infinite for 40 of 40 images"}),
        ("nan_for_one", {"finite": "probabilities of serving_labels is NaN or infinite for 1 of 40 images"}),
        ("nan_at_16", {"finite": "is NaN or infinite for distorted or made-up pictures, in batches of 16"}),
        ("by_heart", {"finite": "is NaN or infinite for distorted or made-up pictures, in batches of 1 to 16"}),
        ("constant", {"varied": "output_0 of serving_bytes gives one and the same answer to all 40 images"}),
        ("constant_pixels", {"varied": "output_0 of serving_default gives one and the same answer to all 40 images"}),
        ("nine", {"outputs": "output_0 of serving_bytes gives 9 numbers for an image, and there are 10 classes"}),
        ("eleven", {"outputs": "probabilities of serving_labels gives 11 numbers for an image, and there are 10"}),
        ("two_rows", {"outputs": "output_0 of serving_default has not as many rows as images in batches of 3"}),
        ("softmax", {"meaning": "it gives probabilities (rows that sum to 1) where the live version gives logits"}),
        ("hundredth", {"meaning": "it gives numbers of another scale: the best class stands out by 0.15"}),
        (
            "swapped",
            {
                "accuracy": "accuracy 0.8000 is 0.2000 below the live version's 1.0000 on 40 examples of the kept set;",
                "meaning": "it has its classes in another order than the live version (7 for 3, 3 for 7)",
            },
        ),
        ("swapped_pixels", {"accuracy": "on 40 examples of the kept set, by output_0 of serving_default;"}),
        ("swapped_names", {"accuracy": "on 40 examples of the kept set, by label of serving_labels;"}),
        ("one_name", {"varied": "label of serving_labels gives one and the same answer to all 40 images"}),
        ("declared_by_size", {"rows": "declares serving_labels row-wise, but probabilities of a row depends on"}),
        ("declared_by_company", {"rows": "declares serving_default row-wise, but output_0 of a row depends on"}),
        ("declared_random", {"rows": "row-wise, but probabilities changes from request to request"}),
        ("declares_another", {"rows": "its manifest declares serving_other row-wise, which it does not have"}),
    ],
)  # fmt: skip
def test_what_answers_wrongly_is_refused_after_a_version_without_a_manifest(
    model: Model, versions: Path, name: str, said: dict[str, str]
) -> None:
    report = report_on(model, versions / name)
    assert not report.passed
    found = failures(report)
    for check, text in said.items():
        assert text in found[check]


def test_a_good_one_passes_with_and_without_a_manifest(model: Model, versions: Path) -> None:
    for name in ("good", "foreign"):
        report = report_on(model, versions / name)
        assert report.passed, report.reason
        whose = "its own" if name == "good" else "the kept set"
        assert finding(report, "accuracy").figures[f"live accuracy on {whose}"] == 1.0
        assert finding(report, "rows").verdict == ("passed" if name == "good" else "skipped")
        assert finding(report, "meaning").verdict == "passed"


@pytest.mark.parametrize(
    ("name", "check", "said"),
    [
        ("random", "repeatable", "equal requests get other answers: output_0 of serving_bytes (by "),
        ("by_size", "rows", "a row of serving_bytes, serving_default gets another answer in other company; it is"),
    ],
)
def test_what_need_not_be_wrong_is_noted(model: Model, versions: Path, name: str, check: str, said: str) -> None:
    report = report_on(model, versions / name)
    assert report.passed, report.reason
    assert finding(report, check).verdict == "noted"
    assert said in finding(report, check).detail


def test_a_sure_version_may_answer_images_of_one_class_alike(
    versions: Path, tmp_path: Path, settings: Settings
) -> None:
    """Its own set has images of one class only, and their probabilities are 1 to all digits."""
    document = manifest.read(versions / "good")
    assert document is not None
    one = tuple(each for each in document.examples if each.label == 0)
    assert len(one) > 1
    for name, passes in (("good", True), ("constant", False)):
        copy = Path(shutil.copytree(versions / name, tmp_path / name))
        shutil.copytree(versions / "good" / manifest.FOLDER, copy / manifest.FOLDER, dirs_exist_ok=True)
        manifest.write(copy, dataclasses.replace(document, examples=one, row_wise=()))
        found = finding(gate.run(copy, None, settings), "varied")
        assert (found.verdict == "passed") is passes, found.detail


def test_another_meaning_passes_when_it_is_allowed(model: Model, versions: Path) -> None:
    report = report_on(model, versions / "hundredth", allow_signature_change=True)
    assert report.passed, report.reason
    assert finding(report, "meaning").detail.endswith("allowed by --allow-signature-change")


def test_softmax_is_noted_where_there_is_nothing_to_compare_with(versions: Path, settings: Settings) -> None:
    report = gate.run(versions / "softmax", None, settings, held_out=versions / "good")
    assert report.passed, report.reason
    assert finding(report, "meaning").detail == "it gives probabilities (rows that sum to 1), not logits"


def test_what_nobody_knows_images_for_is_asked_with_made_up_ones(versions: Path, settings: Settings) -> None:
    report = gate.run(versions / "nan", None, settings)
    assert "output_0 of serving_default is NaN or infinite for distorted or made-up pictures" in report.reason
    for other in ("constant", "foreign"):
        unknown = gate.run(versions / other, None, settings)
        assert unknown.passed, unknown.reason
        assert finding(unknown, "finite").verdict == "passed"
        assert (finding(unknown, "varied").verdict, finding(unknown, "accuracy").verdict) == ("skipped", "skipped")


def test_made_up_numbers_show_only_whether_an_answer_is_a_number(
    versions: Path, settings: Settings, tmp_path: Path
) -> None:
    ratio = gate.run(versions / "ratio", None, settings)
    assert ratio.passed, ratio.reason
    for name in ("logarithm", "masked"):
        report = gate.run(versions / name, None, settings)
        assert report.passed, report.reason
        assert finding(report, "finite").verdict == "noted"
        after = gate.run(versions / name, versions / "ratio", settings, allow_signature_change=True)
        assert failures(after) == {
            "finite": "y of serving_default is NaN or infinite for made-up numbers, and the live version's is not"
        }
    diverged = gate.run(versions / "diverged", None, settings)
    assert diverged.reason == "y of serving_default is NaN or infinite for made-up numbers"


def test_warm_up_requests_show_what_numbers_a_version_takes(versions: Path, settings: Settings, tmp_path: Path) -> None:
    taught = Path(shutil.copytree(versions / "logarithm", tmp_path / "taught"))
    (taught / manifest.FOLDER).mkdir()
    for numbers, passes in (([[6.0, 7.0, 8.0]], True), ([[6.0, 7.0, 4.0]], False)):
        record = records.record("Any", "serving_default", {"x": np.array(numbers, np.float32)})
        (taught / examination.WARMUP).write_bytes(records.file_of([record]))
        report = gate.run(taught, None, settings)
        assert report.passed is passes, report.reason
    assert report.reason == "y of serving_default is NaN or infinite for its own warm-up requests"


def test_pictures_of_one_colour_need_an_answer_only_where_the_live_version_has_one(
    versions: Path, settings: Settings
) -> None:
    first = gate.run(versions / "normed", None, settings)
    assert first.passed, first.reason
    assert "output_0 of serving_bytes is NaN or infinite for pictures of one colour" in finding(first, "finite").detail
    again = gate.run(versions / "normed", versions / "normed", settings, held_out=versions / "good")
    assert again.passed, again.reason
    after = gate.run(versions / "normed", versions / "foreign", settings, held_out=versions / "good")
    assert "pictures of one colour, and the live version's is not" in failures(after)["finite"]


def test_where_the_live_version_does_not_answer_the_recorded_answers_stand_in(
    versions: Path, settings: Settings, tmp_path: Path
) -> None:
    broken = Path(shutil.copytree(versions / "foreign", tmp_path / "broken"))
    (broken / "saved_model.pb").write_bytes(b"\xff")
    report = gate.run(versions / "swapped", broken, settings, held_out=versions / "good")
    assert "accuracy 0.8000 is 0.2000 below the recorded answers' 1.0000 on 40" in failures(report)["accuracy"]
    assert "in another order than the recorded answers (7 for 3, 3 for 7)" in failures(report)["meaning"]


def test_the_kept_set_outlives_every_version_and_only_a_release_changes_it(
    model: Model, versions: Path, tmp_path: Path
) -> None:
    own = dataclasses.replace(
        model,
        base_path=tmp_path / "models" / MODEL,
        settings=dataclasses.replace(
            model.settings, models_dir=tmp_path / "models", releases_dir=tmp_path / "releases",
            quarantine_dir=tmp_path / "quarantine",
        ),
    )  # fmt: skip
    assert report_on(own, versions / "good").passed
    assert not own.settings.releases_dir.exists()
    for name in ("good", "foreign", "foreign"):
        release.release(own, Order(versions / name, name))
    kept = yardstick.path_of(own).read_bytes()
    shutil.rmtree(own.base_path / "1")
    rollback.roll_back(own, None, "to the other one")
    assert own.live() == 2
    refused = report_on(own, versions / "swapped")
    assert "accuracy 0.8000 is 0.2000 below the live version's 1.0000" in refused.reason
    assert yardstick.path_of(own).read_bytes() == kept

    # What nobody can measure goes live when somebody says so, and takes nothing away from those after it.
    with pytest.raises(release.Refused, match="no held-out images fit it"):
        release.release(own, Order(versions / "ratio", "unmeasured", allow_signature_change=True))
    release.release(own, Order(versions / "ratio", "unmeasured", allow_signature_change=True, allow_unmeasured=True))
    checked = [entry for entry in own.ledger.entries() if entry.event == ledger.CHECKED]
    assert [entry.verdicts.get("unmeasured") for entry in checked] == [None, None, None, "noted"]
    with pytest.raises(release.Refused, match=r"accuracy 0\.0000 on 40 examples of the kept set"):
        release.release(own, Order(versions / "nan", "nan", allow_signature_change=True, allow_unmeasured=True))

    with pytest.raises(release.Refused):
        release.release(own, Order(_with_two_images(versions / "swapped", tmp_path / "easy"), "easy"))
    assert yardstick.path_of(own).read_bytes() == kept
    few = _with_two_images(versions / "good", tmp_path / "few")
    release.release(own, Order(few, "few", allow_signature_change=True))
    assert yardstick.path_of(own).read_bytes() == kept
    assert [entry.event for entry in own.ledger.entries()][-3:] == [
        ledger.CHECKED, ledger.PUBLISHING, ledger.PUBLISHED
    ]  # fmt: skip


def _with_two_images(source: Path, target: Path) -> Path:
    """A copy whose manifest asks for two pictures only, of classes that swapping leaves alone."""
    shutil.copytree(source, target)
    document = manifest.read(source.parent / "good")
    assert document is not None
    (target / manifest.FOLDER / "examples").mkdir(parents=True, exist_ok=True)
    for each in document.examples[:2]:
        shutil.copy(source.parent / "good" / manifest.FOLDER / each.image, target / manifest.FOLDER / each.image)
    manifest.write(target, dataclasses.replace(document, examples=document.examples[:2], row_wise=()))
    return target


def test_a_set_from_before_is_taken_from_a_version_and_kept_by_the_next_release(
    model: Model, versions: Path, tmp_path: Path
) -> None:
    """As in a bundle whose versions were published before sets were kept: check finds it, and writes nothing."""
    settings = dataclasses.replace(
        model.settings, models_dir=tmp_path / "models", releases_dir=tmp_path / "releases",
        quarantine_dir=tmp_path / "quarantine",
    )  # fmt: skip
    old = dataclasses.replace(model, base_path=settings.models_dir / MODEL, settings=settings)
    shutil.copytree(versions / "good", old.base_path / "1")
    shutil.copytree(versions / "foreign", old.base_path / "2")
    assert command.check(settings, Asked(versions / "nan")) == 3
    assert command.check(settings, Asked(versions / "nan", live=versions / "foreign")) == 3
    assert command.check(settings, Asked(versions / "foreign")) == 0
    assert not settings.releases_dir.exists()
    release.release(old, Order(versions / "foreign", "foreign"))
    assert yardstick.path_of(old).is_file()
    shutil.rmtree(old.base_path / "1")
    assert "on 40 examples of the kept set" in report_on(old, versions / "swapped").reason

"""What the gate says about versions that differ from the live one in one thing each."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path

import pytest

from bundle import files, manifest
from bundle.errors import UsageError
from bundle.settings import Settings
from rollout import candidate, gate, ledger
from rollout.gate import Finding, Report
from tests.unit.bundle.parts import digest


def failures(report: Report) -> dict[str, str]:
    """The details of the failed checks, each by the name of its check."""
    return {finding.name: finding.detail for finding in report.findings if finding.verdict == "failed"}


def finding(report: Report, name: str) -> Finding:
    return next(each for each in report.findings if each.name == name)


def test_a_copy_of_the_live_version_passes_every_check(models: Path, settings: Settings) -> None:
    report = gate.run(models / "live", models / "live", settings)
    assert report.passed, report.reason
    assert (report.reason, report.made) == ("", None)
    assert {each.verdict for each in report.findings} <= {"passed", "noted"}
    assert finding(report, "accuracy").figures["accuracy on its own"] == 1.0
    assert finding(report, "agreement").figures == {"agreement": 1.0, "examples": 40}
    assert finding(report, "isolation").verdict == "passed"
    assert json.loads(json.dumps(report.document(), allow_nan=False))["passed"] is True


def test_added_signatures_and_newer_patches_pass(models: Path, settings: Settings) -> None:
    for name in ("more", "patched"):
        report = gate.run(models / name, models / "live", settings)
        assert report.passed, report.reason


@pytest.mark.parametrize(
    ("name", "check", "said"),
    [
        ("reads", "operations", "operation `ReadFile` at node "),
        ("swapped_weights", "accuracy", "accuracy 0.8000 is 0.2000 below the live version's 1.0000 on 40 examples"),
        ("swapped_labels", "accuracy", "accuracy 0.8000 is 0.2000 below the live version's 1.0000 on 40 examples"),
        ("swapped_elsewhere", "accuracy", "accuracy 0.8000 is 0.2000 below the live version's 1.0000 on 40 examples"),
        ("swapped_labels", "classes", "(3: h instead of d, 7: d instead of h)"),
        (
            "other_logits",
            "logits",
            "differs from the logits in its manifest by 0.0005 of a row's largest; at most 0.0001",
        ),
        ("renamed", "signatures", "signature serving_default, input input_tensor: expected DT_FLOAT [-1, -1, -1, 3]"),
        ("newer", "tensorflow", "made with TensorFlow 2.21.0, newer than the server's 2.19.1"),
        ("bad_warmup", "warmup", "its warm-up requests fail: "),
        ("python", "operations", "operation `EagerPyFunc` at node "),
        ("aborts", "operations", "ends or stalls the process"),
        ("writes", "operations", "writes a checkpoint, and the initialisation comes to it"),
    ],
)
def test_what_is_wrong_is_refused_with_its_figures(
    models: Path, settings: Settings, name: str, check: str, said: str
) -> None:
    before = digest(models / "live")
    report = gate.run(models / name, models / "live", settings)
    assert not report.passed
    assert said in failures(report)[check]
    assert said in report.reason
    assert "\n" not in report.reason
    assert digest(models / "live") == before


def test_a_slow_version_is_refused_with_its_times(models: Path, settings: Settings) -> None:
    report = gate.run(models / "slow", models / "live", dataclasses.replace(settings, max_slowdown=2.0))
    assert list(failures(report)) == ["latency"]
    assert finding(report, "latency").figures["ratio_1"] > 2
    patient = dataclasses.replace(settings, max_slowdown=100.0)
    assert gate.run(models / "slow", models / "live", patient).passed


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("exits", "its process ended with status 0: "),
        ("aborts", "its process ended with signal 6 (SIGABRT): "),
        ("hogs", "it took more than 1500 MB of memory (CHECK_MEMORY) and was killed"),
        ("writes", "PERMISSION_DENIED"),
    ],
)
def test_one_that_ends_or_takes_over_its_process_is_refused_and_nothing_else_notices(
    models: Path, settings: Settings, name: str, said: str
) -> None:
    report = gate.run(models / name, models / "live", settings, allow_ops=["Abort", "SaveV2"])
    assert failures(report)["loads"].startswith(f"it does not load: {said}")


def test_an_operation_that_somebody_allows_is_noted_and_run(models: Path, settings: Settings) -> None:
    report = gate.run(models / "reads", models / "live", settings, allow_ops=["ReadFile"])
    assert report.passed, report.reason
    noted = finding(report, "operations")
    assert noted.verdict == "noted"
    assert noted.detail.endswith(f"reads or writes files; allowed by --allow-op ReadFile ({ledger.who()})")


def test_an_allowed_operation_has_to_exist(models: Path, settings: Settings) -> None:
    with pytest.raises(UsageError, match=r"no operation 'Readfile' that could be allowed; is it ReadFile\?"):
        gate.run(models / "live", models / "live", settings, allow_ops=["Readfile"])


def test_what_lies_beside_the_graph_is_looked_at_before_anything_is_run(
    models: Path, settings: Settings, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(models / "elsewhere", tmp_path / "copy"))
    (copy / "saved_model.pbtxt").write_text("meta_graphs {}")
    report = gate.run(copy, models / "live", settings)
    assert report.reason.startswith("it holds saved_model.pbtxt: it is a second SavedModel, as text")
    assert [each.name for each in report.findings] == ["files", "layout"]


def test_a_graph_that_leaves_a_choice_is_refused_before_anything_is_run(
    models: Path, settings: Settings, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(models / "elsewhere", tmp_path / "copy"))
    with (copy / "saved_model.pb").open("ab") as file:
        file.write(b"\x08\x01")
    report = gate.run(copy, models / "live", settings)
    assert "can be read in two ways: SavedModel has saved_model_schema_version twice" in report.reason
    assert report.findings[-1].name == "graph"


def test_one_that_takes_too_long_is_neither_passed_nor_refused(models: Path, settings: Settings) -> None:
    report = gate.run(models / "hangs", models / "live", dataclasses.replace(settings, check_timeout_seconds=3))
    assert (report.passed, report.unchecked, failures(report)) == (False, True, {})
    said = "it does not load: it took longer than 3 s (CHECK_TIMEOUT_SECONDS) and was killed"
    assert report.reason == f"it could not be checked: {said}"


def test_one_made_elsewhere_is_asked_the_live_version_s_examples_and_gets_warmup_requests(
    models: Path, settings: Settings
) -> None:
    report = gate.run(models / "elsewhere", models / "live", settings)
    assert report.passed, report.reason
    assert finding(report, "logits").verdict == "skipped"
    assert finding(report, "accuracy").figures["accuracy on the kept set"] == 1.0
    assert report.made is not None
    try:
        assert [path.name for path in report.made.rglob("*")] == ["assets.extra", "tf_serving_warmup_requests"]
        assert finding(report, "warmup").figures == {"records": 12}
    finally:
        files.remove(report.made)


def test_one_that_cannot_be_measured_needs_a_word_when_the_live_one_can(models: Path, settings: Settings) -> None:
    report = gate.run(models / "strange", models / "live", settings, allow_signature_change=True)
    assert list(failures(report)) == ["accuracy"]
    assert "no held-out images fit it" in report.reason
    allowed = gate.run(
        models / "strange", models / "live", settings, allow_signature_change=True, allow_unmeasured=True
    )
    assert allowed.passed, allowed.reason
    assert finding(allowed, "unmeasured").detail.endswith("allowed by --allow-unmeasured")
    alone = gate.run(models / "elsewhere", None, settings)
    assert alone.passed, alone.reason
    assert finding(alone, "accuracy").verdict == "skipped"


def test_a_changed_signature_passes_when_it_is_allowed(models: Path, settings: Settings) -> None:
    report = gate.run(models / "renamed", models / "live", settings, allow_signature_change=True)
    assert report.passed, report.reason
    assert finding(report, "signatures").verdict == "noted"


def test_a_missing_file_is_named_before_anything_is_run(models: Path, settings: Settings, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(models / "live", tmp_path / "copy"))
    (copy / "variables" / "variables.data-00000-of-00001").unlink()
    report = gate.run(copy, models / "live", settings)
    assert report.table()[0].startswith("failed   files        variables/ holds 0 of 1 data files")
    assert len(report.findings) == 1


def test_a_variable_file_that_is_cut_off_is_named_with_what_its_index_needs(
    models: Path, settings: Settings, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(models / "elsewhere", tmp_path / "copy"))
    assert candidate.examine(copy).problem == ""
    data = copy / "variables" / "variables.data-00000-of-00001"
    whole = data.stat().st_size
    os.truncate(data, whole - 1)
    report = gate.run(copy, None, settings)
    assert report.reason == f"variables/{data.name} has {whole - 1} bytes, its index needs {whole}"


def test_a_live_version_that_does_not_load_refuses_nobody(models: Path, settings: Settings, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(models / "live", tmp_path / "broken"))
    (broken / "saved_model.pb").write_bytes(b"\xff")
    report = gate.run(models / "live", broken, settings)
    assert report.passed, report.reason
    assert "DATA_LOSS: Can't parse" in finding(report, "live").detail


def test_examples_that_lead_nowhere_or_are_no_images_refuse_their_version(
    models: Path, settings: Settings, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(models / "live", tmp_path / "copy"))
    (copy / "assets.extra" / "examples" / "0.png").write_bytes(b"no image")
    document = manifest.read(copy)
    assert document is not None
    manifest.write(copy, document)
    report = gate.run(copy, models / "live", settings)
    assert "it does not answer the examples of its manifest: " in failures(report)["logits"]

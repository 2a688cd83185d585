"""Train the next version, drop folders good and bad, kill the trainer: requests go on being answered."""

from __future__ import annotations

import base64
import dataclasses
import random
import re
import shutil
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import requests

from bundle import manifest
from bundle.versions import version_folders
from rollout import ledger
from rollout.reconcile import last_events
from tests.e2e.conftest import MODEL, Bundle
from tests.waiting import until

PAUSE_S = 0.03
SLOW_S = 3.0
"""Longer than DROP_QUIET_SECONDS, which it would take for the copy's end."""

TOLERANCE = 1e-3


@dataclasses.dataclass
class Traffic:
    """Held-out images sent one after the other; every answer is kept with what it should be, by version."""

    url: str
    images: list[dict[str, str]]
    answers: list[list[list[float]]] = dataclasses.field(default_factory=list)
    failures: list[str] = dataclasses.field(default_factory=list)
    stopping: threading.Event = dataclasses.field(default_factory=threading.Event)

    def run(self) -> None:
        body = {"signature_name": "serving_bytes", "instances": self.images}
        with requests.Session() as session:
            while not self.stopping.wait(PAUSE_S):
                try:
                    reply = session.post(f"{self.url}/v1/models/{MODEL}:predict", json=body, timeout=30)
                    reply.raise_for_status()
                    self.answers.append(reply.json()["predictions"])
                except requests.RequestException as error:
                    self.failures.append(str(error))


def _examples(version_folder: Path, count: int) -> tuple[list[dict[str, str]], np.ndarray[Any, Any]]:
    document = manifest.read(version_folder)
    assert document is not None
    chosen = document.examples[:count]
    images = [(version_folder / manifest.FOLDER / example.image).read_bytes() for example in chosen]
    encoded = [{"b64": base64.b64encode(image).decode("ascii")} for image in images]
    return encoded, np.array([example.logits for example in chosen])


@pytest.fixture
def traffic(serving: Bundle) -> Iterator[Traffic]:
    images, _ = _examples(serving.base_path / str(max(serving.available())), 4)
    made = Traffic(serving.url, images)
    thread = threading.Thread(target=made.run)
    thread.start()
    yield made
    made.stopping.set()
    thread.join()
    assert len(made.answers) > 20
    assert not made.failures, made.failures[:3]


def _ask(serving: Bundle, images: list[dict[str, str]], which: str) -> np.ndarray[Any, Any]:
    """Logits of the version that `which` names, as in a path; of the live one when it is empty."""
    body = {"signature_name": "serving_bytes", "instances": images}
    path = f"{MODEL}/{which}" if which else MODEL
    reply = requests.post(f"{serving.url}/v1/models/{path}:predict", json=body, timeout=30)
    return np.array(reply.json()["predictions"])


def test_train_publishes_version_2_under_traffic(serving: Bundle, traffic: Traffic) -> None:
    """No request fails, and each is answered by one version as a whole."""
    first = _ask(serving, traffic.images, "versions/1")
    output = serving.must("rollout", "train", EPOCHS="2", SEED="7")
    assert "version 2 is AVAILABLE" in output
    second = _ask(serving, traffic.images, "versions/2")
    assert np.abs(first - second).max() > 10 * TOLERANCE, "two trainings with other seeds gave the same model"
    until(lambda: serving.available() == [2], "version 1 to be unloaded")
    traffic.stopping.set()
    by_version = [_same(answer, first) + 2 * _same(answer, second) for answer in traffic.answers]
    assert set(by_version) == {1, 2}, "an answer is of neither version, or one version never answered"
    assert by_version == sorted(by_version), "the old version answered after the new one"


def _same(answer: npt.ArrayLike, expected: np.ndarray[Any, Any]) -> bool:
    return bool(np.allclose(answer, expected, atol=TOLERANCE))


def test_a_slow_copy_goes_live(serving: Bundle, traffic: Traffic) -> None:
    before = max(serving.available())
    source = serving.base_path / str(before)
    paths = sorted((path for path in source.rglob("*") if path.is_file()), key=lambda path: path.name)
    for path in paths:
        target = serving.drop / "slow" / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        time.sleep(SLOW_S / len(paths))
        assert serving.available() == [before], "it went live before it was whole"
    until(lambda: serving.available() == [before + 1], "the dropped copy to be served")
    until(lambda: not any(serving.drop.iterdir()), "the drop folder to be empty")


def test_a_canary_answers_under_its_label_alone_until_it_is_promoted(serving: Bundle, traffic: Traffic) -> None:
    live = max(serving.available())
    config = (serving.root / "models.config").read_bytes()
    images, candidate = _examples(serving.base_path / "1", 4)
    stable = _ask(serving, images, f"versions/{live}")
    assert np.abs(stable - candidate).max() > 10 * TOLERANCE
    serving.must("rollout", "canary", str(serving.base_path / "1"))
    assert _same(_ask(serving, images, "labels/canary"), candidate)
    for path in ("", "labels/stable"):
        assert _same(_ask(serving, images, path), stable)
    refused, output = serving.run("rollout", "rollback")
    assert (refused, "make promote, or make abort" in output) == (2, True)
    serving.must("rollout", "promote")
    assert serving.available() == [live + 1]
    assert _same(_ask(serving, images, ""), candidate)
    assert (serving.root / "models.config").read_bytes() == config
    serving.must("rollout", "rollback")
    assert serving.available() == [live]
    assert _same(_ask(serving, images, ""), stable)
    status = serving.must("rollout", "status")
    assert re.search(r"live since .*: [1-9][0-9]* requests, 0 failed, p50 [0-9.]+ ms", status), status
    history = serving.must("rollout", "history")
    assert all(event in history for event in ("canary", "promoted", "rolled-back"))


BAD: dict[str, str] = {
    "empty": "empty",
    "no_variables": "variables",
    "other_signatures": "signature",
    "a_text_file": "is a file",
}


def test_bad_drops_end_in_quarantine(serving: Bundle, traffic: Traffic, other_models: Path) -> None:
    before = serving.available()
    (serving.drop / "empty").mkdir(parents=True)
    shutil.copytree(other_models / "no_variables", serving.drop / "no_variables")
    shutil.copytree(other_models / "other_signatures", serving.drop / "other_signatures")
    (serving.drop / "a_text_file").write_text("not a model\n")
    for name, reason in BAD.items():
        until(partial(_is_quarantined, serving, name), name)
        text = (serving.quarantine / f"{name}.reason.txt").read_text()
        assert reason in text, text
    log = (serving.root / ".run" / "drop-watcher.log").read_text()
    assert all(f"refused {MODEL}/{name}" in log for name in BAD)
    assert serving.available() == before
    status = serving.must("rollout", "status")
    assert all(name in status for name in BAD)


def _is_quarantined(serving: Bundle, name: str) -> bool:
    return (serving.quarantine / name).exists() and (serving.quarantine / f"{name}.reason.txt").is_file()


def test_still_served_after_a_restart(serving: Bundle) -> None:
    before = serving.available()
    serving.must("rollout", "restart")
    assert serving.available() == before


@pytest.fixture(scope="module")
def other_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SavedModel with its variables taken away, and one with signatures of its own."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("other")

    class Scale(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.factor = tf.Variable(2.0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def __call__(self, x: Any) -> Any:
            return {"y": x * self.factor}

    module = Scale()
    for name in ("no_variables", "other_signatures"):
        tf.saved_model.save(module, str(folder / name), signatures={"serving_default": module.__call__})
    shutil.rmtree(folder / "no_variables" / "variables")
    return folder


def test_a_renamed_folder_is_served_as_with_the_real_server(serving: Bundle) -> None:
    before = max(serving.available())
    staged = serving.base_path / ".mine"
    shutil.copytree(serving.base_path / str(before), staged)
    staged.rename(serving.base_path / str(before + 10))
    until(lambda: serving.available() == [before + 10], "the renamed folder to be served")


def test_the_trainer_alone_leaves_its_version_to_the_watcher(serving: Bundle, traffic: Traffic) -> None:
    before = max(serving.available())
    output = serving.must("trainer", "train", EPOCHS="2", SEED="11")
    assert "the drop watcher releases it" in output
    assert f"{MODEL} version {before + 1} is AVAILABLE" in output
    assert serving.available() == [before + 1]
    assert "is live as version" in (serving.root / ".run" / "drop-watcher.log").read_text()
    history = serving.must("rollout", "history")
    assert all(re.search(rf" {before + 1}  {event} .*training", history) for event in ("published", "available"))


def test_a_refused_training_ends_the_trainer_with_status_3(serving: Bundle, traffic: Traffic) -> None:
    before = serving.available()
    status, output = serving.run("trainer", "train", EPOCHS="1", LEARNING_RATE="1e-7")
    assert status == 3, output
    assert "the training was refused" in output
    assert [path for path in serving.quarantine.glob("training-*") if (path / "saved_model.pb").is_file()]
    assert serving.available() == before


def test_every_version_that_ever_served_has_a_line(serving: Bundle) -> None:
    book = ledger.Ledger(serving.root / "releases" / f"{MODEL}.jsonl")
    until(lambda: set(version_folders(serving.base_path)) <= set(last_events(book.entries())), "the last copy's line")
    served = {number for number, state in serving.states().items() if state != "START"}
    assert {number for number in served if number > 0} <= set(last_events(book.entries()))


def test_killed_trainers_leave_no_half_version_and_lose_no_training(serving: Bundle) -> None:
    """kill -9 while the trainer stages; what is in the base path is always whole, and the watcher takes it up."""
    before = set(version_folders(serving.base_path))
    chance = random.Random(3)
    for _ in range(3):
        leftovers = set(serving.base_path.glob(".staging-*"))
        process = serving.start("trainer", "train", EPOCHS="1")
        while process.poll() is None and not _publishes(serving, leftovers):
            time.sleep(0.001)  # Staging takes some ten milliseconds; a trainer that was too quick is whole, too.
        time.sleep(chance.uniform(0, 0.03))
        process.kill()
        process.communicate()
        for folder in [*version_folders(serving.base_path).values(), *serving.base_path.glob(".trained-*")]:
            document = manifest.read(folder)
            assert document is not None
            assert manifest.damage(folder, document) == []
    until(lambda: not list(serving.base_path.glob(".trained-*")), "the watcher to take up what was staged")
    assert "is AVAILABLE" in serving.must("rollout", "train", EPOCHS="1")
    assert max(version_folders(serving.base_path)) > max(before)
    assert not list(serving.base_path.glob(".staging-*"))


def _publishes(serving: Bundle, leftovers: set[Path]) -> bool:
    return bool(set(serving.base_path.glob(".staging-*")) - leftovers)


@pytest.mark.parametrize("command", [("up",), ("train",), ("publish", "models/ResnetModel/1"), ("rollback",)])
def test_a_folder_that_is_not_the_one_of_what_runs_is_refused(serving: Bundle, command: tuple[str, ...]) -> None:
    before = serving.available()
    status, output = serving.run("rollout", *command, MODELS_DIR=str(serving.root / "elsewhere"))
    assert status == 2, output
    assert f"what runs has {serving.root / 'models'}; leave it out, or stop that first: make down" in output
    assert serving.available() == before

from __future__ import annotations

import re

import pytest

from bundle import output
from trainer import progress

LOGS = {"loss": 1.25, "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.625}
LINE = r"^    epoch 1/2  loss 1\.2500  accuracy 0\.5000  validation accuracy 0\.6250  \d+ s left$"


def train(report: progress.Lines, steps: int) -> None:
    report.on_train_begin()
    for step in range(steps):
        report.on_train_batch_end(step, LOGS)
    report.on_epoch_end(0, LOGS)
    report.on_train_end()
    report.close()


@pytest.mark.parametrize("terminal", [True, False])
def test_every_epoch_leaves_a_line(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda: terminal)
    train(progress.reporter(epochs=2, steps_per_epoch=4), steps=4)
    assert len(re.findall(LINE, capsys.readouterr().out, re.MULTILINE)) == 1


def test_a_terminal_gets_a_bar_with_loss_accuracy_and_time_left_within_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    train(progress.reporter(epochs=200, steps_per_epoch=40), steps=4)
    (bar,) = [line for line in capsys.readouterr().out.splitlines() if "4/8000" in line]
    assert re.search(r"loss 1\.2500  accuracy 0\.5000 [\d:-]+ left", bar)
    assert len(bar.rstrip()) <= 80


def test_elsewhere_there_is_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    train(progress.reporter(epochs=2, steps_per_epoch=4), steps=4)
    assert len(capsys.readouterr().out.splitlines()) == 1

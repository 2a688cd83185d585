"""What a run leaves for people to look at: curves, confusion matrix, history and settings."""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

_MOST_LABELLED_CLASSES = 30


def write_history(run: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write history.csv (one row per epoch, epochs from 1) and history.png (loss and accuracy curves)."""
    with (run / "history.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", *history[0]])
        writer.writerows([epoch, *row.values()] for epoch, row in enumerate(history, 1))
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        epochs = range(1, len(history) + 1)
        axes.plot(epochs, [row[name] for row in history], marker=".", label="training")
        axes.plot(epochs, [row[f"val_{name}"] for row in history], marker=".", label="validation")
        axes.set_xlabel("epoch")
        axes.set_ylabel(name)
        axes.legend()
    figure.savefig(run / "history.png", dpi=120)


def write_confusion(run: Path, matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> None:
    """Write confusion_matrix.png: true classes down, predicted classes across, counts of test images."""
    count = len(classes)
    side = min(max(4.0, 0.5 * count + 2), 16.0)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(matrix, cmap="Blues")
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if count <= _MOST_LABELLED_CLASSES:
        axes.set_xticks(range(count), classes, rotation=90, parse_math=False)
        axes.set_yticks(range(count), classes, parse_math=False)
        darkest = max(max(row) for row in matrix)
        for true, row in enumerate(matrix):
            for predicted, images in enumerate(row):
                colour = "white" if images > darkest / 2 else "black"
                axes.text(predicted, true, str(images), ha="center", va="center", color=colour, fontsize=8)
    with warnings.catch_warnings():
        # A class name may use a script that the font lacks; the picture then shows boxes, which is all there is to it.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(run / "confusion_matrix.png", dpi=120)


def write_settings(run: Path, settings: Mapping[str, Any]) -> None:
    """Write settings.json: what the run was made with, with no `auto` left."""
    (run / "settings.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")

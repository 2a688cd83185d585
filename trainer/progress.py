"""How far training is: a bar on a terminal, one line per epoch elsewhere."""

from __future__ import annotations

import time
from typing import Any

import keras
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bundle import output


class Bar(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """One bar over all epochs with loss, accuracy and the time left."""

    def __init__(self, epochs: int, steps_per_epoch: int) -> None:
        super().__init__()
        self._epochs = epochs
        self._text = ""
        self._progress = Progress(
            TextColumn("epoch {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._task = self._progress.add_task("", total=epochs * steps_per_epoch, text="")

    def on_train_begin(self, logs: Any = None) -> None:
        """Show the bar."""
        del logs
        self._progress.start()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Show the number of the epoch."""
        del logs
        self._progress.update(self._task, description=f"{epoch + 1}/{self._epochs}")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Move on by one step."""
        del batch
        self._progress.update(self._task, advance=1, text=f"{_figures(logs)}{self._text}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep the validation accuracy in sight during the next epoch."""
        del epoch
        self._text = f"  validation accuracy {logs['val_accuracy']:.4f}"
        self._progress.update(self._task, text=f"{_figures(logs)}{self._text}")

    def on_train_end(self, logs: Any = None) -> None:
        """Leave the last state on the screen."""
        del logs
        self.close()

    def close(self) -> None:
        """Give the terminal back, also after an error."""
        self._progress.stop()


class Lines(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """One line per epoch with loss, accuracy and the time left."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self._epochs = epochs
        self._began = 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        """Start the clock."""
        del logs
        self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Print the line."""
        done = epoch + 1
        left = (time.monotonic() - self._began) / done * (self._epochs - done)
        output.line(
            f"    epoch {done}/{self._epochs}  {_figures(logs)}  "
            f"validation accuracy {logs['val_accuracy']:.4f}  {left:.0f} s left"
        )

    def close(self) -> None:
        """Nothing to give back."""


def reporter(epochs: int, steps_per_epoch: int) -> Bar | Lines:
    """The one that suits standard output; call its `close` when training is over."""
    return Bar(epochs, steps_per_epoch) if output.is_terminal() else Lines(epochs)


def _figures(logs: Any) -> str:
    return f"loss {logs['loss']:.4f}  accuracy {logs['accuracy']:.4f}"

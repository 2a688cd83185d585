"""How far training is: one line per epoch, and on a terminal a bar below them."""

from __future__ import annotations

import time
from typing import Any

import keras
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bundle import output


class Lines(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """One line per epoch with loss, accuracy and the time left."""

    def __init__(self, epochs: int, first: int) -> None:
        super().__init__()
        self._epochs = epochs
        self._first = first
        self._began = 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        """Start the clock."""
        del logs
        self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Print the line."""
        done = epoch + 1
        left = (time.monotonic() - self._began) / (done - self._first) * (self._epochs - done)
        self.print(
            f"    epoch {done}/{self._epochs}  {_figures(logs)}  "
            f"validation accuracy {logs['val_accuracy']:.4f}  {left:.0f} s left"
        )

    def print(self, text: str) -> None:
        """Print one line of text."""
        output.line(text)

    def close(self) -> None:
        """Nothing to give back."""


class Bar(Lines):
    """The lines, with a bar over all epochs below them: loss, accuracy and the time left, step by step."""

    def __init__(self, epochs: int, steps_per_epoch: int, first: int) -> None:
        super().__init__(epochs, first)
        # All of it fits into 80 columns.
        self._progress = Progress(
            TextColumn("   "),
            BarColumn(20),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            TextColumn("left"),
        )
        self._task = self._progress.add_task("", total=epochs * steps_per_epoch, completed=first * steps_per_epoch)

    def on_train_begin(self, logs: Any = None) -> None:
        """Show the bar."""
        super().on_train_begin(logs)
        self._progress.start()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Move on by one step."""
        del batch
        self._progress.update(self._task, advance=1, description=_figures(logs))

    def on_train_end(self, logs: Any = None) -> None:
        """Leave the last state on the screen."""
        del logs
        self.close()

    def print(self, text: str) -> None:
        """Print one line of text above the bar."""
        self._progress.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Give the terminal back, also after an error."""
        self._progress.stop()


def reporter(epochs: int, steps_per_epoch: int, first: int = 0) -> Lines:
    """The one that suits standard output, `first` epochs being done before; call its `close` when training is over."""
    return Bar(epochs, steps_per_epoch, first) if output.is_terminal() else Lines(epochs, first)


def _figures(logs: Any) -> str:
    return f"loss {logs['loss']:.4f}  accuracy {logs['accuracy']:.4f}"

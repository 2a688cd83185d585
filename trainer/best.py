"""Early stopping that keeps the weights of the best epoch in a checkpoint file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras


class BestEpoch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Stops after `patience` epochs without a better one and restores the best one's weights at the end.

    Better is a higher validation accuracy, and at the same accuracy a lower validation loss: on a small validation
    set many epochs tie, and Keras's EarlyStopping would keep the first of them.
    """

    def __init__(self, checkpoint: Path, patience: int) -> None:
        super().__init__()
        self.epoch: int | None = None
        self._checkpoint = checkpoint
        self._patience = patience
        self._score = (float("-inf"), float("-inf"))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep the weights if this epoch is the best so far, stop if the last best one is too long ago."""
        score = (float(logs["val_accuracy"]), -float(logs["val_loss"]))
        if self.epoch is None or score > self._score:
            self.epoch, self._score = epoch, score
            self.model.save_weights(self._checkpoint)
        elif epoch - self.epoch >= self._patience:
            self.model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:
        """Go back to the best epoch."""
        del logs
        if self.epoch is not None:
            self.model.load_weights(self._checkpoint)

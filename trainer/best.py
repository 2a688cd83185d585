"""Early stopping that keeps the weights of the best epoch in a checkpoint file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras


class BestEpoch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Stops after `patience` epochs without a higher validation accuracy and restores the best epoch's weights.

    Of epochs with the same accuracy the last is best: many tie on a small validation set, and the learning rate falls
    from epoch to epoch, so that later weights are the more settled ones. Keras's EarlyStopping keeps the first.
    """

    def __init__(self, checkpoint: Path, patience: int) -> None:
        super().__init__()
        self.epoch: int | None = None
        self._checkpoint = checkpoint
        self._patience = patience
        self._best = float("-inf")
        self._last_rise = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep the weights if this epoch is the best so far, stop if the accuracy last rose too long ago."""
        accuracy = float(logs["val_accuracy"])
        if accuracy > self._best:
            self._last_rise = epoch
        if accuracy >= self._best:
            self.epoch, self._best = epoch, accuracy
            self.model.save_weights(self._checkpoint)
        if epoch - self._last_rise >= self._patience:
            self.model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:
        """Go back to the best epoch."""
        del logs
        if self.epoch is not None:
            self.model.load_weights(self._checkpoint)

"""Early stopping that keeps the weights of the best epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from numpy.typing import NDArray


class BestEpoch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Stops after `patience` epochs without a higher validation accuracy and restores the best epoch's weights.

    Of epochs with the same accuracy the last is best: many tie on a small validation set, and the learning rate falls
    from epoch to epoch, so that later weights are the more settled ones. Keras's EarlyStopping keeps the first.
    """

    def __init__(self, patience: int) -> None:
        super().__init__()
        self.epoch: int | None = None
        self.weights: list[NDArray[Any]] = []
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
            self.weights = self.model.get_weights()
        if self.is_over(epoch):
            self.model.stop_training = True

    def is_over(self, epoch: int) -> bool:
        """Whether the training ends after `epoch`."""
        return epoch - self._last_rise >= self._patience

    def on_train_end(self, logs: Any = None) -> None:
        """Go back to the best epoch."""
        del logs
        if self.epoch is not None:
            self.model.set_weights(self.weights)

    def facts(self) -> Mapping[str, Any]:
        """What `restore` needs beside the weights."""
        return {"epoch": self.epoch, "accuracy": self._best, "last_rise": self._last_rise}

    def restore(self, facts: Mapping[str, Any], weights: list[NDArray[Any]]) -> None:
        """Go on from what `facts` said in another process."""
        self.epoch, self._best, self._last_rise = facts["epoch"], facts["accuracy"], facts["last_rise"]
        self.weights = weights

"""What a model type is: one subclass of ImageClassifierModel in one file of this folder."""

from __future__ import annotations

import abc
from typing import Any, ClassVar

from bundle.errors import UsageError


class ImageClassifierModel(abc.ABC):
    """A network from pixels to logits.

    A subclass sets the defaults below and writes `layers`. It is found by its class name (MODEL_TYPE) once its file
    lies in this folder.
    """

    image_size: ClassVar[int]
    """Pixels per side when IMAGE_SIZE is auto."""
    smallest_image_size: ClassVar[int] = 8
    epochs: ClassVar[int]
    """Passes over the training images when EPOCHS is auto."""
    learning_rate: ClassVar[float] = 1e-3
    """Adam's first learning rate when LEARNING_RATE is auto."""
    max_shift: ClassVar[float] = 0.0
    """Training images are shifted at random by up to this share of their side."""

    def build(self, image_size: int, classes: int, weights: str = "none") -> Any:
        """A keras.Model from float32 [batch, image_size, image_size, 3] in 0..255 to float32 logits [batch, classes].

        `weights` is none, or what the subclass knows; raises UsageError for anything else.
        """
        import keras

        if image_size < self.smallest_image_size:
            raise UsageError(
                f"IMAGE_SIZE={image_size} is too small for {type(self).__name__}: "
                f"it needs at least {self.smallest_image_size}"
            )
        images = keras.Input((image_size, image_size, 3), name="images")
        features = self.layers(images, weights)
        # Logits stay float32 under mixed precision: a softmax over float16 loses the small probabilities.
        logits = keras.layers.Dense(classes, dtype="float32", name="logits")(features)
        return keras.Model(images, logits, name=type(self).__name__)

    @abc.abstractmethod
    def layers(self, images: Any, weights: str) -> Any:
        """Rescale the Keras tensor `images` (0..255) and turn it into one feature vector per image."""

    def refuse_weights(self, weights: str) -> None:
        """Raise UsageError unless `weights` is none, for types that have no first weights to offer."""
        if weights != "none":
            raise UsageError(
                f"WEIGHTS={weights}: {type(self).__name__} starts from random weights only; set WEIGHTS=none"
            )

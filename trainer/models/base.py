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

    def build(self, image_size: int, classes: int, weights: str = "none") -> Any:
        """A keras.Model from float32 [batch, image_size, image_size, 3] in 0..255 to float32 logits [batch, classes].

        Raises UsageError for an image size or weights that it cannot have.
        """
        import keras

        self.check(image_size, weights)
        images = keras.Input((image_size, image_size, 3), name="images")
        features = self.layers(images, weights)
        # Logits stay float32 under mixed precision: a softmax over float16 loses the small probabilities.
        logits = keras.layers.Dense(classes, dtype="float32", name="logits")(features)
        return keras.Model(images, logits, name=type(self).__name__)

    @abc.abstractmethod
    def layers(self, images: Any, weights: str) -> Any:
        """Rescale the Keras tensor `images` (0..255) and turn it into one feature vector per image."""

    def check(self, image_size: int, weights: str) -> None:
        """Raise UsageError for an image size or weights that `build` could not use; needs no TensorFlow.

        Types that can start from other weights than random ones say which by overriding `check_weights`.
        """
        if image_size < self.smallest_image_size:
            raise UsageError(
                f"IMAGE_SIZE={image_size} is too small for {type(self).__name__}: "
                f"it needs at least {self.smallest_image_size}"
            )
        self.check_weights(weights)

    def check_weights(self, weights: str) -> None:
        """Raise UsageError unless `weights` is none."""
        if weights != "none":
            raise UsageError(
                f"WEIGHTS={weights}: {type(self).__name__} starts from random weights only; set WEIGHTS=none"
            )

"""LeNet-5, with today's activations: small, quick, and good enough for digits."""

from __future__ import annotations

from typing import Any

from trainer.models.base import ImageClassifierModel


class LenetModel(ImageClassifierModel):
    """Two convolutions and two dense layers; about 50,000 weights at 28x28."""

    image_size = 28
    smallest_image_size = 16
    epochs = 30
    learning_rate = 2e-3

    def layers(self, images: Any, weights: str) -> Any:
        """The layers of LeCun et al. (1998) with ReLU and maximum pooling."""
        del weights
        from keras import layers

        x = layers.Rescaling(1 / 255)(images)
        x = layers.Conv2D(6, 5, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x)
        x = layers.Conv2D(16, 5, activation="relu")(x)
        x = layers.MaxPooling2D()(x)
        x = layers.Flatten()(x)
        x = layers.Dense(120, activation="relu")(x)
        return layers.Dense(84, activation="relu")(x)

"""ResNet50V2, from random weights, from ImageNet's, or from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bundle.errors import UsageError
from trainer.downloads import downloading
from trainer.models.base import ImageClassifierModel

_MOMENTUM = 0.9


class ResnetModel(ImageClassifierModel):
    """Keras's ResNet50V2 without its top, averaged over the picture."""

    image_size = 32
    smallest_image_size = 32
    epochs = 13
    learning_rate = 5e-4

    def layers(self, images: Any, weights: str) -> Any:
        """ResNet50V2's features; `weights` is none, imagenet, or a file with weights of ResNet50V2 without top."""
        import keras

        x = keras.layers.Rescaling(1 / 127.5, offset=-1)(images)
        backbone = _backbone(images.shape[1:], weights)
        for layer in backbone.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                # Keras's 0.99 needs hundreds of steps before the moving averages mean anything; on a small dataset
                # that is most of the training, and validation accuracy jumps about until then.
                layer.momentum = _MOMENTUM
        return backbone(x)

    def check_weights(self, weights: str) -> None:
        """Raise UsageError unless `weights` is none, imagenet or a file that is there."""
        if weights not in ("none", "imagenet") and not Path(weights).expanduser().is_file():
            raise UsageError(f"WEIGHTS={weights}: no such file; give none, imagenet, or a .weights.h5 file")


def _backbone(shape: tuple[int, ...], weights: str) -> Any:
    import keras

    options: dict[str, Any] = {"include_top": False, "input_shape": shape, "pooling": "avg"}
    if weights == "imagenet":
        with downloading("ImageNet weights of ResNet50V2", "set WEIGHTS=none or WEIGHTS=<file>"):
            return keras.applications.ResNet50V2(weights="imagenet", **options)
    backbone = keras.applications.ResNet50V2(weights=None, **options)
    if weights != "none":
        _load_file(backbone, weights)
    return backbone


def _load_file(backbone: Any, weights: str) -> None:
    try:
        backbone.load_weights(Path(weights).expanduser())
    except (ValueError, OSError, KeyError) as error:
        raise UsageError(f"WEIGHTS={weights} does not hold weights of ResNet50V2 without its top: {error}") from error

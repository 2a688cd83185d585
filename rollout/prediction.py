"""One held-out image, asked over REST and gRPC, and shown as text."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from bundle import manifest
from bundle.errors import BundleError
from rollout.client import Client

SIGNATURE = "serving_bytes"
_SHADES = " .:-=+*#%@"
_COLUMNS = 24
_AGREE = 1e-3


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What the server answered for a held-out image, over both protocols."""

    picture: list[str]
    expected: str
    answered: str
    confidence: float

    @property
    def is_right(self) -> bool:
        """Whether the answer is the image's true class."""
        return self.expected == self.answered


def predict(client: Client, model: str, version_folder: Path) -> Prediction | None:
    """Ask for the first held-out image of the version; None when the version has no manifest.

    Raises BundleError when a protocol fails or when REST and gRPC do not agree.
    """
    document = manifest.read(version_folder)
    if document is None or not document.examples:
        return None
    example = document.examples[0]
    path = version_folder / manifest.FOLDER / example.image
    image = path.read_bytes()
    logits = client.predict(model, SIGNATURE, image)
    over_grpc = client.predict_grpc(model, SIGNATURE, image)
    if len(logits) != len(over_grpc) or any(abs(a - b) > _AGREE for a, b in zip(logits, over_grpc, strict=True)):
        raise BundleError(f"REST and gRPC do not agree on one image: {logits} and {over_grpc}")
    best = logits.index(max(logits))
    return Prediction(as_text(path), document.classes[example.label], document.classes[best], _softmax(logits)[best])


def as_text(image: Path) -> list[str]:
    """The picture as lines of characters, darker for less light; twice as wide as high, as characters are."""
    from PIL import Image

    with Image.open(image) as picture:
        rows = max(1, round(_COLUMNS / 2 * picture.height / picture.width))
        grey = picture.convert("L").resize((_COLUMNS, rows))
    shades = [_SHADES[value * (len(_SHADES) - 1) // 255] for value in grey.tobytes()]
    return ["".join(shades[start : start + _COLUMNS]) for start in range(0, len(shades), _COLUMNS)]


def _softmax(logits: list[float]) -> list[float]:
    from math import exp

    top = max(logits)
    weights = [exp(value - top) for value in logits]
    return [weight / sum(weights) for weight in weights]

"""What to feed a signature: image files where it takes images, else zeros of the type and shape that it declares."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Feed = dict[str, NDArray[Any]]

_STRING = 7  # DT_STRING
_UNKNOWN = -1


class DoNotFit(Exception):
    """The signature takes something else than was asked for; the message says what."""


def batches(signature: Any, images: Sequence[Path], most: int) -> Iterator[Feed]:
    """All of `images` in their order, in batches of up to `most` pictures of one size."""
    alias, info = _only_input(signature)
    contents = [image.read_bytes() for image in images]
    if info.dtype == _STRING:
        values: list[Any] = contents
        sizes: list[Any] = [None] * len(contents)
    else:
        values = [_pixels(content, info) for content in contents]
        sizes = [value.shape for value in values]
    for _, group in itertools.groupby(range(len(values)), key=sizes.__getitem__):
        members = list(group)
        for start in range(0, len(members), most):
            yield {alias: _stacked([values[n] for n in members[start : start + most]])}


def batch_of(signature: Any, size: int, images: Sequence[Path]) -> Feed:
    """One batch of `size`: of the first of `images` again and again where the signature takes images, else of zeros."""
    if images and takes_images(signature):
        alias, info = _only_input(signature)
        contents = [image.read_bytes() for image in images[:size]]
        values: list[Any] = contents
        if info.dtype != _STRING:
            pictures = [_pixels(content, info) for content in contents]
            values = [picture for picture in pictures if picture.shape == pictures[0].shape]
        return {alias: _stacked([values[n % len(values)] for n in range(size)])}
    return {alias: _zeros(alias, info, size) for alias, info in signature.inputs.items()}


def takes_images(signature: Any) -> bool:
    """Whether the one input is a vector of encoded images, or of pixels with three channels."""
    if len(signature.inputs) != 1:
        return False
    info = next(iter(signature.inputs.values()))
    sides = _sides(info)
    if info.dtype == _STRING:
        return sides is None or sides == [_UNKNOWN]
    return sides is not None and len(sides) == 4 and sides[0] == _UNKNOWN and sides[3] == 3


def _only_input(signature: Any) -> tuple[str, Any]:
    if not takes_images(signature):
        raise DoNotFit("its input is neither a vector of encoded images nor a batch of RGB pixels")
    alias, info = next(iter(signature.inputs.items()))
    return alias, info


def _pixels(content: bytes, info: Any) -> NDArray[Any]:
    """[height, width, 3] in 0..255, as it is or in the size that the input declares."""
    import tensorflow as tf

    _, height, width, _ = _sides(info) or [_UNKNOWN] * 4
    try:
        picture = tf.io.decode_image(content, channels=3, expand_animations=False)
    except (tf.errors.OpError, ValueError) as error:
        raise DoNotFit(f"an example is not an image: {error}") from error
    wanted = [has if side == _UNKNOWN else side for has, side in zip(picture.shape[:2], (height, width), strict=True)]
    if wanted != list(picture.shape[:2]):
        picture = tf.image.resize(picture, wanted)
    return np.asarray(picture.numpy()).astype(_dtype(info))


def _stacked(values: Sequence[Any]) -> NDArray[Any]:
    return np.array(values, dtype=object) if isinstance(values[0], bytes) else np.stack(values)


def _zeros(alias: str, info: Any, size: int) -> NDArray[Any]:
    if info.dtype == _STRING:
        raise DoNotFit(f"its input {alias} takes strings, and what they should hold is not known")
    sides = _sides(info)
    if sides is None:
        raise DoNotFit(f"its input {alias} is of any rank")
    if sides and sides[0] not in (_UNKNOWN, size):
        raise DoNotFit(f"its input {alias} takes {sides[0]} examples at a time")
    return np.zeros([size if n == 0 else max(1, side) for n, side in enumerate(sides)], _dtype(info))


def _sides(info: Any) -> list[int] | None:
    shape = info.tensor_shape
    return None if shape.unknown_rank else [int(dim.size) for dim in shape.dim]


def _dtype(info: Any) -> Any:
    import tensorflow as tf

    return tf.as_dtype(info.dtype).as_numpy_dtype

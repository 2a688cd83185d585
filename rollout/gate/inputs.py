"""What to feed a signature: image files where it takes images, else made-up values of the type that it declares."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Feed = dict[str, NDArray[Any]]

_STRING = 7  # DT_STRING
_UNKNOWN = -1


_MADE_UP_SIDE = 32
_MOST_BYTES = 64 << 20
"""Of numbers in one request: more would show what the machine can hold, not what the version answers."""

RANGES = ((0.1, 0.9), (2.0, 90.0), (-90.0, -2.0), (1e3, 1e5))
"""Limits of made-up floats. A version may take numbers of one size only; the first are those of normed inputs."""


class DoNotFit(Exception):
    """The signature takes something else than was asked for; the message says what."""


@dataclasses.dataclass(frozen=True)
class Stock:
    """Rows to put batches together from, and what goes into every request as it is.

    `doubtful` are rows that nobody knows whether a version has to answer them with numbers; `most` go into one batch.
    """

    rows: dict[str, list[Any]]
    fixed: Feed
    count: int
    doubtful: frozenset[int]
    most: int

    def pick(self, members: Sequence[int]) -> Feed:
        """The batch of these rows."""
        return {alias: _stacked([rows[n] for n in members]) for alias, rows in self.rows.items()} | self.fixed


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
        most = min([most, *(_most_rows(value.nbytes) for value in values)])
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
            _require_room(size, pictures[0].nbytes)
        return {alias: _stacked([values[n % len(values)] for n in range(size)])}
    return {alias: _zeros(alias, info, size) for alias, info in signature.inputs.items()}


def fixed_sizes(signature: Any) -> set[int]:
    """The batch sizes that its inputs declare, where they take no other."""
    sides = [_sides(info) for info in signature.inputs.values()]
    return {each[0] for each in sides if each and each[0] != _UNKNOWN}


def pictures(signature: Any, images: Sequence[Path], count: int) -> Stock:
    """`count` pictures of one size for a signature that takes images: by turns one of `images` and a distorted one.

    Without `images` they are made up.
    """
    alias, info = _only_input(signature)
    if images:
        originals = [_decoded(image.read_bytes()) for image in images[: count // 2]]
        originals = [picture for picture in originals if picture.shape == originals[0].shape]
    else:
        originals = _made_up_pictures(info, count // 2)
    chosen = [
        _distorted(original, n // 2) if n % 2 else original
        for n, original in ((n, originals[n // 2 % len(originals)]) for n in range(count))
    ]
    # One that norms a picture by its darkest and its brightest spot divides by zero where these are the same.
    plain = frozenset(n for n, picture in enumerate(chosen) if picture.min() == picture.max())
    if info.dtype == _STRING:
        return Stock({alias: [_as_png(picture) for picture in chosen]}, {}, count, plain, count)
    rows = [_fitted(picture, info) for picture in chosen]
    return Stock({alias: rows}, {}, count, plain, _most_rows(rows[0].nbytes))


def made_up(signature: Any, count: int, limits: tuple[float, float] = RANGES[0]) -> Stock:
    """`count` rows of made-up values: floats between `limits`, integers of 0 and 1, words.

    Where no input has a side for the batch there is one request.
    """
    random = np.random.default_rng(0)
    all_sides = {alias: _known_sides(alias, info) for alias, info in signature.inputs.items()}
    one = sum(_bytes_of(signature.inputs[alias], sides) for alias, sides in all_sides.items())
    _require_room(1, one)
    count = min(count, _most_rows(one))
    rows: dict[str, list[Any]] = {}
    fixed: Feed = {}
    for alias, sides in all_sides.items():
        info = signature.inputs[alias]
        if sides and sides[0] == _UNKNOWN:
            rows[alias] = list(_invented(random, alias, info, [count, *sides[1:]], limits))
        else:
            fixed[alias] = _invented(random, alias, info, sides, limits)
    count = count if rows else 1
    return Stock(rows, fixed, count, frozenset(range(count)), count)


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
    if info.dtype != _STRING:
        _require_room(1, _bytes_of(info, _known_sides(alias, info)[1:]))
    return alias, info


def _pixels(content: bytes, info: Any) -> NDArray[Any]:
    """[height, width, 3] in 0..255, as it is or in the size that the input declares."""
    return _fitted(_decoded(content), info)


def _decoded(content: bytes) -> NDArray[np.uint8]:
    import tensorflow as tf

    try:
        picture = tf.io.decode_image(content, channels=3, expand_animations=False)
    except (tf.errors.OpError, ValueError) as error:
        raise DoNotFit(f"an example is not an image: {error}") from error
    decoded: NDArray[np.uint8] = picture.numpy()
    return decoded


def _fitted(picture: NDArray[np.uint8], info: Any) -> NDArray[Any]:
    import tensorflow as tf

    _, height, width, _ = _sides(info) or [_UNKNOWN] * 4
    wanted = [has if side == _UNKNOWN else side for has, side in zip(picture.shape[:2], (height, width), strict=True)]
    resized = picture if wanted == list(picture.shape[:2]) else tf.image.resize(picture, wanted).numpy()
    return np.asarray(resized).astype(_dtype(info))


def _distorted(picture: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """One that no version was shown: darker, brighter, noise, or of one colour."""
    random = np.random.default_rng(number)
    match number % 4:
        case 0:
            made = picture * 0.3
        case 1:
            made = picture * 0.6 + 100
        case 2:
            made = random.integers(0, 256, list(picture.shape)).astype(np.float64)
        case _:
            made = np.full(picture.shape, 56.0 * (number - 3))  # Black, and a light grey.
    return made.astype(np.uint8)


def _made_up_pictures(info: Any, count: int) -> list[NDArray[np.uint8]]:
    """Noise in colours between two limits of its own for each picture."""
    sides = _sides(info) if info.dtype != _STRING else None
    height, width = (_MADE_UP_SIDE if side == _UNKNOWN else side for side in (sides or [_UNKNOWN] * 4)[1:3])
    random = np.random.default_rng(0)
    limits = [sorted(random.choice(256, 2, replace=False)) for _ in range(count)]
    return [random.integers(low, high, (height, width, 3), dtype=np.uint8) for low, high in limits]


def _as_png(picture: NDArray[np.uint8]) -> bytes:
    import tensorflow as tf

    content: bytes = tf.io.encode_png(picture).numpy()
    return content


def _stacked(values: Sequence[Any]) -> NDArray[Any]:
    return np.array(values, dtype=object) if isinstance(values[0], bytes) else np.stack(values)


def _most_rows(one: int) -> int:
    """How many rows of `one` byte each go into one request; at least one."""
    return max(1, _MOST_BYTES // max(1, one))


def _require_room(size: int, one: int) -> None:
    if size * one > _MOST_BYTES:
        raise DoNotFit(f"{size} at once take {size * one >> 20} MB; at most {_MOST_BYTES >> 20} MB are made up here")


def _bytes_of(info: Any, sides: Sequence[int]) -> int:
    return math.prod(max(1, side) for side in sides) * np.dtype(_dtype(info)).itemsize


def _invented(
    random: np.random.Generator, alias: str, info: Any, sides: Sequence[int], limits: tuple[float, float]
) -> NDArray[Any]:
    import tensorflow as tf

    dtype, shape = tf.as_dtype(info.dtype), [max(1, side) for side in sides]
    if info.dtype == _STRING:
        count = math.prod(shape)
        return np.array([f"word {n}".encode() for n in range(count)], dtype=object).reshape(shape)
    if dtype.is_floating:
        return random.uniform(*limits, shape).astype(_dtype(info))
    if dtype.is_integer or dtype.is_bool:
        return random.integers(0, 2, shape).astype(_dtype(info))
    raise DoNotFit(f"its input {alias} takes {dtype.name}, and what that should hold is not known")


def _zeros(alias: str, info: Any, size: int) -> NDArray[Any]:
    if info.dtype == _STRING:
        raise DoNotFit(f"its input {alias} takes strings, and what they should hold is not known")
    sides = _known_sides(alias, info)
    if sides and sides[0] not in (_UNKNOWN, size):
        raise DoNotFit(f"its input {alias} takes {sides[0]} examples at a time")
    _require_room(size, _bytes_of(info, sides[1:]))
    return np.zeros([size if n == 0 else max(1, side) for n, side in enumerate(sides)], _dtype(info))


def _known_sides(alias: str, info: Any) -> list[int]:
    sides = _sides(info)
    if sides is None:
        raise DoNotFit(f"its input {alias} is of any rank")
    return sides


def _sides(info: Any) -> list[int] | None:
    shape = info.tensor_shape
    return None if shape.unknown_rank else [int(dim.size) for dim in shape.dim]


def _dtype(info: Any) -> Any:
    import tensorflow as tf

    return tf.as_dtype(info.dtype).as_numpy_dtype

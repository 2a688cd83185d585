"""From encoded images to the pixels that a model sees: one graph, used for training and for serving alike.

PNG, JPEG, BMP and GIF (first frame) with 1 to 4 channels. Grey is repeated over three channels; alpha is dropped, so
that the colour stored under a transparent pixel counts, as with Pillow's convert("RGB").
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def resize(images: Any, size: int) -> Any:
    """Float32 [..., size, size, channels] from [..., height, width, channels], bilinear, values kept in 0..255."""
    return tf.image.resize(images, (size, size))


def open_image(contents: Any) -> Any:
    """Uint8 [height, width, channels] from one encoded image, with the channels that it has."""
    # Asked for three channels, the decoder would refuse grey and RGBA bitmaps.
    image = tf.io.decode_image(contents, channels=0, expand_animations=False)
    image.set_shape((None, None, None))
    return image


def to_rgb(image: Any) -> Any:
    """[height, width, 3] from [height, width, 1 to 4 channels]."""
    is_grey = tf.shape(image)[-1] < 3
    return tf.gather(image, tf.where(is_grey, [0, 0, 0], [0, 1, 2]), axis=-1)


def upright(image: Any, orientation: Any) -> Any:
    """[height, width, channels] turned as EXIF's orientation (1 to 8, int) says; sides may change places."""

    def turned(flat: bool, *axes: int) -> Any:
        return lambda: tf.reverse(tf.transpose(image, (1, 0, 2)) if flat else image, axes)

    turns = [
        *(turned(False), turned(False, 1), turned(False, 0, 1), turned(False, 0)),
        *(turned(True), turned(True, 1), turned(True, 0, 1), turned(True, 0)),
    ]
    result = tf.switch_case(tf.cast(orientation, tf.int32) - 1, turns)
    return tf.ensure_shape(result, (None, None, None))


def decode(contents: Any, size: int, orientation: Any = None) -> Any:
    """Float32 [size, size, 3] in 0..255 from one encoded image, turned when an orientation is given.

    Serving gives none: which way up a picture is, is the client's business there.
    """
    image = open_image(contents)
    if orientation is not None:
        image = upright(image, orientation)
    # Resized first: picking channels costs by the pixel.
    image = to_rgb(resize(image, size))
    return tf.ensure_shape(image, (size, size, 3))


def decode_batch(contents: Any, size: int) -> Any:
    """Float32 [batch, size, size, 3] from a string tensor of any rank, of mixed formats and sizes."""
    return tf.map_fn(
        lambda one: decode(one, size),
        tf.reshape(contents, [-1]),
        fn_output_signature=tf.TensorSpec((size, size, 3), tf.float32),
    )

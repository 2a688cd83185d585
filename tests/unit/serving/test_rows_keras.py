"""The networks that Keras makes are proved to keep rows apart, but for those that move the axis of the rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import pytest
import tensorflow as tf

from serving.batching.rows import proof
from serving.savedmodel import read_meta_graph

L = keras.layers


def _attention() -> Any:
    inputs = L.Input((6, 8))
    x = L.LayerNormalization()(L.Add()([inputs, L.MultiHeadAttention(2, 4)(inputs, inputs)]))
    return keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling1D()(x)))


def _branches() -> Any:
    numbers, places = L.Input((4,)), L.Input((3,), dtype="int32")
    joined = L.Concatenate()([L.Dense(3, activation="gelu")(numbers), L.Flatten()(L.Embedding(9, 2)(places))])
    return keras.Model([numbers, places], L.Dense(2, activation="softmax")(joined))


def _upwards() -> Any:
    inputs = L.Input((None, None, 3))
    kept = L.Conv2D(4, 3, padding="same", activation="silu")(inputs)
    x = L.Conv2DTranspose(4, 2, strides=2)(L.Conv2D(8, 3, padding="same")(L.MaxPooling2D()(kept)))
    return keras.Model(inputs, L.Conv2D(2, 1)(L.Concatenate()([x, kept])))


def _dilated() -> Any:
    layers = [
        L.Input((12, 12, 4)), L.Conv2D(4, 3, dilation_rate=2), L.DepthwiseConv2D(3, dilation_rate=2, padding="same"),
        L.Reshape((-1, 4)), L.Conv1D(3, 3, padding="causal", dilation_rate=4), L.Flatten(), L.Dense(2),
    ]  # fmt: skip
    return keras.Sequential(layers)


def _best() -> Any:
    inputs = L.Input((8,))
    return keras.Model(inputs, keras.ops.argmax(L.Dense(3)(inputs), -1))


def _pictures() -> Any:
    layers = [
        L.Input((16, 16, 3)), L.Resizing(20, 20), L.CenterCrop(16, 16), L.Rescaling(1 / 255), L.Normalization(),
        L.RandomFlip(), L.Conv2D(4, 3), L.BatchNormalization(), L.ReLU(), L.DepthwiseConv2D(3), L.SeparableConv2D(4, 3),
        L.MaxPooling2D(), L.GroupNormalization(2), L.Dropout(0.5), L.UpSampling2D(), L.Flatten(), L.Dense(3),
    ]  # fmt: skip
    return keras.Sequential(layers)


APART: dict[str, Callable[[], Any]] = {
    "dense": lambda: keras.Sequential([L.Input((8,)), L.Dense(4, activation="relu"), L.Dense(3, activation="softmax")]),
    "pictures": _pictures,
    "words": lambda: keras.Sequential(
        [L.Input((None,), dtype="int32"), L.Embedding(20, 6, mask_zero=True), L.GlobalAveragePooling1D(), L.Dense(3)]
    ),
    "sequences": lambda: keras.Sequential([L.Input((None, 4)), L.Conv1D(3, 2), L.Dense(5), L.GlobalMaxPooling1D()]),
    "text": lambda: keras.Sequential(
        [L.Input((1,), dtype="string"), L.StringLookup(vocabulary=["a", "b"]), L.Embedding(4, 3), L.Flatten()]
    ),
    "volumes": lambda: keras.Sequential([L.Input((4, 4, 4, 1)), L.Conv3D(2, 3, padding="same"), L.MaxPooling3D()]),
    "attention": _attention,
    "branches": _branches,
    "upwards": _upwards,
    "dilated": _dilated,
    "best": _best,
    "any rank": lambda: keras.Sequential([L.Input((4, 3)), L.EinsumDense("...x,xy->...y", output_shape=7)]),
    "volumes upwards": lambda: keras.Sequential([L.Input((4, 4, 4, 1)), L.Conv3DTranspose(2, 3, strides=2)]),
    "mobile": lambda: keras.applications.MobileNetV3Small(weights=None, input_shape=(32, 32, 3), classes=3),
}
NOT_FOLLOWED: dict[str, Callable[[], Any]] = {
    "lstm": lambda: keras.Sequential([L.Input((6, 8)), L.LSTM(4)]),
    "each step": lambda: keras.Sequential([L.Input((6, 8)), L.TimeDistributed(L.Dense(4))]),
}


@pytest.fixture(scope="module")
def meta_graph(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """All networks as signatures of one version."""
    folder = tmp_path_factory.mktemp("keras") / "1"
    archive = keras.export.ExportArchive()
    for name, make in (APART | NOT_FOLLOWED).items():
        model = make()
        archive.track(model)
        specs = [tf.TensorSpec(each.shape, each.dtype) for each in model.inputs]
        archive.add_endpoint(name.replace(" ", "_"), _called(model), specs)
    archive.write_out(folder, verbose=False)
    return read_meta_graph(folder, frozenset({"serve"}))


def _called(model: Any) -> Callable[..., Any]:
    return lambda *values: model(list(values) if len(values) > 1 else values[0], training=False)


@pytest.mark.parametrize("name", APART)
def test_rows_are_proved_to_be_apart(meta_graph: Any, name: str) -> None:
    assert proof.why_not(meta_graph, meta_graph.signature_def[name]) == ""


@pytest.mark.parametrize("name", NOT_FOLLOWED)
def test_what_moves_the_axis_of_the_rows_is_not_followed(meta_graph: Any, name: str) -> None:
    reason = proof.why_not(meta_graph, meta_graph.signature_def[name.replace(" ", "_")])
    assert reason.endswith("moves the axis of the rows")

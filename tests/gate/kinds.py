"""SavedModels of every kind that people serve: `python -m tests.gate.kinds FOLDER` writes one folder for each."""

# The functions below are traced by TensorFlow, which goes by their parameters' names, not by types.
# mypy: disable-error-code="no-untyped-def,misc,no-untyped-call,untyped-decorator"

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

WORDS = ("red", "green", "blue")


def _vocabulary() -> str:
    path = Path(tempfile.mkdtemp()) / "vocabulary.txt"
    path.write_text("\n".join(WORDS))
    return str(path)


def _keras(*layers: Any, shape: tuple[int | None, ...], dtype: str = "float32") -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        model = keras.Sequential([keras.Input(shape, dtype=dtype), *layers])
        model.export(str(folder), verbose=False)

    return make


def _function(call: Callable[..., Any], *specs: Any, **kept: Any) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        module = tf.Module()
        for name, value in kept.items():
            setattr(module, name, value)
        tf.saved_model.save(module, str(folder), tf.function(call, input_signature=specs, autograph=True))

    return make


def _attention(folder: Path) -> None:
    one, two = keras.Input((4, 8)), keras.Input((4, 8))
    mixed = keras.layers.MultiHeadAttention(2, 4)(one, two)
    out = keras.layers.Dense(2)(keras.layers.LayerNormalization()(mixed + one))
    keras.Model([one, two], out).export(str(folder), verbose=False)


def _trained(folder: Path) -> None:
    """With its optimizer's variables and its steps."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2), keras.layers.BatchNormalization()])
    model.compile("adam", "mse")
    model.fit(np.zeros((8, 4)), np.zeros((8, 2)), verbose=0)
    tf.saved_model.save(model, str(folder))


def _lookup(folder: Path) -> None:
    """Tables from a file of words, one of them with the default for what is not in it."""
    source = tf.lookup.TextFileInitializer(
        _vocabulary(), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
    )
    table = tf.lookup.StaticVocabularyTable(source, 2)
    _function(lambda x: {"y": table.lookup(x)}, tf.TensorSpec([None], tf.string, "x"), table=table)(folder)


def _text(folder: Path) -> None:
    layer = keras.layers.TextVectorization(output_sequence_length=4, vocabulary=list(WORDS))
    _function(lambda x: {"y": layer(x)}, tf.TensorSpec([None], tf.string, "x"), layer=layer)(folder)


def _string_lookup(folder: Path) -> None:
    layer = keras.layers.StringLookup(vocabulary=_vocabulary())
    _function(lambda x: {"y": layer(x)}, tf.TensorSpec([None], tf.string, "x"), layer=layer)(folder)


def _normalised(folder: Path) -> None:
    layer = keras.layers.Normalization()
    layer.adapt(np.arange(8.0).reshape(4, 2))
    _keras(layer, keras.layers.Discretization([0.0, 1.0]), shape=(2,))(folder)


def _pictures(contents):
    def one(content):
        image = tf.io.decode_image(content, channels=3, expand_animations=False)
        image = tf.image.resize(tf.image.central_crop(image, 0.8), (8, 8))
        return tf.image.per_image_standardization(tf.image.adjust_contrast(image, 1.1))

    return {"y": tf.map_fn(one, contents, fn_output_signature=tf.TensorSpec((8, 8, 3), tf.float32))}


def _examples(serialized):
    parsed = tf.io.parse_example(
        serialized,
        {
            "x": tf.io.FixedLenFeature([2], tf.float32),
            "words": tf.io.VarLenFeature(tf.string),
            "ragged": tf.io.RaggedFeature(tf.int64),
        },
    )
    return {
        "x": parsed["x"],
        "words": tf.strings.length(tf.sparse.to_dense(parsed["words"])),
        "ragged": parsed["ragged"].to_tensor() * tf.reduce_sum(parsed["ragged"], axis=1, keepdims=True),
    }


def _ragged(text):
    words = tf.strings.split(tf.strings.lower(tf.strings.regex_replace(text, "[!?]", "")))
    codes = tf.strings.unicode_decode(words.flat_values, "UTF-8")
    grams = tf.strings.ngrams(words, 2)
    return {"y": words.row_lengths(), "codes": codes.to_tensor(), "grams": grams.to_tensor()}


def _sparse(indices, values):
    x = tf.sparse.reorder(tf.sparse.SparseTensor(indices, values, [4, 4]))
    return {"y": tf.sparse.sparse_dense_matmul(x, tf.ones([4, 2])), "sum": tf.sparse.reduce_sum(x)}


def _loops(x):
    steps = tf.TensorArray(tf.float32, 0, dynamic_size=True)
    for n in tf.range(3):
        if tf.reduce_sum(x) > 0.0:
            x = x - 1.0
        steps = steps.write(n, x)
    chosen = tf.switch_case(tf.cast(tf.size(x), tf.int32) % 2, [lambda: x, lambda: x * 2.0])
    tf.print("sum:", tf.reduce_sum(x))
    tf.debugging.assert_all_finite(x, "it is not finite")
    return {"y": steps.stack(), "chosen": chosen}


def _memory(x):
    """A dataset of tensors, drawn numbers, spectra and a gradient."""
    total = tf.data.Dataset.from_tensor_slices(x).map(lambda v: v * 2.0).batch(2).reduce(0.0, _add)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(tf.sin(x) ** 2)
    noise = tf.random.stateless_normal([3], [1, 2]) + tf.random.uniform([3])
    spectrum = tf.abs(tf.signal.stft(x, 4, 2))
    return {"total": total, "gradient": tape.gradient(y, x), "noise": noise, "spectrum": spectrum}


def _add(total, values):
    return total + tf.reduce_sum(values)


def _first_generation(folder: Path) -> None:
    """A graph of TensorFlow 1: its control flow, variables, table, savers, collections and tags, and its training."""
    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        v1.disable_control_flow_v2()
        v1.disable_resource_variables()
        rows = v1.data.make_initializable_iterator(v1.data.Dataset.from_tensors([1.0]).repeat()).get_next()
        x = v1.placeholder_with_default(rows, [None], "x")
        words = v1.placeholder(tf.string, [None], "words")
        weight = v1.get_variable("weight", initializer=2.0)
        y = tf.cond(tf.reduce_sum(x) > 0.0, lambda: x * weight, lambda: x - weight)
        y = tf.while_loop(lambda n, _: n < 3, lambda n, z: (n + 1, z * 2.0), (0, y))[1]
        path = v1.convert_to_tensor(_vocabulary(), name="words_file")
        source = tf.lookup.TextFileInitializer(path, tf.string, -2, tf.int64, -1)
        found = v1.lookup.StaticHashTable(source, -1).lookup(words)
        v1.summary.scalar("sum", tf.reduce_sum(y))
        v1.summary.histogram("y", y)
        v1.summary.image("y", tf.reshape(y, [1, 1, -1, 1]))
        v1.summary.audio("y", tf.reshape(y, [1, -1]), 8000)
        v1.summary.text("words", words)
        v1.summary.merge_all()
        v1.train.Saver(write_version=v1.train.SaverDef.V1)
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(folder))
        infos = {name: v1.saved_model.build_tensor_info(t) for name, t in (("x", x), ("words", words))}
        outputs = {name: v1.saved_model.build_tensor_info(t) for name, t in (("y", y), ("found", found))}
        signature = v1.saved_model.build_signature_def(infos, outputs, v1.saved_model.PREDICT_METHOD_NAME)
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {"serving_default": signature},
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            main_op=v1.tables_initializer(),
        )
        builder.save()


def kinds() -> dict[str, Callable[[Path], None]]:
    """What writes a version, by its name."""
    layers = keras.layers
    text, numbers = tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.float32)
    return {
        "convolution": _keras(
            layers.Rescaling(1 / 255.0),
            layers.Resizing(16, 16),
            layers.ZeroPadding2D(),
            layers.Conv2D(4, 3, activation="relu"),
            layers.SeparableConv2D(4, 3, activation="swish"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Conv2DTranspose(4, 3, activation="gelu"),
            layers.SpatialDropout2D(0.1),
            layers.UpSampling2D(interpolation="bilinear"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
            shape=(20, 20, 3),
        ),
        "augmentation": _keras(
            layers.RandomFlip(),
            layers.RandomRotation(0.1),
            layers.RandomZoom(0.1),
            layers.RandomContrast(0.1),
            layers.RandomTranslation(0.1, 0.1),
            layers.RandomCrop(8, 8),
            layers.RandomBrightness(0.1),
            shape=(10, 10, 3),
        ),
        "sequence": _keras(
            layers.Embedding(10, 4, mask_zero=True),
            layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
            layers.GRU(3),
            shape=(None,),
            dtype="int32",
        ),
        "steps": _keras(layers.LSTM(3, unroll=True, return_sequences=True), layers.SimpleRNN(2), shape=(4, 2)),
        "attention": _attention,
        "mobilenet": lambda folder: keras.applications.MobileNetV3Small((32, 32, 3), weights=None, classes=3).export(
            str(folder), verbose=False
        ),
        "trained": _trained,
        "normalised": _normalised,
        "lookup": _lookup,
        "text": _text,
        "string_lookup": _string_lookup,
        "pictures": _function(_pictures, text),
        "examples": _function(_examples, text),
        "ragged": _function(_ragged, text),
        "sparse": _function(_sparse, tf.TensorSpec([None, 2], tf.int64), numbers),
        "loops": _function(_loops, numbers),
        "memory": _function(_memory, numbers),
        "first_generation": _first_generation,
        "one_at_a_time": _function(lambda x: {"y": x * 2.0}, tf.TensorSpec([1, 3], tf.float32)),
        "prices": _function(lambda x: {"y": tf.math.log(x - 5.0)}, tf.TensorSpec([None, 3], tf.float32)),
    }


if __name__ == "__main__":
    for name, make in kinds().items():
        make(Path(sys.argv[1], name))

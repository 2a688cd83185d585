"""SavedModels that call Python, and one beside it that does not: `python -m tests.engine.python_models FOLDER`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write(folder: Path) -> None:
    """Write function, eager, stateless, nested, loop, hidden, warmed and top into `folder`."""
    import tensorflow as tf

    def double(x: Any, stateful: bool = True) -> Any:
        y = tf.numpy_function(lambda a: a * 2, [x], tf.float32, stateful=stateful)
        return tf.ensure_shape(y, x.shape)

    @tf.function  # type: ignore[untyped-decorator]
    def inner(x: Any) -> Any:
        return double(x)

    def signature(f: Callable[[Any], Any]) -> Any:
        return tf.function(lambda x: {"y": f(x)}, input_signature=[tf.TensorSpec([None], tf.float32, name="x")])

    def save(name: str, call: Callable[[Any], Any], **others: Callable[[Any], Any]) -> Path:
        module = tf.Module()
        module.calls = {key: signature(f) for key, f in {"serving_default": call, **others}.items()}
        tf.saved_model.save(module, str(folder / name), signatures=dict(module.calls))
        return folder / name

    save("function", double, harmless=lambda x: x + 1.0)
    save("eager", lambda x: tf.ensure_shape(tf.py_function(lambda a: a * 2, [x], tf.float32), [None]))
    save("stateless", lambda x: double(x, stateful=False))
    save("nested", lambda x: inner(x) + 1.0)
    save("loop", lambda x: tf.map_fn(double, x))
    save("hidden", _hidden)
    _write_warmup(save("warmed", double))
    _write_top(folder / "top")


def _hidden(x: Any) -> Any:
    """A data set from a graph in a tensor; the tensor depends on the input, so that it is not computed beforehand."""
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        one = tf.numpy_function(lambda: 1.0, [], tf.float32)
        one.set_shape([])
        dataset = tf.raw_ops.TensorDataset(components=[one], output_shapes=[[]])
    graph_def = graph.as_graph_def()
    node = graph_def.node.add(name="out", op="_Retval", input=[dataset.op.name])
    node.attr["T"].type = dataset.dtype.as_datatype_enum
    node.attr["index"].i = 0
    nothing = tf.strings.substr(tf.strings.as_string(x[0]), 0, 0)
    content = tf.strings.join([tf.constant(graph_def.SerializeToString()), nothing])
    unpacked = tf.raw_ops.DatasetFromGraph(graph_def=content)
    (value,) = tf.raw_ops.DatasetToSingleElement(dataset=unpacked, output_types=[tf.float32], output_shapes=[[]])
    return x + value


def _write_warmup(version: Path) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    entry = prediction_log_pb2.PredictionLog()
    tensor = entry.predict_log.request.inputs["x"]
    tensor.CopyFrom(tf.make_tensor_proto([1.0], tf.float32))
    (version / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(version / "assets.extra" / "tf_serving_warmup_requests")) as writer:
        writer.write(entry.SerializeToString())


def _write_top(version: Path) -> None:
    """The call is a node of the graph itself, and no signature needs it."""
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [None], name="x")
        y = x * 2.0
        tf.py_func(lambda a: a, [x], tf.float32)
        builder = tf.saved_model.Builder(str(version))
        info = tf.saved_model.build_tensor_info
        signature = tf.saved_model.build_signature_def({"x": info(x)}, {"y": info(y)}, "tensorflow/serving/predict")
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()


if __name__ == "__main__":
    write(Path(sys.argv[1]))

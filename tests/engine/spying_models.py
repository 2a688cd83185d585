"""A model that does what it is told to, with paths and addresses: `python -m tests.engine.spying_models FOLDER`.

`read`, `list`, `save` and `write` take a path, `call` an address. `warmed` has warm-up requests that print into a file.
"""

# The functions below are traced by TensorFlow, which goes by their parameters' names, not by types.
# mypy: disable-error-code="no-untyped-def,misc,no-untyped-call,untyped-decorator"

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

ONE = [tf.TensorSpec([None], tf.string, name="path")]


IDENTITY = tf.function(lambda x: x).get_concrete_function(tf.TensorSpec([], tf.int64))


class Spy(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.number = tf.Variable(3.0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def ordinary(self, x):
        return {"y": x + self.number}

    @tf.function(input_signature=ONE)
    def read(self, path):
        return {"said": tf.map_fn(tf.io.read_file, path)}

    @tf.function(input_signature=ONE)
    def list(self, path):
        return {"said": tf.strings.reduce_join(tf.io.matching_files(path[0]), keepdims=True, separator=" ")}

    @tf.function(input_signature=ONE)
    def save(self, path):
        ones = [tf.constant(b"x")]
        saved = tf.raw_ops.SaveV2(prefix=path[0], tensor_names=["x"], shape_and_slices=[""], tensors=ones)
        with tf.control_dependencies([saved]):
            return {"said": tf.identity(path)}

    @tf.function(input_signature=ONE)
    def write(self, path):
        with tf.control_dependencies([tf.io.write_file(path[0], "x")]):
            return {"said": tf.identity(path)}

    @tf.function(input_signature=ONE)
    def call(self, path):
        """Ask the data service at an address for a data set; it goes on trying to connect until it is cancelled."""
        asked = tf.raw_ops.DataServiceDatasetV4(
            dataset_id=tf.constant("x"),
            processing_mode="",
            address=path[0],
            protocol="grpc",
            job_name="",
            consumer_index=-1,
            num_consumers=-1,
            max_outstanding_requests=-1,
            iteration_counter=tf.raw_ops.DummyIterationCounter(),
            output_types=[tf.int64],
            output_shapes=[[]],
            uncompress_fn=IDENTITY,
        )
        found = tf.raw_ops.DatasetCardinality(input_dataset=asked)
        first = tf.raw_ops.DatasetToSingleElement(dataset=asked, output_types=[tf.int64], output_shapes=[[]])
        return {"said": tf.strings.join([path, tf.as_string(found), tf.as_string(first[0])])}


def printing(target: Path):
    """A signature that appends to a file; PrintV2 knows its file when the graph is made."""

    @tf.function(input_signature=ONE)
    def call(path):
        tf.raw_ops.PrintV2(input="printed", output_stream=f"file://{target}", end="\n")
        return {"said": tf.identity(path)}

    return call


def write(folder: Path) -> None:
    spy = Spy()
    signatures = {name: getattr(spy, name) for name in ("read", "list", "save", "write", "call")}
    signatures |= {"serving_default": spy.ordinary, "print": printing(folder / "printed")}
    tf.saved_model.save(spy, str(folder / "spy"), signatures=signatures)
    shutil.copytree(folder / "spy", folder / "warmed")
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "warmed", "print"
    request.inputs["path"].CopyFrom(tf.make_tensor_proto([b"x"]))
    log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
    (folder / "warmed" / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(folder / "warmed" / "assets.extra" / "tf_serving_warmup_requests")) as records:
        records.write(log.SerializeToString())


if __name__ == "__main__":
    write(Path(sys.argv[1]))

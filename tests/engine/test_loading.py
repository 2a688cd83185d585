"""Loading in this process: the words for what is broken, warm-up files, TensorFlow Lite."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving import predict
from serving.errors import Code, ServingError
from serving.servable import LoadOptions, Servable, load
from tests.engine.engine import Kits

WARMUP = Path("assets.extra", "tf_serving_warmup_requests")
PREFIX = "variables/variables"


@pytest.fixture
def folder(kits: Kits, tmp_path: Path) -> Path:
    """A version folder with kit 1, to be broken."""
    return kits.publish(tmp_path, "1", 1)


def refusal(folder: Path, **options: Any) -> tuple[Code, str]:
    with pytest.raises(ServingError) as caught:
        load(folder, LoadOptions(**options)).close()
    return caught.value.code, caught.value.message.replace(str(folder), "DIR")


def answer(servable: Servable, x: float) -> float:
    signature = servable.signatures["serving_default"]
    outputs = predict.prepare(servable, predict.Interface(signature), {"x": np.array([x], np.float32)}).run("m", 30.0)
    return float(outputs["y"].value[0])


def rewrite(change: Callable[[bytes], bytes], name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes(change((folder / name).read_bytes()))

    return damage


def remove(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return damage


@pytest.mark.parametrize(
    ("damage", "code", "message"),
    [
        (
            remove("saved_model.pb"),
            Code.NOT_FOUND,
            "Specified file path does not appear to contain a SavedModel bundle (should have a file called"
            " `saved_model.pb`)\nSpecified file path: DIR",
        ),
        (
            rewrite(lambda _: b"garbage garbage", "saved_model.pb"),
            Code.DATA_LOSS,
            "Can't parse DIR/saved_model.pb as binary proto",
        ),
        (rewrite(lambda data: data[:500], "saved_model.pb"), Code.OUT_OF_RANGE, "Read less bytes than requested"),
        (
            rewrite(lambda _: b"", "saved_model.pb"),
            Code.NOT_FOUND,
            "Could not find meta graph def matching supplied tags: { serve }. To inspect available tag-sets in the"
            " SavedModel, please use the SavedModel CLI: `saved_model_cli`",
        ),
        (
            lambda folder: (folder / "export.meta").touch(),
            Code.UNIMPLEMENTED,
            "Session Bundle is deprecated and removed.",
        ),
    ],
)
def test_what_is_broken_is_named(folder: Path, damage: Callable[[Path], None], code: Code, message: str) -> None:
    damage(folder)
    assert refusal(folder) == (code, message)


def test_missing_data_of_variables(folder: Path) -> None:
    remove(f"{PREFIX}.data-00000-of-00001")(folder)
    code, message = refusal(folder)
    assert code == Code.NOT_FOUND
    assert message.startswith(f"DIR/{PREFIX}.data-00000-of-00001; No such file or directory\n\t [[{{{{")


@pytest.mark.parametrize("name", ["variables", f"{PREFIX}.index"])
def test_variables_that_are_declared_must_be_there(folder: Path, name: str) -> None:
    remove(name)(folder)
    code, message = refusal(folder)
    assert code == Code.NOT_FOUND
    assert "variables.index; No such file or directory: the SavedModel declares " in message


def test_tags_must_match_as_a_set(folder: Path) -> None:
    assert "{ gpu serve }" in refusal(folder, tags=frozenset({"serve", "gpu"}))[1]


def test_what_is_not_needed_may_be_missing(folder: Path) -> None:
    remove("fingerprint.pb")(folder)
    servable = load(folder, LoadOptions())
    assert answer(servable, 2.0) == 2.0
    servable.close()


def log_of(signature: str = "serving_default", alias: str = "x", kind: str = "predict_log") -> bytes:
    from tensorflow_serving.apis import prediction_log_pb2

    entry = prediction_log_pb2.PredictionLog()
    request = entry.predict_log.request
    request.model_spec.name = "another model"
    request.model_spec.signature_name = signature
    request.inputs[alias].dtype = 1
    request.inputs[alias].tensor_shape.dim.add(size=1)
    if kind == "session_run_log":
        entry.session_run_log.SetInParent()
    return bytes(entry.SerializeToString())


def write_warmup(folder: Path, *records: bytes) -> None:
    import tensorflow as tf

    (folder / WARMUP).parent.mkdir()
    with tf.io.TFRecordWriter(str(folder / WARMUP)) as writer:
        for record in records:
            writer.write(record)


@pytest.mark.parametrize(
    "records", [(), (b"",), (log_of(),) * 3, (log_of(),) * 1000], ids=["none", "empty", "3", "1000"]
)
def test_warm_up_records_are_replayed(folder: Path, records: tuple[bytes, ...]) -> None:
    write_warmup(folder, *records)
    load(folder, LoadOptions(warmup_iterations=2)).close()


@pytest.mark.parametrize(
    ("records", "code", "message"),
    [
        (
            (log_of(),) * 1001,
            Code.INVALID_ARGUMENT,
            f"Number of warmup records exceeds the maximum (1000) at DIR/{WARMUP}",
        ),
        ((b"junk",), Code.INVALID_ARGUMENT, f"Failed to parse warmup record: junk from DIR/{WARMUP}"),
        ((log_of(signature="nope"),), Code.FAILED_PRECONDITION, 'Serving signature key "nope" not found.'),
        ((log_of(kind="session_run_log"),), Code.UNIMPLEMENTED, "Unsupported log_type for warmup: 5"),
    ],
    ids=["too many", "no log", "no such signature", "session run"],
)
def test_a_warm_up_that_fails_fails_the_load(
    folder: Path, records: tuple[bytes, ...], code: Code, message: str
) -> None:
    write_warmup(folder, *records)
    assert refusal(folder) == (code, message)
    load(folder, LoadOptions(enable_warmup=False)).close()


def test_a_warm_up_request_that_fails_fails_the_load(folder: Path) -> None:
    write_warmup(folder, log_of(alias="zz"))
    code, message = refusal(folder)
    assert code == Code.INVALID_ARGUMENT
    assert message.startswith("Signature input alias: x(feed name: serving_default_x:0) not found in request")


@pytest.mark.parametrize("content", [b"", b"short"])
def test_a_warm_up_file_too_short_for_a_record_is_empty(folder: Path, content: bytes) -> None:
    write_warmup(folder)
    (folder / WARMUP).write_bytes(content)
    load(folder, LoadOptions()).close()


def test_a_warm_up_file_that_is_none(folder: Path) -> None:
    write_warmup(folder)
    (folder / WARMUP).write_bytes(b"this is a text file")
    assert refusal(folder) == (
        Code.DATA_LOSS,
        "corrupted record at 0 (Is this even a TFRecord file?). Please verify your warmup data is in TFRecord format.",
    )


def test_a_lite_model_is_used_when_preferred(folder: Path) -> None:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def ten_times(x: Any) -> Any:
        return {"y": x * 10.0}

    module = tf.Module()
    module.ten_times = ten_times
    tf.saved_model.save(module, str(folder.parent / "lite"), signatures={"serving_default": ten_times})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder.parent / "lite"))
    (folder / "model.tflite").write_bytes(converter.convert())
    lite, full = load(folder, LoadOptions(prefer_tflite=True)), load(folder, LoadOptions())
    assert (answer(lite, 2.0), answer(full, 2.0)) == (20.0, 2.0)
    signature = lite.signatures["serving_default"]
    many = predict.prepare(lite, predict.Interface(signature), {"x": np.arange(5, dtype=np.float32)}).run("m", 30.0)
    assert many["y"].value.tolist() == [0.0, 10.0, 20.0, 30.0, 40.0]
    lite.close()
    full.close()


def test_a_broken_lite_model_is_named(folder: Path) -> None:
    (folder / "model.tflite").write_bytes(b"no flatbuffer")
    code, message = refusal(folder, prefer_tflite=True)
    assert code == Code.DATA_LOSS
    assert message.startswith("Can't read DIR/model.tflite as a TensorFlow Lite model: ")

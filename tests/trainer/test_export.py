from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

from tests.trainer.conftest import Published
from trainer import examples, export, models, warmup
from trainer.verify import LoadedVersion, contract_problems


def picture(width: int = 40, height: int = 30, mode: str = "RGB") -> Image.Image:
    rng = np.random.default_rng(width * height)
    colours = np.kron(rng.integers(0, 256, (height // 10, width // 10, 3)), np.ones((10, 10, 1))).astype(np.uint8)
    return Image.fromarray(colours).convert(mode)


def encoded(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def ask_bytes(version: LoadedVersion, contents: Any) -> NDArray[Any]:
    return version.run("serving_bytes", {"image_bytes_string": contents})["output_0"]


def ask_pixels(version: LoadedVersion, image: Image.Image) -> NDArray[Any]:
    pixels = np.asarray(image.convert("RGB"), np.float32)[np.newaxis]
    return version.run("serving_default", {"input_tensor": pixels})["output_0"]


def test_the_signatures_are_the_promised_ones(loaded: LoadedVersion) -> None:
    assert contract_problems(loaded.signatures, 10) == []
    assert set(loaded.signatures) - {"__saved_model_init_op"} == {"serving_default", "serving_bytes", "serving_labels"}


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *[("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")],
        *[("BMP", mode) for mode in ("L", "RGB", "RGBA")],
        *[("GIF", mode) for mode in ("L", "P")],
    ],
)
def test_lossless_formats_give_the_answer_for_their_pixels(loaded: LoadedVersion, kind: str, mode: str) -> None:
    image = picture(mode=mode)
    assert np.allclose(ask_bytes(loaded, [encoded(image, kind)]), ask_pixels(loaded, image), atol=1e-4)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_gives_nearly_the_answer_for_its_pixels(loaded: LoadedVersion, mode: str) -> None:
    content = encoded(picture(mode=mode), "JPEG")
    with Image.open(io.BytesIO(content)) as image:
        # Decoders of JPEG differ by a grey level here and there.
        assert np.allclose(ask_bytes(loaded, [content]), ask_pixels(loaded, image), atol=0.5)


def test_what_lies_under_transparent_pixels_counts(loaded: LoadedVersion) -> None:
    clear = picture(mode="RGBA")
    clear.putalpha(0)
    assert np.allclose(ask_bytes(loaded, [encoded(clear, "PNG")]), ask_pixels(loaded, picture()), atol=1e-4)


def test_16_bit_png_is_read_as_its_upper_8_bits(loaded: LoadedVersion) -> None:
    grey = np.asarray(picture(mode="L"))
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    assert np.allclose(ask_bytes(loaded, [encoded(deep, "PNG")]), ask_pixels(loaded, picture(mode="L")), atol=1e-4)


def test_the_first_frame_of_an_animation_counts(loaded: LoadedVersion) -> None:
    first, second = picture(mode="L"), picture(50, 40, "L").resize((40, 30))
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=[second])
    assert np.allclose(ask_bytes(loaded, [file.getvalue()]), ask_pixels(loaded, first), atol=1e-4)


def test_one_request_may_mix_formats_sizes_and_channels(loaded: LoadedVersion) -> None:
    contents = [
        encoded(picture(40, 30, "RGBA"), "PNG"),
        encoded(picture(100, 20, "L"), "JPEG"),
        encoded(picture(20, 90), "BMP"),
        encoded(picture(30, 30, "P"), "GIF"),
    ]
    together = ask_bytes(loaded, contents)
    alone = np.concatenate([ask_bytes(loaded, [content]) for content in contents])
    assert together.shape == (4, 10)
    assert np.allclose(together, alone, atol=1e-4)


def test_a_scalar_is_a_batch_of_one(loaded: LoadedVersion) -> None:
    content = encoded(picture(), "PNG")
    assert np.array_equal(ask_bytes(loaded, content), ask_bytes(loaded, [content]))


@pytest.mark.parametrize("size", [(28, 28), (1, 1), (33, 20), (300, 500)])
def test_pixels_of_any_height_and_width_are_answered(loaded: LoadedVersion, size: tuple[int, int]) -> None:
    images = np.full((2, *size, 3), 255, np.float32)
    answers = loaded.run("serving_default", {"input_tensor": images})["output_0"]
    assert answers.shape == (2, 10)
    assert np.allclose(answers[0], answers[1], atol=1e-5)


def test_what_is_no_image_is_an_error_of_the_request(loaded: LoadedVersion) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        ask_bytes(loaded, [b"not an image"])


def test_labels_come_with_their_probabilities(loaded: LoadedVersion, published: Published) -> None:
    contents = examples.contents(published.version, published.manifest.examples)
    answer = loaded.run("serving_labels", {"image_bytes_string": contents})
    probabilities = answer["probabilities"]
    assert probabilities.shape == (200, 10)
    assert np.allclose(probabilities.sum(axis=-1), 1, atol=1e-5)
    assert np.allclose(answer["probability"], probabilities.max(axis=-1))
    assert [label.decode() for label in answer["label"]] == [str(best) for best in probabilities.argmax(axis=-1)]
    labels = [example.label for example in published.manifest.examples]
    right = probabilities.argmax(axis=-1) == labels
    assert np.mean(right) >= 0.9


def test_the_weights_are_in_the_graph_once_for_all_signatures(tmp_path: Path) -> None:
    model = models.get("LenetModel").build(28, 3)
    export.write(model, 28, ("a", "b", "c"), tmp_path)
    graph = (tmp_path / "saved_model.pb").read_bytes()
    largest = max((weight.numpy() for weight in model.weights), key=lambda weight: weight.size)
    assert graph.count(largest.tobytes()) == 1
    assert sum(path.stat().st_size for path in (tmp_path / "variables").iterdir()) < 1000


def test_nothing_asks_for_just_in_time_compilation(published: Published) -> None:
    saved = saved_model_pb2.SavedModel.FromString((published.version / "saved_model.pb").read_bytes())
    for function in saved.meta_graphs[0].graph_def.library.function:
        assert not function.attr["_XlaMustCompile"].b, function.signature.name


def test_warmup_covers_every_signature_at_every_batch_size(published: Published) -> None:
    from tensorflow_serving.apis import prediction_log_pb2

    path = published.version / "assets.extra" / warmup.NAME
    found = set()
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        (tensor,) = request.inputs.values()
        found.add((request.model_spec.signature_name, tensor.tensor_shape.dim[0].size))
    names = ("serving_default", "serving_bytes", "serving_labels")
    assert found == {(name, size) for name in names for size in (1, 2, 4, 8, 16, 32)}

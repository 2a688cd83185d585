"""Operations of other packages: the error says whose they are, and what is installed is loaded."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from rollout.gate import cure, operations
from serving import extra_ops
from serving.errors import Code, ServingError
from serving.session import Graph


def graph_of(op: str) -> Any:
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef()
    graph.node.add(name="node", op=op)
    return graph


@pytest.mark.parametrize(
    ("op", "package"),
    [
        (
            "SentencepieceOp",
            "TensorFlow Text: ENGINE=cpu and ENGINE=gpu have it, and most of its operations ENGINE=local",
        ),
        ("TFText>FastWordpieceTokenizeWithOffsets", "TensorFlow Text"),
        ("CaseFoldUTF8", "TensorFlow Text"),
        ("SimpleMLInferenceOpWithHandle", "TensorFlow Decision Forests: ENGINE=cpu and ENGINE=gpu have it"),
    ],
)
def test_the_package_of_a_missing_operation_is_named(op: str, package: str) -> None:
    message = f"Op type not registered '{op}' in binary running on here."
    assert extra_ops.explained(message).startswith(f"{message} {op} is an operation of {package}")


def test_a_graph_with_one_says_so() -> None:
    with pytest.raises(ServingError) as caught:
        Graph(graph_of("SimpleMLInferenceOpWithHandle"))
    assert caught.value.code is Code.NOT_FOUND
    assert "is an operation of TensorFlow Decision Forests: ENGINE=cpu" in caught.value.message


def test_the_gate_takes_such_an_operation_by_name_and_says_where_it_is_served() -> None:
    operations.require_known(["SentencepieceOp", "SimpleMLInferenceOpWithHandle"])
    assert "Operations of other packages" in cure.of(extra_ops.explained("Op type not registered 'CaseFoldUTF8' in"))
    assert "another TensorFlow" in cure.of(extra_ops.explained("Op type not registered 'MyOwn' in"))


def test_of_an_operation_that_nobody_knows_there_is_tensorflows_message_alone() -> None:
    with pytest.raises(ServingError, match="Op type not registered 'MyOwn'") as caught:
        Graph(graph_of("MyOwn"))
    assert "is an operation of" not in caught.value.message


def test_without_the_package_nothing_is_loaded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(extra_ops, "_LIBRARIES", "tensorflow_text_that_nobody_has")
    caplog.set_level(logging.INFO)
    extra_ops.load_installed()
    assert not caplog.records


def test_a_library_that_does_not_load_is_named_and_the_others_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "tensorflow_text"
    (folder / "python" / "ops").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError('Keras is not there')")
    (folder / "python" / "ops" / "_broken.so").write_bytes(b"not a library")
    (folder / "python" / "ops" / "_good.so").symlink_to(a_library())
    monkeypatch.syspath_prepend(str(tmp_path))
    caplog.set_level(logging.INFO)
    extra_ops.load_installed()
    assert [record.getMessage() for record in caplog.records] == [
        "TensorFlow Text: 1 libraries of operations loaded",
        "TensorFlow Text: this TensorFlow does not load _broken.so; versions that need it fail",
    ]
    assert "tensorflow_text" not in sys.modules


def a_library() -> Path:
    """Some library that the system loads."""
    import tensorflow as tf

    return next(Path(tf.sysconfig.get_lib()).glob("libtensorflow_framework.so*"))

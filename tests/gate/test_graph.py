"""What the gate sees in a graph before anything of it is run: kinds that pass, and each way to hide something."""

# mypy: disable-error-code="no-untyped-call,no-untyped-def,misc"

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from rollout.gate import graph
from rollout.gate.allowance import Allowance
from rollout.gate.version import Description
from tests.gate.graphs import SECRET, described, edited, operations
from tests.gate.kinds import kinds


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Saves a function as the signature of a version; `kept` becomes part of its module."""

    def save(call: Callable[..., Any], **kept: Any) -> Path:
        module = tf.Module()
        for name, value in kept.items():
            setattr(module, name, value)
        traced = tf.function(call, input_signature=[tf.TensorSpec([None], tf.string, "x")])
        tf.saved_model.save(module, str(tmp_path / "version"), traced)
        return tmp_path / "version"

    return save


@pytest.mark.parametrize("kind", kinds())
def test_what_people_serve_passes(made: Path, kind: str) -> None:
    description = described(made / kind)
    found = [graph.unambiguous(description), graph.operations(description)]
    assert [each.verdict for each in found] == ["passed", "passed"], found


def in_a_branch(x):
    return tf.switch_case(tf.size(x), [lambda: x, lambda: x + tf.io.read_file(SECRET)])


def in_a_loop(x):
    return tf.while_loop(lambda n, _: n < 2, lambda n, y: (n + 1, y + tf.io.read_file(SECRET)), (0, x))[1]


def in_each_row(x):
    return tf.map_fn(lambda one: one + tf.io.read_file(SECRET), x)


def in_a_dataset(x):
    rows = tf.data.Dataset.from_tensor_slices(x).map(lambda one: one + tf.io.read_file(SECRET))
    return rows.reduce(tf.constant(""), lambda all_, one: all_ + one)


def in_a_gradient(x):
    @tf.custom_gradient
    def length(value):
        return value * 2.0, lambda up: up * tf.cast(tf.strings.length(tf.io.read_file(SECRET)), tf.float32)

    value = tf.cast(tf.size(x), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(value)
        doubled = length(value)
    return tape.gradient(doubled, value)


@pytest.mark.parametrize("call", [in_a_branch, in_a_loop, in_each_row, in_a_dataset, in_a_gradient])
def test_an_operation_is_found_wherever_it_hides(saved: Callable[..., Path], call: Callable[..., Any]) -> None:
    finding = operations(saved(lambda x: {"y": call(x)}))
    assert finding.verdict == "failed"
    assert "operation `ReadFile` at node " in finding.detail
    assert " in function " in finding.detail
    assert "reads or writes files" in finding.detail


def test_a_function_that_nothing_calls_is_looked_into(made: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(made / "loops", tmp_path / "copy")
    with edited(copy) as meta:
        function = meta.graph_def.library.function.add()
        function.signature.name = "nobody_calls_it"
        function.node_def.add(name="quiet", op="WriteFile")
    assert "`WriteFile` at node quiet in function nobody_calls_it" in operations(copy).detail


raw = tf.raw_ops
MISUSED: dict[str, Callable[[Any], Any]] = {
    "PrintV2": lambda x: _after(raw.PrintV2(input="x", output_stream="file:///tmp/x"), x),
    "DecodeProtoV2": lambda x: raw.DecodeProtoV2(
        bytes=x, message_type="A", field_names=["a"], output_types=[tf.int64], descriptor_source="/tmp/x"
    )[0],
    "FixedUnigramCandidateSampler": lambda _: raw.FixedUnigramCandidateSampler(
        true_classes=[[tf.constant(0, tf.int64)]],
        num_true=1,
        num_sampled=1,
        unique=False,
        range_max=2,
        vocab_file=SECRET,
    )[1],
    "ParseTensor": lambda x: tf.size(raw.ParseTensor(serialized=x[0], out_type=tf.resource)),
    "SaveV2": lambda x: _after(raw.SaveV2(prefix="/tmp/x", tensor_names=["x"], shape_and_slices=[""], tensors=[x]), x),
    "RestoreV2": lambda _: raw.RestoreV2(
        prefix="/tmp/x", tensor_names=["x"], shape_and_slices=[""], dtypes=[tf.float32]
    )[0],
    "MergeV2Checkpoints": lambda x: _after(
        raw.MergeV2Checkpoints(checkpoint_prefixes=x, destination_prefix="/tmp/x"), x
    ),
    "InitializeTableFromTextFileV2": lambda x: _filled_from(tf.constant(SECRET), x),
    "ImmutableConst": lambda _: raw.ImmutableConst(dtype=tf.float32, shape=[1], memory_region_name=SECRET),
    "LoadAndRemapMatrix": lambda _: raw.LoadAndRemapMatrix(
        ckpt_path=SECRET,
        old_tensor_name="x",
        row_remapping=[tf.constant(0, tf.int64)],
        col_remapping=tf.constant([], tf.int64),
        initializing_values=[],
        num_rows=1,
        num_cols=1,
    ),
    "TextLineDataset": lambda _: tf.data.TextLineDataset(SECRET).reduce(tf.constant(0), lambda n, _: n + 1),
    "MatchingFiles": lambda x: tf.io.matching_files(x),
    "EagerPyFunc": lambda x: tf.py_function(lambda y: y, [x], tf.string),
    "Save": lambda x: _after(raw.Save(filename="/tmp/x", tensor_names=["x"], data=[x]), x),
    "Restore": lambda _: raw.Restore(file_pattern="/tmp/x", tensor_name="x", dt=tf.float32),
}


def _after(operation: Any, x: Any) -> Any:
    with tf.control_dependencies([operation]):
        return tf.identity(x)


def _filled_from(path: Any, x: Any) -> Any:
    table = raw.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
    filled = raw.InitializeTableFromTextFileV2(
        table_handle=table, filename=path, key_index=-2, value_index=-1, vocab_size=-1, delimiter=","
    )
    with tf.control_dependencies([filled]):
        return raw.LookupTableFindV2(table_handle=table, keys=x, default_value=tf.constant(-1, tf.int64))


@pytest.mark.parametrize("name", MISUSED)
def test_what_reaches_outside_is_refused_by_name_and_node_and_can_be_allowed(
    saved: Callable[..., Path], name: str
) -> None:
    folder = saved(lambda x: {"y": MISUSED[name](x)})
    finding = operations(folder)
    assert finding.verdict == "failed"
    assert f"operation `{name}` at node " in finding.detail
    allowed = operations(folder, Allowance((name,), "ann@here"))
    assert allowed.verdict == "noted"
    assert f"; allowed by --allow-op {name} (ann@here)" in allowed.detail
    assert operations(folder, Allowance(("ReadFile",), "ann@here")).verdict == "failed"


@pytest.mark.parametrize("name", ["PrintV2", "DecodeProtoV2"])
def test_the_same_operation_passes_when_it_only_computes_or_prints(saved: Callable[..., Path], name: str) -> None:
    harmless = {
        "PrintV2": lambda x: _after(raw.PrintV2(input="x", output_stream="log(info)"), x),
        "DecodeProtoV2": lambda x: raw.DecodeProtoV2(
            bytes=x, message_type="tensorflow.Int64List", field_names=["value"], output_types=[tf.int64]
        )[0],
    }
    assert operations(saved(lambda x: {"y": harmless[name](x)})).verdict == "passed"


def test_a_stream_that_a_function_leaves_to_its_callers_is_refused(made: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(made / "loops", tmp_path / "copy")
    with edited(copy) as meta:
        nodes = [n for f in meta.graph_def.library.function for n in f.node_def if n.op == "PrintV2"]
        nodes[0].attr["output_stream"].placeholder = "where"
    assert "(output_stream is of kind placeholder)" in operations(copy).detail


def test_an_executor_or_optimizer_from_elsewhere_is_refused(made: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(made / "convolution", tmp_path / "copy")
    config = tf.compat.v1.ConfigProto()
    config.graph_options.rewrite_options.custom_optimizers.add(name="Theirs")
    with edited(copy) as meta:
        calls = [node for node in meta.graph_def.node if node.op == "StatefulPartitionedCall"]
        calls[0].attr["executor_type"].s = b"THEIRS"
        calls[1].attr["config_proto"].s = config.SerializeToString()
    detail = operations(copy).detail
    assert "asks for an executor" in detail
    assert "asks for optimizers" in detail


def test_an_operation_of_a_library_is_refused_with_what_it_is(made: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(made / "loops", tmp_path / "copy")
    with edited(copy) as meta:
        meta.graph_def.node.add(name="tokens\x1b[2J", op="SentencepieceOp")
    detail = operations(copy).detail
    assert (
        "operation `SentencepieceOp` at node tokens\\x1b[2J is not in TensorFlow 2.19.1; TensorFlow Text adds it"
        in detail
    )


def test_what_comes_back_from_the_process_is_escaped() -> None:
    blank: dict[str, Any] = {field.name: () for field in dataclasses.fields(Description)}
    finding = graph.operations(Description(**{**blank, "operations": ("Const", "\x1b]0;title\x07")}))
    assert finding.verdict == "failed"
    assert finding.detail.isprintable()
    ambiguous = graph.unambiguous(Description(**{**blank, "ambiguities": ("\x1b[2J\n" * 1000,)}))
    assert ambiguous.detail.isprintable()
    assert len(ambiguous.detail) < 3000

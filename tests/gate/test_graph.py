"""What the gate sees in a graph before anything of it is run: kinds that pass, and each way to hide something."""

# mypy: disable-error-code="no-untyped-call,no-untyped-def,misc"

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import saved_model_pb2

from bundle import documents
from rollout.gate import graph, tracing
from rollout.gate.allowance import NOTHING, Allowance
from rollout.gate.report import Finding
from rollout.gate.subject import Subject
from rollout.gate.version import Description
from tests.engine.made import made_once
from tests.gate.kinds import kinds


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once("tests.gate.kinds", tmp_path_factory)


def described(folder: Path) -> Description:
    return documents.convert(Subject(folder).describe(), Description)


def operations(folder: Path, allowance: Allowance = NOTHING) -> Finding:
    return graph.operations(described(folder), allowance)


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


@contextlib.contextmanager
def edited(folder: Path) -> Iterator[Any]:
    """The MetaGraphDef of a version, written back at the end of the block."""
    path = folder / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    yield model.meta_graphs[0]
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize("kind", kinds())
def test_what_people_serve_passes(made: Path, kind: str) -> None:
    description = described(made / kind)
    found = [graph.unambiguous(description), graph.operations(description)]
    assert [each.verdict for each in found] == ["passed", "passed"], found


# Everything below reads this file, or tries to write it.
SECRET = "/etc/hostname"


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
    assert "operation `SentencepieceOp` at node tokens\\x1b[2J is not in TensorFlow 2.19.1; a library adds it" in detail


def _restore(meta: Any) -> Any:
    """The RestoreV2 node in the function that the restore operation calls."""
    return next(n for f in meta.graph_def.library.function for n in f.node_def if n.op == "RestoreV2")


def _constant(nodes: Any, name: str, text: str) -> str:
    node = nodes.add(name=name, op="Const")
    node.attr["dtype"].type = tf.string.as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(text))
    return name


def _other_prefix(meta: Any) -> None:
    function = next(f for f in meta.graph_def.library.function if any(n.op == "RestoreV2" for n in f.node_def))
    _restore(meta).input[0] = f"{_constant(function.node_def, 'theirs', SECRET)}:output:0"


def _other_argument(meta: Any) -> None:
    call = next(n for n in meta.graph_def.node if n.name == meta.saver_def.restore_op_name)
    call.input[0] = _constant(meta.graph_def.node, "theirs", SECRET)


def _other_feed(meta: Any) -> None:
    meta.saver_def.filename_tensor_name = f"{_constant(meta.graph_def.node, 'theirs', SECRET)}:0"


def _restores_by_saving(meta: Any) -> None:
    meta.saver_def.restore_op_name = meta.saver_def.save_tensor_name.partition(":")[0]


def _reached_by_a_signature(meta: Any) -> None:
    node = next(node for node in meta.graph_def.node if node.name == meta.saver_def.restore_op_name)
    meta.signature_def["serving_default"].outputs["more"].name = f"{node.name}:0"


def _reached_at_load(meta: Any) -> None:
    next(n for n in meta.graph_def.node if n.name == "NoOp").input.append(f"^{meta.saver_def.restore_op_name}")


def _in_the_place_of_another(meta: Any) -> None:
    """TensorFlow may run one function for another when both say that they implement the same."""
    bad = next(f for f in meta.graph_def.library.function if any(n.op == "SaveV2" for n in f.node_def))
    restoring = next(f for f in meta.graph_def.library.function if any(n.op == "RestoreV2" for n in f.node_def))
    for function in (bad, restoring):
        function.attr["api_implements"].s = b"same"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (_other_prefix, "`RestoreV2` at node RestoreV2 in function __inference__traced_restore_"),
        (_other_argument, "reads a checkpoint that is not the version's own"),
        (_other_feed, "reads a checkpoint that is not the version's own"),
        (_restores_by_saving, "writes a checkpoint, and the restore operation comes to it"),
        (_reached_by_a_signature, "reads a checkpoint, and signature serving_default comes to it"),
        (_reached_at_load, "reads a checkpoint, and the initialisation comes to it"),
        (_in_the_place_of_another, "writes a checkpoint, and the restore operation comes to it"),
    ],
)
def test_a_saver_may_only_restore_the_version_s_own_variables(
    made: Path, tmp_path: Path, edit: Callable[[Any], None], said: str
) -> None:
    copy = shutil.copytree(made / "convolution", tmp_path / "copy")
    with edited(copy) as meta:
        edit(meta)
    finding = operations(copy)
    assert finding.verdict == "failed"
    assert said in finding.detail


def _node(meta: Any, name: str) -> Any:
    return next(node for node in meta.graph_def.node if node.name == name)


def _second_assignment(meta: Any) -> None:
    assign = node_def_pb2.NodeDef()
    assign.CopyFrom(_node(meta, "Variable/Assign"))
    assign.name, assign.input[1] = "again", _constant(meta.graph_def.node, "theirs", SECRET)
    meta.graph_def.node.append(assign)
    _node(meta, "NoOp").input.append("^again")


def _second_handle(meta: Any) -> None:
    handle = node_def_pb2.NodeDef()
    handle.CopyFrom(_node(meta, "Variable"))
    handle.name = "twin"
    handle.attr["shared_name"].s = _node(meta, "Variable").attr["shared_name"].s or b"Variable"
    meta.graph_def.node.append(handle)


def _handle_given_away(meta: Any) -> None:
    meta.graph_def.node.add(name="copy", op="Identity", input=["Variable"])


def _made_up_handle(meta: Any) -> None:
    node = meta.graph_def.node.add(name="made_up", op="Const")
    node.attr["dtype"].type = node.attr["value"].tensor.dtype = tf.resource.as_datatype_enum
    node.attr["value"].tensor.resource_handle_val.add(name="Variable")


def _constant_path(meta: Any) -> None:
    _node(meta, "StatefulPartitionedCall_1").input[0] = _constant(meta.graph_def.node, "theirs", SECRET)


def _renamed_asset(meta: Any) -> None:
    meta.asset_file_def[0].tensor_info.name = f"{_constant(meta.graph_def.node, 'theirs', 'x')}:0"


def _by_an_attribute(meta: Any) -> None:
    """A function gets the asset, and hands another path to a function that its caller names in an attribute."""
    call = _node(meta, "StatefulPartitionedCall_1")
    between = meta.graph_def.library.function.add()
    between.signature.name = "between"
    for argument, kind in (("path", tf.string), ("table", tf.resource)):
        between.signature.input_arg.add(name=argument, type=kind.as_datatype_enum)
    theirs = _constant(between.node_def, "theirs", SECRET)
    inner = between.node_def.add(name="inner", op="StatefulPartitionedCall", input=[f"{theirs}:output:0", "table"])
    inner.attr["f"].placeholder = "f"
    inner.attr["Tin"].list.type.extend([tf.string.as_datatype_enum, tf.resource.as_datatype_enum])
    inner.attr["Tout"].list.SetInParent()
    filling = call.attr["f"].func.name
    call.attr["f"].func.name = "between"
    call.attr["f"].func.attr["f"].func.name = filling


@pytest.mark.parametrize(
    "edit",
    [
        _by_an_attribute,
        _second_assignment,
        _second_handle,
        _handle_given_away,
        _made_up_handle,
        _constant_path,
        _renamed_asset,
    ],
)
def test_a_table_may_only_be_filled_from_an_asset(made: Path, tmp_path: Path, edit: Callable[[Any], None]) -> None:
    copy = shutil.copytree(made / "lookup", tmp_path / "copy")
    with edited(copy) as meta:
        edit(meta)
    finding = operations(copy)
    assert finding.verdict == "failed"
    expected = "makes up a handle" if edit is _made_up_handle else "from a file that is no asset of the version"
    assert expected in finding.detail


def test_copies_of_copies_are_followed_once(made: Path, tmp_path: Path) -> None:
    """Every RestoreV2 here comes from the same long way of copies: following each on its own would take minutes."""
    copy = shutil.copytree(made / "convolution", tmp_path / "copy")
    count = 5000
    with edited(copy) as meta:
        nodes = meta.graph_def.library.function.add()
        nodes.signature.name = "long"
        nodes.signature.input_arg.add(name="path", type=tf.string.as_datatype_enum)
        nodes.node_def.add(name="0", op="Identity", input=["path"])
        for n in range(1, count):
            nodes.node_def.add(name=str(n), op="Identity", input=[f"{n - 1}:output:0"])
            nodes.node_def.add(name=f"read{n}", op="RestoreV2", input=[f"{count - 1}:output:0"])
        call = next(n for n in meta.graph_def.node if n.name == meta.saver_def.restore_op_name)
        call.attr["f"].func.name = "long"
        del call.input[1:]
    with counted(tracing.Body, "_before") as calls:
        assert operations(copy).verdict == "passed"
    assert count <= len(calls) < 3 * count


@contextlib.contextmanager
def counted(owner: Any, name: str) -> Iterator[list[Any]]:
    """The arguments of every call of a method within the block."""
    calls: list[Any] = []
    method = getattr(owner, name)

    def noted(*arguments: Any) -> Any:
        calls.append(arguments)
        return method(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, noted)
        yield calls


def test_what_comes_back_from_the_process_is_escaped() -> None:
    blank: dict[str, Any] = {field.name: () for field in dataclasses.fields(Description)}
    finding = graph.operations(Description(**{**blank, "operations": ("Const", "\x1b]0;title\x07")}))
    assert finding.verdict == "failed"
    assert finding.detail.isprintable()
    ambiguous = graph.unambiguous(Description(**{**blank, "ambiguities": ("\x1b[2J\n" * 1000,)}))
    assert ambiguous.detail.isprintable()
    assert len(ambiguous.detail) < 3000

"""What a graph reads while it loads: its own variables and assets, and each way to have it read something else."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.core.framework import node_def_pb2

from rollout.gate import tracing
from tests.gate.graphs import SECRET, edited, operations


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

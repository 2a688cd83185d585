"""What the gate refuses because two servers, or the gate and a server, could load different things."""

# mypy: disable-error-code="no-untyped-call,no-untyped-def,misc"

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2, node_def_pb2, versions_pb2
from tensorflow.core.protobuf import saved_model_pb2

from rollout.gate import graph, layout, wire
from rollout.gate.report import Finding
from rollout.gate.subject import Unable
from serving.errors import ServingError
from serving.savedmodel import asset_feeds, init_op, read_meta_graph
from tests.gate.graphs import described

SERVE = frozenset({"serve"})
MODEL = saved_model_pb2.SavedModel.DESCRIPTOR


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made / "lookup", tmp_path / "copy")


def change(folder: Path, edit: Callable[[Any], Any]) -> Finding:
    """What the gate says about the graph of `folder` once its message was changed."""
    path = folder / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    edit(model)
    path.write_bytes(model.SerializeToString())
    return graph.unambiguous(described(folder))


def _tags_doubled(model: Any) -> None:
    model.meta_graphs[0].meta_info_def.tags.append("serve")


def _graph_doubled(model: Any) -> None:
    model.meta_graphs.add().CopyFrom(model.meta_graphs[0])


def _newer(model: Any) -> None:
    model.meta_graphs[0].graph_def.versions.producer = tf.version.GRAPH_DEF_VERSION + 1


def _for_others(model: Any) -> None:
    model.meta_graphs[0].graph_def.versions.bad_consumers.append(tf.version.GRAPH_DEF_VERSION)


def _function_doubled(model: Any) -> None:
    functions = model.meta_graphs[0].graph_def.library.function
    functions.add().CopyFrom(functions[0])


def _function_shadows(model: Any) -> None:
    model.meta_graphs[0].graph_def.library.function.add().signature.name = "MatMul"


def _node_doubled(model: Any) -> None:
    nodes = model.meta_graphs[0].graph_def.node
    nodes.add().CopyFrom(nodes[0])


def _inner_node_doubled(model: Any) -> None:
    nodes = model.meta_graphs[0].graph_def.library.function[0].node_def
    nodes.add().CopyFrom(nodes[0])


def _gradient_of_nothing(model: Any) -> None:
    model.meta_graphs[0].graph_def.library.gradient.add(function_name="a", gradient_func="b")


def _output_nowhere(model: Any) -> None:
    model.meta_graphs[0].signature_def["serving_default"].outputs["y"].name = "nowhere:0"


def _sparse_input_nowhere(model: Any) -> None:
    model.meta_graphs[0].signature_def["serving_default"].inputs["x"].coo_sparse.values_tensor_name = "nowhere:0"


def _unprintable(model: Any) -> None:
    signatures = model.meta_graphs[0].signature_def
    signatures["\x1b[31mred"].CopyFrom(signatures["serving_default"])


def _restores_nowhere(model: Any) -> None:
    model.meta_graphs[0].saver_def.restore_op_name = "nowhere"


def _two_initialisers(model: Any) -> None:
    model.meta_graphs[0].collection_def["legacy_init_op"].node_list.value.append("Const")


def _initialiser_nowhere(model: Any) -> None:
    graph_ = model.meta_graphs[0]
    del graph_.collection_def["saved_model_main_op"]
    graph_.signature_def["__saved_model_init_op"].outputs["__saved_model_init_op"].name = "nowhere"


def _initialiser_unnamed(model: Any) -> None:
    outputs = model.meta_graphs[0].signature_def["__saved_model_init_op"].outputs
    outputs["other"].CopyFrom(outputs["__saved_model_init_op"])


def _asset(name: str) -> Callable[[Any], None]:
    def edit(model: Any) -> None:
        model.meta_graphs[0].asset_file_def[0].filename = name

    return edit


def _asset_twice(model: Any) -> None:
    assets = model.meta_graphs[0].asset_file_def
    assets.add().CopyFrom(assets[0])


def _asset_for_nothing(model: Any) -> None:
    model.meta_graphs[0].asset_file_def[0].tensor_info.name = "nowhere:0"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (_tags_doubled, "it has a graph whose tags are doubled (serve serve)"),
        (_graph_doubled, "it has 2 graphs with the same tags (serve)"),
        (_newer, f"its graph is of version {tf.version.GRAPH_DEF_VERSION + 1}, and the newest"),
        (_for_others, "must not run it"),
        (_function_doubled, "its library has the name __inference_"),
        (_function_shadows, "it has a function named MatMul, as one of TensorFlow's operations"),
        (_node_doubled, "the graph has the name asset_path_initializer 2 times"),
        (_inner_node_doubled, "function __inference_"),
        (_gradient_of_nothing, "it has a gradient of a by b, and not both are functions"),
        (_output_nowhere, "output y of signature serving_default names nowhere:0, which is not in its graph"),
        (_sparse_input_nowhere, "input x of signature serving_default names nowhere:0"),
        (_unprintable, "it has a signature whose name cannot be printed (\\x1b[31mred)"),
        (_restores_nowhere, "its saver's restore operation is nowhere, which is not in its graph"),
        (_two_initialisers, "it names different operations to initialise it"),
        (_initialiser_nowhere, "its __saved_model_init_op is nowhere, which is not in its graph"),
        (_initialiser_unnamed, "its __saved_model_init_op has other outputs than that name"),
        (_asset("../saved_model.pb"), "its asset ../saved_model.pb leads out of assets/"),
        (_asset("/etc/hostname"), "its asset /etc/hostname leads out of assets/"),
        (_asset(""), "its asset without a name leads out of assets/"),
        (_asset("other.txt"), "its asset other.txt is not in assets/"),
        (_asset_twice, "its list of assets has the name asset_path_initializer:0 2 times"),
        (_asset_for_nothing, "its asset vocabulary.txt is for nowhere:0, which is not in its graph"),
    ],
)
def test_what_leaves_a_choice_is_refused(copy: Path, edit: Callable[[Any], None], said: str) -> None:
    finding = change(copy, edit)
    assert finding.verdict == "failed"
    assert said in finding.detail


def test_an_asset_in_a_folder_of_its_own_passes(copy: Path) -> None:
    (copy / "assets" / "words").mkdir()
    (copy / "assets" / "vocabulary.txt").rename(copy / "assets" / "words" / "all.txt")
    assert change(copy, _asset("words/all.txt")).verdict == "passed"


def test_one_function_chooses_the_graph_that_is_served(copy: Path) -> None:
    """The first whose set of tags is the wanted one, as the real server does; the gate sees that very graph."""

    def add(model: Any) -> None:
        model.meta_graphs[0].meta_info_def.tags.append("serve")
        model.meta_graphs[0].graph_def.node.add(name="here", op="WriteFile")
        model.meta_graphs.add().meta_info_def.tags.append("serve")

    assert change(copy, add).verdict == "failed"
    assert "here" in {node.name for node in read_meta_graph(copy, SERVE).graph_def.node}
    assert "`WriteFile` at node here" in graph.operations(described(copy)).detail


def test_a_version_without_a_graph_to_serve_says_so(copy: Path) -> None:
    with pytest.raises(Unable, match=r"Could not find meta graph def matching supplied tags: . serve ."):
        change(copy, lambda model: model.meta_graphs[0].meta_info_def.tags.append("gpu"))


def _entry(key: bytes, value: bytes) -> bytes:
    return _field(1, key) + _field(2, value)


def _field(number: int, content: bytes) -> bytes:
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content


INT = attr_value_pb2.AttrValue(i=1).SerializeToString()
NODE = node_def_pb2.NodeDef.DESCRIPTOR


@pytest.mark.parametrize(
    ("data", "descriptor", "said"),
    [
        (b"\x08\x01\x08\x01", MODEL, "SavedModel has saved_model_schema_version twice"),
        (b"\x78\x01", MODEL, "SavedModel has a field 15 that TensorFlow does not know"),
        (b"\x08\x81\x00", MODEL, "SavedModel has a number that is longer than it need be"),
        (b"\x0a\x01\x01", MODEL, "SavedModel.saved_model_schema_version is of another type than TensorFlow's"),
        (b"\x12\x05\x0a", MODEL, "SavedModel ends in the middle of a field"),
        (b"\x08", MODEL, "SavedModel ends in the middle of a field"),
        (b"\x12\x08" + _field(1, b"\x0a\x00") * 2, MODEL, "MetaGraphDef has meta_info_def twice"),
        (_field(5, _entry(b"a", INT)) * 2, NODE, "NodeDef has two entries of attr with one key"),
        (_field(5, _field(2, INT)) + _field(5, _entry(b"", INT)), NODE, "two entries of attr with one key"),
        (_field(5, _entry(b"a", b"\x18\x01\x28\x01")), NODE, "AttrValue has value twice"),
        (_field(5, _field(1, b"a") + _entry(b"a", INT)), NODE, "AttrEntry has key twice"),
    ],
)
def test_bytes_that_parsers_would_merge_or_skip_are_ambiguous(data: bytes, descriptor: Any, said: str) -> None:
    with pytest.raises(wire.Ambiguous, match=said):
        wire.require_unambiguous(data, descriptor)


def test_bytes_that_say_everything_once_are_not(made: Path) -> None:
    wire.require_unambiguous((made / "trained" / "saved_model.pb").read_bytes(), MODEL)
    both_ways = b"\x1a\x02\x01\x02\x18\x03"  # bad_consumers, packed and not
    wire.require_unambiguous(both_ways, versions_pb2.VersionDef.DESCRIPTOR)


def test_a_message_that_merges_two_graphs_is_refused(copy: Path) -> None:
    """A second meta_info_def inside the graph changes its tags for whoever merges, and for nobody else."""
    path = copy / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    inner = model.meta_graphs[0].SerializeToString()
    model.Clear()
    model.meta_graphs.add().meta_info_def.tags.append("gpu")
    more = inner + model.meta_graphs[0].SerializeToString()
    path.write_bytes(b"\x12" + _length(len(more)) + more)
    assert set(read_meta_graph(copy, frozenset({"serve", "gpu"})).meta_info_def.tags) == {"serve", "gpu"}
    with pytest.raises(wire.Ambiguous, match="MetaGraphDef has meta_info_def twice"):
        wire.require_unambiguous(path.read_bytes(), MODEL)


def _length(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("saved_model.pbtxt", "it holds saved_model.pbtxt: it is a second SavedModel, as text"),
        ("saved_model.cpb", "it holds saved_model.cpb: it is a second SavedModel, in chunks"),
        ("export.meta", "servers then refuse to load the version"),
        ("model.tflite", "a server with --prefer_tflite_model serves it instead"),
        ("run.sh", "it holds run.sh: no writer of SavedModels puts it there"),
        ("README.pbtxt", "it holds README.pbtxt: no writer of SavedModels puts it there"),
        ("\x1b[2J", "it holds \\x1b[2J: no writer"),
    ],
)
def test_a_file_that_does_not_belong_there_is_refused(copy: Path, name: str, said: str) -> None:
    (copy / name).write_text("x")
    finding = layout.check(copy)
    assert finding.verdict == "failed"
    assert said in finding.detail


def test_what_writers_put_there_passes(copy: Path) -> None:
    (copy / "keras_metadata.pb").write_bytes(b"")
    (copy / "debug").mkdir()
    (copy / "assets.extra" / "any").mkdir(parents=True)
    (copy / "assets.extra" / "any" / "file").touch()
    assert layout.check(copy).verdict == "passed"
    (copy / "batching_params.pbtxt").touch()
    finding = layout.check(copy)
    assert finding.verdict == "noted"
    assert "a server with --enable_per_model_batching_parameters batches by it" in finding.detail


@pytest.mark.parametrize(
    "name", [".DS_Store", "._saved_model.pb", ".gitattributes", "Thumbs.db", "Icon\r", "README.md", "LICENSE", "readme"]
)
def test_what_lies_in_any_folder_is_noted(copy: Path, name: str) -> None:
    (copy / name).write_text("x")
    finding = layout.check(copy)
    assert finding.verdict == "noted"
    assert "is no part of a SavedModel, and servers pass it by" in finding.detail
    assert finding.detail.isprintable()


def test_links_pipes_and_swapped_kinds_are_refused(copy: Path) -> None:
    (copy / "assets" / "link").symlink_to("/etc/hostname")
    os.mkfifo(copy / "variables" / "pipe")
    (copy / "fingerprint.pb").unlink()
    (copy / "fingerprint.pb").mkdir()
    detail = layout.check(copy).detail
    assert "assets/link is a link" in detail
    assert "variables/pipe is neither a file nor a folder" in detail
    assert "fingerprint.pb is a folder, where SavedModels have a file" in detail


def test_an_asset_with_an_absolute_name_is_fed_from_below_the_version(copy: Path) -> None:
    change(copy, _asset("/etc/hostname"))
    fed = asset_feeds(copy, read_meta_graph(copy, SERVE))
    assert fed == {"asset_path_initializer:0": f"{copy}/assets/etc/hostname".encode()}


def test_an_initialiser_without_its_output_is_an_error_that_says_so(copy: Path) -> None:
    def edit(model: Any) -> None:
        model.meta_graphs[0].signature_def["__saved_model_init_op"].outputs.clear()

    change(copy, edit)
    with pytest.raises(ServingError, match=r"Could not find output __saved_model_init_op"):
        init_op(copy, read_meta_graph(copy, SERVE))

"""Reading a SavedModel folder: its meta graph, its assets and its variables, before anything is run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from google.protobuf import message, text_format

from serving.errors import Code, ServingError, not_found

_VARIABLE_OPS = frozenset({"VarHandleOp", "Variable", "VariableV2"})
INIT_SIGNATURE = "__saved_model_init_op"
INIT_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")


def read_meta_graph(path: Path, tags: frozenset[str]) -> Any:
    """Return the MetaGraphDef of the SavedModel in `path` that has exactly `tags`.

    Raises ServingError with the texts that TensorFlow's loader gives for what is missing or broken.
    """
    return choose(read_saved_model(path), tags)


def choose(saved_model: Any, tags: frozenset[str]) -> Any:
    """The first MetaGraphDef whose set of tags is `tags`, which is the one that is served, or ServingError."""
    for meta_graph in saved_model.meta_graphs:
        if set(meta_graph.meta_info_def.tags) == tags:
            return meta_graph
    wanted = " ".join(sorted(tags))
    raise not_found(
        f"Could not find meta graph def matching supplied tags: {{ {wanted} }}. To inspect available tag-sets"
        " in the SavedModel, please use the SavedModel CLI: `saved_model_cli`"
    )


def read_saved_model(path: Path) -> Any:
    """The SavedModel proto that is loaded from `path`; raises ServingError when there is none, or it is broken."""
    if (path / "export.meta").exists():
        raise ServingError(Code.UNIMPLEMENTED, "Session Bundle is deprecated and removed.")
    from tensorflow.core.protobuf import saved_model_pb2

    binary, text = path / "saved_model.pb", path / "saved_model.pbtxt"
    saved_model = saved_model_pb2.SavedModel()
    if binary.is_file():
        data = binary.read_bytes()
        try:
            saved_model.ParseFromString(data)
        except message.DecodeError:
            raise _unparsable(binary, data) from None
    elif text.is_file():
        try:
            text_format.Parse(text.read_text(), saved_model)
        except (text_format.ParseError, UnicodeDecodeError):
            raise ServingError(Code.DATA_LOSS, f"Can't parse {text} as text proto") from None
    else:
        raise not_found(
            "Specified file path does not appear to contain a SavedModel bundle (should have a file called"
            f" `saved_model.pb`)\nSpecified file path: {path}"
        )
    return saved_model


def asset_feeds(path: Path, meta_graph: Any) -> dict[str, bytes]:
    """Map each tensor that names an asset file to that file's path."""
    return {asset.tensor_info.name: _joined(path, asset.filename).encode() for asset in asset_files(meta_graph)}


def asset_files(meta_graph: Any) -> Iterable[Any]:
    """The AssetFileDefs that are fed: those of the graph, or of its collection when it has none."""
    if len(meta_graph.asset_file_def):
        return list(meta_graph.asset_file_def)
    from tensorflow.core.protobuf import meta_graph_pb2

    collections: Mapping[str, Any] = meta_graph.collection_def
    if "saved_model_assets" not in collections:
        return []
    files = []
    for packed in collections["saved_model_assets"].any_list.value:
        asset = meta_graph_pb2.AssetFileDef()
        if not packed.Unpack(asset):
            raise ServingError(
                Code.FAILED_PRECONDITION,
                f"Expected Any type_url for: tensorflow.AssetFileDef. Got: {packed.type_url}.",
            )
        files.append(asset)
    return files


def init_op(path: Path, meta_graph: Any) -> str | None:
    """Return the name of the operation that initialises tables and the like, if the model has one."""
    signature = meta_graph.signature_def.get(INIT_SIGNATURE)
    if signature is not None:
        if INIT_SIGNATURE not in signature.outputs:
            raise ServingError(Code.FAILED_PRECONDITION, f"Could not find output {INIT_SIGNATURE}")
        return str(signature.outputs[INIT_SIGNATURE].name) or None
    for key in INIT_COLLECTIONS:
        if key in meta_graph.collection_def:
            names = meta_graph.collection_def[key].node_list.value
            if len(names) != 1:
                raise ServingError(Code.FAILED_PRECONDITION, f"Expected exactly one main op in : {path}")
            return str(names[0])
    return None


def variables_prefix(path: Path, meta_graph: Any) -> bytes | None:
    """Return what the restore operation is to be fed, or None when the model has nothing to restore.

    Raises ServingError when the graph declares variables and there are none on disk: serving it would
    answer every request with an error, or with untrained weights.
    """
    if not meta_graph.saver_def.restore_op_name:
        return None
    index = path / "variables" / "variables.index"
    if index.exists():
        return str(path / "variables" / "variables").encode()
    declared = sum(node.op in _VARIABLE_OPS for node in meta_graph.graph_def.node)
    if declared:
        raise not_found(
            f"{index}; No such file or directory: the SavedModel declares {declared} variables and none are on"
            " disk. Copy the whole version folder, `variables/` included"
        )
    return None


def _joined(path: Path, filename: str) -> str:
    """As TensorFlow joins them: a name that looks absolute stays below `assets`."""
    return f"{path}/assets{'' if filename.startswith('/') else '/'}{filename}"


def _unparsable(path: Path, data: bytes) -> ServingError:
    if _ends_early(data):
        return ServingError(Code.OUT_OF_RANGE, "Read less bytes than requested")
    return ServingError(Code.DATA_LOSS, f"Can't parse {path} as binary proto")


def _ends_early(data: bytes) -> bool:
    """Whether `data` is the beginning of a message that goes on, judged by its outermost fields."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        wire_type = tag & 7
        if tag >> 3 == 0 or wire_type not in (0, 1, 2, 5):
            return False
        if wire_type == 2:
            length, at = _varint(data, at)
            at += length
        elif wire_type == 0:
            _, at = _varint(data, at)
        else:
            at += 8 if wire_type == 1 else 4
    return at > len(data)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    return value, at + 1

"""The list of operations: complete for this TensorFlow, each in one group, and none of the known harmful ones in it."""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import tensorflow as tf
from tensorflow.core.framework import op_def_pb2

from bundle.errors import UsageError
from rollout.gate.attributes import RULES
from rollout.gate.operations import ALLOWED, REFUSED, RELEASE, is_known, require_known, why_not
from tests.unit.bundle.parts import PROJECT

HARMFUL = """
ReadFile WriteFile MatchingFiles MatchingFilesDataset WholeFileReader WholeFileReaderV2 ReaderReadV2 TextLineReader
TextLineDataset TFRecordDataset TFRecordDatasetV2 TFRecordReaderV2 FixedLengthRecordDatasetV2 CSVDataset SqlDataset
LMDBDataset CacheDataset CacheDatasetV2 SnapshotDataset SnapshotDatasetV2 SaveDatasetV2 LoadDataset DatasetToTFRecord
ListSnapshotChunksDataset DataServiceDatasetV4 RegisterDatasetV2 DistributedSave DatasetFromGraph GeneratorDataset
LoadAndRemapMatrix GenerateVocabRemapping ImmutableConst RecordInput Skipgram
DumpTensor CalibrationStatisticsSaver FileSystemSetConfiguration DTensorRestoreV2 Abort PyFunc PyFuncStateless
EagerPyFunc DebugIdentity DebugIdentityV2 DebugIdentityV3 DebugNanCount DebugNumericSummary Copy CopyHost
CreateSummaryFileWriter CreateSummaryDbWriter WriteSummary WriteRawProtoSummary WriteGraphSummary ImportEvent
StatsAggregatorSetSummaryWriter RpcCall RpcClient RpcServer RpcServerStart RemoteCall Send Recv _Send _Recv _HostSend
CollectiveReduce CollectiveReduceV3 CollectiveInitializeCommunicator NcclAllReduce ConfigureDistributedTPU TPUExecute
WorkerHeartbeat XlaLaunch _XlaRun _XlaCompile XlaCallModule XlaCustomCall XlaCustomCallV2 XlaHostCompute
MlirPassthroughOp BatchFunction Batch FIFOQueueV2 QueueDequeueV2 Barrier Stage MutexLock SleepOp GetSessionHandleV2
IteratorFromStringHandleV2 DeserializeIterator
"""
# Texts that decide what an operation does, and those that only name, format or choose a way to compute.
GUARDED = {"output_stream", "descriptor_source", "vocab_file", "config", "config_proto", "executor_type"}
HARMLESS = """
align allowed_devices bad_indices_policy cardinality_options container context_dense_keys context_sparse_keys
data_format dct_method debug_name delimiter dense_keys density_unit description deterministic device_names direction
display_name dst_format
encoding end equation errors feature_list_dense_keys feature_list_dense_missing_assumed_empty feature_list_sparse_keys
field_delim field_names fill fill_mode format frame_name input_encoding input_mode input_order input_quant_mode
interpolation kernel_type labels loss_type message message_format message_type metadata method mode na_value noise
optimization_configs output_encoding padding pattern placeholder ragged_keys rewrite right_pad left_pad rnn_mode
round_mode row_partition_types separator serialized_options set_operation shared_name source sparse_keys src_format
stack_name template tensor_array_name unit var_name xmp_metadata compression_type dimension_numbers
"""
# Inputs that name files: their place is looked at.
WATCHED = {
    ("InitializeTableFromTextFile", "filename"),
    ("InitializeTableFromTextFileV2", "filename"),
    ("Save", "filename"),
    ("SaveSlices", "filename"),
    ("SaveV2", "prefix"),
    ("Restore", "file_pattern"),
    ("RestoreSlice", "file_pattern"),
    ("RestoreV2", "prefix"),
    ("MergeV2Checkpoints", "checkpoint_prefixes"),
    ("MergeV2Checkpoints", "destination_prefix"),
}


LIST = """
import sys
import tensorflow as tf
from tensorflow.python.client import pywrap_tf_session
sys.stdout.buffer.write(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
"""


@pytest.fixture(scope="module")
def registered() -> dict[str, op_def_pb2.OpDef]:
    """In a process of its own: other tests load libraries that bring operations with them."""
    listed = subprocess.run([sys.executable, "-c", LIST], stdout=subprocess.PIPE, check=True, timeout=300).stdout
    return {definition.name: definition for definition in op_def_pb2.OpList.FromString(listed).op}


def names(groups: object) -> list[str]:
    return [name for group in groups for name in group.names]  # type: ignore[attr-defined]


def test_every_operation_of_this_tensorflow_is_in_one_group(registered: dict[str, op_def_pb2.OpDef]) -> None:
    assert tf.__version__ == RELEASE
    listed = names(ALLOWED) + names(REFUSED)
    assert len(listed) == len(set(listed))
    assert set(names(ALLOWED)) <= set(registered)
    assert set(registered) - set(listed) == set()
    if platform.machine() == "x86_64":  # Elsewhere TensorFlow comes without some that are refused.
        assert set(listed) - set(registered) == set()


def test_the_document_counts_them_as_they_are() -> None:
    text = (PROJECT / "docs" / "gate.md").read_text()
    assert f"has {len(names(ALLOWED) + names(REFUSED)):,} operations" in text
    assert f"lists the {len(names(ALLOWED)):,} that compute" in text


def test_none_that_does_harm_is_allowed() -> None:
    assert [name for name in HARMFUL.split() if not why_not(name) or not is_known(name)] == []


def test_every_text_that_an_allowed_operation_is_given_is_known(registered: dict[str, op_def_pb2.OpDef]) -> None:
    """A text can be the name of a file; who allows another operation with one has to look at what it is for."""
    texts = {
        (name, attribute.name)
        for name in names(ALLOWED)
        for attribute in registered[name].attr
        if attribute.type in ("string", "list(string)")
    }
    assert {attribute for _, attribute in texts} == GUARDED | set(HARMLESS.split())
    guarded = {(name, rule.attribute) for name, rules in RULES.items() for rule in rules}
    assert {text for text in texts if text[1] in GUARDED} <= guarded


def test_no_allowed_operation_takes_the_name_of_a_file_unwatched(registered: dict[str, op_def_pb2.OpDef]) -> None:
    telling = ("file", "path", "prefix", "dir", "address", "url", "uri", "target", "server", "host")
    named = {
        (name, argument.name)
        for name in names(ALLOWED)
        for argument in registered[name].input_arg
        if argument.type == tf.string.as_datatype_enum and any(part in argument.name for part in telling)
    }
    assert named == WATCHED


def test_what_is_not_allowed_says_why() -> None:
    assert why_not("MatMul") == ""
    assert why_not("ReadFile") == "reads or writes files"
    assert why_not("RegexSplitWithOffsets").startswith(f"is not in TensorFlow {RELEASE}; TensorFlow Text adds it")
    assert why_not("MyOwn").startswith(f"is not in TensorFlow {RELEASE}; a library adds it")
    with pytest.raises(
        UsageError, match=r"2\.19\.1 has no operation 'ReadFil' that could be allowed; is it ReadFile\?"
    ):
        require_known(["MatMul", "ReadFil"])

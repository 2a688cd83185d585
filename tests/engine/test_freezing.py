"""Where constants stand for variables: wherever these are only read, with the same answers, and nowhere else."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving import freezing, opening, parts, savedmodel, variables
from serving.session import Session
from tests.engine.made import made_once
from tests.engine.reading_models import READ, USED_OTHERWISE

SERVE = frozenset({"serve"})
NUMBERS = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
# One for each branch of the models that choose.
INPUTS = [*NUMBERS, np.full((2, 4), -1.0, np.float32), np.full((2, 4), 1.0, np.float32)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once("tests.engine.reading_models", tmp_path_factory)


def open_it(path: Path, freeze: bool) -> Session:
    from tensorflow.core.protobuf import config_pb2

    meta_graph = savedmodel.read_meta_graph(path, SERVE)
    return opening.open_session(path, meta_graph, config_pb2.ConfigProto(), freeze, 0.0)


def answers(session: Session, path: Path) -> list[Any]:
    signature = savedmodel.read_meta_graph(path, SERVE).signature_def["serving_default"]
    given, found = signature.inputs["x"].name, signature.outputs["y"].name
    return [session.run({given: x}, [found], (), None)[0] for x in INPUTS]


def left(session: Session) -> list[str]:
    """The ops that still know of variables, in the graph and in its functions."""
    graph_def = session.compat.graph.as_graph_def()
    nodes = [*graph_def.node, *(node for function in graph_def.library.function for node in function.node_def)]
    return sorted({node.op for node in nodes if node.op in variables.KINDS or "ReadVariable" in node.op})


@pytest.mark.parametrize("name", READ)
def test_what_is_only_read_becomes_a_constant_and_the_answers_stay(made: Path, name: str) -> None:
    frozen, plain = open_it(made / name, True), open_it(made / name, False)
    try:
        assert left(plain)
        assert not left(frozen)
        for one, other in zip(answers(frozen, made / name), answers(plain, made / name), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    finally:
        frozen.close()
        plain.close()


@pytest.mark.parametrize("name", USED_OTHERWISE)
def test_what_is_used_in_another_way_stays_a_variable_and_the_log_says_which(
    made: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "serving")
    session = open_it(made / name, True)
    try:
        assert left(session)
        assert all(np.isfinite(answer).all() for answer in answers(session, made / name))
    finally:
        session.close()
    assert "Served with its variables" in caplog.text
    assert "in a way of its own" in caplog.text


def graph_of(made: Path, name: str) -> Any:
    return savedmodel.read_meta_graph(made / name, SERVE)


def body_of(meta_graph: Any, op: str) -> Any:
    """The function that holds a node of type `op`."""
    return next(f for f in meta_graph.graph_def.library.function if any(node.op == op for node in f.node_def))


def test_a_variable_within_a_function_is_left_alone(made: Path) -> None:
    meta_graph = graph_of(made, "matmul")
    body = body_of(meta_graph, "MatMul")
    body.node_def.add(name="own", op="VarHandleOp").attr["dtype"].type = 1
    assert freezing.why_not(meta_graph, None) == f"function {body.signature.name} holds a variable"


def test_a_function_that_hands_out_what_it_reads_is_left_alone(made: Path) -> None:
    meta_graph = graph_of(made, "matmul")
    body = body_of(meta_graph, "MatMul")
    read = next(node for node in body.node_def if node.op == "ReadVariableOp")
    body.ret[body.signature.output_arg[0].name] = f"{read.name}:value:0"
    assert freezing.why_not(meta_graph, None).startswith(f"ReadVariableOp at {read.name} in function")


def test_a_function_that_hands_on_its_variable_is_left_alone(made: Path) -> None:
    meta_graph = graph_of(made, "matmul")
    body = body_of(meta_graph, "MatMul")
    read = next(node for node in body.node_def if node.op == "ReadVariableOp")
    body.ret[body.signature.output_arg[0].name] = read.input[0]
    assert "PartitionedCall at" in freezing.why_not(meta_graph, None)


def test_a_function_that_another_one_may_stand_for_is_left_alone(made: Path) -> None:
    meta_graph = graph_of(made, "matmul")
    body_of(meta_graph, "MatMul").attr["api_implements"].s = b"interface"
    assert "PartitionedCall at" in freezing.why_not(meta_graph, None)


def test_a_function_that_gets_variables_of_several_types_is_left_alone(made: Path) -> None:
    meta_graph = graph_of(made, "shared")
    used = parts.behind(meta_graph.graph_def, parts.of_requests(meta_graph))
    _, other = (node.name for node in variables.of(used))
    next(node for node in meta_graph.graph_def.node if node.name == other).attr["dtype"].type = 3
    assert freezing.why_not(meta_graph, None).endswith("is not always the same kind of variable")


def test_large_variables_and_those_of_no_fixed_shape_are_left_alone(made: Path) -> None:
    meta_graph = graph_of(made, "matmul")
    used = parts.behind(meta_graph.graph_def, parts.of_requests(meta_graph))
    name = next(node.name for node in variables.of(used))
    shape = next(node for node in meta_graph.graph_def.node if node.name == name).attr["shape"].shape
    shape.dim[0].size = 1 << 24
    assert freezing.why_not(meta_graph, None).startswith("its variables take 256 MB, more than 128 MB")
    shape.dim[0].size = -1
    assert freezing.why_not(meta_graph, None) == "the size of its variables is open"

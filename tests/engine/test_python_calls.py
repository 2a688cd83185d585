"""Python in a model is never run; requests that need it are answered in the real server's words."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from serving.errors import Code, ServingError
from serving.servable import LoadOptions, Servable, load
from tests.engine.engine import Engine
from tests.engine.made import made_once

ONE = np.ones(2, np.float32)
# The order of the attributes is that of a hash table; the real server's changes as well.
ATTRIBUTES = (
    r'(?:(?:Tin=\[DT_FLOAT\]|Tout=\[DT_FLOAT\]|token="pyfunc_\d+"|_output_shapes=\[[^"]*\]|is_async=false)(?:, )?)+'
)


def refusal(op: str, node: str, *callers: str) -> re.Pattern[str]:
    """The message of TensorFlow Serving 2.19.1 for an op without a kernel."""
    places = "".join(rf"\n\t \[\[{re.escape(name)}\]\]" for name in (node, *callers))
    return re.compile(
        rf"No OpKernel was registered to support Op '{op}' used by {{{{node {re.escape(node)}}}}} with these attrs:"
        rf" \[{ATTRIBUTES}\]\nRegistered devices: \[CPU\]\nRegistered kernels:\n  <no registered kernels>\n{places}"
    )


CALL = "StatefulPartitionedCall"
PLAIN = refusal("PyFunc", f"{CALL}/PyFunc", CALL)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once("tests.engine.python_models", tmp_path_factory)


def ask(servable: Servable, signature: str = "serving_default") -> list[Any]:
    definition = servable.signatures[signature]
    return servable.run({definition.inputs["x"].name: ONE}, [definition.outputs["y"].name])


def refused(servable: Servable) -> ServingError:
    with pytest.raises(ServingError) as caught:
        ask(servable)
    servable.close()
    return caught.value


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("function", PLAIN),
        ("eager", refusal("EagerPyFunc", f"{CALL}/EagerPyFunc", CALL)),
        ("stateless", refusal("PyFuncStateless", "PartitionedCall/PyFuncStateless", "PartitionedCall")),
        ("nested", refusal("PyFunc", f"{CALL}/{CALL}/PyFunc", CALL)),
    ],
    ids=["function", "eager", "stateless", "nested"],
)
@pytest.mark.parametrize("trial_s", [0.0, 600.0], ids=["untried", "tried"])
def test_a_request_that_needs_python_is_answered_as_the_real_server_does(
    made: Path, name: str, message: re.Pattern[str], trial_s: float
) -> None:
    error = refused(load(made / name, LoadOptions(freeze_variables=True, trial_s=trial_s)))
    assert error.code == Code.INVALID_ARGUMENT
    assert message.fullmatch(error.message), error.message


def test_a_loop_that_needs_python_is_refused_as_a_whole(made: Path) -> None:
    error = refused(load(made / "loop", LoadOptions()))
    expected = (
        rf"No OpKernel was registered to support Op 'PyFunc' used by .*PyFunc}}}} with these attrs: \[{ATTRIBUTES}\]"
    )
    assert re.search(expected, error.message), error.message
    assert "no_python" not in error.message


def test_another_signature_of_the_same_version_answers(made: Path) -> None:
    servable = load(made / "function", LoadOptions())
    assert ask(servable, "harmless")[0].tolist() == [2.0, 2.0]
    refused(servable)


def test_a_graph_unpacked_from_a_tensor_calls_no_python_either(made: Path) -> None:
    error = refused(load(made / "hidden", LoadOptions()))
    assert error.message.startswith("No OpKernel was registered to support Ops that call Python\n\t [[")
    assert "File " not in error.message


@pytest.mark.parametrize(
    ("name", "message"), [("warmed", PLAIN), ("top", refusal("PyFunc", "PyFunc"))], ids=["warmed", "top"]
)
def test_a_load_that_needs_python_fails_in_the_same_words(made: Path, name: str, message: re.Pattern[str]) -> None:
    with pytest.raises(ServingError) as caught:
        load(made / name, LoadOptions())
    assert caught.value.code == Code.INVALID_ARGUMENT
    assert message.fullmatch(caught.value.message), caught.value.message


def test_clients_see_it_over_rest_and_grpc(made: Path, shared_engine: Engine, tmp_path: Path) -> None:
    shutil.copytree(made / "function", tmp_path / "python" / "1")
    model = shared_engine.serve(tmp_path / "python")
    status, message = shared_engine.refusal(model)
    assert status == 400
    assert PLAIN.fullmatch(message), message
    with pytest.raises(grpc.RpcError) as caught:
        shared_engine.predict_grpc(model)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert PLAIN.fullmatch(caught.value.details() or ""), caught.value.details()
    shared_engine.drop(model)

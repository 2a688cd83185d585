"""Operations that call Python: TensorFlow Serving has no kernel for them, and here they get none either.

The kernels are part of TensorFlow's Python package, so a graph could reach into this process with them. A kernel is
looked up under the label that a node carries, whoever runs the node and whatever rewrites the graph before. There is
no kernel under the label below, and TensorFlow then says what it says where no kernel exists.

A graph can also hide in a tensor, from which an op for data sets unpacks it. So the functions of this process are put
out of reach as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

OPS: Final = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})

_ATTRIBUTE: Final = "_kernel"
_LABEL: Final = "no_python"
_SHOWN: Final = re.compile(rf', {_ATTRIBUTE}="{_LABEL}"|{_ATTRIBUTE}="{_LABEL}"(, )?')
_KERNELS: Final = re.compile(r"(?<=\nRegistered kernels:\n)(  device=.*\n)+")


_REFUSED: Final = "No OpKernel was registered to support Ops that call Python"
_TRACEBACK: Final = re.compile(rf"ValueError: {_REFUSED}\nTraceback .*\nValueError: {_REFUSED}\n*", re.DOTALL)


def close_registry() -> None:
    """From now on a kernel that calls a Python function of this process, whichever graph it is in, fails."""
    from tensorflow.python.ops import script_ops

    registry = script_ops._py_funcs
    if not hasattr(registry, "is_closed"):
        registry.__class__ = type("Closed", (type(registry),), {"__call__": _refuse, "is_closed": True})


def _refuse(_registry: Any, _token: Any, _device: Any, _arguments: Any) -> None:
    raise ValueError(_REFUSED)


def take_kernels(graph_def: Any) -> bool:
    """Take their kernels from all nodes of `graph_def` that call Python, in functions too; whether there are any."""
    calls = [node for node in _nodes(graph_def) if node.op in OPS]
    for node in calls:
        node.attr[_ATTRIBUTE].s = _LABEL.encode()
    return bool(calls)


def as_served(message: str) -> str:
    """A message of TensorFlow as it reads where the kernels do not exist at all."""
    if _REFUSED in message:
        return _TRACEBACK.sub(f"{_REFUSED}\n", message)
    if _LABEL not in message:
        return message
    return _KERNELS.sub("  <no registered kernels>\n", _SHOWN.sub("", message))


def _nodes(graph_def: Any) -> Iterator[Any]:
    yield from graph_def.node
    for function in graph_def.library.function:
        yield from function.node_def

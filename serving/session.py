"""A raw TensorFlow session: tensors in and out by name, and the messages of kernels as they were written."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from serving import extra_ops, kernels, loops, python_calls
from serving.batching import graph
from serving.errors import Code, ServingError, from_tensorflow, invalid, not_found, timed_out

Array = npt.NDArray[Any]

_FOREVER_S = 1e7
_MOST_REMEMBERED: Final = 1000
_IN_THIS_THREAD: Final = -1
# A run that surely ends is left to itself if it has this long; otherwise TensorFlow watches the time, in more threads.
_AMPLE_S: Final = 10.0

# Threads that a session starts have the priority of the thread that makes it, for good; this one has the process's.
_maker = ThreadPoolExecutor(1, "session-maker")


def start_maker() -> None:
    """Call this before any thread lowers its priority: sessions are then made at the priority of this moment."""
    _maker.submit(int).result()


class Graph:
    """A graph as TensorFlow has taken it, for sessions to be made of. No Python can be called from it."""

    def __init__(self, graph_def: Any) -> None:
        """Raises ServingError for a graph that TensorFlow does not take; marks the nodes in it that call Python."""
        import tensorflow as tf

        python_calls.close_registry()
        self._calling_python = graph_def if python_calls.take_kernels(graph_def) else None
        self._known: dict[tuple[str, ...], bool] = {}
        self.surely_ends = loops.surely_ends(graph_def)
        self.imported = tf.Graph()
        try:
            with self.imported.as_default():
                tf.graph_util.import_graph_def(graph_def, name="")
        except tf.errors.OpError as error:
            raise _error(error) from None
        except ValueError as error:
            raise invalid(str(error)) from None

    def calls_python(self, names: tuple[str, ...]) -> bool:
        """Whether Python would be called to fetch or run `names`."""
        if self._calling_python is None:
            return False
        found = self._known.get(names)
        if found is None:
            ops = graph.ops_behind(self._calling_python, {name.partition(":")[0] for name in names})
            found = bool(ops & python_calls.OPS)
            if len(self._known) < _MOST_REMEMBERED:  # clients choose the outputs and their order
                self._known[names] = found
        return found


class Session:
    """A raw TensorFlow session.

    `tf.compat.v1.Session.run` rewrites the messages of kernels and walks its fetches at each call; what it
    calls underneath does neither. `side_by_side` is how many runs at a time serve it best; `repeatable` says that
    runs change nothing.
    """

    def __init__(self, graph_def: Any, config: Any, side_by_side: int = 1, repeatable: bool = False) -> None:
        """`graph_def` is a GraphDef, or a Graph made of one. Raises ServingError for what TensorFlow does not take."""
        import tensorflow as tf
        from tensorflow.python.client import pywrap_tf_session

        self.side_by_side = side_by_side
        self._api = pywrap_tf_session
        self._op_error = tf.errors.OpError
        self._graph = graph_def if isinstance(graph_def, Graph) else Graph(graph_def)
        try:
            self._session = _maker.submit(tf.compat.v1.Session, graph=self._graph.imported, config=config).result()
            self._api.ExtendSession(self._session._session)
        except tf.errors.OpError as error:
            raise _error(error) from None
        self._outputs: dict[str, Any] = {}
        self._timeouts: dict[int, Any] = {}
        # Light graphs run in the calling thread: a hand-over costs more than it brings.
        self._alone = repeatable and config.intra_op_parallelism_threads == 1 and self._graph.surely_ends
        self._in_this_thread = self._options({"inter_op_thread_pool": _IN_THIS_THREAD})
        self._without_timeout = self._options({})

    @property
    def compat(self) -> Any:
        """The tf.compat.v1.Session, for what TensorFlow's own tools do with one."""
        return self._session

    def has(self, tensor: str) -> bool:
        """Whether the graph holds the node of `tensor`."""
        return tensor.partition(":")[0] in self._graph.imported._nodes_by_name

    def run(
        self,
        feeds: Mapping[str, Array],
        fetches: Sequence[str],
        targets: Sequence[str],
        timeout_s: float | None,
    ) -> list[Array]:
        """Feed, run `targets`, return `fetches`; raises ServingError with the kernel's code and message."""
        if self._graph.calls_python((*fetches, *targets)):
            # It fails, and often the session is closed at once.
            return self._run_in_this_thread(feeds, fetches, targets, timeout_s)
        if self._alone and (timeout_s is None or timeout_s >= _AMPLE_S):
            try:
                return self._run_in_this_thread(feeds, fetches, targets, timeout_s)
            except ServingError as error:
                if error.code == Code.DEADLINE_EXCEEDED:
                    raise
                # Of several errors in one graph, another one comes first in this thread.
        try:
            return self._run(feeds, fetches, targets, self._run_options(timeout_s))
        except ServingError as error:
            message = kernels.mend(
                error.message, feeds, lambda probe: self._failure(probe, fetches, targets, timeout_s)
            )
            raise ServingError(error.code, message) from None

    def run_here(self, feeds: Mapping[str, Array], fetches: Sequence[str], targets: Sequence[str] = ()) -> list[Array]:
        """As `run`, all in the calling thread and without a time limit; `interrupt` in another thread ends it.

        A run that fails in TensorFlow's threads may return while one of them still holds a kernel, and to free the
        session in that moment ends the process. From here nothing is left behind.
        """
        return self._run(feeds, fetches, targets, self._in_this_thread)

    def interrupt(self) -> None:
        """End what is running: that is at the next turn of a loop, not within an operation. Returns when it has ended.

        Nothing can be run in the session afterwards.
        """
        self._session.close()

    def close(self) -> None:
        """Free the session and the variables in it."""
        self._session.close()

    def _run(
        self,
        feeds: Mapping[str, Array],
        fetches: Sequence[str],
        targets: Sequence[str],
        options: Any,
    ) -> list[Array]:
        try:
            results = self._api.TF_SessionRun_wrapper(
                self._session._session,
                options,
                {self._output(name, "feed"): value for name, value in feeds.items()},
                [self._output(name, "fetch") for name in fetches],
                [self._operation(name, "target")._c_op for name in targets],
                None,
            )
        except self._op_error as error:
            raise _error(error) from None
        except UnicodeDecodeError as error:
            # The kernel quotes bytes that it was fed; with the exception that could not be made its code is lost.
            raise ServingError(Code.INVALID_ARGUMENT, error.object.decode("utf-8", "surrogateescape")) from None
        return [value if isinstance(value, np.ndarray) else _scalar(value) for value in results]

    def _run_in_this_thread(
        self, feeds: Mapping[str, Array], fetches: Sequence[str], targets: Sequence[str], timeout_s: float | None
    ) -> list[Array]:
        started = time.monotonic()
        values = self.run_here(feeds, fetches, targets)
        if timeout_s is not None and time.monotonic() - started > timeout_s:
            raise timed_out()
        return values

    def _failure(
        self, feeds: Mapping[str, Array], fetches: Sequence[str], targets: Sequence[str], timeout_s: float | None
    ) -> str:
        try:
            self._run(feeds, fetches, targets, self._run_options(timeout_s))
        except ServingError as error:
            return error.message
        return ""

    def _run_options(self, timeout_s: float | None) -> Any:
        if timeout_s is None or timeout_s > _FOREVER_S:
            return self._without_timeout
        milliseconds = _coarse(max(1, int(timeout_s * 1000)))
        options = self._timeouts.get(milliseconds)
        if options is None:
            options = self._timeouts.setdefault(milliseconds, self._options({"timeout_in_ms": milliseconds}))
        return options

    def _options(self, fields: Mapping[str, Any]) -> Any:
        from tensorflow.core.protobuf import config_pb2

        return self._api.TF_NewBufferFromString(config_pb2.RunOptions(**fields).SerializeToString())

    def _output(self, name: str, role: str) -> Any:
        output = self._outputs.get(name)
        if output is None:
            operation, _, index = name.partition(":")
            output = self._api.TF_Output()
            output.oper = self._operation(operation, role)._c_op
            output.index = int(index or 0)
            self._outputs[name] = output
        return output

    def _operation(self, name: str, role: str) -> Any:
        try:
            return self._graph.imported.get_operation_by_name(name)
        except (KeyError, ValueError):
            raise not_found(_MISSING[role].format(name)) from None


_MISSING = {
    "feed": "FeedInputs: unable to find feed output {}",
    "fetch": "FetchOutputs node {}: not found",
    "target": "Tensor {} was not found in the graph",
}


def _error(error: Any) -> ServingError:
    found = from_tensorflow(error)
    return ServingError(found.code, extra_ops.explained(python_calls.as_served(found.message)))


def _coarse(milliseconds: int) -> int:
    """The next higher of a few thousand durations: options made for one stay as long as the session."""
    step = 1 << max(0, milliseconds.bit_length() - 8)
    return -(-milliseconds // step) * step


def _scalar(value: Any) -> Array:
    """A result that NumPy made a scalar of; strings come as bytes, which it would shorten."""
    return np.array(value, dtype=object) if isinstance(value, bytes) else np.asarray(value)

"""Our own gRPC load: one channel, one stream per client, serialised messages: `python -m bench.load.rpc ORDER`."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import grpc

from bench.load.recording import Order, Recorder

_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def _client(call: Any, request: bytes, recorder: Recorder, deadline_s: float) -> None:
    more = True
    while more:
        began = time.monotonic()
        try:
            call(request, timeout=deadline_s)
            answered = True
        except grpc.RpcError as error:
            answered = False
            if error.code() == grpc.StatusCode.UNIMPLEMENTED:
                recorder.problem = f"the server answers UNIMPLEMENTED: {error.details()}"
        more = recorder.record(began, answered)


def _run(order: Order) -> None:
    request = Path(order.request).read_bytes()
    with grpc.insecure_channel(f"{order.host}:{order.port}", options=_OPTIONS) as channel:
        grpc.channel_ready_future(channel).result(timeout=order.deadline_s)
        # Without serialisers bytes go in and out as they are.
        call: Any = channel.unary_unary(order.path)
        recorder = Recorder(order)
        arguments = (call, request, recorder, order.deadline_s)
        clients = [threading.Thread(target=_client, args=arguments) for _ in range(order.clients)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        recorder.finish()


if __name__ == "__main__":
    _run(Order.from_command_line())

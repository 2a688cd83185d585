"""What a client may try to take the server from the others: one attack for each row of the table in docs/engine.md."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import re
import socket
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
from tensorflow_serving.apis import model_management_pb2, predict_pb2

MIB = 1 << 20
READ_TIMEOUT_S = 3
"""What the server is started with."""
REST_TIMEOUT_S = 5
MAX_CONNECTIONS = 3000
_HOLD_S = 4.0
_ROUNDS = 3
_PREDICT = "POST /v1/models/m:predict HTTP/1.1\r\n"


@dataclass(frozen=True)
class Target:
    """The server, and the address that a hostile client has."""

    rest_port: int
    grpc_port: int
    address: str = "127.0.0.1"

    def connect(self, address: str = "") -> socket.socket:
        """A connection; of an address of its own, if one is given."""
        return socket.create_connection(("127.0.0.1", self.rest_port), 60, (address or self.address, 0))

    def raw(self, data: bytes, address: str = "") -> str:
        """What is answered to bytes: a status, or what else became of the connection."""
        with self.connect(address) as client:
            with contextlib.suppress(ConnectionError):
                client.sendall(data)
            return answered(client)

    def post(self, body: bytes, headers: dict[str, str] | None = None, path: str = "/v1/models/m:predict") -> str:
        """The status of a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.rest_port, timeout=60)
        with contextlib.closing(connection):
            connection.request("POST", path, body, headers or {})
            answer = connection.getresponse()
            answer.read()
            return str(answer.status)

    def predict(self, signature: str, *instances: Any) -> str:
        """The status of a prediction."""
        return self.post(json.dumps({"signature_name": signature, "instances": list(instances)}).encode())

    def channel(self) -> grpc.Channel:
        """A channel with a connection of its own."""
        return grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}", [("grpc.use_local_subchannel_pool", 1)])

    def call(self, method: str, message: bytes) -> str:
        """The status of a call."""
        with self.channel() as channel:
            try:
                call: Any = channel.unary_unary(f"/tensorflow.serving.{method}")
                call(message, timeout=60)
            except grpc.RpcError as error:
                return str(error.code().name)
        return "OK"


def answered(client: socket.socket) -> str:
    """The status of the answer on a connection, or "closed"."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while b"\r\n" not in received and (data := client.recv(4096)):
            received += data
    status = re.match(rb"HTTP/1\.[01] (\d{3})", received)
    return status[1].decode() if status else "closed"


@dataclass(frozen=True)
class Attack:
    """An attack by its name, with the answers that it may get, the last of which it must get."""

    name: str
    expected: tuple[str, ...]
    make: Callable[[Target], Iterator[str]]


ATTACKS: list[Attack] = []


def attack(name: str, *expected: str) -> Callable[[Callable[[Target], Iterator[str]]], None]:
    """Add an attack to the list."""

    def add(make: Callable[[Target], Iterator[str]]) -> None:
        ATTACKS.append(Attack(name, expected, make))

    return add


def run(one: Attack, target: Target) -> Counter[str]:
    """Make an attack; returns how often it got which answer."""
    return Counter(one.make(target))


def _head(length: int, more: str = "") -> bytes:
    return f"{_PREDICT}Content-Length: {length}\r\n{more}\r\n".encode()


# Sizes


@attack("body of 300 MB announced", "413")
def _(target: Target) -> Iterator[str]:
    for _ in range(50):
        yield target.raw(_head(300 * MIB))


@attack("header of 2 MB", "closed", "431")
def _(target: Target) -> Iterator[str]:
    for _ in range(20):
        yield target.raw(b"GET / HTTP/1.1\r\nA: " + b"a" * 2 * MIB)


@attack("target of 900 kB", "414")
def _(target: Target) -> Iterator[str]:
    for _ in range(20):
        yield target.raw(b"GET /v1/models/" + b"a" * 900_000 + b" HTTP/1.1\r\n\r\n")


@attack("three large bodies held", "closed", "408", "429")
def _(target: Target) -> Iterator[str]:
    with contextlib.ExitStack() as held:
        clients = []
        for number in range(3):
            client = held.enter_context(target.connect())
            clients.append(client)
            client.sendall(_head(256 * MIB))
            with contextlib.suppress(ConnectionError):
                for _ in range(255 if number < 2 else 4):
                    client.sendall(bytes(MIB))
        yield answered(clients[2])
        yield from map(answered, clients[:2])


@attack("600 small bodies held", "408", "429")
def _(target: Target) -> Iterator[str]:
    with contextlib.ExitStack() as held:
        clients = []
        for _ in range(600):
            client = held.enter_context(target.connect("127.0.0.9"))
            clients.append(client)
            with contextlib.suppress(ConnectionError):
                client.sendall(_head(240 << 10) + bytes(239 << 10))
        yield from map(answered, clients)


# Time


@attack("silent after the head", "408")
def _(target: Target) -> Iterator[str]:
    with contextlib.ExitStack() as held:
        clients = [held.enter_context(target.connect()) for _ in range(100)]
        for client in clients:
            client.sendall(_head(1000) + b"[")
        yield from map(answered, clients)


@attack("1,000 idle and 300 dripping connections", "closed", "408")
def _(target: Target) -> Iterator[str]:
    with contextlib.ExitStack() as held:
        for _ in range(1000):
            held.enter_context(target.connect())
        dripping = [held.enter_context(target.connect()) for _ in range(300)]
        for client in dripping:
            client.sendall(_head(100_000))
        end = time.monotonic() + READ_TIMEOUT_S + 3
        while time.monotonic() < end:
            for client in dripping:
                with contextlib.suppress(ConnectionError):
                    client.sendall(b"[")
            time.sleep(0.1)
        yield from map(answered, dripping)


@attack("more connections than there may be", "closed")
def _(target: Target) -> Iterator[str]:
    with contextlib.ExitStack() as held:
        clients = [held.enter_context(target.connect("127.0.0.9")) for _ in range(MAX_CONNECTIONS // 2 + 200)]
        yield from (answered(client) for client in clients[:200])


@attack("answers that nobody reads", "open", "closed")
def _(target: Target) -> Iterator[str]:
    body = b'{"signature_name": "numbers", "inputs": 500}'
    with contextlib.ExitStack() as held:
        clients = [held.enter_context(target.connect()) for _ in range(6)]
        for client in clients:
            client.sendall(_head(len(body)) + body)
        time.sleep(READ_TIMEOUT_S + _HOLD_S)
        yield from map(_rest, clients)  # What was written last has some time left.


@attack("1,400 predictions at once", "200")
def _(target: Target) -> Iterator[str]:
    body = b'{"signature_name": "slow", "instances": [0.01]}'
    with contextlib.ExitStack() as held:
        clients = [held.enter_context(target.connect("127.0.0.9")) for _ in range(MAX_CONNECTIONS // 2 - 100)]
        for client in clients:
            client.sendall(_head(len(body)) + body)
        yield from map(answered, clients)


def _rest(client: socket.socket) -> str:
    """What becomes of a connection whose answer is read after all."""
    client.settimeout(1.0)
    try:
        while client.recv(MIB):
            pass
    except ConnectionError:
        return "closed"
    except TimeoutError:
        return "open"
    return "closed"


# JSON


@attack("50 MB of blanks as 49 kB of gzip", "200")
def _(target: Target) -> Iterator[str]:
    body = gzip.compress(b'{"instances":[' + b" " * (50 * MIB) + b"1]}")
    for _ in range(_ROUNDS):
        yield target.post(body, {"Content-Encoding": "gzip"})


@attack("a gigabyte of blanks as gzip", "400")
def _(target: Target) -> Iterator[str]:
    packer = zlib.compressobj(wbits=31)
    body = b"".join(packer.compress(b" " * MIB) for _ in range(1024)) + packer.flush()
    for _ in range(_ROUNDS):
        yield target.post(body, {"Content-Encoding": "gzip"})


@attack("a million open brackets", "429")
def _(target: Target) -> Iterator[str]:
    for _ in range(_ROUNDS):
        yield target.post(b'{"instances":' + b"[" * 1_000_000)


@attack("eleven million lists", "429")
def _(target: Target) -> Iterator[str]:
    yield target.post(b'{"instances":[' + b"[]," * 11_000_000 + b"[]]}")


@attack("JSON that takes longer than its time", "504")
def _(target: Target) -> Iterator[str]:
    body = b'{"instances":["' + b"\\u00e9" * 8_000_000 + b'\\ud800"]}'
    with ThreadPoolExecutor(3) as pool:
        yield from pool.map(target.post, [body] * 3)


@attack("JSON of 250 KB, slow to read", "200", "400")
def _(target: Target) -> Iterator[str]:
    body = b'{"instances":[' + b"[]," * 80_000 + b'{"a":1,"a":2}]}'
    for _ in range(10):
        yield target.post(body)


@attack("JSON that takes more than its memory", "429")
def _(target: Target) -> Iterator[str]:
    yield target.post(b'{"instances":[' + b'{"b64":1},' * 9_000_000 + b"[]]}")


@attack("an answer of 40 MB", "200")
def _(target: Target) -> Iterator[str]:
    for _ in range(_ROUNDS):
        yield target.post(b'{"signature_name": "numbers", "inputs": 1600}')


# Pictures and strings


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(width + 1) * min(height, 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@attack("a picture of 400 million pixels", "429")
def _(target: Target) -> Iterator[str]:
    import base64

    picture = {"b64": base64.b64encode(_png(20_000, 20_000)).decode()}
    for _ in range(10):
        yield target.predict("picture", picture)


@attack("a string of 100 kB to be repeated 10,000 times", "INVALID_ARGUMENT")
def _(target: Target) -> Iterator[str]:
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "m", "text"
    tensor = request.inputs["text"]
    tensor.dtype = 7
    tensor.tensor_shape.dim.add(size=10_000)
    tensor.string_val.append(b"x" * 100_000)
    for _ in range(10):
        yield target.call("PredictionService/Predict", request.SerializeToString())


# gRPC


@attack("400 calls without a message", "CANCELLED")
def _(target: Target) -> Iterator[str]:
    over = threading.Event()

    def nothing() -> Iterator[bytes]:
        over.wait()
        yield from ()

    with target.channel() as channel:
        methods: list[Any] = [
            channel.stream_unary(f"/tensorflow.serving.{name}")
            for name in ("PredictionService/Predict", "ModelService/GetModelStatus")
        ]
        calls = [method.future(nothing()) for method in methods for _ in range(200)]
        time.sleep(READ_TIMEOUT_S + _HOLD_S)
        yield from (call.code().name for call in calls if call.done())
        over.set()


@attack("lists of models over gRPC", "PERMISSION_DENIED")
def _(target: Target) -> Iterator[str]:
    request = model_management_pb2.ReloadConfigRequest()
    request.config.model_config_list.config.add(name="m", base_path="/etc", model_platform="tensorflow")
    for _ in range(50):
        yield target.call("ModelService/HandleReloadConfigRequest", request.SerializeToString())


# Names


@attack("names that nobody serves", "404", "400")
def _(target: Target) -> Iterator[str]:
    for number in range(300):
        yield target.post(b'{"instances": [1]}', path=f"/v1/models/{number}{'a' * 60_000}:predict")
    yield target.post(b"")


@attack("hosts that are not this one", "403")
def _(target: Target) -> Iterator[str]:
    for number in range(300):
        yield target.raw(f"GET /v1/models/m HTTP/1.1\r\nHost: evil{number}.example\r\n\r\n".encode())


@attack("bodies behind an offer to upgrade", "200")
def _(target: Target) -> Iterator[str]:
    body = b'{"instances": [1]}'
    for _ in range(100):
        yield target.raw(_head(len(body), "Connection: Upgrade, close\r\nUpgrade: h2c\r\n") + body)

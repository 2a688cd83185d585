"""Servers that somebody else has started: `name=host:port[,grpc=port][,pid=number]`."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from bench.cases import Model
from bench.engines.base import Address, Engine
from bench.engines.network import NetworkEngine
from bench.engines.start import ENGINES
from bench.processes import Tree
from bundle import output
from bundle.errors import UsageError

_TARGET = re.compile(r"(?P<name>[\w.-]+)=(?P<host>[\w.-]+):(?P<port>\d+)(?P<more>(,(grpc|pid)=\d+)*)")


@dataclasses.dataclass(frozen=True)
class Target:
    """A server to measure beside the others. With `pid` its CPU and memory are measured and it can be held still."""

    name: str
    address: Address
    pid: int | None

    @classmethod
    def parse(cls, text: str) -> Target:
        """From the command line; raises UsageError."""
        match = _TARGET.fullmatch(text)
        if match is None:
            raise UsageError(
                f"--targets: {text!r} is not name=host:port[,grpc=port][,pid=number]; "
                "write for example tfs=127.0.0.1:8501,grpc=8500"
            )
        if match["name"] in ENGINES:
            raise UsageError(f"--targets: {match['name']} is an engine of the bench; give the server another name")
        more = dict(part.split("=") for part in match["more"].split(",") if part)
        ports = [int(match["port"]), *([int(more["grpc"])] if "grpc" in more else [])]
        if not all(0 < port < 65536 for port in ports):
            raise UsageError(f"--targets: {text!r}: a port is a number from 1 to 65535")
        address = Address(match["host"], *ports)
        return cls(match["name"], address, int(more["pid"]) if "pid" in more else None)

    def start(self, model: Model, work: Path) -> Engine | None:
        """The server as an engine for `model`; None, with a warning, when it does not serve that."""
        tree = Tree(self.pid) if self.pid is not None else None
        engine = NetworkEngine(self.name, model, self.address, work, tree=tree)
        if engine.is_available():
            return engine
        output.warn(f"{self.name} does not serve {model.name} at {engine.url}: left out (docs/benchmark.md)")
        return None

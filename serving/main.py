"""The command `model-server`: reads the flags, starts the server, waits for the signal to end."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence

from serving import commandline, process
from serving.errors import ServingError
from serving.flags import Options

log = logging.getLogger("serving.main")  # also when run as a script

FAILED = 255
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the model server until it is told to stop; returns its exit status."""
    try:
        options = commandline.parse(sys.argv[1:] if argv is None else argv)
    except commandline.HelpRequested:
        _say(commandline.usage())
        return FAILED
    except commandline.FlagError as error:
        sys.stderr.write(f"{error}\n")
        _say(f"{error}\n{commandline.usage()}")
        return FAILED
    if options.version:
        _say(commandline.version_text())
        return 0
    process.prepare_environment()
    process.log_to_stderr()
    return _serve(options)


def _serve(options: Options) -> int:
    signals = Signals()
    signals.block()
    for flag in commandline.ineffective(options):
        log.warning("--%s has no effect here (%s): %s", flag.name, flag.support, flag.help)
    try:
        return _run(options, signals)
    except ServingError as error:
        _say(f"Failed to start server. Error: {error}\n")
        return _leave(FAILED)


def _run(options: Options, signals: Signals) -> int:
    from serving import forkserver, handover, memory, sandbox, startup

    memory.keep_free_pages()
    config = startup.check(options)
    startup.check_ports(options)
    handover.prepare(options.reuse_port)
    forkserver.start(options.max_request_memory, sandbox=options.sandbox == "on")
    sandbox.enter(options, config)
    signals.watch()
    from serving.server import Server

    server = Server(options)
    if not server.load(config, signals.stop):
        return _leave(0)
    signals.serving = True
    server.open()
    signals.stop.wait()
    if not signals.hurry.is_set():
        log.info("Handing over: each client is answered until it connects again, for at most %d s", handover.LONGEST_S)
        server.hand_over(signals.hurry)
    log.info(
        "Stopping: %d request(s) in flight have up to %d s to finish; a second signal ends them at once",
        server.in_flight,
        options.drain_timeout_seconds,
    )
    cut = server.stop(options.drain_timeout_seconds)
    if cut:
        log.warning("Stopped; %d request(s) cut off after %d s", cut, options.drain_timeout_seconds)
    else:
        log.info("Stopped; no request was cut off")
    return _leave(0)


class Signals:
    """SIGTERM and SIGINT: the first one asks to stop, the second one ends the process. SIGQUIT asks to hand over first.

    A thread of its own waits for them. A handler would run in the main thread, which does not wake from its wait for
    a lock when the kernel gives the signal to another thread, as happens while threads are started.
    """

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.hurry = threading.Event()
        self.serving = False

    def block(self) -> None:
        """Keep them until `watch` is called. Call it before any thread is started: threads inherit it."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)

    def watch(self) -> None:
        """Act on them from now on, those that came before included."""
        threading.Thread(target=self._wait, name="signals", daemon=True).start()

    def _wait(self) -> None:
        while True:
            self._handle(signal.sigwait(_ENDING))

    def _handle(self, number: int) -> None:
        if number != signal.SIGQUIT:
            if self.hurry.is_set():
                os._exit(128 + number)
            self.hurry.set()
        self.stop.set()
        if not self.serving:
            os.write(sys.stderr.fileno(), b"Told to stop before the start was complete\n")
            os._exit(0)


def _leave(status: int) -> int:
    """End the process here and now: threads that are stuck in TensorFlow would hold up a normal exit."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # the reader went away, as in `model-server --help | head`
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())

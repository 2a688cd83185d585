"""What the process sets for itself before TensorFlow is imported: its log, and TensorFlow's environment."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import sys

from bundle.text import LogFormatter


def prepare_environment() -> None:
    """Set what TensorFlow and gRPC read when they are imported; what the user has set stays."""
    # Warnings of kernels are about what clients sent: they have it in their reply, and could fill the log.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    # oneDNN's own allocator keeps the memory of models that are gone; malloc gives it back.
    os.environ.setdefault("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1")
    # A pool of threads for each session, as each model needs another number (serving.threads).
    os.environ.setdefault("TF_OVERRIDE_GLOBAL_THREADPOOL", "1")


def most_open_files() -> int:
    """Let this process have as many files and connections open as it may; returns how many that are."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft


def log_to_stderr() -> None:
    """Log one line per event on stderr, with the time."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogFormatter("%(asctime)s %(levelname).1s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("serving").setLevel(logging.INFO)
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a log that cannot be written is no reason to write tracebacks

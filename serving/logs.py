"""The engine's log: one line per event on stderr, with the time; TensorFlow's own lines from warnings up."""

from __future__ import annotations

import logging
import os
import sys


def configure() -> None:
    """Send the log to stderr. To be called before TensorFlow is imported, which reads its level then."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname).1s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("serving").setLevel(logging.INFO)
    logging.captureWarnings(True)

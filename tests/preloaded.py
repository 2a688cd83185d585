"""What processes that are forked from one another have in memory already (tests/forks.py); nobody else imports this."""

# ruff: noqa: E402, F401

from serving import process

process.prepare_environment()  # TensorFlow reads it when it is imported.

import tensorflow

import rollout.gate.worker
import serving.main
import serving.server
import serving.startup

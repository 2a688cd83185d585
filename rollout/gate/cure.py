"""What helps against a version that does not load or answer, by what TensorFlow says about it."""

from __future__ import annotations

import re

_CURES = (
    (
        re.compile(r"Could not find variable|Resource \S+ does not exist|uninitialized", re.IGNORECASE),
        "its variables were not saved with it, as happens to a model of Keras 3 under tf.saved_model.save: write a "
        "model with model.export('mymodel'); one inside a tf.Module with keras.export.ExportArchive: track(model), "
        "add_endpoint(name, function, input_signature), write_out('mymodel')",
    ),
    (
        re.compile(r"is an operation of TensorFlow (Text|Decision Forests)"),
        'serve it with an engine that has the operation: docs/engine.md, "Operations of other packages"',
    ),
    (
        re.compile(r"Op type not registered|NodeDef mentions attr|producer version", re.IGNORECASE),
        "it was written by another TensorFlow than the server's: write it with the release that `make doctor` shows",
    ),
    (
        re.compile(r"DATA_LOSS|Data loss|checksum|truncated|TensorBundle|variables\.(index|data)", re.IGNORECASE),
        "its variables are damaged or not all there: copy the folder again, whole",
    ),
)
_ELSE = (
    "tf.saved_model.load('mymodel') where it was made shows more; a model of Keras 3 is written with "
    "model.export('mymodel')"
)


def of(problem: str) -> str:
    """The cure that fits `problem`."""
    return next((cure for sign, cure in _CURES if sign.search(problem)), _ELSE)

"""Does a version give the answers that its manifest promises, through the server, over REST and gRPC?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bundle import manifest
from bundle.errors import BundleError
from rollout.client import STATUS_TIMEOUT_S, Client, NoAnswer, Unreachable

SIGNATURE = "serving_bytes"
EXAMPLES = 8
# Of the largest logit: a GPU computes with fewer digits than the CPU that the examples were recorded on.
_TOLERANCE = 1e-2


class WrongAnswers(BundleError):
    """The server answers, but not what the version's manifest says."""


def require_right_answers(
    client: Client, model: str, version: int | None, folder: Path, label: str | None = None
) -> None:
    """Ask a few held-out examples of the version in `folder`; a SavedModel made elsewhere has none.

    Raises WrongAnswers that names the first difference, Unreachable when it is the server that does not answer.
    """
    document = manifest.read(folder)
    for example in document.examples[:EXAMPLES] if document else ():
        image = (folder / manifest.FOLDER / example.image).read_bytes()
        try:
            over_rest = client.predict(model, SIGNATURE, image, version, label)
            over_grpc = client.predict_grpc(model, SIGNATURE, image, version, label)
        except NoAnswer as error:
            client.within(STATUS_TIMEOUT_S).versions(model)  # If it says that, it is the version that is slow.
            raise WrongAnswers(f"the server answers about its status, but not {example.image}: {error}") from error
        except Unreachable:
            raise
        except BundleError as error:
            raise WrongAnswers(f"the server cannot answer {example.image}: {error}") from error
        for how, logits in (("REST", over_rest), ("gRPC", over_grpc)):
            if not same(logits, example.logits):
                raise WrongAnswers(
                    f"{example.image} over {how} is answered with {_in_words(logits)}, "
                    f"expected {_in_words(example.logits)} as in its manifest"
                )


def same(found: Sequence[float], expected: Sequence[float]) -> bool:
    """Whether two answers are one model's, as far as the digits of different machines allow."""
    if len(found) != len(expected):
        return False
    tolerance = _TOLERANCE * max(1.0, *(abs(value) for value in expected))
    return all(abs(a - b) <= tolerance for a, b in zip(found, expected, strict=True))


def _in_words(logits: Sequence[float]) -> str:
    return "[" + ", ".join(f"{value:.4g}" for value in logits) + "]"

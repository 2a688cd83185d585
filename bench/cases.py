"""What can be measured: a model, kept plain or frozen, asked in one of four ways by a number of clients."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from bundle.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Subject:
    """A network at one image size."""

    name: str
    model_type: str
    image_size: int


SUBJECTS = (
    Subject("lenet-28", "LenetModel", 28),
    Subject("resnet-32", "ResnetModel", 32),
    Subject("resnet-224", "ResnetModel", 224),
)

PLAIN = "plain"
FROZEN = "frozen"
FORMS = (PLAIN, FROZEN)
"""With variables, as Keras exports; with the weights as constants, as the trainer exports."""

REST_JSON = "rest-json"
REST_BYTES = "rest-bytes"
GRPC_TENSOR = "grpc-tensor"
GRPC_BYTES = "grpc-bytes"
PAYLOADS = (REST_JSON, REST_BYTES, GRPC_TENSOR, GRPC_BYTES)

CLIENTS = (1, 4, 16, 64)


@dataclasses.dataclass(frozen=True)
class Model:
    """One SavedModel: a subject in one form."""

    subject: Subject
    form: str

    @property
    def name(self) -> str:
        """The name that it is served under."""
        return f"{self.subject.name}-{self.form}"


MODELS = tuple(Model(subject, form) for subject in SUBJECTS for form in FORMS)


def model_named(name: str) -> Model:
    """The model called `name`."""
    return next(model for model in MODELS if model.name == name)


@dataclasses.dataclass(frozen=True)
class Case:
    """One model asked in one way by `clients` clients, each with one request under way at any time."""

    model: Model
    payload: str
    clients: int

    @property
    def name(self) -> str:
        """How it is selected, and named in the report."""
        return f"{self.model.subject.name}/{self.model.form}/{self.payload}"

    @property
    def is_rest(self) -> bool:
        """Whether it is asked over REST; otherwise over gRPC."""
        return self.payload.startswith("rest")

    @property
    def takes_bytes(self) -> bool:
        """Whether encoded images are sent, to serving_bytes; otherwise pixels, to serving_default."""
        return self.payload.endswith("bytes")


def select(patterns: Sequence[str], clients: Sequence[int]) -> list[Case]:
    """The cases that fit any of `patterns` (all when empty), a model's cases one after the other.

    A pattern is one or more words with slashes between: a model (lenet-28), a form (plain), a payload (rest-bytes).
    Raises UsageError for a word that is none of them.
    """
    chosen = [set(pattern.split("/")) for pattern in patterns] or [set()]
    _check({word for words in chosen for word in words})
    return [
        Case(model, payload, count)
        for model, payload in _every()
        if any(words <= {model.subject.name, model.form, payload} for words in chosen)
        for count in clients
    ]


def _every() -> Iterator[tuple[Model, str]]:
    for model in MODELS:
        for payload in PAYLOADS:
            yield model, payload


def _check(words: set[str]) -> None:
    known = [*(subject.name for subject in SUBJECTS), *FORMS, *PAYLOADS]
    unknown = sorted(words - set(known))
    if unknown:
        raise UsageError(
            f"--only: {', '.join(unknown)}: no such model, form or payload; there are {', '.join(known)}. "
            "Write for example lenet-28/rest-bytes"
        )

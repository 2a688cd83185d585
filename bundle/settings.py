"""The one table of settings: name, default, reader and help feed `.env`, the commands' flags and docs/settings.md.

A value comes from the command line (`make train EPOCHS=3`, `trainer train --epochs 3`), else from the environment,
else from `.env`, else from the default here. Unknown names and values that cannot be read are refused.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from bundle.values import (
    Reader,
    auto_or,
    matching,
    one_of,
    real,
    switch,
    text,
    whole,
)

TRAINER = "trainer"
STACK = "stack"


def _setting(group: str, default: str, reader: Reader, help: str, scope: str = STACK) -> Any:
    return dataclasses.field(
        metadata={"group": group, "default": default, "read": reader, "help": help, "scope": scope}
    )


_port = whole(1, 65535)
_image = matching(r"[a-z0-9][\w./:@-]*", "an image reference such as tensorflow/serving:2.19.1")
_memory = matching(r"[1-9][0-9]*[kmgKMG]", "a size such as 4g or 512m")
_name = matching(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", "letters, digits, and . _ - (not first)")

_SERVING = "What is served, and by what"
_TRAINING = "Training"
_FOLDERS = "Folders, relative to this file"
_NETWORK = "Network"
_SERVER = "The server"
_DROP = "Dropping a folder"
_GATE = "The gate: what a version must show before it is published"
_ROLLOUT = "Rolling out"
_IMAGES = "Containers"
_GPU = "GPU"


@dataclasses.dataclass(frozen=True)
class Settings:
    """Every setting of the bundle, read and checked; paths are absolute."""

    root: Path

    engine: str = _setting(
        _SERVING,
        "auto",
        one_of("auto", "gpu", "cpu", "embedded", "local"),
        "Who answers: gpu and cpu are TensorFlow Serving's images, embedded our engine in an image, local our engine "
        "as a plain process. auto takes the first that can run here and says why.",
    )
    model_name: str = _setting(
        _SERVING,
        "ResnetModel",
        _name,
        "The model that is trained and served; models.config must list it.",
        TRAINER,
    )

    model_type: str = _setting(
        _TRAINING,
        "ResnetModel",
        _name,
        "The network: ResnetModel (ResNet50V2), LenetModel, or a class of yours.",
        TRAINER,
    )
    dataset: str = _setting(
        _TRAINING,
        "digits",
        one_of("digits", "folder", "mnist"),
        "digits comes with scikit-learn; folder reads DATA_DIR; mnist is downloaded by Keras.",
        TRAINER,
    )
    weights: str = _setting(
        _TRAINING,
        "none",
        text,
        "First weights of ResnetModel: none, imagenet (downloaded), or a .weights.h5 file.",
        TRAINER,
    )
    image_size: int | None = _setting(
        _TRAINING,
        "auto",
        auto_or(whole(8, 1024)),
        "Pixels per side inside the model; auto is the model type's own.",
        TRAINER,
    )
    epochs: int | None = _setting(
        _TRAINING,
        "auto",
        auto_or(whole(1)),
        "Passes over the training images, at most; auto is the model type's own.",
        TRAINER,
    )
    batch_size: int = _setting(_TRAINING, "32", whole(1), "Images per training step.", TRAINER)
    learning_rate: float | None = _setting(
        _TRAINING,
        "auto",
        auto_or(real(1e-7, 1)),
        "Adam's first learning rate; auto is the model type's own.",
        TRAINER,
    )
    validation_split: float = _setting(
        _TRAINING,
        "0.15",
        real(0.01, 0.9),
        "Share of the training images held back to stop early, per class.",
        TRAINER,
    )
    patience: int = _setting(
        _TRAINING,
        "10",
        whole(1),
        "Epochs without a better validation accuracy before training stops.",
        TRAINER,
    )
    seed: int = _setting(_TRAINING, "42", whole(0, 2**32 - 1), "Seed of splits, weights and shuffling.", TRAINER)
    mixed_precision: bool = _setting(
        _TRAINING,
        "false",
        switch,
        "Compute in float16 with float32 weights; pays on GPUs with tensor cores.",
        TRAINER,
    )

    models_dir: Path = _setting(_FOLDERS, "./models", text, "Base paths: models/<Model>/<version>/.", TRAINER)
    drop_dir: Path = _setting(_FOLDERS, "./drop", text, "Copy a SavedModel into drop/<Model>/ to roll it out.")
    quarantine_dir: Path = _setting(
        _FOLDERS,
        "./quarantine",
        text,
        "Where refused and withdrawn versions go, each with its reason.",
        TRAINER,
    )
    releases_dir: Path = _setting(
        _FOLDERS, "./releases", text, "The ledgers: what happened to every version, a line each (make history)."
    )
    runs_dir: Path = _setting(_FOLDERS, "./runs", text, "Where each training writes its curves and settings.", TRAINER)
    data_dir: Path = _setting(
        _FOLDERS, "./data", text, "Images for DATASET=folder: train/<class>/* and test/<class>/*.", TRAINER
    )

    bind: str = _setting(
        _NETWORK,
        "127.0.0.1",
        matching(r"[0-9a-fA-F.:]+", "an IP address"),
        "Address that the ports are bound to. There is no authentication: think before you widen it.",
    )
    allowed_hosts: str = _setting(
        _NETWORK,
        "",
        matching(r"[A-Za-z0-9_.*,-]*", "names separated by commas, or *"),
        "Names that REST requests may be for (our engine), besides this machine's own, short ones and addresses.",
    )
    rest_port: int = _setting(_NETWORK, "8501", _port, "Port of the REST API.")
    grpc_port: int = _setting(_NETWORK, "8500", _port, "Port of the gRPC API.")

    version_poll_seconds: int = _setting(
        _SERVER, "1", whole(1, 3600), "How often the server looks for new version folders."
    )
    config_poll_seconds: int = _setting(_SERVER, "1", whole(1, 3600), "How often the server reads models.config again.")
    load_retries: int = _setting(
        _SERVER,
        "1",
        whole(0, 100),
        "How often a failed load is tried again; versions are published whole, so failures are real.",
    )
    load_retry_seconds: int = _setting(_SERVER, "2", whole(0, 3600), "Pause between such tries.")
    ready_timeout_seconds: int = _setting(
        _SERVER, "300", whole(1, 86400), "How long commands wait for a version to become AVAILABLE."
    )
    drain_seconds: int = _setting(
        _SERVER, "30", whole(0, 3600), "How long a stopping server (ours) waits for requests in flight."
    )
    stop_grace_seconds: int = _setting(
        _SERVER,
        "45",
        whole(1, 7200),
        "When a container that does not stop is killed; must be longer than DRAIN_SECONDS.",
    )
    sandbox: str = _setting(
        _SERVER,
        "on",
        one_of("on", "off"),
        "Whether models are shut in (our engine): they read their own files, write none and reach nobody.",
    )

    drop_quiet_seconds: float = _setting(
        _DROP,
        "6",
        real(0.1, 3600),
        "How long a dropped folder must be unchanged before it is checked. One that holds every file that its "
        "manifest lists, with the right checksums, does not wait.",
    )
    drop_incomplete_seconds: float = _setting(
        _DROP,
        "15",
        real(0.1, 86400),
        "How long a dropped folder may stay incomplete and unchanged before it is refused.",
    )
    check_timeout_seconds: int = _setting(
        _GATE,
        "120",
        whole(1, 3600),
        "How long a version may take altogether to load and to answer in its check.",
    )
    check_retry_seconds: float = _setting(
        _GATE,
        "60",
        real(0.1, 86400),
        "Pause before a version whose check took too much time or memory is checked again; the next one is five times "
        "as long. After three tries it is refused.",
    )
    check_memory: str = _setting(
        _GATE, "4g", _memory, "Memory that the process that checks a version may take before it is killed."
    )
    min_accuracy: float = _setting(
        _GATE, "0.2", real(0, 1), "Least share of its held-out examples that a version must get right."
    )
    max_accuracy_drop: float = _setting(
        _GATE,
        "0.03",
        real(0, 1),
        "How far its accuracy may lie below the live version's on the same examples; 0.03 is three in a hundred.",
    )
    max_slowdown: float = _setting(
        _GATE,
        "2",
        real(1, 1000),
        "How many times as long as the live version it may take to answer, measured side by side.",
    )
    gate_dir: str = _setting(
        _GATE,
        "none",
        text,
        "Folder that `rollout gate-serve` watches; with it checks are left to that process. none checks here.",
    )

    keep_versions: int = _setting(
        _ROLLOUT,
        "5",
        whole(2),
        "How many versions of a model stay in models/; publishing one more removes the oldest that is not live.",
    )
    watch_seconds: int = _setting(
        _ROLLOUT,
        "30",
        whole(0, 86400),
        "How long a new version is watched after it went live; it is rolled back when it does worse. 0 does not watch.",
    )
    watch_error_rate: float = _setting(
        _ROLLOUT,
        "0.01",
        real(0, 1),
        "Share of failed requests, above that of the version before, at which a watched version is rolled back.",
    )
    watch_slowdown: float = _setting(
        _ROLLOUT,
        "3",
        real(1, 1000),
        "A watched version is rolled back when its median latency is this many times that of the version before.",
    )

    project: str = _setting(
        _IMAGES,
        "tf-serving-bundle",
        matching(r"[a-z0-9][a-z0-9_-]*", "lower-case letters, digits, - and _"),
        "Name of the compose project; two stacks on one machine need two names.",
    )
    serving_cpu_image: str = _setting(
        _IMAGES, "tensorflow/serving:2.19.1", _image, "TensorFlow Serving for ENGINE=cpu."
    )
    serving_gpu_image: str = _setting(
        _IMAGES, "tensorflow/serving:2.19.1-gpu", _image, "TensorFlow Serving for ENGINE=gpu."
    )
    embedded_image: str = _setting(
        _IMAGES,
        "tf-serving-bundle/server:0.1.0",
        _image,
        "Name of our engine's image, built from serving/Dockerfile.",
    )
    trainer_image: str = _setting(
        _IMAGES,
        "tf-serving-bundle/trainer:0.1.0",
        _image,
        "Name of the trainer's image, built from trainer/Dockerfile.",
    )
    python_image: str = _setting(
        _IMAGES, "python:3.11-slim-bookworm", _image, "Base of the images that are built here."
    )
    server_memory: str = _setting(
        _IMAGES, "6g", _memory, "Memory limit of the server; two versions are loaded during a switch."
    )
    trainer_memory: str = _setting(_IMAGES, "8g", _memory, "Memory limit of the trainer.")

    gpu_count: str = _setting(
        _GPU, "1", matching(r"all|[1-9][0-9]*", "a number of GPUs or all"), "GPUs that the server reserves."
    )
    gpu_ids: str = _setting(
        _GPU,
        "",
        matching(r"([\w-]+(,[\w-]+)*)?", "GPU indexes or UUIDs, separated by commas"),
        "Which GPUs, by index or UUID as nvidia-smi prints them: 0,2. Empty takes GPU_COUNT of them.",
    )
    gpu_memory_fraction: float = _setting(
        _GPU, "0", real(0, 1), "Share of a GPU's memory that the server may take; 0 lets it grow as needed."
    )


@dataclasses.dataclass(frozen=True)
class Setting:
    """One row of the table."""

    name: str
    default: str
    help: str
    group: str
    scope: str
    read: Reader
    is_path: bool


def table() -> list[Setting]:
    """Every setting, in the order in which `.env` shows them."""
    rows = [_row(field) for field in dataclasses.fields(Settings) if field.metadata]
    groups = list(dict.fromkeys(row.group for row in rows))
    return sorted(rows, key=lambda row: groups.index(row.group))


def _row(field: dataclasses.Field[Any]) -> Setting:
    meta = field.metadata
    return Setting(
        name=field.name.upper(),
        default=meta["default"],
        help=meta["help"],
        group=meta["group"],
        scope=meta["scope"],
        read=meta["read"],
        is_path=field.type == "Path",
    )

"""What models.config lists, read with TensorFlow Serving's own proto; no TensorFlow is imported for it."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from bundle.errors import UsageError

CONTAINER_MODELS = PurePosixPath("/models")
"""Where the containers see MODELS_DIR; base paths in models.config start with it."""


def parse(models_config: Path, text: str | None = None) -> Any:
    """The ModelServerConfig in the file, or in `text` that is to stand there."""
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    try:
        text = models_config.read_text(encoding="utf-8") if text is None else text
        return text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise UsageError(f"{models_config}:{error}; expected a ModelServerConfig text proto") from error
    except OSError as error:
        raise UsageError(f"cannot read {models_config}: {error.strerror}") from error


def base_paths(models_config: Path, models_dir: Path) -> dict[str, Path]:
    """Model name to its base path on this machine, in the order of the file; those on other machines are left out."""
    entries = parse(models_config).model_config_list.config
    paths = {entry.name: entry.base_path.removeprefix("file://") for entry in entries}
    local = {name: path for name, path in paths.items() if "://" not in path}
    for name, path in local.items():
        if not PurePosixPath(path).is_absolute():
            raise UsageError(
                f"{models_config}: model {name} has the base path {path!r}; the server expects an "
                f"absolute one, such as {CONTAINER_MODELS / name}"
            )
    return {name: _on_host(path, models_dir) for name, path in local.items()}


def base_path_of(model: str, models_config: Path, models_dir: Path) -> Path:
    """The base path of `model`; raises UsageError with what to add when models.config does not list it."""
    listed = base_paths(models_config, models_dir)
    if model not in listed:
        names = ", ".join(listed) or "no model"
        raise UsageError(
            f"{models_config} lists {names}, not MODEL_NAME={model}; add to its model_config_list:\n"
            f'  config {{ name: "{model}" base_path: "{CONTAINER_MODELS / model}" model_platform: "tensorflow" }}'
        )
    return listed[model]


def _on_host(base_path: str, models_dir: Path) -> Path:
    path = PurePosixPath(base_path)
    if path.is_relative_to(CONTAINER_MODELS):
        return models_dir / path.relative_to(CONTAINER_MODELS)
    return Path(base_path)

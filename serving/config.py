"""What is to be served: models.config read, checked and turned into plain values.

The file is the text form of the ModelServerConfig protobuf. What is wrong with it is said in the words of
tensorflow_model_server, because people search for them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tensorflow_serving.config import model_server_config_pb2

from serving import textproto
from serving.errors import Code, ServingError, invalid
from serving.flags import Options
from serving.policy import DEFAULT_POLICY, All, Latest, Specific, VersionPolicy

log = logging.getLogger(__name__)

ModelServerConfig: Final[Any] = model_server_config_pb2.ModelServerConfig

_KNOWN_PLATFORMS: Final = frozenset({"tensorflow"})
_URI: Final = re.compile(r"([A-Za-z][A-Za-z0-9.]*)://")
_FILE: Final = "file://"


@dataclass(frozen=True)
class ModelSettings:
    """One entry of models.config."""

    name: str
    base_path: Path
    platform: str = "tensorflow"
    policy: VersionPolicy = DEFAULT_POLICY
    labels: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ServerSettings:
    """A checked models.config. `kind` is the oneof case: "model_config_list", or "" for an empty file."""

    kind: str
    models: Mapping[str, ModelSettings]
    wants_request_log: bool = False


@dataclass(frozen=True)
class BasePathMap:
    """Where base paths of models.config are found on this machine."""

    pairs: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> BasePathMap:
        """Read `FROM=TO,FROM=TO`; raises ServingError when it is not of that form."""
        pairs = []
        for part in filter(None, text.split(",")):
            source, equals, target = part.partition("=")
            if not equals or not source.startswith("/") or not target.startswith("/"):
                raise invalid(
                    f"--base_path_map: found {part!r}; expected FROM=TO, both absolute paths, such as"
                    " /models=/home/me/models"
                )
            pairs.append((source.rstrip("/"), target.rstrip("/")))
        return cls(tuple(pairs))

    def apply(self, base_path: str) -> Path:
        """Return where `base_path` is on this machine; the first pair that fits counts."""
        base_path = local_path(base_path)
        for source, target in self.pairs:
            if base_path == source or base_path.startswith(source + "/"):
                return Path(target or "/", base_path[len(source) + 1 :])
        return Path(base_path)


def from_options(options: Options) -> Any:
    """Return the ModelServerConfig that the flags ask for: the file's, or one with the single model."""
    if options.model_config_file:
        return textproto.read(options.model_config_file, ModelServerConfig)
    if not options.model_base_path:
        raise invalid("Both server_options.model_base_path and server_options.model_config_file are empty!")
    config = ModelServerConfig()
    config.model_config_list.config.add(
        name=options.model_name, base_path=options.model_base_path, model_platform="tensorflow"
    )
    return config


def check(config: Any, before: ServerSettings | None, paths: BasePathMap) -> ServerSettings:
    """Turn a ModelServerConfig into settings; `before` is what is in force now, None at the first time.

    Raises ServingError with the real server's text for a config that it would refuse.
    """
    kind = config.WhichOneof("config") or ""
    _check_transition(kind, before)
    if kind == "custom_model_config":
        raise invalid("ModelServer does not yet support custom model config.")
    entries = list(config.model_config_list.config)
    _check_entries(entries)
    platforms = {entry.name: _platform(entry) for entry in entries}
    models_before = before.models if before else {}
    _check_platforms(platforms, models_before)
    _warn_of_types(entries, models_before)
    return ServerSettings(
        kind,
        {entry.name: _settings(entry, platforms[entry.name], paths) for entry in entries},
        any(True for _ in _with_logging(entries)),
    )


def _check_transition(kind: str, before: ServerSettings | None) -> None:
    if before is not None and before.kind and kind != "model_config_list":
        raise ServingError(
            Code.FAILED_PRECONDITION,
            "Cannot transition to requested config. It is only legal to transition from one ModelConfigList"
            " to another.",
        )


def _check_entries(entries: list[Any]) -> None:
    seen: set[str] = set()
    for entry in entries:
        if entry.name in seen:
            raise invalid(f"Illegal to list model {entry.name} multiple times in config list")
        seen.add(entry.name)
    for entry in entries:
        if not entry.base_path.startswith("/") and not _URI.match(entry.base_path):
            raise invalid(
                f"Expected model {entry.name} to have an absolute path or URI; got base_path()={entry.base_path}"
            )
        if not local_path(entry.base_path).startswith("/"):
            raise ServingError(
                Code.UNIMPLEMENTED,
                f"Model {entry.name}: found base_path={entry.base_path}; expected a folder of this machine. Copy the"
                " versions to one, or mount it there, and name that",
            )


def model_roots(options: Options) -> list[Path]:
    """The folders that --model_root names."""
    return [Path(root) for root in options.model_root.split(",") if root]


def local_path(base_path: str) -> str:
    """The path of a base path that may be a file: URI; any other URI is left as it is."""
    return base_path.removeprefix(_FILE)


def _warn_of_types(entries: list[Any], before: Mapping[str, ModelSettings]) -> None:
    """Once for a model, not at each reading of the file."""
    for entry in entries:
        if entry.model_type and entry.name not in before:
            log.warning(
                "Model %s: deprecated ModelServerConfig::model_type field used. Prefer"
                " ModelServerConfig::model_platform.",
                entry.name,
            )


def _platform(entry: Any) -> str:
    if entry.model_type and entry.model_platform:
        raise invalid(
            "Illegal setting both ModelServerConfig::model_type (deprecated) and"
            f" ModelServerConfig::model_platform, model name is {entry.name}"
        )
    if entry.model_type == model_server_config_pb2.TENSORFLOW:
        return "tensorflow"
    if entry.model_type:
        raise invalid(f"ModelServerConfig::model_type choice {entry.model_type} not supported.")
    if not entry.model_platform:
        raise invalid(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor"
            f" ModelServerConfig::model_platform, model name is {entry.name}"
        )
    return str(entry.model_platform)


def _check_platforms(platforms: Mapping[str, str], before: Mapping[str, ModelSettings]) -> None:
    for name, platform in platforms.items():
        if name in before and before[name].platform != platform:
            raise invalid(
                f"Illegal to change a model's platform. For model {name} platform was"
                f" {before[name].platform} and new platform requested is {platform}"
            )
    for name, platform in platforms.items():
        if platform not in _KNOWN_PLATFORMS:
            raise invalid(f"Model {name} requests unsupported platform {platform}")


def _settings(entry: Any, platform: str, paths: BasePathMap) -> ModelSettings:
    return ModelSettings(
        name=entry.name,
        base_path=paths.apply(entry.base_path),
        platform=platform,
        policy=_policy(entry.model_version_policy),
        labels=dict(sorted(entry.version_labels.items())),
    )


def _policy(message: Any) -> VersionPolicy:
    choice = message.WhichOneof("policy_choice")
    if choice == "all":
        return All()
    if choice == "specific":
        return Specific(frozenset(message.specific.versions))
    return Latest(max(1, message.latest.num_versions))


def _with_logging(entries: list[Any]) -> Iterator[Any]:
    return (entry for entry in entries if entry.HasField("logging_config"))

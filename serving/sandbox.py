"""Models are programs: before the first one is loaded this process gives up whatever they have no need of.

It can then read models, its own packages and the system's libraries, and write nothing but what it has open. It starts
no process and connects to nobody. Which folders hold models is settled at that moment, for good: those that are listed
and there, and those that --model_root names.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bundle import arguments, landlock, libraries, seccomp
from bundle.versions import version_folders
from serving import reader
from serving.config import BasePathMap, local_path, model_roots
from serving.errors import Code, ServingError, invalid
from serving.flags import Options

log = logging.getLogger(__name__)

_OUT = "--sandbox=off"
_MOST_FILES = 100_000

_folders: dict[Path, tuple[int, int]] | None = None
"""Where models may be read, each with what tells it from a folder that is made there later; None: everywhere."""


def check(options: Options) -> None:
    """Raise ServingError for flags that cannot be followed."""
    if options.sandbox not in ("on", "off"):
        raise invalid(f"--sandbox={options.sandbox}: expected on or off")
    for root in model_roots(options):
        if not root.is_absolute():
            raise invalid(f"--model_root: found {str(root)!r}; expected absolute paths of folders, separated by commas")
        if options.sandbox == "on" and not root.is_dir():
            raise ServingError(Code.NOT_FOUND, f"--model_root: {root}; No such folder: make it, or name another one")


def enter(options: Options, config: Any) -> None:
    """Give up all that is not needed to serve `config`; says once what could not be given up.

    Call it while there is one thread: only threads that are started afterwards are held by it.
    """
    global _folders
    if options.sandbox == "off":
        log.warning("The sandbox is off: a model can read and write whatever this process may")
        return
    if landlock.threads() != 1:
        raise AssertionError("the sandbox must be entered while there is one thread")
    base_paths = list(_base_paths(options, config))
    folders = [*model_roots(options), *(folder for base_path in base_paths for folder in _with_links(base_path))]
    _prepare(options)
    own = libraries.readable("bundle", "serving")
    allowed = landlock.Allowed(
        read=[*own, *folders] if folders else None,
        write=[Path(os.devnull)],
        sockets=[Path(options.grpc_socket_path).absolute().parent] if options.grpc_socket_path else [],
        listen=[0, *filter(None, (options.port, options.rest_api_port))],  # gRPC tries any port to find out about IPv6.
    )
    missing = landlock.restrict(allowed) + seccomp.restrict(listens=True)
    _folders = {real: _identity(real) for real in map(_real, folders)} or None
    _say(missing, base_paths)


def why_not(path: Path) -> str:
    """Why the sandbox keeps this process from reading `path`, with what to do; an empty text when it does not."""
    if _folders is None:
        return ""
    real = _real(path)
    if any(real.is_relative_to(folder) and _identity(folder) == was for folder, was in _folders.items()):
        return ""
    return (
        f"the sandbox lets this server read models in {_named(_folders)}, as they were when it was started, and {real}"
        " is not among that. Restart it, and it reads every base path that models.config lists by then; or start it"
        f" with --model_root=<a folder above>, or with {_OUT}"
    )


def explained(error: ServingError, folder: Path) -> ServingError:
    """`error`, with what the sandbox has to do with it when a version in `folder` was denied something."""
    if _folders is None or error.code != Code.PERMISSION_DENIED:
        return error
    reason = why_not(folder)
    for path in _inside(folder):
        if not os.access(path, os.R_OK):
            return error  # By its own mode, whatever the sandbox does.
        reason = reason or (why_not(path) if path.is_symlink() else "")
    reason = reason or f"in the sandbox a model reads what lies in its folders, and nothing else ({_OUT} lifts that)"
    return ServingError(error.code, f"{error.message}; {reason}")


def denied(error: ServingError) -> bool:
    """Whether it may be the sandbox that a request failed of."""
    return _folders is not None and error.code == Code.PERMISSION_DENIED


def _prepare(options: Options) -> None:
    """What has to be done while it still can be."""
    reader.remove_stale(options.grpc_socket_path)
    named = [
        options.model_config_file,
        options.monitoring_config_file,
        options.batching_parameters_file,
        options.ssl_config_file,
        options.tensorflow_session_config_file,
    ]
    reader.start(named, options.grpc_socket_path)
    libraries.do_without_a_home()
    program = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1]
    arguments.shown_as(*program)


def _say(missing: list[str], base_paths: list[Path]) -> None:
    if missing:
        log.warning("The sandbox cannot keep models from: %s", "; ".join(missing))
    if _folders is None:
        log.warning(
            "The sandbox does not restrict reading: no base path is there yet, and --model_root names no folder"
        )
        return
    log.info("Models are shut in: they can read %s, write nothing, reach nobody", _named(_folders))
    for base_path in base_paths:
        if not base_path.is_dir() and (reason := why_not(base_path)):
            log.warning("Base path %s is not there yet, and could not be read when it comes: %s", base_path, reason)


def _base_paths(options: Options, config: Any) -> Iterator[Path]:
    paths = BasePathMap.parse(options.base_path_map)
    for entry in config.model_config_list.config:
        if local_path(entry.base_path).startswith("/"):
            yield paths.apply(entry.base_path)


def _with_links(base_path: Path) -> Iterator[Path]:
    """A base path that is there, and the folders that versions in it are links to."""
    if base_path.is_dir():
        yield base_path
        with contextlib.suppress(OSError):
            yield from (folder for folder in version_folders(base_path).values() if folder.is_symlink())


def _inside(folder: Path) -> Iterator[Path]:
    """What lies in a version folder, up to a number that no version reaches."""
    walked = (Path(parent, name) for parent, folders, files in os.walk(folder) for name in (*folders, *files))
    return itertools.islice(walked, _MOST_FILES)


def _named(folders: Iterable[Path]) -> str:
    return ", ".join(map(str, folders))


def _identity(folder: Path) -> tuple[int, int]:
    try:
        facts = folder.stat()
    except OSError:
        return (0, 0)
    return facts.st_dev, facts.st_ino


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))

"""`rollout image`: a server image with one version inside, which serves without any mount."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from bundle import output
from bundle.errors import BundleError, UsageError
from bundle.models_config import base_path_of
from bundle.settings import Settings
from bundle.versions import version_folders
from rollout.engines.choose import build, choose
from rollout.engines.compose import ComposeEngine

_MODELS_CONFIG = """\
model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
  }}
}}
"""


def bake(settings: Settings, version: int | None) -> int:
    """Build an image of `version`, or of the newest one, on the image of the engine that is asked for."""
    folder = _folder(settings, version)
    engine = _engine(settings)
    if engine.name == "embedded":
        engine.build_server()
    tag = f"{settings.project}/{settings.model_name.lower()}:{folder.name}"
    output.step(f"baking {settings.model_name} version {folder.name} into {engine.server_image}")
    with tempfile.TemporaryDirectory(prefix="bake-") as scratch:
        _fill(Path(scratch), settings, folder)
        _build(settings, engine.server_image, folder.name, tag, scratch)
    output.step(f"built {tag}")
    output.line(f"""
  It needs no mount. To try it:

    docker run --rm -p 127.0.0.1:{settings.rest_port}:8501 -p 127.0.0.1:{settings.grpc_port}:8500 {tag}""")
    return 0


def _folder(settings: Settings, version: int | None) -> Path:
    base_path = base_path_of(settings.model_name, settings.root / "models.config", settings.models_dir)
    folders = version_folders(base_path)
    if not folders:
        raise BundleError(f"{settings.model_name} has no version in {base_path}; run: make train")
    wanted = max(folders) if version is None else version
    if wanted not in folders:
        held = ", ".join(map(str, folders))
        raise UsageError(f"{base_path} holds no version {wanted}; it holds {held}")
    return folders[wanted]


def _engine(settings: Settings) -> ComposeEngine:
    choice = choose(settings)
    if choice.name == "local":
        raise BundleError(f"an image needs Docker ({choice.reason}); see: make doctor")
    output.step(f"engine: {choice.name} ({choice.reason})")
    engine = build(choice.name, settings)
    assert isinstance(engine, ComposeEngine)
    engine.require_image()
    return engine


def _fill(context: Path, settings: Settings, folder: Path) -> None:
    """What goes to /models of the image: the version, and the texts that the server is told to read."""
    name = settings.model_name
    shutil.copytree(folder, context / name / folder.name)
    (context / "models.config").write_text(_MODELS_CONFIG.format(name=name), encoding="utf-8")
    shutil.copyfile(settings.root / "serving" / "monitoring.config", context / "monitoring.config")
    for path in context.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)  # The server inside runs as somebody else.


def _build(settings: Settings, serving_image: str, version: str, tag: str, context: str) -> None:
    dockerfile = str(settings.root / "serving" / "Dockerfile")
    given = {"SERVING_IMAGE": serving_image, "MODEL_NAME": settings.model_name, "VERSION": version}
    arguments = [part for name, value in given.items() for part in ("--build-arg", f"{name}={value}")]
    command = ["docker", "build", "--quiet", "--file", dockerfile, "--target", "baked", "--tag", tag]
    answer = subprocess.run([*command, *arguments, context], stdout=subprocess.DEVNULL, check=False)
    if answer.returncode != 0:
        raise BundleError(f"docker build failed (exit status {answer.returncode}), see above")

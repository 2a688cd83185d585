"""Who may import whom, and that what is light stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.bundle.parts import PROJECT

PACKAGES = ("bundle", "trainer", "serving", "rollout", "bench")
MAY_IMPORT = {
    "bundle": {"bundle"},
    "trainer": {"bundle", "trainer"},
    "serving": {"bundle", "serving"},
    "rollout": {"bundle", "rollout", "serving"},
    # It makes SavedModels as the trainer does; engines it only meets over the network.
    "bench": {"bench", "bundle", "trainer"},
}
ROLLOUT_FROM_SERVING = {
    "serving.extra_ops",
    "serving.servable",
    "serving.savedmodel",
    "serving.warmup",
    "serving.errors",
}
HEAVY = ("tensorflow", "keras", "sklearn", "matplotlib")


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports anywhere; `from a import b` counts as a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def of_package(package: str) -> list[tuple[Path, str]]:
    return [(path, name) for path in sorted((PROJECT / package).rglob("*.py")) for name in imports(path)]


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_what_they_may(package: str) -> None:
    found = of_package(package)
    assert found
    ours = [(path, name) for path, name in found if name.split(".")[0] in PACKAGES]
    assert [entry for entry in ours if entry[1].split(".")[0] not in MAY_IMPORT[package]] == []
    assert [entry for entry in ours if entry[1].split(".")[0] == "tests"] == []


def test_rollout_knows_only_the_loader_of_serving() -> None:
    from_serving = [(path, name) for path, name in of_package("rollout") if name.split(".")[0] == "serving"]
    assert from_serving
    assert [entry for entry in from_serving if ".".join(entry[1].split(".")[:2]) not in ROLLOUT_FROM_SERVING] == []


def test_bundle_never_imports_tensorflow() -> None:
    assert [entry for entry in of_package("bundle") if entry[1].split(".")[0] in HEAVY] == []


def test_using_all_of_bundle_loads_nothing_heavy() -> None:
    modules = [f"bundle.{path.stem}" for path in sorted((PROJECT / "bundle").glob("[a-z]*.py"))]
    script = f"""
import importlib, sys
from pathlib import Path
for name in {modules!r}:
    importlib.import_module(name)
from bundle import models_config
assert models_config.base_paths(Path("models.config"), Path("models"))
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    answer = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert answer.stdout == "[]\n", answer.stderr

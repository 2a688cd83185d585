"""What models.config lists, and where that lies on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.errors import UsageError
from bundle.models_config import base_path_of, base_paths
from tests.unit.bundle.parts import PROJECT

MODELS = Path("/somewhere/models")


def listing(*entries: str) -> str:
    configs = "\n".join(f"config {{ {entry} model_platform: 'tensorflow' }}" for entry in entries)
    return f"model_config_list {{ {configs} }}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "models.config"


def test_the_shipped_file_lists_the_default_model() -> None:
    assert base_paths(PROJECT / "models.config", MODELS) == {"ResnetModel": MODELS / "ResnetModel"}


def test_container_paths_become_paths_of_this_machine_in_order(path: Path) -> None:
    path.write_text(listing("name: 'B' base_path: '/models/deep/B'", "name: 'A' base_path: '/data/A'"))
    assert list(base_paths(path, MODELS).items()) == [("B", MODELS / "deep" / "B"), ("A", Path("/data/A"))]


def test_a_name_that_only_begins_like_the_models_folder_is_another(path: Path) -> None:
    path.write_text(listing("name: 'A' base_path: '/models-old/A'"))
    assert base_paths(path, MODELS) == {"A": Path("/models-old/A")}


def test_a_model_at_a_uri_is_not_on_this_machine(path: Path) -> None:
    path.write_text(listing("name: 'A' base_path: 's3://bucket/A'", "name: 'B' base_path: '/models/B'"))
    assert base_paths(path, MODELS) == {"B": MODELS / "B"}


def test_an_empty_file_lists_nothing(path: Path) -> None:
    path.touch()
    assert base_paths(path, MODELS) == {}


@pytest.mark.parametrize("content", [b"model_config_list {", b"models { }", b"\xff\xfe"])
def test_what_cannot_be_parsed_is_named_with_its_place(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(UsageError, match=rf"{path}.* expected a ModelServerConfig"):
        base_paths(path, MODELS)


def test_a_missing_file_is_named(path: Path) -> None:
    with pytest.raises(UsageError, match=f"cannot read {path}: No such file"):
        base_paths(path, MODELS)


@pytest.mark.parametrize("entry", ["name: 'A'", "name: 'A' base_path: 'models/A'"])
def test_a_base_path_that_is_not_absolute_is_refused_as_the_server_does(path: Path, entry: str) -> None:
    path.write_text(listing(entry))
    with pytest.raises(UsageError, match=r"model A .*absolute"):
        base_paths(path, MODELS)


def test_a_model_that_is_not_listed_is_refused_with_what_to_add(path: Path) -> None:
    path.write_text(listing("name: 'A' base_path: '/models/A'"))
    assert base_path_of("A", path, MODELS) == MODELS / "A"
    with pytest.raises(UsageError) as caught:
        base_path_of("Mine", path, MODELS)
    message = str(caught.value)
    assert "lists A, not MODEL_NAME=Mine" in message
    suggestion = message.splitlines()[-1]
    path.write_text(f"model_config_list {{ {suggestion} }}")
    assert base_path_of("Mine", path, MODELS) == MODELS / "Mine"

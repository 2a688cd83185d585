"""The canary's lines in models.config come and go without a trace, and touch nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle import pins
from bundle.errors import UsageError
from bundle.models_config import parse
from bundle.pins import Pins
from tests.unit.bundle.parts import PROJECT

CANARY = Pins((2, -3), {"stable": 2, "canary": -3})
LAYOUTS = {
    "shipped": (PROJECT / "models.config").read_text().replace("ResnetModel", "M"),
    "one line": 'model_config_list { config { name: "M" base_path: "/m" model_platform: "tensorflow" } }',
    "others": """# mine, with a { in it
model_config_list: {
  config: { name: 'A' base_path: "/a" model_platform: "tensorflow" version_labels { key: "x}" value: 1 } }
  config: {
    # config { name: "M" }
    model_platform: "tensorflow"  # really
    base_path: "/m"
    name: "M"  # last
  }
  config < name: "Z" base_path: "/z" model_platform: "tensorflow"
    model_version_policy { specific { versions: 7 } } >
}
# the end""",
    "a list": 'model_config_list { config: [{ name: "A" base_path: "/a" }, { name: "M" base_path: "/m" }] }',
}


@pytest.fixture(params=LAYOUTS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "models.config"
    path.write_text(LAYOUTS[request.param])
    return path


def test_pins_are_what_the_server_reads_and_go_without_a_trace(path: Path) -> None:
    before = path.read_text()
    others = [entry for entry in parse(path).model_config_list.config if entry.name != "M"]
    assert pins.read(path, "M") is None
    for wanted in (Pins((2, -3)), CANARY, Pins((3,), {"stable": 3, "canary": 3})):
        pins.write(path, "M", wanted)
        assert pins.read(path, "M") == wanted
        assert pins.is_ours(path, "M")
        assert [entry for entry in parse(path).model_config_list.config if entry.name != "M"] == others
        assert all(comment in path.read_text() for comment in before.split("\n") if comment.startswith("#"))
    pins.write(path, "M", None)
    assert path.read_text() == before


def test_a_policy_of_the_users_own_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "models.config"
    text = (
        'model_config_list { config { name: "M" base_path: "/m" model_version_policy { latest { num_versions: 2 } } } }'
    )
    path.write_text(text)
    with pytest.raises(UsageError, match="policy or labels of its own"):
        pins.write(path, "M", CANARY)
    assert path.read_text() == text
    assert pins.read(path, "M") is None


def test_pins_of_the_users_own_are_read_and_known_as_such(tmp_path: Path) -> None:
    path = tmp_path / "models.config"
    path.write_text('model_config_list { config { name: "M" model_version_policy { specific { versions: 4 } } } }')
    assert pins.read(path, "M") == Pins((4,))
    assert not pins.is_ours(path, "M")


def test_what_cannot_be_read_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "models.config"
    path.write_text("model_config_list { config {")
    with pytest.raises(UsageError, match="expected a ModelServerConfig"):
        pins.write(path, "M", CANARY)
    path.write_text("model_config_list { }")
    with pytest.raises(UsageError, match="lists no model M"):
        pins.write(path, "M", CANARY)


def test_a_linked_file_stays_a_link(tmp_path: Path) -> None:
    real = tmp_path / "real.config"
    real.write_text(LAYOUTS["one line"])
    (tmp_path / "models.config").symlink_to(real)
    pins.write(tmp_path / "models.config", "M", CANARY)
    assert (tmp_path / "models.config").is_symlink()
    assert pins.read(real, "M") == CANARY

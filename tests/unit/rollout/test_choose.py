"""Which engine runs here, with a docker command of our own on the PATH that answers as Docker does."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from bundle.errors import BundleError
from bundle.settings import Settings
from rollout.engines.choose import build, choose
from rollout.engines.compose import ComposeEngine
from rollout.engines.docker_facts import ask
from rollout.engines.local import LocalEngine

FAKE = """#!{python}
import json, sys
calls = {{"info": {info!r}, "compose": {compose!r}, "image": {image!r}, "pull": {pull!r}, "top": {top!r}}}
with open({log!r}, "a") as log:
    log.write(" ".join(sys.argv[1:]) + "\\n")
status, out, err = calls[sys.argv[1]]
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(status)
"""
INFO = {"ServerVersion": "29.1.0", "Architecture": "x86_64", "Runtimes": {"runc": {}}}
COMPOSE = (0, "5.0.0\n", "")
NO_DAEMON = (1, "{}", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.\n")
ABSENT = (1, "[]", "Error: No such image\n")


def docker(folder: Path, monkeypatch: pytest.MonkeyPatch, info: Any = INFO, **answers: Any) -> Path:
    """Puts a docker on the PATH, before all others; returns the log of its calls."""
    folder.mkdir(exist_ok=True)
    given = {
        "info": info if isinstance(info, tuple) else (0, json.dumps(info), ""),
        "compose": COMPOSE,
        "image": (0, "[]", ""),
        "pull": (0, "", ""),
        "top": (1, "", "Error: No such container\n"),
        **answers,
    }
    log = folder / "calls"
    (folder / "docker").write_text(FAKE.format(python=sys.executable, log=str(log), **given))
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return log


@pytest.fixture
def bin_(tmp_path: Path) -> Path:
    return tmp_path / "bin"


def asked_for(settings: Settings, engine: str) -> Settings:
    return dataclasses.replace(settings, engine=engine)


def test_without_docker_auto_is_local_and_says_why(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    choice = choose(settings)
    assert choice.name == "local"
    assert choice.reason == "the docker command is not installed"
    for engine in ("cpu", "gpu", "embedded"):
        with pytest.raises(BundleError, match=f"ENGINE={engine} needs Docker: .*make up ENGINE=local"):
            choose(asked_for(settings, engine))


def test_a_daemon_that_does_not_answer_is_no_docker(
    settings: Settings, bin_: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker(bin_, monkeypatch, NO_DAEMON)
    choice = choose(settings)
    assert choice.name == "local"
    assert "Cannot connect to the Docker daemon" in choice.reason


@pytest.mark.parametrize("said", ["", "null", "[]", "warning: strange\n{}"])
def test_a_docker_that_speaks_nonsense_is_no_docker(
    settings: Settings, bin_: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    docker(bin_, monkeypatch, (0, said, ""))
    assert choose(settings).name == "local"


def test_docker_without_compose_is_no_docker(settings: Settings, bin_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker(bin_, monkeypatch, compose=(1, "", "docker: unknown command: docker compose\n"))
    choice = choose(settings)
    assert choice.name == "local"
    assert "install the compose plugin" in choice.reason
    with pytest.raises(BundleError, match="compose plugin"):
        choose(asked_for(settings, "cpu"))


@pytest.mark.parametrize(
    "gpu",
    [{"Runtimes": {"runc": {}, "nvidia": {}}}, {"DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}]}],
)
def test_a_gpu_that_docker_can_hand_out_is_taken(
    settings: Settings, bin_: Path, monkeypatch: pytest.MonkeyPatch, gpu: dict[str, Any]
) -> None:
    docker(bin_, monkeypatch, INFO | gpu)
    assert choose(settings).name == "gpu"
    assert choose(asked_for(settings, "gpu")).reason == "asked for with ENGINE=gpu"
    assert choose(asked_for(settings, "cpu")).name == "cpu"


def test_a_gpu_that_docker_cannot_hand_out_is_refused_with_what_to_do(
    settings: Settings, bin_: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker(bin_, monkeypatch)
    with pytest.raises(BundleError, match=r"nvidia-container-toolkit.*ENGINE=cpu"):
        choose(asked_for(settings, "gpu"))


def test_without_a_gpu_it_is_tensorflow_serving_on_the_cpu(
    settings: Settings, bin_: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = docker(bin_, monkeypatch)
    assert choose(settings).name == "cpu"
    assert "pull" not in log.read_text()


def test_an_image_that_is_missing_is_pulled(settings: Settings, bin_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = docker(bin_, monkeypatch, image=ABSENT)
    assert choose(settings).name == "cpu"
    assert f"pull --quiet {settings.serving_cpu_image}" in log.read_text()


def test_an_image_that_cannot_be_had_means_our_engine(
    settings: Settings, bin_: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker(bin_, monkeypatch, image=ABSENT, pull=(1, "", "Error response: dial tcp: no route to host\n"))
    choice = choose(settings)
    assert choice.name == "embedded"
    assert "no route to host" in choice.reason


def test_arm_means_our_engine(settings: Settings, bin_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker(bin_, monkeypatch, INFO | {"Architecture": "aarch64"})
    assert choose(settings).name == "embedded"


def test_local_asks_nobody(settings: Settings, bin_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = docker(bin_, monkeypatch)
    assert choose(asked_for(settings, "local")).name == "local"
    assert not log.exists()


def test_the_facts(bin_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker(bin_, monkeypatch)
    facts, why_not = ask()
    assert facts is not None
    assert (facts.version, facts.architecture, facts.compose, facts.gpu, why_not) == (
        "29.1.0",
        "x86_64",
        "5.0.0",
        False,
        "",
    )


def test_each_name_has_its_engine(settings: Settings) -> None:
    assert isinstance(build("local", settings), LocalEngine)
    for name in ("gpu", "cpu", "embedded"):
        engine = build(name, settings)
        assert isinstance(engine, ComposeEngine)
        assert engine.name == name


def test_the_client_of_an_engine_that_listens_everywhere_asks_loopback(settings: Settings) -> None:
    assert build("local", dataclasses.replace(settings, bind="0.0.0.0")).client().host == "127.0.0.1"
    assert build("cpu", dataclasses.replace(settings, bind="::")).client().rest_url == "http://[::1]:8501"

"""GPUs as doctor and the choice of an engine see them, with an nvidia-smi of our own: the one thing that is faked."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

import pytest

from bundle.errors import BundleError
from bundle.settings import Settings, table
from rollout import gpu, gpu_checks, gpu_support, gpu_use
from rollout.engines.choose import choose
from rollout.engines.compose import ComposeEngine
from rollout.finding import Finding, Level
from tests.unit.bundle.parts import make_version
from tests.unit.rollout.test_choose import INFO, asked_for, docker

T4 = "0, Tesla T4, 550.54.15, 7.5, 15360, 500"
H100 = "1, NVIDIA H100 80GB HBM3, 550.54.15, 9.0, 81559, 0"
RTX_5090 = "0, NVIDIA GeForce RTX 5090, 575.10, 12.0, 32607, 0"
K80 = "0, Tesla K80, 470.82.01, 3.7, 11441, 0"
OLD_DRIVER = "0, Tesla T4, 525.60.13, 7.5, 15360, 0"
RUNTIME = INFO | {"Runtimes": {"nvidia": {}}}
FAKE = """#!{python}
import sys
answers = {{"--query-gpu": {gpus!r}, "--query-compute-apps": {apps!r}}}
print("\\n".join(answers[sys.argv[1].partition("=")[0]]))
"""


def nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, *gpus: str, apps: tuple[str, ...] = ()) -> None:
    """Puts an nvidia-smi on the PATH that lists `gpus`, and `apps` as what computes on them."""
    folder.mkdir(exist_ok=True)
    tool = folder / "nvidia-smi"
    tool.write_text(FAKE.format(python=sys.executable, gpus=gpus, apps=apps))
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def findings(settings: Settings) -> dict[str, Finding]:
    return {finding.name: finding for finding in gpu_checks.gpus(settings)}


def test_what_nvidia_smi_says_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(tmp_path / "bin", monkeypatch, T4, H100)
    found, why_none = gpu.ask()
    assert why_none == ""
    assert found[0] == gpu.Gpu(0, "Tesla T4", (550, 54, 15), (7, 5), 15360, 500)
    assert (found[1].index, found[1].name) == (1, "NVIDIA H100 80GB HBM3")


@pytest.mark.parametrize("said", ["strange", "0, Tesla T4, 550.54, [N/A], 15360, 0", "0, T4"])
def test_an_answer_that_cannot_be_read_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    nvidia_smi(tmp_path / "bin", monkeypatch, said)
    found, why_none = gpu.ask()
    assert found == []
    assert said in why_none


def test_processes_on_the_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(tmp_path / "bin", monkeypatch, T4, apps=("123, 700", "124, [N/A]"))
    assert gpu.memory_of_processes() == {123: 700, 124: 0}


def test_no_nvidia_smi_means_no_gpu(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu.ask() == ([], "no nvidia-smi")
    assert gpu.memory_of_processes() == {}
    assert findings(settings)["GPU"].remedy == "nothing to do: CPUs serve and train"


def test_every_image_of_the_settings_is_in_the_table() -> None:
    image = next(row.default for row in table() if row.name == "SERVING_GPU_IMAGE")
    assert gpu_support.of_image(image) == gpu_support.RELEASES["2.19"]
    assert gpu_support.of_image("registry:5000/serving:latest") is None


@pytest.mark.parametrize(
    ("release", "capability", "driver", "problem"),
    [
        ("2.19", (7, 5), (550, 54), ""),
        ("2.19", (8, 6), (535, 104, 5), ""),
        ("2.19", (8, 9), (550,), ""),
        ("2.19", (9, 0), (550,), ""),
        ("2.19", (9, 0), (525, 60), "wants driver 535 or newer, not 525.60"),
        ("2.20", (7, 5), (550,), "wants driver 555 or newer"),
        ("2.19", (5, 2), (550,), ""),
        ("2.20", (5, 2), (560,), "older than 6.0"),
        ("2.19", (3, 7), (550,), "older than 5.0"),
        ("2.19", (10, 0), (575,), "newer than it supports"),
        ("2.19", (12, 0), (575,), "newer than it supports"),
    ],
)
def test_what_an_image_can_use(
    release: str, capability: tuple[int, int], driver: tuple[int, ...], problem: str
) -> None:
    one = gpu.Gpu(0, "some GPU", driver, capability, 16000, 0)
    reason, remedy = gpu_support.why_not(gpu_support.RELEASES[release], one)
    assert problem in reason
    assert bool(reason) == bool(remedy) == bool(problem)


def test_a_gpu_without_machine_code_is_compiled_for() -> None:
    support = gpu_support.RELEASES["2.19"]
    compiled = {
        capability: gpu_support.is_compiled_at_first_use(support, gpu.Gpu(0, "x", (550,), capability, 1, 0))
        for capability in ((7, 0), (7, 5), (8, 0), (8, 9), (9, 0))
    }
    assert compiled == {(7, 0): False, (7, 5): False, (8, 0): False, (8, 9): False, (9, 0): True}


def test_doctor_shows_driver_capability_and_memory(
    settings: Settings, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_version(base / "1", size=3 * 2**20)
    nvidia_smi(tmp_path / "bin", monkeypatch, T4, H100)
    found = findings(settings)
    assert found["GPU 0"].level is Level.OK
    assert found["GPU 0"].message == "Tesla T4, driver 550.54.15, compute capability 7.5, 15360 MiB"
    assert "the first load compiles for minutes" in found["GPU 1"].message
    assert found["GPU memory"].level is Level.OK
    assert "two versions of ResnetModel need about 15" in found["GPU memory"].message
    assert found["GPU memory"].message.endswith("GPU 0 gives 15360")


def test_doctor_says_when_a_switch_does_not_fit(
    settings: Settings, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_version(base / "1")
    nvidia_smi(tmp_path / "bin", monkeypatch, "0, GeForce 940M, 550.1, 5.0, 1024, 0")
    found = findings(settings)["GPU memory"]
    assert found.level is Level.WARNING
    assert "ENGINE=cpu" in found.remedy
    nvidia_smi(tmp_path / "bin", monkeypatch, T4)
    half = dataclasses.replace(settings, gpu_memory_fraction=0.05)
    assert findings(half)["GPU memory"].message.endswith("GPU 0 gives 768")


@pytest.mark.parametrize("line", [RTX_5090, K80, OLD_DRIVER])
def test_a_gpu_that_the_image_cannot_use_is_a_warning_and_not_chosen(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    docker(tmp_path / "bin", monkeypatch, RUNTIME)
    nvidia_smi(tmp_path / "bin", monkeypatch, line)
    found = findings(settings)["GPU 0"]
    assert found.level is Level.WARNING
    assert "tensorflow/serving:2.19.1-gpu cannot use it" in found.message
    choice = choose(settings)
    assert choice.name == "cpu"
    assert "cannot use" in choice.reason
    with pytest.raises(BundleError, match=r"ENGINE=gpu: tensorflow/serving:2.19.1-gpu cannot use .*(CPU|driver)"):
        choose(asked_for(settings, "gpu"))


def test_the_server_on_the_gpu_is_seen_by_its_process(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker(tmp_path / "bin", monkeypatch, RUNTIME, compose=(0, "abc\n", ""), top=(0, "PID\n122\n123\n", ""))
    nvidia_smi(tmp_path / "bin", monkeypatch, T4, apps=("7, 100", "123, 700"))
    engine = ComposeEngine(settings, "gpu")
    assert gpu_use.evidence(engine) == "process 123 holds 700 MiB of GPU memory"
    nvidia_smi(tmp_path / "bin", monkeypatch, T4, apps=("7, 100",))
    assert gpu_use.evidence(engine) == ""


def test_the_server_on_the_gpu_is_seen_by_its_log(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = "Created device /job:localhost/replica:0/task:0/device:GPU:0 with 13000 MB memory"
    docker(tmp_path / "bin", monkeypatch, RUNTIME, compose=(0, f"server-1  | I0000 {made}\n", ""))
    nvidia_smi(tmp_path / "bin", monkeypatch, T4)
    assert gpu_use.evidence(ComposeEngine(settings, "gpu")) == made


def test_one_usable_gpu_is_enough(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker(tmp_path / "bin", monkeypatch, RUNTIME)
    nvidia_smi(tmp_path / "bin", monkeypatch, K80, H100)
    assert choose(settings).name == "gpu"


def test_a_gpu_that_docker_cannot_hand_out_is_the_reason_for_the_cpu(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker(tmp_path / "bin", monkeypatch)
    assert "neither the nvidia runtime nor a CDI device" in choose(settings).reason
    nvidia_smi(tmp_path / "bin", monkeypatch, T4)
    choice = choose(settings)
    assert choice.name == "cpu"
    assert "Tesla T4" in choice.reason
    assert "nvidia-container-toolkit" in choice.reason

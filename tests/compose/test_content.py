"""What the compose files say: hardened services, known settings, and the flags that the plain process gets too."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bundle.environment import load
from bundle.settings import TRAINER, table
from rollout.engines.compose import ComposeEngine
from rollout.engines.local import LocalEngine
from serving.commandline import parse
from tests.unit.bundle.parts import PROJECT

FILES = ("compose.yaml", "compose.gpu.yaml")
TEXTS = {name: (PROJECT / name).read_text(encoding="utf-8") for name in FILES}
BASE: dict[str, Any] = yaml.safe_load(TEXTS["compose.yaml"])
GPU: dict[str, Any] = yaml.safe_load(TEXTS["compose.gpu.yaml"])
SERVICES = ("server", "config", "watcher", "gate", "trainer")
RUN_MODELS = ("server", "gate", "trainer")
DEFAULTS = {row.name: row.default for row in table()}
NOT_SETTINGS = {"BUNDLE_UID", "BUNDLE_GID", "SERVER_IMAGE", "TRAINER_NETWORK"}
VARIABLE = re.compile(r"(?<!\$)\$\{([^}:]*)(?::-([^}]*))?\}")
BYTES = {"k": 2**10, "m": 2**20, "g": 2**30}


def interpolated(text: str) -> str:
    """`text` as compose reads it when no variable is set."""
    return VARIABLE.sub(lambda match: match[2] or "", text).replace("$$", "$")


PLAIN: dict[str, Any] = yaml.safe_load(interpolated(TEXTS["compose.yaml"]))


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*DEFAULTS, *NOT_SETTINGS, "MAKEFLAGS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def defaults(tmp_path: Path) -> Any:
    return load(tmp_path)


def test_the_services_are_those_that_are_tested_here() -> None:
    assert set(BASE["services"]) == set(SERVICES)
    assert set(GPU["services"]) <= set(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_is_hardened(service: str) -> None:
    facts = BASE["services"][service]
    assert facts["init"] is True
    assert facts["read_only"] is True
    assert facts["tmpfs"] == ["/tmp"]
    assert facts["cap_drop"] == ["ALL"]
    assert "cap_add" not in facts
    assert facts["security_opt"] == ["no-new-privileges:true"]
    assert facts["pids_limit"] > 0
    assert "privileged" not in facts


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_runs_as_root_by_default(service: str) -> None:
    user, group = PLAIN["services"][service]["user"].split(":")
    assert int(user) >= 1000
    assert int(group) >= 1000


@pytest.mark.parametrize("service", SERVICES)
def test_logs_are_rotated_and_memory_is_limited(service: str) -> None:
    facts = PLAIN["services"][service]
    options = facts["logging"]["options"]
    assert facts["logging"]["driver"] == "json-file"
    assert re.fullmatch(r"\d+m", options["max-size"])
    assert int(options["max-file"]) >= 2
    number, unit = re.fullmatch(r"(\d+)([kmg])", facts["mem_limit"]).groups()  # type: ignore[union-attr]
    assert int(number) * BYTES[unit] >= (2**26 if service == "config" else 2**30)


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_says_how_it_stops_and_starts_again(service: str) -> None:
    facts = PLAIN["services"][service]
    assert re.fullmatch(r"\d+s", facts["stop_grace_period"])
    assert facts["restart"] == ("no" if service == "trainer" else "unless-stopped")


def test_the_server_is_given_longer_than_it_drains() -> None:
    grace = PLAIN["services"]["server"]["stop_grace_period"]
    assert int(grace.removesuffix("s")) > int(DEFAULTS["DRAIN_SECONDS"])


@pytest.mark.parametrize("service", ["server", "config", "watcher", "gate"])
def test_every_service_that_stays_has_a_health_check_with_all_its_times(service: str) -> None:
    check = BASE["services"][service]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} <= set(check)


def test_the_servers_health_is_the_models_state() -> None:
    script = PLAIN["services"]["server"]["healthcheck"]["test"][-1]
    assert "/v1/models/" in script
    assert '"state": "AVAILABLE"' in script
    assert "curl" not in script  # Not in TensorFlow Serving's CPU image.
    assert PLAIN["services"]["server"]["environment"]["MODEL_NAME"] == DEFAULTS["MODEL_NAME"]


def test_the_watchers_health_reads_the_file_that_it_touches() -> None:
    facts = BASE["services"]["watcher"]
    command = [*facts["entrypoint"], *facts.get("command", [])]
    alive = command[command.index("--alive-file") + 1]
    assert alive in facts["healthcheck"]["test"][-1]
    assert alive.startswith("/tmp/")  # All that can be written.


def test_a_one_shot_has_no_health_check_and_runs_only_when_asked() -> None:
    assert BASE["services"]["trainer"]["healthcheck"] == {"disable": True}
    assert BASE["services"]["trainer"]["profiles"] == ["train"]


def test_only_the_server_publishes_ports_and_only_on_loopback() -> None:
    assert [name for name in SERVICES if "ports" in BASE["services"][name]] == ["server"]
    assert PLAIN["services"]["server"]["ports"] == ["127.0.0.1:8500:8500", "127.0.0.1:8501:8501"]
    for port in BASE["services"]["server"]["ports"]:
        assert port.startswith("${BIND:-127.0.0.1}:")
    assert not any("network_mode" in BASE["services"][name] for name in ("server", "watcher"))


def test_the_trainer_has_no_network_unless_it_needs_one() -> None:
    assert PLAIN["services"]["trainer"]["network_mode"] == "none"


def mounts(service: str) -> dict[str, str]:
    """Target of each mount to its mode."""
    found = {}
    for volume in PLAIN["services"][service]["volumes"]:
        _, target, *mode = volume.split(":")
        found[target] = mode[0] if mode else "rw"
    return found


def sources(service: str) -> dict[str, str]:
    """Target of each mount to what is mounted there."""
    return {volume.split(":")[1]: volume.split(":")[0] for volume in PLAIN["services"][service]["volumes"]}


def test_each_service_sees_the_folders_that_it_works_on() -> None:
    assert mounts("server") == {"/models": "ro", "/bundle": "ro"}
    mine = {"/models": "rw", "/drop": "rw", "/quarantine": "rw", "/releases": "rw"}
    assert mounts("watcher") == {**mine, "/gate": "rw", "/bundle": "ro"}
    made = {"/models": "rw", "/quarantine": "rw", "/releases": "rw", "/runs": "rw"}
    assert mounts("trainer") == {**made, "/data": "ro", "/bundle/models.config": "ro"}


def test_only_the_one_that_copies_models_config_sees_the_project() -> None:
    """It has no network, no model and no code of ours: there is nobody whom it could tell."""
    assert mounts("config") == {"/project": "ro", "/bundle": "rw"}
    assert [name for name in SERVICES if "." in sources(name).values()] == ["config"]
    assert BASE["services"]["config"]["network_mode"] == "none"
    assert {sources(name)["/bundle"] for name in ("server", "config", "watcher", "gate")} == {"config"}
    assert sources("trainer")["/bundle/models.config"] == "./models.config"
    assert BASE["services"]["config"]["image"] == BASE["services"]["server"]["image"]  # It is there in any case.


@pytest.mark.parametrize("service", ["server", "watcher", "gate"])
def test_they_start_once_models_config_is_there(service: str) -> None:
    assert BASE["services"][service]["depends_on"]["config"] == {"condition": "service_healthy"}


def test_nobody_on_the_network_reaches_anybody_outside() -> None:
    assert BASE["networks"] == {"default": {"driver_opts": {"com.docker.network.bridge.enable_ip_masquerade": "false"}}}
    for service in SERVICES:
        facts = PLAIN["services"][service]
        assert facts.get("network_mode") == "none" or facts["dns"] == ["127.0.0.1"], service
        assert "networks" not in facts


@pytest.mark.parametrize("service", RUN_MODELS)
def test_who_runs_models_cannot_see_settings_or_history(service: str) -> None:
    seen = set(sources(service).values())
    assert not seen & {".", "./.env", "./.git", "./.run"}
    if service != "trainer":
        assert not seen & {"./quarantine", "./releases", "./runs", "./data"}


def test_the_gate_reaches_nobody_and_can_only_answer() -> None:
    facts = BASE["services"]["gate"]
    assert facts["network_mode"] == "none"
    assert mounts("gate") == {"/models": "ro", "/drop": "ro", "/gate": "rw", "/bundle": "ro"}
    assert {name for name in facts["environment"] if name in DEFAULTS} == {
        "MODELS_DIR",
        "SERVING_CPU_IMAGE",
        "SERVING_GPU_IMAGE",
    }  # fmt: skip - all else comes with each request
    folder = facts["entrypoint"][-1]
    assert BASE["services"]["watcher"]["environment"]["GATE_DIR"] == folder
    assert f"{folder}/alive" in facts["healthcheck"]["test"][-1]
    assert facts["image"] == BASE["services"]["watcher"]["image"]
    assert "gate" in BASE["services"]["watcher"]["depends_on"]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_nothing_of_the_host_is_handed_in(text: str) -> None:
    assert "docker.sock" not in text
    assert "privileged" not in text
    assert not re.search(r"^\s+(pid|ipc|userns_mode): host", text, re.MULTILINE)


@pytest.mark.parametrize("file", FILES)
def test_images_are_pinned_to_a_version(file: str) -> None:
    document = yaml.safe_load(interpolated(TEXTS[file]))
    images = [facts["image"] for facts in document["services"].values() if "image" in facts]
    assert images
    for image in images:
        assert re.search(r":[^/:]*\d[^/:]*$", image), image
        assert not image.endswith(":latest")


def test_images_that_are_named_in_the_settings_are_pinned() -> None:
    for row in table():
        if row.name.endswith("_IMAGE"):
            assert re.search(r":[^/:]*\d[^/:]*$", row.default), row.name


@pytest.mark.parametrize("service", ["watcher", "trainer"])
def test_what_is_built_here_can_be_built(service: str) -> None:
    build = BASE["services"][service]["build"]
    dockerfile = (PROJECT / build["dockerfile"]).read_text(encoding="utf-8")
    targets = re.findall(r"^FROM \S+ AS (\S+)$", dockerfile, re.MULTILINE)
    assert build.get("target") in (None, *targets)
    for source in re.findall(r"^COPY (?!--from)(\S+) ", dockerfile, re.MULTILINE):
        assert (PROJECT / source).exists(), source
    for argument in build["args"]:
        assert f"ARG {argument}=" in dockerfile
    assert re.search(r"^USER (?!0|root)", dockerfile, re.MULTILINE)


def test_a_baked_image_has_the_health_check_of_the_stack() -> None:
    dockerfile = (PROJECT / "serving" / "Dockerfile").read_text(encoding="utf-8")
    written = re.search(r"^HEALTHCHECK (.*?) \\\n    CMD (.*)$", dockerfile, re.MULTILINE)
    assert written is not None
    check = BASE["services"]["server"]["healthcheck"]
    times = " ".join(
        f"--{name.replace('_', '-')}={check[name]}" for name in ("interval", "timeout", "retries", "start_period")
    )
    assert written[1] == times
    assert json.loads(written[2]) == [word.replace("$$", "$") for word in check["test"][1:]]


def test_both_dockerfiles_begin_alike() -> None:
    """The stage that installs TensorFlow is built once and shared as long as it is the same text."""
    texts = [(PROJECT / name / "Dockerfile").read_text(encoding="utf-8") for name in ("serving", "trainer")]
    stages = [re.search(r"^FROM \S+ AS packages\n.*?\n\n", text, re.MULTILINE | re.DOTALL) for text in texts]
    assert stages[0] and stages[1]
    assert stages[0][0] == stages[1][0]


def test_the_gpu_file_only_adds_to_what_is_there() -> None:
    for service, facts in GPU["services"].items():
        assert set(facts) <= {"image", "build", "environment", "volumes", "deploy"}
        device = facts["deploy"]["resources"]["reservations"]["devices"][0]
        assert device["driver"] == "nvidia"
        assert "gpu" in device["capabilities"]
        target = facts.get("build", {}).get("target")
        dockerfile = BASE["services"][service].get("build", {}).get("dockerfile")
        if target:
            assert f" AS {target}\n" in (PROJECT / dockerfile).read_text(encoding="utf-8")
    assert GPU["services"]["server"]["environment"]["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"


@pytest.mark.parametrize("file", FILES)
def test_every_variable_is_a_setting_with_its_default(file: str) -> None:
    found = VARIABLE.findall(TEXTS[file])
    assert found
    for name, default in found:
        if name in DEFAULTS:
            assert default == DEFAULTS[name], name
        else:
            assert name in NOT_SETTINGS, name
    without_comments = re.sub(r"(^|\s)#.*", "", TEXTS[file]).replace("$$", "")
    assert without_comments.count("$") == len(found)  # Each is written in braces, with a default.


def test_the_engine_sets_every_variable(defaults: Any) -> None:
    names = {name for text in TEXTS.values() for name, _ in VARIABLE.findall(text)}
    given = ComposeEngine(defaults, "cpu").compose_environment()
    unset = names - set(given)
    assert {DEFAULTS[name] for name in unset} <= {"auto"}


def test_the_server_image_is_that_of_the_cpu_engine() -> None:
    assert PLAIN["services"]["server"]["image"] == DEFAULTS["SERVING_CPU_IMAGE"]


def test_the_trainer_gets_every_setting_of_a_training() -> None:
    given = BASE["services"]["trainer"]["environment"]
    assert {row.name for row in table() if row.scope == TRAINER} - set(given) == set()
    targets = mounts("trainer")
    for name in ("MODELS_DIR", "QUARANTINE_DIR", "RELEASES_DIR", "RUNS_DIR", "DATA_DIR"):
        assert given[name] in targets


def test_the_watcher_gets_the_settings_of_a_rollout() -> None:
    given = BASE["services"]["watcher"]["environment"]
    wanted = {name for name in DEFAULTS if name.startswith(("DROP_", "CHECK_", "MAX_", "MIN_", "READY_", "WATCH_"))}
    assert wanted | {
        "ENGINE",
        "SERVER_MEMORY",
        "KEEP_VERSIONS",
        "MODELS_DIR",
        "QUARANTINE_DIR",
        "REST_PORT",
        "GRPC_PORT",
    } <= set(given)
    for name in ("MODELS_DIR", "DROP_DIR", "QUARANTINE_DIR", "RELEASES_DIR"):
        assert given[name] in mounts("watcher")


def flags(command: list[str]) -> dict[str, str]:
    return dict(word.removeprefix("--").split("=", 1) for word in command)


def test_the_server_gets_the_flags_that_the_plain_process_gets(defaults: Any) -> None:
    compose = flags(PLAIN["services"]["server"]["command"])
    local = flags(LocalEngine(defaults)._server_command()[1:])
    here = {value: name for name, value in (("/bundle", str(defaults.root)), ("/models", str(defaults.models_dir)))}
    for path, name in here.items():
        local = {flag: value.replace(path, name) for flag, value in local.items()}
    shared = set(compose) & set(local)
    assert {flag: compose[flag] for flag in shared} == {flag: local[flag] for flag in shared}
    # What only one of them knows is what differs between a container and a process, or has an effect in one only.
    ours = {"allowed_hosts", "host", "base_path_map", "drain_timeout_seconds", "model_root", "sandbox", "reuse_port"}
    assert set(local) - shared == ours
    assert set(compose) - shared == {"num_load_threads", "enable_profiler", "per_process_gpu_memory_fraction"}


def test_our_own_engine_takes_the_flags_of_the_real_one() -> None:
    options = parse(PLAIN["services"]["server"]["command"])
    assert (options.port, options.rest_api_port) == (8500, 8501)
    assert options.model_config_file == "/bundle/models.config"
    assert options.load_retry_interval_micros == int(DEFAULTS["LOAD_RETRY_SECONDS"]) * 1_000_000


def test_files_that_the_server_is_told_of_exist() -> None:
    for value in flags(BASE["services"]["server"]["command"]).values():
        if value.startswith("/bundle/"):
            assert (PROJECT / value.removeprefix("/bundle/")).is_file()


def test_our_own_image_gives_the_server_what_the_real_one_has_no_flags_for() -> None:
    dockerfile = (PROJECT / "serving" / "Dockerfile").read_text(encoding="utf-8")
    for flag in (
        "--model_root=/models",
        "--allow_reload_requests=false",
        '--allowed_hosts="${ALLOWED_HOSTS:-*}"',
        '--sandbox="${SANDBOX:-on}"',
        '--drain_timeout_seconds="${DRAIN_SECONDS:-30}"',
    ):
        assert flag in dockerfile
    assert {"ALLOWED_HOSTS", "SANDBOX", "DRAIN_SECONDS"} <= set(BASE["services"]["server"]["environment"])


def test_the_server_is_started_without_a_shell() -> None:
    assert BASE["services"]["server"]["entrypoint"] == ["/usr/bin/tensorflow_model_server"]

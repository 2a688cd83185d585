"""What a model can reach from inside the server, and which folders can be read."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from tempfile import gettempdir

import grpc
import pytest
import requests

from bundle import landlock
from tests.engine.conftest import StartEngine
from tests.engine.engine import Engine, Kits
from tests.engine.made import made_once
from tests.engine.test_start import run
from tests.unit.bundle.parts import PROJECT

STRICT = "--model_root="
DENIED = "Permission denied"


@pytest.fixture(scope="module")
def spies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once("tests.engine.spying_models", tmp_path_factory)


@pytest.fixture(scope="module")
def spied(tmp_path_factory: pytest.TempPathFactory, spies: Path) -> Iterator[Engine]:
    """A server with the model `spy` in a folder that holds a private file as well."""
    folder = tmp_path_factory.mktemp("spied")
    shutil.copytree(spies / "spy", folder / "spy" / "1")
    (folder / "private.txt").write_text("kept from clients")
    (folder / "aside").mkdir()
    (folder / "aside" / "private.txt").write_text("kept from clients")
    os.mkfifo(folder / "fifo")
    config = folder / "models.config"
    config.write_text(f'model_config_list {{ config {{ name: "spy" base_path: "{folder / "spy"}" '
                      'model_platform: "tensorflow" } }')  # fmt: skip
    flags = (
        f"--model_config_file={config}",
        "--model_config_file_poll_wait_seconds=1",
        STRICT,
        "--rest_api_timeout_in_ms=3000",
    )
    engine = Engine(folder / "engine.log", flags, fresh=True)  # As users start it: what it is can be seen in /proc.
    try:
        engine.wait_ready()
        if "The sandbox cannot keep models from" in engine.log:
            pytest.skip(f"this kernel cannot shut in: {engine.log}")
        yield engine
    finally:
        engine.kill()


@pytest.fixture
def folder(spied: Engine) -> Path:
    return spied._log.parent


def ask(engine: Engine, signature: str, path: Path | str, model: str = "spy") -> tuple[int, str]:
    """Status and text of the answer when the model is told to do something with a path."""
    encoded = {"b64": base64.b64encode(str(path).encode()).decode()}
    body = {"signature_name": signature, "instances": [encoded]}
    answer = requests.post(engine.url(f"{model}:predict"), json=body, timeout=60)
    return answer.status_code, answer.text


def test_a_model_answers_and_reads_its_own_files(spied: Engine, folder: Path) -> None:
    assert spied.predict("spy", value=1.0) == 4.0
    own = folder / "spy" / "1" / "fingerprint.pb"
    assert ask(spied, "read", own)[0] == 200
    assert ask(spied, "list", f"{own.parent}/*")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "{folder}/private.txt",
        "{folder}/aside/private.txt",
        "{folder}/spy/../private.txt",
        "{folder}/spy/1/link-to-private",
        "{folder}/models.config",
        "{folder}/engine.log",
        "/etc/passwd",
        "/etc/ssl/private/key.pem",
        "/proc/self/environ",
        "/proc/self/maps",
        "/proc/self/mem",
        "/proc/thread-self/environ",
        "/proc/1/cmdline",
        "/proc/1/environ",
        "/proc/{pid}/environ",
        "/proc/{parent}/cmdline",
        "{home}/.ssh/id_rsa",
        "{project}/.env",
        "{project}/.git",
        "{project}/models.config",
        "/dev/shm/x",
        "/dev/mem",
    ],
)
def test_a_model_reads_nothing_else(spied: Engine, folder: Path, path: str) -> None:
    link = folder / "spy" / "1" / "link-to-private"
    if not link.is_symlink():
        link.symlink_to(folder / "private.txt")
    names = {"pid": spied.process.pid, "parent": os.getpid(), "home": Path.home(), "project": PROJECT}
    status, text = ask(spied, "read", path.format(folder=folder, **names))
    assert status != 200
    assert DENIED in text or "No such file" in text
    assert "kept from clients" not in text


def test_a_model_learns_no_flags_from_the_command_line(spied: Engine) -> None:
    status, text = ask(spied, "read", "/proc/self/cmdline")
    assert status == 200
    assert "serving.main" in text
    assert "model_config_file" not in text


@pytest.mark.parametrize(
    "pattern",
    [
        "{folder}/*",
        "{folder}/aside/*",
        "/*",
        f"{Path.home()}/*",
        f"{Path.home().parent}/*",
        f"{gettempdir()}/*",
        "/proc/*",
    ],
)
def test_a_model_lists_no_folders(spied: Engine, folder: Path, pattern: str) -> None:
    status, text = ask(spied, "list", pattern.format(folder=folder))
    assert status != 200 or '"predictions": [""' in text.replace("\n", "")


@pytest.mark.parametrize("signature", ["save", "write"])
@pytest.mark.parametrize(
    "path",
    [
        "{folder}/written",
        "{folder}/spy/1/written",
        "{folder}/spy/2/saved_model.pb",
        "{folder}/private.txt",
        "{folder}/fifo",
        "/dev/shm/written-by-a-model",
        "/tmp/written-by-a-model",
        "written-by-a-model",
    ],
)
def test_a_model_writes_nothing(spied: Engine, folder: Path, signature: str, path: str) -> None:
    status, text = ask(spied, signature, path.format(folder=folder))
    assert status != 200
    assert DENIED in text
    assert (folder / "private.txt").read_text() == "kept from clients"
    assert not [*folder.rglob("*written*"), *Path("/dev/shm").glob("written*"), *Path("/tmp").glob("written*")]
    assert not list(Path.cwd().glob("written*"))


def test_a_model_prints_into_no_file(spied: Engine, spies: Path) -> None:
    status, text = ask(spied, "print", "x")
    assert status != 200
    assert DENIED in text
    assert not (spies / "printed").exists()


def call(engine: Engine, address: str) -> None:
    """Have the model connect to an address; it tries again and again, so that there is no answer."""
    encoded = {"b64": base64.b64encode(address.encode()).decode()}
    body = {"signature_name": "call", "instances": [encoded]}
    with contextlib.suppress(requests.ReadTimeout):
        assert requests.post(engine.url("spy:predict"), json=body, timeout=2).status_code != 200


def test_a_model_connects_to_nobody(start_engine: StartEngine, spies: Path, tmp_path: Path) -> None:
    """In a server of its own: such calls never end, and take TensorFlow's threads from others."""
    shutil.copytree(spies / "spy", tmp_path / "spy" / "1")
    engine = start_engine("--model_name=spy", f"--model_base_path={tmp_path / 'spy'}")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "socket"))
        unix.listen()
        for address in (f"127.0.0.1:{server.getsockname()[1]}", f"unix:{tmp_path / 'socket'}"):
            call(engine, address)
        for listener in (server, unix):
            listener.settimeout(0.2)
            with pytest.raises(TimeoutError):
                listener.accept()


def test_every_thread_is_shut_in(spied: Engine) -> None:
    tasks = list(Path(f"/proc/{spied.process.pid}/task").iterdir())
    assert len(tasks) > 5
    for task in tasks:
        status = (task / "status").read_text()
        assert re.search(r"^Seccomp:\t2$", status, re.MULTILINE)
        assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE)


def test_an_edit_by_rename_is_read_although_its_folder_is_closed(spied: Engine, folder: Path) -> None:
    edited = folder / "edited"
    text = (folder / "models.config").read_text()
    labels = 'model_version_policy { specific { versions: 1 versions: 7 } } version_labels { key: "old" value: 1 }'
    edited.write_text(text.replace("model_platform", f"{labels} model_platform"))
    edited.rename(folder / "models.config")
    # Only then: as the latest it would take the place of version 1, and with it what the label needs.
    spied.until(lambda: "Version 7 of servable spy, which was requested" in spied.log)
    shutil.copytree(folder / "spy" / "1", folder / "spy" / ".7")
    (folder / "spy" / ".7").rename(folder / "spy" / "7")
    spied.until(lambda: list(spied.states("spy").values()).count("AVAILABLE") == 2)
    assert spied.predict("spy", value=1.0, which="/versions/1") == 4.0


def test_a_model_from_elsewhere_is_refused_with_what_to_do(spied: Engine, folder: Path, kits: Kits) -> None:
    kits.publish(folder / "late", "1", 1)
    with pytest.raises(grpc.RpcError) as caught:
        spied.serve(folder / "late")
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED
    details = caught.value.details() or ""
    assert f"Model late: found the base path {folder / 'late'}; expected one that the server's own config" in details
    assert "Restart the server with it in --model_config_file, or with --model_root=<a folder above>" in details


def test_what_is_added_below_model_root_is_served(start_engine: StartEngine, kits: Kits, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    flags = [f"--model_root={tmp_path / 'a'},{tmp_path / 'b'}", "--file_system_poll_wait_seconds=1"]
    kits.publish(tmp_path / "elsewhere" / "m", "1", 1)
    engine = start_engine("--model_name=m", f"--model_base_path={tmp_path / 'elsewhere' / 'm'}", *flags)
    for folder in (tmp_path / "a" / "late", tmp_path / "b" / "deep" / "late2"):
        kits.publish(folder, "1", 2)
        assert engine.predict(engine.serve(folder)) == 2.0
    shutil.rmtree(tmp_path / "a" / "late")
    kits.publish(tmp_path / "a" / "late", "3", 3)
    engine.until(lambda: engine.states("late").get(3) == "AVAILABLE")


def test_links_are_followed_to_where_they_led_at_the_start(
    start_engine: StartEngine, kits: Kits, tmp_path: Path
) -> None:
    """A base path and a version may be links; a version that becomes one later fails with the reason."""
    elsewhere = tmp_path / "elsewhere"
    for number in (1, 2):
        kits.publish(elsewhere, f"kit{number}", number)
    kits.publish(elsewhere / "base", "5", 3)
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "1").symlink_to(elsewhere / "kit1")
    (tmp_path / "m").symlink_to(tmp_path / "real")
    engine = start_engine("--model_name=m", f"--model_base_path={tmp_path / 'm'}", STRICT, "--max_num_load_retries=0")
    assert engine.predict("m") == 1.0
    (tmp_path / "real" / "2").symlink_to(elsewhere / "kit2")
    engine.until(lambda: engine.states("m").get(2) == "END")
    _, code, message = engine.statuses("m")[2]
    assert code == "PERMISSION_DENIED"
    assert f"{elsewhere / 'kit2'} is not among that. Restart it" in message
    assert engine.predict("m") == 1.0
    inside = kits.publish(tmp_path / "real", "3", 2)
    shard = inside / "variables" / "variables.data-00000-of-00001"
    shard.rename(elsewhere / "shard")
    shard.symlink_to(elsewhere / "shard")
    engine.until(lambda: engine.states("m").get(3) == "END")
    assert f"{elsewhere / 'shard'} is not among that" in engine.statuses("m")[3][2]


def test_a_folder_that_is_made_anew_is_another_folder(start_engine: StartEngine, kits: Kits, tmp_path: Path) -> None:
    kits.publish(tmp_path / "m", "1", 1)
    engine = start_engine("--model_name=m", f"--model_base_path={tmp_path / 'm'}", STRICT)
    (tmp_path / "m").rename(tmp_path / "old")
    kits.publish(tmp_path / "m", "2", 2)
    engine.until(lambda: "as they were when it was started" in engine.log)
    assert engine.predict("m") == 1.0


def test_without_any_folder_to_go_by_reading_is_open_and_that_is_said(
    start_engine: StartEngine, kits: Kits, tmp_path: Path
) -> None:
    engine = start_engine("--model_name=m", f"--model_base_path={tmp_path / 'm'}", STRICT, wait=False)
    engine.until(lambda: "The sandbox does not restrict reading: no base path is there yet" in engine.log)
    kits.publish(tmp_path / "m", "1", 1)
    engine.wait_ready()
    assert engine.predict("m") == 1.0


def test_a_base_path_that_is_not_there_yet_is_named_at_the_start(
    start_engine: StartEngine, kits: Kits, tmp_path: Path
) -> None:
    kits.publish(tmp_path / "m", "1", 1)
    config = tmp_path / "models.config"
    entries = (
        f'config {{ name: "{name}" base_path: "{tmp_path / name}" model_platform: "tensorflow" }}' for name in "mn"
    )
    config.write_text(f"model_config_list {{ {' '.join(entries)} }}")
    engine = start_engine(f"--model_config_file={config}", STRICT)
    assert f"Base path {tmp_path / 'n'} is not there yet, and could not be read when it comes" in engine.log
    assert engine.predict("m") == 1.0


def test_warm_up_requests_that_are_denied_do_not_keep_a_version_from_serving(
    start_engine: StartEngine, spies: Path, tmp_path: Path
) -> None:
    """As in the real server, which denies nothing; but the old version would stay if the load were to fail."""
    shutil.copytree(spies / "warmed", tmp_path / "warmed" / "1")
    engine = start_engine("--model_name=warmed", f"--model_base_path={tmp_path / 'warmed'}", STRICT)
    assert engine.predict("warmed", value=1.0) == 4.0
    assert "1 of 1 warm-up records of" in engine.log
    assert "ask for what the sandbox forbids, and are answered: PERMISSION_DENIED" in engine.log
    assert not (spies / "printed").exists()


def test_the_sandbox_can_be_turned_off(start_engine: StartEngine, spies: Path, tmp_path: Path) -> None:
    """And then the model does all that it could not do before: the tests above would see it."""
    shutil.copytree(spies / "spy", tmp_path / "spy" / "1")
    (tmp_path / "aside.txt").write_text("read")
    engine = start_engine("--model_name=spy", f"--model_base_path={tmp_path / 'spy'}", "--sandbox=off")
    assert "The sandbox is off" in engine.log
    assert '"read"' in ask(engine, "read", tmp_path / "aside.txt")[1]
    assert "aside.txt" in ask(engine, "list", f"{tmp_path}/*")[1]
    for signature in ("save", "write"):
        assert ask(engine, signature, tmp_path / signature)[0] == 200
        assert list(tmp_path.glob(f"{signature}*"))
    assert ask(engine, "print", "x")[0] == 200
    assert (spies / "printed").read_text().startswith("printed\n")
    (spies / "printed").unlink()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        call(engine, f"127.0.0.1:{server.getsockname()[1]}")
        server.accept()[0].close()


def test_it_says_once_what_the_kernel_cannot_forbid(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from serving import sandbox

    with caplog.at_level("WARNING"):
        sandbox._say(["reading and writing files (this kernel has no Landlock)", "starting processes"], [])
    assert "cannot keep models from: reading and writing files (this kernel has no Landlock); starting" in caplog.text
    monkeypatch.setattr(landlock, "_CREATE_RULESET", 10_000)
    assert landlock.restrict(landlock.Allowed([])) == [
        "reading and writing files (this kernel has no Landlock, or this container is kept from it)"
    ]


@pytest.mark.parametrize(
    ("flag", "error"),
    [
        ("--sandbox=maybe", "INVALID_ARGUMENT: --sandbox=maybe: expected on or off"),
        (
            "--model_root=models",
            "INVALID_ARGUMENT: --model_root: found 'models'; expected absolute paths of folders, separated by commas",
        ),
        ("--model_root=/nowhere", "NOT_FOUND: --model_root: /nowhere; No such folder: make it, or name another one"),
    ],
)
def test_flags_that_cannot_be_followed(flag: str, error: str) -> None:
    done = run("--model_base_path=/m", flag)
    assert (done.returncode, done.stdout) == (255, f"Failed to start server. Error: {error}\n")

"""models.config changes under a running server, by gRPC and by polling the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.engine.engine import Engine, Kits

ALL = "model_version_policy { all {} }"
POLLING = "--model_config_file_poll_wait_seconds=1"


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    return shared_engine


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / tmp_path.name


def entry(base: Path, more: str = "") -> str:
    return f'config {{ name: "{base.name}" base_path: "{base}" model_platform: "tensorflow" {more} }}'


def write(config: Path, *entries: str) -> None:
    """Replace models.config as an editor does: written beside, then renamed."""
    staging = config.with_name("staging")
    staging.write_text("model_config_list { " + " ".join(entries) + " }")
    staging.rename(config)


def label(name: str, version: int) -> str:
    return f'version_labels {{ key: "{name}" value: {version} }}'


def refusal(engine: Engine, base: Path, more: str = "") -> tuple[str, str]:
    """Code and details with which the server refuses to serve `base`; it is taken off the list again."""
    with pytest.raises(grpc.RpcError) as caught:
        engine.serve(base, more)
    engine.drop(base.name)
    return caught.value.code().name, caught.value.details() or ""


def test_a_new_model_is_available_when_the_call_returns_and_gone_when_dropped(
    engine: Engine, kits: Kits, base: Path
) -> None:
    kits.publish(base, "1", 1)
    model = engine.serve(base)
    assert engine.predict(model) == 1.0
    engine.drop(model)
    engine.until(lambda: engine.states(model) == {1: "END"})
    assert engine.refusal(model) == (404, f"Servable not found for request: Latest({model})")
    engine.serve(base)
    assert engine.predict(model) == 1.0


def test_a_model_that_cannot_be_loaded_is_named(engine: Engine, kits: Kits, base: Path) -> None:
    kits.publish(base / "good", "1", 1)
    (base / "bad" / "123").mkdir(parents=True)
    engine.serve(base / "good")
    code, details = refusal(engine, base / "bad")
    assert code == "UNKNOWN"
    assert details.startswith(
        "1 model(s) did not become available: {{{name: bad version: 123} due to error: NOT_FOUND: Specified"
    )
    assert engine.predict("good") == 1.0
    bad = f'name: "bad" base_path: "{base / "bad"}"'
    with pytest.raises(grpc.RpcError):
        engine.reload(bad)
    engine.reload(bad)  # The same again: nothing new is listed, so nothing is waited for.
    engine.reload()


def test_a_missing_base_path_does_not_block_the_reload(engine: Engine, kits: Kits, base: Path) -> None:
    code, details = refusal(engine, base)  # After 60 s it would be another: the call has a deadline.
    assert code == "UNKNOWN" and f"Could not find base path {base}" in details


@pytest.mark.parametrize(
    ("more", "code", "details"),
    [
        (
            'name: "x" base_path: "foo"',
            "INVALID_ARGUMENT",
            "Expected model x to have an absolute path or URI; got base_path()=foo",
        ),
        (
            'name: "x" model_type: OTHER',
            "INVALID_ARGUMENT",
            "Illegal setting both ModelServerConfig::model_type (deprecated) and"
            " ModelServerConfig::model_platform, model name is x",
        ),
        (
            'name: "x" version_labels { key: "l" value: 9 }',
            "FAILED_PRECONDITION",
            "Request to assign label to version 9 of model x, which is not currently available for inference",
        ),
    ],
)
def test_a_config_that_is_refused(engine: Engine, base: Path, more: str, code: str, details: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        engine.reload(more if "base_path" in more else f'{more} base_path: "{base}"')
    assert (caught.value.code().name, caught.value.details()) == (code, details)


def test_labels(engine: Engine, kits: Kits, base: Path) -> None:
    kits.publish(base, "1", 1)
    kits.publish(base, "2", 2)
    model = engine.serve(base, ALL)
    engine.until(lambda: engine.states(model) == {2: "AVAILABLE", 1: "AVAILABLE"})
    engine.serve(base, f"{ALL} {label('stable', 1)} {label('canary', 2)}")
    assert engine.predict(model, which="/labels/stable") == 1.0
    assert engine.predict(model, which="/labels/canary") == 2.0
    engine.serve(base, f"{ALL} {label('stable', 2)}")
    assert engine.predict(model, which="/labels/stable") == 2.0
    assert engine.refusal(model, "/labels/canary") == (400, "Unrecognized servable version label: canary")
    with pytest.raises(grpc.RpcError):
        engine.serve(base, f"{ALL} {label('stable', 999)}")
    assert engine.predict(model, which="/labels/stable") == 2.0
    engine.serve(base, ALL)


def test_a_policy_can_change(engine: Engine, kits: Kits, base: Path) -> None:
    kits.publish(base, "1", 1)
    kits.publish(base, "2", 2)
    model = engine.serve(base, ALL)
    engine.until(lambda: engine.states(model) == {2: "AVAILABLE", 1: "AVAILABLE"})
    engine.serve(base, "model_version_policy { specific { versions: 1 } }")
    engine.until(lambda: engine.states(model) == {2: "END", 1: "AVAILABLE"})
    assert engine.predict(model) == 1.0


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that `polling` reads."""
    config = tmp_path_factory.mktemp("polled") / "models.config"
    write(config)
    return config


@pytest.fixture(scope="module")
def polling(config: Path) -> Iterator[Engine]:
    """A server that polls its models.config."""
    flags = (f"--model_config_file={config}", POLLING, "--max_num_load_retries=0")
    engine = Engine(config.with_name("engine.log"), flags)
    try:
        engine.wait_ready()
        yield engine
    finally:
        engine.kill()


def test_the_file_is_polled_and_what_is_wrong_with_it_changes_nothing(
    polling: Engine, config: Path, kits: Kits, tmp_path: Path
) -> None:
    engine = polling
    one, two, bad = (tmp_path / name for name in ("one", "two", "bad"))
    kits.publish(one, "1", 1)
    kits.publish(two, "1", 2)
    (bad / "1").mkdir(parents=True)
    write(config, entry(one))
    engine.until(lambda: engine.states("one") == {1: "AVAILABLE"})
    write(config, entry(one), entry(two))
    engine.until(lambda: engine.states("two") == {1: "AVAILABLE"})
    for text, complaint in (
        ("garbage {", "Failed to read ModelServerConfig file: Invalid protobuf file:"),
        ("", f"Failed to read ModelServerConfig file: {config}; Invalid argument"),
        (
            f"model_config_list {{ {entry(one)} {entry(one)} }}",
            "PollFilesystemAndReloadConfig failed to ReloadConfig: Illegal to list model one multiple times",
        ),
    ):
        config.write_text(text)
        engine.until(lambda complaint=complaint: complaint in engine.log)  # type: ignore[misc]
        assert (engine.predict("one"), engine.predict("two")) == (1.0, 2.0)
    config.unlink()
    engine.until(lambda: f"{config}; No such file or directory" in engine.log)
    write(config, entry(two), entry(bad))
    engine.until(lambda: engine.states("one") == {1: "END"} and engine.states("bad") == {1: "END"})
    assert engine.predict("two") == 2.0


def test_ok_means_available_also_while_the_file_is_polled(
    polling: Engine, config: Path, kits: Kits, tmp_path: Path
) -> None:
    """The file lists other models, so each look at it takes the new one away: after the answer, or it says so."""
    one = tmp_path / "one"
    kits.publish(one, "1", 1)
    write(config, entry(one))
    polling.until(lambda: polling.states("one") == {1: "AVAILABLE"})
    for n in range(8):
        try:
            polling.reload(f'name: "new{n}" base_path: "{one}"', f'name: "one" base_path: "{one}"')
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.ABORTED
            assert f"by the file that is polled: new{n}" in (error.details() or "")
        else:
            assert polling.states(f"new{n}")[1] in ("AVAILABLE", "UNLOADING", "END")


def test_a_label_in_the_file_is_applied_when_its_version_is_there(
    polling: Engine, config: Path, kits: Kits, tmp_path: Path
) -> None:
    engine, base = polling, tmp_path / "m"
    kits.publish(base, "1", 1)
    write(config, entry(base, ALL))
    engine.until(lambda: engine.states("m") == {1: "AVAILABLE"})
    write(config, entry(base, f"{ALL} {label('canary', 2)}"))
    engine.until(lambda: "Request to assign label to version 2 of model m, which is not" in engine.log)
    kits.publish(base, "2", 2)
    engine.until(lambda: _answer(engine, "/labels/canary") == 2.0)


def _answer(engine: Engine, which: str) -> float | None:
    try:
        return float(engine.predict("m", which=which))
    except AssertionError:
        return None

"""models.config: what is accepted, what is refused and in which words, and where base paths lead."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from google.protobuf import text_format

from serving import config, textproto
from serving.config import BasePathMap, ModelServerConfig, ServerSettings
from serving.errors import Code, ServingError
from serving.flags import Options
from serving.policy import All, Latest, Specific

MODEL = 'name: "m" base_path: "/models/m" model_platform: "tensorflow"'


def check(text: str, before: ServerSettings | None = None) -> ServerSettings:
    return config.check(text_format.Parse(text, ModelServerConfig()), before, BasePathMap())


def models(*entries: str) -> str:
    return "model_config_list { " + " ".join(f"config {{ {entry} }}" for entry in entries) + " }"


def refusal(text: str, before: ServerSettings | None = None) -> str:
    with pytest.raises(ServingError) as caught:
        check(text, before)
    return str(caught.value)


def test_one_model() -> None:
    settings = check(models(MODEL)).models["m"]
    assert (settings.base_path, settings.policy, settings.labels) == (Path("/models/m"), Latest(1), {})


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("", Latest(1)),
        ("model_version_policy {}", Latest(1)),
        ("model_version_policy { latest {} }", Latest(1)),
        ("model_version_policy { latest { num_versions: 0 } }", Latest(1)),
        ("model_version_policy { latest { num_versions: 3 } }", Latest(3)),
        ("model_version_policy { all {} }", All()),
        ("model_version_policy { specific { versions: 2 versions: 5 } }", Specific(frozenset({2, 5}))),
        ("model_version_policy { specific {} }", Specific(frozenset())),
    ],
)
def test_policies(policy: str, expected: object) -> None:
    assert check(models(f"{MODEL} {policy}")).models["m"].policy == expected


def test_labels() -> None:
    labels = 'version_labels { key: "stable" value: 1 } version_labels { key: "canary" value: 2 }'
    assert check(models(f"{MODEL} {labels}")).models["m"].labels == {"stable": 1, "canary": 2}


def test_the_deprecated_type_alone_is_accepted_and_noted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    settings = check(models('name: "m" base_path: "/m" model_type: TENSORFLOW'))
    assert settings.models["m"].platform == "tensorflow"
    assert "Model m: deprecated ModelServerConfig::model_type field used." in caplog.text


def test_the_deprecated_type_is_noted_once_for_a_model_whatever_is_read_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    one, two = (f'name: "{name}" base_path: "/m" model_type: TENSORFLOW' for name in "mn")
    settings = check(models(one))
    for entries in ((one,), (one,), (one, two), (one, two)):
        settings = check(models(*entries), settings)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["Model m", "Model n"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            'name: "m" base_path: "/m"',
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor"
            " ModelServerConfig::model_platform, model name is m",
        ),
        (
            f"{MODEL} model_type: TENSORFLOW",
            "Illegal setting both ModelServerConfig::model_type (deprecated) and"
            " ModelServerConfig::model_platform, model name is m",
        ),
        ('name: "m" base_path: "/m" model_type: OTHER', "ModelServerConfig::model_type choice 2 not supported."),
        (
            'name: "m" base_path: "/m" model_platform: "pytorch"',
            "Model m requests unsupported platform pytorch",
        ),
        (
            'name: "m" base_path: "rel/x" model_platform: "tensorflow"',
            "Expected model m to have an absolute path or URI; got base_path()=rel/x",
        ),
        (
            'name: "m" base_path: "" model_platform: "tensorflow"',
            "Expected model m to have an absolute path or URI; got base_path()=",
        ),
    ],
)
def test_entries_that_are_refused(entry: str, message: str) -> None:
    assert refusal(models(entry)) == f"INVALID_ARGUMENT: {message}"


def test_a_name_may_be_listed_once() -> None:
    assert refusal(models(MODEL, MODEL)) == ("INVALID_ARGUMENT: Illegal to list model m multiple times in config list")


def test_an_empty_name_a_file_uri_and_an_empty_list_are_accepted() -> None:
    assert "" in check(models('base_path: "/m" model_platform: "tensorflow"')).models
    of_file = check(models('name: "m" base_path: "file:///b/m" model_platform: "tensorflow"')).models
    assert of_file["m"].base_path == Path("/b/m")
    assert check("model_config_list {}").models == {}
    assert check("").kind == ""


@pytest.mark.parametrize("uri", ["gs://bucket/m", "s3://bucket/m", "hdfs://host:1/m", "file://m"])
def test_what_lies_elsewhere_is_refused_with_what_to_do(uri: str) -> None:
    assert refusal(models(f'name: "m" base_path: "{uri}" model_platform: "tensorflow"')) == (
        f"UNIMPLEMENTED: Model m: found base_path={uri}; expected a folder of this machine. Copy the versions to one,"
        " or mount it there, and name that"
    )


def test_the_platform_of_a_listed_model_cannot_change() -> None:
    before = check(models(MODEL))
    assert refusal(models(MODEL.replace("tensorflow", "pytorch")), before) == (
        "INVALID_ARGUMENT: Illegal to change a model's platform. For model m platform was tensorflow and new"
        " platform requested is pytorch"
    )


@pytest.mark.parametrize("text", ["", "custom_model_config {}"])
def test_a_list_can_only_be_followed_by_a_list(text: str) -> None:
    assert refusal(text, check(models(MODEL))).startswith("FAILED_PRECONDITION: Cannot transition to requested config.")


def test_a_custom_config_is_refused() -> None:
    assert "ModelServer does not yet support custom model config." in refusal("custom_model_config {}")


def test_logging_config_is_seen() -> None:
    assert check(models(f"{MODEL} logging_config {{}}")).wants_request_log
    assert not check(models(MODEL)).wants_request_log


def test_the_flags_alone_describe_one_model() -> None:
    (entry,) = config.from_options(Options(model_name="n", model_base_path="/b")).model_config_list.config
    assert (entry.name, entry.base_path, entry.model_platform) == ("n", "/b", "tensorflow")
    with pytest.raises(ServingError, match=r"Both server_options\.model_base_path and"):
        config.from_options(Options())


def test_files_that_cannot_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def failure(path: Path) -> ServingError:
        with pytest.raises(ServingError) as caught:
            textproto.read(path, ModelServerConfig)
        return caught.value

    missing, empty, bad = tmp_path / "missing", tmp_path / "empty", tmp_path / "bad"
    empty.touch()
    bad.write_text("improperly formatted file")
    assert str(failure(missing)) == f"NOT_FOUND: {missing}; No such file or directory"
    assert str(failure(empty)) == f"INVALID_ARGUMENT: {empty}; Invalid argument"
    assert str(failure(bad)) == f"INVALID_ARGUMENT: Invalid protobuf file: '{bad}'"
    assert (
        "Error parsing text-format tensorflow.serving.ModelServerConfig: 1:12: Message type"
        ' "tensorflow.serving.ModelServerConfig" has no field named "improperly".'
    ) in caplog.text
    bad.write_bytes(b'model_config_list { config { name: "\xff" } }')
    assert failure(bad).code is Code.INVALID_ARGUMENT
    assert failure(tmp_path).code is Code.FAILED_PRECONDITION


def test_the_messages_that_the_api_package_lacks(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("max_batch_size { value: 8 } allowed_batch_sizes: 4 allowed_batch_sizes: 8")
    batching = textproto.read(file, textproto.BatchingParameters)
    assert (batching.max_batch_size.value, list(batching.allowed_batch_sizes)) == (8, [4, 8])
    assert not batching.HasField("batch_timeout_micros")
    file.write_text('prometheus_config { enable: true path: "/metrics" }')
    assert textproto.read(file, textproto.MonitoringConfig).prometheus_config.path == "/metrics"
    file.write_text('server_key: "k" server_cert: "c" client_verify: true')
    assert textproto.read(file, textproto.SSLConfig).client_verify


@pytest.mark.parametrize(
    ("pairs", "base_path", "expected"),
    [
        ("", "/models/m", "/models/m"),
        ("/models=/home/me/models", "/models/m", "/home/me/models/m"),
        ("/models=/home/me/models", "/models", "/home/me/models"),
        ("/models=/home/me/models", "/models2/m", "/models2/m"),
        ("/models/=/x/", "/models/m", "/x/m"),
        ("/models=/", "/models/m", "/m"),
        ("/models=/x", "file:///models/m", "/x/m"),
        ("/a=/x,/a/b=/y", "/a/b", "/x/b"),
        ("/a/b=/y,/a=/x", "/a/b", "/y"),
    ],
)
def test_base_paths_can_be_read_from_elsewhere(pairs: str, base_path: str, expected: str) -> None:
    assert BasePathMap.parse(pairs).apply(base_path) == Path(expected)


@pytest.mark.parametrize("pairs", ["/models", "models=/x", "/models=x", "="])
def test_a_malformed_base_path_map_is_refused(pairs: str) -> None:
    with pytest.raises(ServingError, match="expected FROM=TO"):
        BasePathMap.parse(pairs)

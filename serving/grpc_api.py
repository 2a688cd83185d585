"""The methods of the gRPC services: request messages in, reply messages out."""

from __future__ import annotations

from typing import Any

from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

from serving import inference, metrics, predict
from serving.codec import tensorproto
from serving.codec.escape import decode
from serving.errors import invalid
from serving.flags import Options
from serving.manager import Manager
from serving.reloads import Reloads
from serving.version import Handle


class Api:
    """The methods of both services: a request message and a time limit in, a reply message out."""

    def __init__(self, manager: Manager, options: Options) -> None:
        self._manager = manager
        self._reloads = Reloads(options)
        self._as_content = options.enable_serialization_as_tensor_content

    def known(self, model: str) -> str:
        """The name that `model` is counted under."""
        return self._manager.known(model)

    def admit(self, method: str, peer: str) -> None:
        """Raise ServingError PERMISSION_DENIED for a method that `peer`, as gRPC calls it, may not call."""
        if method == "HandleReloadConfigRequest":
            self._reloads.admit(peer)

    def predict(self, request: Any, timeout_s: float | None) -> Any:
        """PredictionService.Predict."""
        with self._acquire(request) as handle:
            spec = request.model_spec
            signature = predict.signature_of(handle.servable, spec.signature_name)
            outputs = predict.from_protos(
                spec.name, handle.servable, signature, request.inputs, request.output_filter, timeout_s
            )
            reply = predict_pb2.PredictResponse()
            _fill_spec(reply.model_spec, handle, spec.signature_name)
        for alias, output in outputs.items():
            tensorproto.fill(reply.outputs[alias], output.dtype, output.value, self._as_content)
        return reply

    def classify(self, request: Any, timeout_s: float | None) -> Any:
        """PredictionService.Classify."""
        with self._acquire(request) as handle:
            spec = request.model_spec
            classes = inference.classify(spec.name, handle.servable, spec.signature_name, request.input, timeout_s)
            reply = classification_pb2.ClassificationResponse()
            _fill_spec(reply.model_spec, handle, spec.signature_name)
        _fill_classes(reply.result, classes)
        return reply

    def regress(self, request: Any, timeout_s: float | None) -> Any:
        """PredictionService.Regress."""
        with self._acquire(request) as handle:
            spec = request.model_spec
            values = inference.regress(spec.name, handle.servable, spec.signature_name, request.input, timeout_s)
            reply = regression_pb2.RegressionResponse()
            _fill_spec(reply.model_spec, handle, spec.signature_name)
        _fill_values(reply.result, values)
        return reply

    def multi_inference(self, request: Any, timeout_s: float | None) -> Any:
        """PredictionService.MultiInference."""
        if not request.tasks:
            raise invalid("ModelSpec has no name specified.")
        reply = inference_pb2.MultiInferenceResponse()
        with self._lease(request.tasks[0].model_spec) as handle:
            results = inference.multi(handle.servable, request.tasks, request.input, timeout_s)
            for name, result in results:
                entry = reply.results.add()
                _fill_spec(entry.model_spec, handle, name)
                if isinstance(result, list):
                    _fill_classes(entry.classification_result, result)
                else:
                    _fill_values(entry.regression_result, result)
        return reply

    def get_model_metadata(self, request: Any, _timeout_s: float | None) -> Any:
        """PredictionService.GetModelMetadata."""
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for name in request.metadata_field:
            if name != "signature_def":
                raise invalid(f"Metadata field {name} is not supported")
        reply = get_model_metadata_pb2.GetModelMetadataResponse()
        signatures = get_model_metadata_pb2.SignatureDefMap()
        with self._acquire(request) as handle:
            for name, signature in handle.servable.signatures.items():
                signatures.signature_def[name].CopyFrom(signature)
            reply.model_spec.name = handle.model
            reply.model_spec.version.value = handle.version
        reply.metadata["signature_def"].Pack(signatures)
        return reply

    def get_model_status(self, request: Any, _timeout_s: float | None) -> Any:
        """ModelService.GetModelStatus."""
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        spec = request.model_spec
        version = spec.version.value if spec.HasField("version") else None
        reply = get_model_status_pb2.GetModelStatusResponse()
        for found in self._manager.status(spec.name, version):
            reply.model_version_status.add(
                version=found.version,
                state=int(found.state),
                status={"error_code": int(found.code), "error_message": found.message},
            )
        return reply

    def handle_reload_config_request(self, request: Any, timeout_s: float | None) -> Any:
        """ModelService.HandleReloadConfigRequest."""
        if request.config.WhichOneof("config") != "model_config_list":
            raise invalid(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently"
                " supported"
            )
        names = sorted(set(request.metric_names))
        before = metrics.values(names)
        self._manager.reload(request.config, timeout_s, self._reloads.confine)
        reply = model_management_pb2.ReloadConfigResponse()
        reply.status.SetInParent()
        after = metrics.values(names)
        for name in names:
            reply.metric.add(name=name, int64_value_increase=after[name] - before[name])
        return reply

    def _acquire(self, request: Any) -> Any:
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        return self._lease(request.model_spec)

    def _lease(self, spec: Any) -> Any:
        chosen = spec.WhichOneof("version_choice")
        return self._manager.acquire(
            spec.name,
            spec.version.value if chosen == "version" else None,
            spec.version_label if chosen == "version_label" else None,
        )


def _fill_spec(spec: Any, handle: Handle, signature_name: str) -> None:
    spec.name = handle.model
    spec.version.value = handle.version
    spec.signature_name = signature_name or predict.DEFAULT_SIGNATURE


def _fill_classes(result: Any, classes: inference.Classes) -> None:
    result.SetInParent()
    for row in classes:
        entry = result.classifications.add()
        for label, score in row:
            entry.classes.add(label=decode(label), score=score)


def _fill_values(result: Any, values: Any) -> None:
    result.SetInParent()
    for value in values.tolist():
        result.regressions.add(value=value)

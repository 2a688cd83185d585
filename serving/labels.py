"""The rules for version labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from serving.config import ModelSettings
from serving.errors import Code, ServingError
from serving.lookup import Labels


def updated(
    models: Mapping[str, ModelSettings],
    current: Labels,
    is_available: Callable[[str, int], bool],
    allow_unavailable: bool,
) -> Labels:
    """Return the label map that `models` ask for; it replaces the current one as a whole.

    A label may only point to an available version. With `allow_unavailable` one that is new, or stays where it
    is, may point anywhere. Raises ServingError FAILED_PRECONDITION otherwise.
    """
    for model, settings in models.items():
        for label, version in settings.labels.items():
            moves = current.get(model, {}).get(label, version) != version
            if (moves or not allow_unavailable) and not is_available(model, version):
                raise ServingError(
                    Code.FAILED_PRECONDITION,
                    f"Request to assign label to version {version} of model {model}, which is not currently"
                    " available for inference",
                )
    return {model: dict(settings.labels) for model, settings in models.items() if settings.labels}

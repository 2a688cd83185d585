"""Model types. Every subclass of ImageClassifierModel in a module of this folder is one, under its class name."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

from bundle.errors import UsageError
from trainer.models.base import ImageClassifierModel

__all__ = ["ImageClassifierModel", "get", "model_types"]


def model_types() -> dict[str, type[ImageClassifierModel]]:
    """Class name to class, in name order. Loads no TensorFlow: model types import Keras when they build."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return {found.__name__: found for found in sorted(_subclasses(ImageClassifierModel), key=lambda t: t.__name__)}


def get(name: str) -> ImageClassifierModel:
    """The model type called `name`; raises UsageError that lists those there are."""
    types = model_types()
    if name not in types:
        raise UsageError(f"MODEL_TYPE={name}: no such model type; there are {', '.join(types)}")
    return types[name]()


def _subclasses(parent: type) -> set[type]:
    children: set[type] = set(parent.__subclasses__())
    deeper = {below for child in children for below in _subclasses(child)}
    return {found for found in children | deeper if not inspect.isabstract(found)}

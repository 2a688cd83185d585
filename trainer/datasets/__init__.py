"""Datasets: `load` gives the one that the settings name."""

from __future__ import annotations

import importlib

from bundle.settings import Settings
from trainer.datasets.base import Dataset, Samples

__all__ = ["Dataset", "Samples", "load"]


def load(settings: Settings) -> Dataset:
    """The dataset DATASET; raises UsageError for one that cannot be trained on."""
    module = importlib.import_module(f"trainer.datasets.{settings.dataset}")
    dataset: Dataset = module.load(settings)
    return dataset

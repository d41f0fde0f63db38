"""Procedural motion of two people, by family; every clip is drawn by a seed or made of given parameters."""

from .sit_to_stand import (
    BUNDLED,
    RANGES,
    TEST_RANGES,
    TRAIN_RANGES,
    SitToStandParameters,
    Split,
    bundle,
    sample_parameters,
    sit_to_stand,
)
from .timing import minimum_jerk

__all__ = [
    "BUNDLED",
    "RANGES",
    "TEST_RANGES",
    "TRAIN_RANGES",
    "SitToStandParameters",
    "Split",
    "bundle",
    "minimum_jerk",
    "sample_parameters",
    "sit_to_stand",
]

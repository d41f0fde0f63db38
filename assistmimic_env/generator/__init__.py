"""Procedural motion of two people, by family; every clip is drawn by a seed or made of given parameters.

from assistmimic_env.generator import find_family

clip = find_family("help_up").generate(seed=7, split="test")
"""

from .families import FAMILIES, Family, bundle, find_family
from .parameters import Split

__all__ = ["FAMILIES", "Family", "Split", "bundle", "find_family"]

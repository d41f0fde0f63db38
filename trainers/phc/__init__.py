"""Policies from checkpoints of PHC, the single-person motion tracker (``spec/phc.md`` section 7)."""

from .networks import load_policy

__all__ = ["load_policy"]

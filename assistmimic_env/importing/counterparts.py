"""Which body of a take is which of ours: by name, and hands with and without fingers by the middle knuckle."""

from __future__ import annotations

from ..body import BodySpec, joint_kind
from ..body_change import TURNS

__all__ = ["origins", "turns"]

_KNUCKLE = ("Hand", "Middle1")
"""Both begin at the middle knuckle."""


def origins(body: BodySpec, source: BodySpec) -> dict[int, int]:
    """Bodies that begin at the same joint.

    Args:
        body: The clip's.
        source: The take's.

    Returns:
        Index in the clip's body -> index in the take's.
    """
    return {index: other for index, other in turns(body, source).items() if _same_origin(body, index, source, other)}


def turns(body: BodySpec, source: BodySpec) -> dict[int, int]:
    """Bodies that turn together: those of `origins`, and all fingers of a hand that the take has in one piece."""
    found = {}
    for index, name in enumerate(body.names):
        other = name if name in source.names else name[:2] + TURNS.get(joint_kind(name), "")
        if other in source.names:
            found[index] = source.index(other)
    return found


def _same_origin(body: BodySpec, index: int, source: BodySpec, other: int) -> bool:
    name, theirs = body.names[index], source.names[other]
    return name == theirs or {joint_kind(name), joint_kind(theirs)} == set(_KNUCKLE)

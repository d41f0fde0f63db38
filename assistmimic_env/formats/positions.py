"""Two people's joint positions in the source's world, brought into ours and checked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..body import BodySpec
from ..errors import ClipError
from .conventions import METRES, settle_fps, settle_unit, settle_up, settled_by, to_z_up
from .take import Person, ReadOptions, Take, Unit, Up, Who

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Documented:
    """What the source's documentation says about its numbers; None where it does not."""

    up: Up | None = None
    unit: Unit | None = None
    fps: float | None = None


def settle(name: str, joints: Array, body: BodySpec, documented: Documented, options: ReadOptions) -> Take:
    """Settle axis, unit and rate, and make sure that left is left.

    Args:
        name: Of the recording; for messages, too.
        joints: Origins of our bodies in the source's world, shape (T, 2, J, 3), NaN where it has no such joint; hips,
            knees, ankles, toes, neck and head must be there.
        body: Whose bodies.
        documented: What the format says.
        options: What the user says.

    Returns:
        A take of that name with the people in the source's order.

    Raises:
        ClipError: The data contradict what was said, or nothing tells and nobody was asked; or a person's toes point
            backwards: the sides are swapped, or an axis is mirrored.
    """
    low, high = body.indices(("L_Ankle", "R_Ankle")), body.indices(("Neck", "Head"))
    up = settle_up(name, joints, low, high, documented=documented.up, given=options.up)
    units = {
        settle_unit(name, length, documented=documented.unit, given=options.unit)
        for length in _ankle_to_head(joints, body)
    }
    if len(units) > 1:
        raise ClipError(f"{name}: one person seems to be in {' and the other in '.join(sorted(units))}.")
    unit = units.pop()
    world = to_z_up(joints, up) * METRES[unit]
    _check_sides(name, world, body)
    fps = settle_fps(name, world, documented=documented.fps, given=options.fps)
    conventions = {
        "up": f"{settled_by(documented.up, options.up)}: +{up}",
        "unit": f"{settled_by(documented.unit, options.unit)}: {unit}",
        "rate": f"{settled_by(documented.fps, options.fps)}: {fps:g}",
    }
    first, second = (Person(joints=world[:, i]) for i in range(2))
    return Take(name=name, fps=fps, people=(first, second), body=body.name, conventions=conventions)


def supporter_first(people: tuple[Person, Person], supporter: Who) -> tuple[Person, Person]:
    """Order the source's first and second person as supporter, recipient."""
    first, second = people
    return (first, second) if supporter == "first" else (second, first)


def _ankle_to_head(joints: Array, body: BodySpec) -> list[float]:
    """Length of each person's bones from ankle over the hips to the head, in the source's unit."""
    legs = [joints[..., body.indices((f"L_{part}", f"R_{part}")), :] for part in ("Ankle", "Knee", "Hip")]
    spine = [legs[-1].mean(axis=-2), *(joints[..., body.index(part), :] for part in ("Neck", "Head"))]
    leg, back = (
        np.median(np.linalg.norm(np.diff(chain, axis=0), axis=-1), axis=1).sum(axis=0) for chain in (legs, spine)
    )
    return [float(length) for length in leg.mean(axis=-1) + back]


def _check_sides(where: str, joints: Array, body: BodySpec) -> None:
    """Refuse a world in which toes point to the back of the shank, whose front the hips' axis tells."""

    def both(name: str) -> Array:
        return joints[..., body.indices((f"L_{name}", f"R_{name}")), :]

    left = both("Hip")[..., :1, :] - both("Hip")[..., 1:, :]
    front = np.cross(left, both("Knee") - both("Ankle"))
    along = np.einsum("tpsi,tpsi->tp", both("Toe") - both("Ankle"), front)
    for person, value in zip(("first", "second"), np.median(along, axis=0), strict=True):
        if value < 0.0:
            raise ClipError(
                f"{where}: the toes of the {person} person point backwards. Left and right are swapped, or an axis is "
                "mirrored; write the file again without that."
            )

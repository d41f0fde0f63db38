"""The two people's bodies: their own bone lengths, or our proportions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..body import BodySpec, get_body
from ..formats.take import Person, Take
from .measured import Measured
from .settings import ConversionSettings
from .stance import PARTS, foot_indices

__all__ = ["people"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def people(
    take: Take, source: Measured, stands: Mask, base: BodySpec, settings: ConversionSettings
) -> tuple[BodySpec, BodySpec]:
    """Make both bodies.

    Args:
        take: Where the people's own bones and masses are, if the source knows them.
        source: Their joints, in the order of ``base``.
        stands: When their feet stand, shape (T, 2, F).
        base: The body's topology at its default size.
        settings: Proportions and statures.

    Returns:
        Supporter, recipient. A mass that is not known follows from the stature at the default body mass index.
    """
    first, second = (_body(take, role, source, stands[:, role], base, settings) for role in range(len(take.people)))
    return first, second


def _body(
    take: Take, role: int, source: Measured, stands: Mask, base: BodySpec, settings: ConversionSettings
) -> BodySpec:
    person, joints = take.people[role], source.joints[:, role]
    if settings.proportions == "default":
        return base.scaled(stature=settings.stature[role], mass=person.mass)
    if person.offsets is not None:
        fitted = base.with_offsets(_known_offsets(take, person, base, joints))
    else:
        fitted = base.fit(joints)
        fitted = fitted.with_offsets(_levelled(fitted, joints[:, foot_indices(base)], stands))
    mass = base.mass * (fitted.stature / base.stature) ** 2 if person.mass is None else person.mass
    return fitted.with_offsets(fitted.offsets, mass=mass)


def _known_offsets(take: Take, person: Person, base: BodySpec, joints: Array) -> Array:
    """The source's offsets by name; bones that only our body has take the fitted scale."""
    source = get_body(take.body)
    offsets = np.array(base.offsets if source.names == base.names else base.fit(joints).offsets)
    above = {name: source.names[parent] for name, parent in zip(source.names, source.parents, strict=True)}
    for index, (name, parent) in enumerate(zip(base.names, base.parents, strict=True)):
        if parent >= 0 and above.get(name) == base.names[parent] and person.offsets is not None:
            own = person.offsets[source.index(name)]
            offsets[index] = own if np.isfinite(own).all() else offsets[index]
    return offsets


def _levelled(body: BodySpec, feet: Array, stands: Mask) -> Array:
    """Offsets (J, 3) whose toe joints lie as far below the ankles as measured in stance, so that soles are level."""
    offsets, drops = np.array(body.offsets), []
    for ankle, toe in ((0, 1), (2, 3)):
        both = stands[:, ankle] & stands[:, toe]
        drops += [feet[both, ankle, 2] - feet[both, toe, 2]]
    drop = np.concatenate(drops)
    for name in PARTS[1::2]:
        bone = offsets[body.index(name)]
        length = float(np.linalg.norm(bone))
        if len(drop) and 0.0 < np.median(drop) < 0.9 * length:
            down = float(np.median(drop))
            forward = np.sqrt(length**2 - down**2 - bone[1] ** 2)
            offsets[body.index(name)] = (forward, bone[1], -down)
    return offsets

"""The two people's bodies: their own bone lengths, or our proportions, which are all there is for rotations alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..body import BodySpec, get_body
from ..formats.take import Person, Take
from .completion import stance_scale
from .counterparts import origins
from .measured import Measured
from .settings import ConversionSettings
from .stance import PARTS, foot_indices

__all__ = ["figures", "people"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def figures(
    take: Take, source: Measured, base: BodySpec, settings: ConversionSettings
) -> tuple[BodySpec | None, BodySpec | None]:
    """Bodies on which the joints of people are placed who are known by their rotations.

    Args:
        take: Where bones and masses are, if the source knows them.
        source: Both people, in the order of ``base``.
        base: The body's topology at its default size.
        settings: Proportions and statures.

    Returns:
        Supporter, recipient: None for those whose joints were measured; else their own bones, or ours at the stature
        that was asked for, or that their standing feet tell.
    """
    first, second = (
        _figure(take, role, source, base, settings) if source.is_posed(role) else None for role in range(2)
    )
    return first, second


def people(
    take: Take,
    source: Measured,
    stands: Mask,
    figures: tuple[BodySpec | None, BodySpec | None],
    base: BodySpec,
    settings: ConversionSettings,
) -> tuple[BodySpec, BodySpec]:
    """Make both bodies.

    Args:
        take: Where the people's own bones and masses are, if the source knows them.
        source: Their joints, in the order of ``base``.
        stands: When their feet stand, shape (T, 2, F).
        figures: See `figures`.
        base: The body's topology at its default size.
        settings: Proportions and statures.

    Returns:
        Supporter, recipient. A mass that is not known follows from the stature at the default body mass index.
    """
    first, second = (
        base.scaled(stature=settings.stature[role], mass=take.people[role].mass)
        if settings.proportions == "default"
        else figures[role] or _fitted(take, role, source.joints[:, role], stands[:, role], base)
        for role in range(2)
    )
    return first, second


def _figure(take: Take, role: int, source: Measured, base: BodySpec, settings: ConversionSettings) -> BodySpec:
    person = take.people[role]
    if person.offsets is not None:
        return _sized(base.with_offsets(_known_offsets(take.body, person.offsets, base)), base, person)
    if settings.proportions == "default":
        return base.scaled(stature=settings.stature[role], mass=person.mass)
    scale = stance_scale(base, source.joints[:, role, 0], source.rotation[:, role], source.fps)
    return _sized(base.with_offsets(scale * base.offsets), base, person)


def _fitted(take: Take, role: int, joints: Array, stands: Mask, base: BodySpec) -> BodySpec:
    person = take.people[role]
    fitted = base.fit(joints)
    if person.offsets is not None:
        fitted = base.with_offsets(_known_offsets(take.body, person.offsets, fitted))
    else:
        fitted = fitted.with_offsets(_levelled(fitted, joints[:, foot_indices(base)], stands))
    return _sized(fitted, base, person)


def _sized(body: BodySpec, base: BodySpec, person: Person) -> BodySpec:
    """The body with the person's mass, or that of its stature."""
    mass = base.mass * (body.stature / base.stature) ** 2 if person.mass is None else person.mass
    return body.with_offsets(body.offsets, mass=mass)


def _known_offsets(source: str, known: Array, body: BodySpec) -> Array:
    """A source's offsets (K, 3) on our bodies; bones that only ours has, or that are not known, stay the body's."""
    theirs, offsets = get_body(source), np.array(body.offsets)
    for index, other in origins(body, theirs).items():
        parents = body.parents[index], theirs.parents[other]
        same = min(parents) >= 0 and body.names[parents[0]] == theirs.names[parents[1]]
        if same and np.isfinite(known[other]).all():
            offsets[index] = known[other]
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

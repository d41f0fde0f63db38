"""`Motion`: a planned motion of two people, solved by inverse kinematics and made a clip."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import ik
from ..body import BodySpec
from ..clip import Contact, Furniture, PairClip
from .clearance import clearance
from .poses import limits, rest_weights
from .timing import FPS, held

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Motion:
    """What a family plans for T frames of both people (supporter, recipient)."""

    bodies: tuple[BodySpec, BodySpec]
    root_position: Array
    """Start of the solution, shape (T, 2, 3) [m]."""
    local_rotation: Array
    """Start of the solution and pose that bodies are pulled to, shape (T, 2, J, 4)."""
    targets: tuple[ik.Target, ...]
    """What the motion fulfils, in both passes."""
    apart: tuple[ik.Target, ...] | None = None
    """Who keeps out of whom, in the second pass only; by default `clearance`."""
    smoothness: float = 4.0
    """Weight of accelerations; with 1.0 an arm that has to keep out of the way may jump."""


def solve(motion: Motion, *, rough: int = 8, fine: int = 30) -> tuple[Array, Array]:
    """Root positions (T, 2, 3) and local rotations (T, 2, J, 4): first without clearance, then with it.

    Args:
        motion: The plan.
        rough: Most iterations of the first pass.
        fine: Most iterations of the second pass.
    """
    body = motion.bodies[0]
    problem = ik.IkProblem(
        parents=body.parents,
        offsets=np.stack([one.offsets for one in motion.bodies]),
        root_position=motion.root_position,
        local_rotation=motion.local_rotation,
        targets=motion.targets,
        rest=ik.RestPull(local_rotation=motion.local_rotation, weight=rest_weights(body)),
        limits=limits(body),
        smoothness=motion.smoothness,
    )
    first = ik.solve(problem, ik.IkSettings(iterations=rough, tolerance=1e-2))
    problem = replace(
        problem,
        root_position=first.root_position,
        local_rotation=first.local_rotation,
        targets=(*motion.targets, *(clearance(motion.bodies) if motion.apart is None else motion.apart)),
    )
    result = ik.solve(problem, ik.IkSettings(iterations=fine, tolerance=3e-4))
    return result.root_position, result.local_rotation


def make_clip(
    motion: Motion,
    *,
    name: str,
    hold: tuple[float, float],
    metadata: Mapping[str, Any],
    furniture: tuple[Furniture, ...] = (),
    contacts: tuple[Contact, ...] = (),
) -> PairClip:
    """Solve a motion and hold its ends.

    Args:
        motion: The plan; its first and last `timing.REST_FRAMES` frames are still.
        name: Of the clip.
        hold: How long the first and the last pose are held [s].
        metadata: See `origin`.
        furniture: Boxes.
        contacts: In seconds of the finished clip.
    """
    root_position, local_rotation = solve(motion)
    return PairClip(
        name=name,
        fps=FPS,
        body=motion.bodies[0].name,
        offsets=np.stack([body.offsets for body in motion.bodies]),
        masses=np.array([body.mass for body in motion.bodies]),
        root_position=held(root_position, *hold),
        local_rotation=held(local_rotation, *hold),
        metadata=metadata,
        furniture=furniture,
        contacts=contacts,
    )


def origin(
    *, generator: str, version: int, description: str, family: str, parameters: Any, seed: int | None, split: str
) -> dict[str, Any]:
    """What a generated clip tells about its origin.

    Args:
        generator: Name of the family's module.
        version: Of the family: raised whenever the same parameters give another motion.
        description: What happens, in a sentence.
        family: Path-like: family/side/hands/grip.
        parameters: The dataclass the motion was made of.
        seed: What drew them; None if they were given.
        split: ``"train"`` or ``"test"``.
    """
    values = asdict(parameters)
    source = {"generator": f"assistmimic_env.generator.{generator}", "version": version, "parameters": values}
    digest = hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()
    return {
        "description": description,
        "source": "own work: procedural generator of AssistMimic",
        "license": "Apache-2.0",
        "family": family,
        "parameters": values,
        "seed": seed,
        "split": split,
        "provenance": {**source, "sha256": digest},
    }

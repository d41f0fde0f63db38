"""The bundled real clip "B sits; A pulls up B": CMU takes 22_01 and 23_01 on our body.

The pose of source frame 386 is held, frames 386-555 are played, then both people finish the step they are in and come
to rest in a balanced stand (``cmu_plan``, ``cmu_motion``). What differs from the recording on purpose is listed in the
clip's metadata under "changes", above all: A's left foot, in the air at frame 386, stands from the beginning where it
lands at frame 404; the clasped hands, 0.2 m apart in the recording, touch; the last step and the stand are ours.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import cmu_plan as plan
from . import kinematics, rotations
from .body import BodySpec
from .capsules import box_depth, capsules, world_ends
from .clip import Contact, Furniture, PairClip
from .cmu_motion import retarget
from .cmu_source import RATE, SUBJECTS, Source, read_source

Array = NDArray[np.float64]

CONVERTER = "assistmimic_env.cmu 1"
"""Name and version of this conversion; a change of its result raises the version."""

ACKNOWLEDGEMENT = (
    "The data used in this project was obtained from mocap.cs.cmu.edu. "
    "The database was created with funding from NSF EIA-0196217."
)

_DIGITS = 7
"""Decimals that are kept, so that rounding noise of the machine does not reach the file."""

_SEAT_DEPTH, _SEAT_WIDTH = 0.34, 0.42
_SEAT_EDGE = 0.042
"""Front edge of the stool [m]: under the pelvis, behind the thighs, which slope down."""


def convert(folder: str | os.PathLike[str]) -> PairClip:
    """Turn the key frames of the CMU pair into the clip that ships with the package.

    Args:
        folder: Where ``22_01_keyframes.txt``, ``23_01_keyframes.txt`` and ``skeletons.json`` are.

    Returns:
        The clip; equal inputs give equal clips.

    Raises:
        ClipError: A file is missing or malformed.
    """
    source = read_source(folder)
    take = plan.place(source)
    root, local = retarget(take)
    bodies = take.bodies
    return PairClip(
        name="pull_up",
        fps=plan.FPS,
        body=bodies[0].name,
        offsets=np.round([body.offsets for body in bodies], _DIGITS),
        masses=np.round([body.mass for body in bodies], 3),
        root_position=np.round(root, _DIGITS),
        local_rotation=np.round(local, _DIGITS),
        furniture=(_stool(bodies, root[0], local[0]),),
        contacts=_contacts(take),
        metadata=_metadata(source),
    )


def _stool(bodies: tuple[BodySpec, BodySpec], root: Array, local: Array) -> Furniture:
    """A box under the recipient's first pose, as high as it fits without touching."""
    offsets = np.stack([body.offsets for body in bodies])
    position, rotation = kinematics.forward_kinematics(bodies[0].parents, offsets, root, local)
    shapes = capsules(bodies)
    sitting = shapes.rows(shapes.person == 1)
    ends = world_ends(sitting, position, rotations.to_matrix(rotation))
    low, high = 0.2, 1.0
    for _ in range(40):
        top = 0.5 * (low + high)
        stool = _box(top, root[1])
        depth = box_depth(*(end - np.array(stool.position) for end in ends), sitting.radius, size=np.array(stool.size))
        low, high = (top, high) if depth.max() < 0.0 else (low, top)
    return _box(round(low, 3), root[1])


def _box(top: float, pelvis: Array) -> Furniture:
    return Furniture(
        name="stool",
        kind="seat",
        size=(_SEAT_DEPTH, _SEAT_WIDTH, top),
        position=(_SEAT_EDGE - 0.5 * _SEAT_DEPTH, round(float(pelvis[1]), 3), 0.5 * top),
    )


def _contacts(take: plan.Take) -> tuple[Contact, ...]:
    """The clasp, and A's left hand at B's right forearm."""
    touching = np.flatnonzero(take.clasp > 0.99)
    support = np.flatnonzero(take.support > 0.99)
    return (
        Contact(role="supporter", body="R_Hand", partner_body="R_Hand", start=0.0, end=float(touching[-1] / plan.FPS)),
        Contact(
            role="supporter",
            body="L_Hand",
            partner_body="R_Elbow",
            start=float(support[0] / plan.FPS),
            end=float(support[-1] / plan.FPS),
        ),
    )


def _metadata(source: Source) -> dict[str, Any]:
    return {
        "description": "B sits on a high stool; A holds B's right hand and pulls B up to standing, turning by 150 "
        "degrees. Real motion of two people, interpolated from real key poses; the last step and the stand are added.",
        "source": f"CMU Graphics Lab Motion Capture Database, takes {SUBJECTS[0]}_01 (A, supporter) and "
        f"{SUBJECTS[1]}_01 (B, recipient), http://mocap.cs.cmu.edu",
        "license": "CMU: free for all uses; the data may not be resold by itself, even in converted form",
        "license_file": "LICENSE-CMU.txt",
        "acknowledgement": ACKNOWLEDGEMENT,
        "family": "pull-up",
        "parameters": {
            "source_frames": [plan.FIRST_FRAME, plan.LAST_FRAME],
            "source_fps": RATE,
            "hold": plan.HOLD,
            "ease": plan.EASE,
            "settle": plan.SETTLE,
            "stand": plan.STAND,
            "clasp_ends_at_source_frame": plan.CLASP_END[0],
        },
        "changes": [
            "A's left foot, in the air at frame 386, stands from the beginning where it lands at frame 404",
            "the clasped right hands, 0.2 m apart in the recording, touch until frame 516",
            "A's left hand touches B's right forearm in frames 504-520",
            "B's left hand lies on the thigh instead of in it",
            "feet are flat on the floor and do not slide while they stand",
            "after frame 555 both finish their step and come to rest in a balanced stand",
        ],
        "provenance": {"converter": CONVERTER, "sha256": dict(source.sha256)},
    }

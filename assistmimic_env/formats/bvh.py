"""BVH pairs: one file per person, of any rig with the usual names; the cgspeed edition of CMU's takes by its own rules.

BVH says neither the vertical axis nor the unit: both are detected from the people, or asked for. The cgspeed edition of
the CMU takes is known by its joints: y up, CMU's own unit, and an added T-pose in frame 0 (spec/data.md section 2.2).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import ClipError
from .bvh_file import BvhFile, read_bvh
from .pairing import find_pairs
from .positions import Documented
from .rig import RigMotion, RigNames, rig_take
from .rig_names import bvh_names
from .take import Format, ReadOptions, Recording, Take

CMU_UNIT = 0.0254 / 0.45
"""Metres per unit of CMU's files: inches over 0.45."""

CMU_RIG = frozenset(
    {"LHipJoint", "RHipJoint", "LowerBack", "Neck1", "LeftFingerBase", "RightFingerBase", "LThumb", "RThumb"}
)
"""Joints by which the cgspeed edition is known."""

_CMU = Documented(up="y", unit="m")
_STRAIGHT = np.cos(np.radians(15.0))


def _find(path: Path, options: ReadOptions) -> tuple[Recording, ...]:
    return find_pairs(path, options, ".bvh")


def _read(recording: Recording, options: ReadOptions) -> Take:
    files = [read_bvh(file) for file in recording.files]
    names = [
        bvh_names(str(path), file.motion.joints, file.motion.parents)
        for path, file in zip(recording.files, files, strict=True)
    ]
    where = f"{recording.files[0]} and {recording.files[1].name}"
    fps, rate = (options.fps or file.fps for file in files)
    if fps != rate:
        raise ClipError(f"{where}: {fps:g} and {rate:g} frames per second. A pair needs one clock: --fps.")
    editions = {set(file.motion.joints) >= CMU_RIG for file in files}
    if len(editions) > 1:
        raise ClipError(f"{where}: only one of them is of CMU's cgspeed edition. Use the same edition for both people.")
    cmu = editions.pop()
    motions = _cmu_motions(files, names, options) if cmu else [file.motion for file in files]
    conventions = {"rate": f"{'file' if options.fps is None else 'given'}: {fps:g}"}
    if cmu:
        dropped = len(files[0].motion.position) - len(motions[0].position)
        conventions["edition"] = f"detected: cgspeed's; {'its T-pose' if dropped else 'nothing'} dropped"
        conventions |= {} if options.unit else {"unit": f"documented: {CMU_UNIT:.7f} m"}
    documented = replace(_CMU if cmu else Documented(), fps=fps)
    return rig_take(recording, ((motions[0], names[0]), (motions[1], names[1])), documented, options, conventions)


def _cmu_motions(files: list[BvhFile], names: list[RigNames], options: ReadOptions) -> list[RigMotion]:
    """Without the T-poses in frame 0, in metres unless the user says otherwise."""
    t_pose = all(_starts_in_t_pose(file.motion, name) for file, name in zip(files, names, strict=True))
    scale = 1.0 if options.unit else CMU_UNIT
    return [file.motion.part(int(t_pose), None).scaled(scale) for file in files]


def _starts_in_t_pose(motion: RigMotion, names: RigNames) -> bool:
    """Whether legs hang and arms are stretched sideways in the first frame, seen in the world that is y up."""
    at = {body: motion.position[0, motion.joints.index(joint)] for body, joint in names.origin.items()}
    across = at["L_Hip"] - at["R_Hip"]
    limbs = [
        (at[f"{side}_{end}"] - at[f"{side}_{start}"], way)
        for side, sign in (("L", 1.0), ("R", -1.0))
        for start, end, way in (("Shoulder", "Wrist", sign * across), ("Hip", "Ankle", np.array([0.0, -1.0, 0.0])))
    ]
    return all(limb @ way >= _STRAIGHT * np.linalg.norm(limb) * np.linalg.norm(way) for limb, way in limbs)


BVH = Format(
    name="bvh",
    title="BVH files, one per person; CMU's two-person takes find their partner by themselves",
    license="of the motion in the files",
    obtain=(
        "Two BVH files recorded together, in one world and on one clock. Give one with --partner and --supporter, or\n"
        "a folder with a pairs.csv (columns name, supporter, recipient). CMU's takes 18/19, 20/21, 22/23 and 33/34 in\n"
        "the cgspeed edition pair up by their names; free for all uses, see mocap.cs.cmu.edu."
    ),
    find=_find,
    read=_read,
)
"""Reader of ``assistmimic clips import bvh``."""

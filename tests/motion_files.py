"""Writers of other people's motion files for the tests, by SciPy's rotations and the published layouts alone."""

from __future__ import annotations

import io
import pickle
import sys
import types
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from assistmimic_env.clip import PairClip

SMPL = (
    "Pelvis", "L_Hip", "R_Hip", "Torso", "L_Knee", "R_Knee", "Spine", "L_Ankle", "R_Ankle", "Chest", "L_Toe", "R_Toe",
    "Neck", "L_Thorax", "R_Thorax", "Head", "L_Shoulder", "R_Shoulder", "L_Elbow", "R_Elbow", "L_Wrist", "R_Wrist",
    "L_Hand", "R_Hand",
)  # fmt: skip
"""SMPL's joints as published, in our names."""

B = Rotation.from_quat([0.5, 0.5, 0.5, 0.5])
"""SMPL's axes of a standing body that faces +x in a z-up world; also y-up axes (left, up, forward) from ours."""

TO_Y_UP = Rotation.from_matrix([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
"""z-up world (x, y, z) -> y-up (x, z, -y)."""

CMU_UNIT = 0.0254 / 0.45

Tree = Mapping[str, tuple[str, tuple[float, ...] | np.ndarray]]
"""Joint -> its parent ("" for the root) and its offset."""


def turns(quaternions: np.ndarray) -> Rotation:
    """SciPy's rotations (flat) of our quaternions (..., 4)."""
    return Rotation.from_quat(quaternions.reshape(-1, 4)[:, [1, 2, 3, 0]])


def pose_of(clip: PairClip, role: int) -> np.ndarray:
    """SMPL's 72 numbers per frame of a person: axis-angle in SMPL's frames and order, the world z up."""
    names, local = clip.bodies[role].names, clip.local_rotation[:, role]
    pose = np.zeros((clip.num_frames, len(SMPL), 3))
    for joint, name in enumerate(SMPL):
        own = turns(local[:, names.index(name)])
        pose[:, joint] = (own * B if joint == 0 else B.inv() * own * B).as_rotvec()
    return pose.reshape(clip.num_frames, -1)


def bvh_text(tree: Tree, values: Sequence[Sequence[float]], *, step: float = 1 / 120, order: str = "ZYX") -> str:
    """A BVH file; the root has six channels, all others three rotations in this order, depth first."""
    lines = ["HIERARCHY"]

    def joint(name: str, depth: int) -> None:
        pad, (parent, offset) = "\t" * depth, tree[name]
        lines.append(f"{pad}{'JOINT' if parent else 'ROOT'} {name}")
        lines.append(pad + "{")
        lines.append(f"{pad}\tOFFSET {' '.join(repr(float(x)) for x in offset)}")
        axes = [f"{axis}rotation" for axis in order]
        channels = axes if parent else ["Xposition", "Yposition", "Zposition", *axes]
        lines.append(f"{pad}\tCHANNELS {len(channels)} {' '.join(channels)}")
        children = [child for child, (above, _) in tree.items() if above == name]
        for child in children:
            joint(child, depth + 1)
        if not children:
            lines.extend([f"{pad}\tEnd Site", pad + "\t{", f"{pad}\t\tOFFSET 0.0 0.1 0.0", pad + "\t}"])
        lines.append(pad + "}")

    joint(next(iter(tree)), 0)
    rows = [" ".join(repr(float(value)) for value in row) for row in values]
    return "\n".join([*lines, "MOTION", f"Frames: {len(rows)}", f"Frame Time: {step:.7f}", *rows, ""])


def depth_first(tree: Tree) -> list[str]:
    """Joints in the order of their channels."""
    names = [next(iter(tree))]
    for name in names:
        children = [child for child, (above, _) in tree.items() if above == name]
        names[names.index(name) + 1 : names.index(name) + 1] = children
    return names


def joblib_bytes(value: Any, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """What ``joblib.dump`` writes: arrays as a wrapper's state, then 16-byte aligned data outside of the pickle."""

    class NumpyArrayWrapper:
        def __init__(self, array: np.ndarray) -> None:
            self.subclass, self.shape, self.dtype = np.ndarray, array.shape, array.dtype
            self.order, self.allow_mmap, self.numpy_array_alignment_bytes = "C", True, 16

    NumpyArrayWrapper.__module__, NumpyArrayWrapper.__qualname__ = "joblib.numpy_pickle", "NumpyArrayWrapper"
    package, module = types.ModuleType("joblib"), types.ModuleType("joblib.numpy_pickle")
    module.NumpyArrayWrapper = NumpyArrayWrapper  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "joblib", package)
    monkeypatch.setitem(sys.modules, "joblib.numpy_pickle", module)
    stream = io.BytesIO()

    python_pickler: Any = pickle._Pickler  # pyright: ignore[reportAttributeAccessIssue]

    class Pickler(python_pickler):
        def save(self, obj: Any, *rest: Any, **options: Any) -> None:
            if type(obj) is not np.ndarray:
                return super().save(obj, *rest, **options)
            super().save(NumpyArrayWrapper(obj))
            self.framer.commit_frame(force=True)
            padding = 16 - (stream.tell() + 1) % 16
            stream.write(bytes([padding]) + b"\xff" * padding + np.ascontiguousarray(obj).tobytes())
            return None

    Pickler(stream, protocol=4).dump(value)
    return stream.getvalue()

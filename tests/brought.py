"""Motion for environments without any of their own: recordings in the published layouts, imported as users would."""

from __future__ import annotations

import atexit
import pickle
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from motion_files import TO_Y_UP, pose_of
from scipy.spatial.transform import Rotation
from test_formats_hhi import write as write_hhi

from assistmimic_env import spec
from assistmimic_env.clip import load_clip, resample
from assistmimic_env.importing.batch import Import

CLIP = "sit_to_stand/train_01"


def clips_of(id: str) -> str | None:
    """What to give as ``clips``: None where the environment has motion, a folder of imported clips where it has not."""
    data = spec(id).data
    return None if data is None else str(_imported(data))


@cache
def _imported(data: str) -> Path:
    folder = tempfile.TemporaryDirectory(prefix=f"brought-{data}-")
    atexit.register(folder.cleanup)
    source, out = Path(folder.name) / "source", Path(folder.name) / "clips"
    source.mkdir()
    path = {"interx": _write_interx, "hhi": _write_hhi}[data](source)
    (outcome,) = Import(format=data, path=path, out=out).run()
    assert outcome.status == "imported", outcome.error
    return out


def _write_interx(folder: Path) -> Path:
    """A bundled sit-to-stand as Inter-X would have recorded it: SMPL-X parameters in a y-up world at 120 fps."""
    clip = resample(load_clip(CLIP), 120.0)
    where = folder / "motions" / "G001T000A019R000"
    where.mkdir(parents=True)
    for role in (0, 1):
        pose = pose_of(clip, role)
        np.savez(
            where / f"P{role + 1}.npz",
            root_orient=(TO_Y_UP * Rotation.from_rotvec(pose[:, :3])).as_rotvec(),
            trans=TO_Y_UP.apply(np.array(clip.root_position[:, role])),
            pose_body=pose[:, 3:66].reshape(-1, 21, 3),
            pose_lhand=np.zeros((clip.num_frames, 15, 3)),
            pose_rhand=np.zeros((clip.num_frames, 15, 3)),
            betas=np.zeros((1, 10)),
            gender=np.array("neutral"),
        )
    order = folder / "annots" / "interaction_order.pkl"
    order.parent.mkdir()
    order.write_bytes(pickle.dumps({where.name: 0}))
    return folder / "motions"


def _write_hhi(folder: Path) -> Path:
    """The same as HHI-Assist would: joint positions as CSV, with the roles in the files' names."""
    return write_hhi(folder, load_clip(CLIP).position, fps=30.0)

"""Inter-X: pairs of SMPL-X parameters, or of 64 joints of OptiTrack's rig (spec/data.md section 3.1).

``GgggTtttAaaaRrrr/P1.npz, P2.npz`` or ``P1.npy, P2.npy``, 120 frames per second, y up, metres. Who acts is in
``annots/interaction_order.pkl``; who acts is taken for the supporter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..archive import ArraySpec, read_archive
from ..body import get_body
from ..errors import ClipError
from .arrays import check_finite, on_one_clock, read_npy
from .conventions import settled_by
from .finding import checked, files_below
from .pickles import read_pickle
from .positions import Documented, settle, supporter_first
from .skeletons import OPTITRACK64
from .smpl import SmplMotion, pose_of_parts, smpl_people
from .take import Format, ReadOptions, Recording, Take, Up, Who

Array = NDArray[np.float64]

FPS = 120.0
UP: Up = "y"
SKELETON = OPTITRACK64

ORDER_FILE = Path("annots") / "interaction_order.pkl"
"""Name -> 0 (P1 acts) or 1 (P2 acts), somewhere above the recordings."""

ACTIONS = (
    "hug", "handshake", "wave", "grab", "hit", "kick", "posing", "push", "pull", "sit on leg",
    "slap", "pat on back", "point", "walk towards", "knock over", "step on foot", "high five", "chase", "whisper",
    "support with hand", "rock-paper-scissors", "dance", "link arms", "shoulder to shoulder", "bend", "carry on back",
    "massage shoulder", "massage leg", "hand wrestling", "chat", "pat on cheek", "thumb up", "touch head", "imitate",
    "kiss on cheek", "help up", "cover mouth", "look back", "block", "fly kick",
)  # fmt: skip
"""Names of actions 0 to 39."""

_FOLDER = re.compile(r"G\d{3}T\d{3}A\d{3}R\d{3}", re.ASCII)
_FILES = ("p1.npz", "p2.npz", "p1.npy", "p2.npy")
_ORDER_BYTES = 16 * 2**20
_ACTS: Mapping[int, Who] = {0: "first", 1: "second"}
_PARTS = {
    "pose_body": ArraySpec(shape=(None, 21, 3)),
    "pose_lhand": ArraySpec(shape=(None, 15, 3)),
    "pose_rhand": ArraySpec(shape=(None, 15, 3)),
    "root_orient": ArraySpec(shape=(None, 3)),
    "trans": ArraySpec(shape=(None, 3)),
    "betas": ArraySpec(required=False),
    "gender": ArraySpec(shape=(), kinds="US", required=False),
}
_JOINTS = ArraySpec(shape=(None, len(SKELETON.joints), 3))


def find(path: Path, options: ReadOptions) -> tuple[Recording, ...]:
    """Find recordings at or below a path: a release, one of its folders, a recording's folder, or one of its files.

    Raises:
        UntrustedFileError: The file of who acts asks for more than plain values.
        ClipError: None is there, a partner is missing, both kinds of files are there, or nothing tells who supports.
    """
    folder = path.parent if path.is_file() else path
    files = {file for file in files_below(folder, _FILES) if _FOLDER.fullmatch(file.parent.name)}
    kinds = {file.suffix for file in files}
    if len(kinds) > 1:
        raise ClipError(f"{path}: holds both SMPL-X parameters (npz) and skeletons (npy). Give one of these folders.")
    order = () if options.supporter else _order_file(folder)
    acting = _read_order(order[0]) if order else {}
    recordings = []
    for where in sorted({file.parent for file in files}):
        pair = [where / f"{person}{kind}" for person in ("P1", "P2") for kind in kinds]
        missing = [file.name for file in pair if file not in files]
        if missing:
            raise ClipError(f"{where}: {missing[0]} is missing; a pair needs P1 and P2.")
        _supporter(where, acting, options)
        recordings.append(Recording(name=where.name, files=(*pair, *order)))
    return checked(path, recordings, "folder GgggTtttAaaaRrrr with P1 and P2 (npz or npy)")


def read(recording: Recording, options: ReadOptions) -> Take:
    """Read a pair.

    Raises:
        UntrustedFileError: A file asks for more than plain values.
        ClipError: A file is damaged, or contradicts the documented axis, unit or rate.
    """
    first, second, *order = recording.files
    acting = _read_order(order[0]) if order and not options.supporter else {}
    supporter = _supporter(first.parent, acting, options)
    settled = (_parameters if first.suffix == ".npz" else _skeletons)(recording.name, (first, second), options)
    how = "given" if options.supporter else f"file: {ORDER_FILE.name}"
    return replace(
        settled,
        people=supporter_first(settled.people, supporter),
        metadata=_described(recording.name, settled.metadata, supporter),
        conventions={**settled.conventions, "roles": f"{how}: {supporter} supports"},
    )


def _parameters(name: str, files: tuple[Path, Path], options: ReadOptions) -> Take:
    """SMPL-X parameters, in the source's order of people."""
    motions, genders = zip(*(_motion(file) for file in files), strict=True)
    if len(motions[0].pose) != len(motions[1].pose):
        raise ClipError(
            f"{files[0]} and {files[1].name}: {len(motions[0].pose)} and {len(motions[1].pose)} frames: no common "
            "clock. Cut both files to the same instants."
        )
    fps = FPS if options.fps is None else options.fps
    found = smpl_people(name, motions, documented_up=UP, fps=fps, options=options)
    return Take(
        name=name,
        fps=fps,
        people=found.people,
        body=found.body,
        metadata={"genders": genders},
        conventions={**found.conventions, "rate": f"{settled_by(FPS, options.fps)}: {fps:g}"},
    )


def _motion(path: Path) -> tuple[SmplMotion, str]:
    arrays = read_archive(path, expected=_PARTS, skip_others=True)
    gender = str(arrays.pop("gender")) if "gender" in arrays else "neutral"
    betas = arrays.pop("betas", np.zeros((1, 10)))
    root, body, left, right, trans = (
        check_finite(f"{path}: '{part}'", arrays[part])
        for part in ("root_orient", "pose_body", "pose_lhand", "pose_rhand", "trans")
    )
    pose = pose_of_parts(str(path), root, body, left, right)
    return SmplMotion(pose=pose, trans=trans, model="smplx", betas=betas.ravel(), gender=gender), gender


def _skeletons(name: str, files: tuple[Path, Path], options: ReadOptions) -> Take:
    """Positions of 64 joints, in the source's order of people."""
    body = get_body()
    first, second = (check_finite(str(file), read_npy(file, expected=_JOINTS)) for file in files)
    joints = SKELETON.to_bodies(on_one_clock(str(files[0].parent), first, second), body)
    return settle(name, joints, body, Documented(up=UP, unit="m", fps=FPS), options)


def _described(name: str, found: Mapping[str, Any], supporter: Who) -> dict[str, Any]:
    """What the source says, supporter first."""
    number = int(name[name.index("A") + 1 :][:3])
    action = ACTIONS[number] if number < len(ACTIONS) else f"action {number}"
    genders = found.get("genders", ())
    return {
        "description": f"Inter-X {name}: {action}",
        "source": "Inter-X",
        "action": action,
        "action_number": number,
        **({"genders": list(genders if supporter == "first" else genders[::-1])} if genders else {}),
    }


def _order_file(folder: Path) -> tuple[Path, ...]:
    """The file of who acts, beside the recordings' folder or above it."""
    near = (folder, *folder.resolve().parents[:3])
    return tuple(place / ORDER_FILE for place in near if (place / ORDER_FILE).is_file())[:1]


def _read_order(path: Path) -> Mapping[str, int]:
    order = read_pickle(path, max_bytes=_ORDER_BYTES)
    if not isinstance(order, dict) or not all(isinstance(v, int | np.integer) and v in _ACTS for v in order.values()):
        raise ClipError(f"{path}: expected a dictionary of names -> 0 (P1 acts) or 1 (P2 acts).")
    return order


def _supporter(folder: Path, acting: Mapping[str, int], options: ReadOptions) -> Who:
    if options.supporter:
        return options.supporter
    if folder.name not in acting:
        raise ClipError(
            f"{folder}: nothing tells who supports. Keep the release's {ORDER_FILE} beside the recordings' folder"
            f"{' (yours does not list this one)' if acting else ''}, or say it: --supporter first (P1) or second (P2)."
        )
    return _ACTS[acting[folder.name]]


INTERX = Format(
    name="interx",
    title="Inter-X: pairs of SMPL-X parameters or of 64-joint skeletons",
    license="Inter-X (no copying, sharing or distribution)",
    obtain=(
        "Ask for the data set on its project page (liangxuyy.github.io/inter-x). Unpack motions (or skeletons) and\n"
        "annots side by side: motions/GgggTtttAaaaRrrr/P1.npz and P2.npz; annots/interaction_order.pkl says who acts,\n"
        "and that is the supporter. Give the folder motions, or one recording's folder."
    ),
    find=find,
    read=read,
)
"""Reader of ``assistmimic clips import interx``."""

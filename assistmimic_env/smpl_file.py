"""Model files of SMPL, SMPL-H and SMPL-X: where they are, and what is in them, checked.

A model file is an npz from the user, like any other file not to be trusted. Pickled editions are not read, because
reading a pickle runs what is in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .archive import ArraySpec, read_archive
from .body import get_body
from .errors import ClipError, UntrustedFileError

Array = NDArray[np.float64]
Kind = Literal["smpl", "smplh", "smplx"]
Gender = Literal["neutral", "male", "female"]

KINDS: tuple[Kind, ...] = get_args(Kind)
GENDERS: tuple[Gender, ...] = get_args(Gender)

OBTAIN = (
    "Model files come from smpl.is.tue.mpg.de (SMPL), mano.is.tue.mpg.de (SMPL-H) and smpl-x.is.tue.mpg.de (SMPL-X), "
    "for non-commercial research, after registration; take the .npz edition where there is one."
)
CONVERT = (
    "Where you trust the file, convert it once: load it with pickle (encoding='latin1') and write J_regressor (dense), "
    "v_template, shapedirs, kintree_table and f as plain arrays with numpy.savez."
)

_BODY = (
    "Pelvis", "L_Hip", "R_Hip", "Torso", "L_Knee", "R_Knee", "Spine", "L_Ankle", "R_Ankle", "Chest", "L_Toe", "R_Toe",
    "Neck", "L_Thorax", "R_Thorax", "Head", "L_Shoulder", "R_Shoulder", "L_Elbow", "R_Elbow", "L_Wrist", "R_Wrist",
)  # fmt: skip
_FINGERS = tuple(
    f"{side}_{finger}{bone}"
    for side in "LR"
    for finger in ("Index", "Middle", "Pinky", "Ring", "Thumb")
    for bone in (1, 2, 3)
)
JOINTS: Mapping[Kind, tuple[str, ...]] = {
    "smpl": (*_BODY, "L_Hand", "R_Hand"),
    "smplh": (*_BODY, *_FINGERS),
    "smplx": (*_BODY, "Jaw", "L_Eye", "R_Eye", *_FINGERS),
}
"""Our names of a model's joints, in its order."""

_ARRAYS = {
    "J_regressor": ArraySpec(shape=(None, None)),
    "v_template": ArraySpec(shape=(None, 3)),
    "shapedirs": ArraySpec(shape=(None, 3, None)),
    "kintree_table": ArraySpec(shape=(2, None), kinds="iu"),
    "f": ArraySpec(shape=(None, 3), kinds="iu"),
}
_MAX_BYTES = 512 * 2**20
_MAX_RATIO = 1100  # joint regressors are almost empty; deflate itself ends at 1032
_EXPRESSION_FREE = 300  # shape coefficients of full SMPL-X files; the rest of 400 are facial expressions
_FEW = 10  # the same of small SMPL-X files, which have 20
_SEARCH_DEPTH, _SEARCH_FILES = 4, 5000


def find_model(folder: str | os.PathLike[str], kind: Kind, gender: Gender = "neutral") -> Path:
    """Find a model file below a folder.

    Recognised are ``SMPLX_NEUTRAL.npz`` (or ``SMPLX_NEUTRAL_...npz``), wherever it lies, and ``neutral/model.npz``
    below a folder called after the kind, or right below ``folder``.

    Args:
        folder: The user's models.
        kind: smpl, smplh or smplx.
        gender: neutral, male or female.

    Raises:
        ClipError: None; says what is there, and where models come from.
    """
    folder = Path(folder)
    files = sorted(_model_files(folder)) if folder.is_dir() else []
    ranked = sorted((rank, path) for path in files if (rank := _rank(path, folder, kind, gender)) is not None)
    if ranked:
        return ranked[0][1]
    wanted = f"{kind.upper()}_{gender.upper()}.npz"
    pickles = [path for path in files if _rank(path.with_suffix(".npz"), folder, kind, gender) is not None]
    if pickles:
        raise ClipError(f"{pickles[0]}: a pickle; only .npz models are read. {CONVERT}")
    present = ", ".join(str(path.relative_to(folder)) for path in files[:8]) or "no model files"
    raise ClipError(f"{folder}: no {wanted} in it (it has {present}). {OBTAIN}")


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelArrays:
    """What is used of a model file of K joints, V vertices and S shape coefficients; SMPL's axes, metres."""

    kind: Kind
    """Follows from the number of joints: 24, 52 or 55."""
    vertices: Array
    """Mean surface, shape (V, 3)."""
    shapes: Array
    """Change of the surface per unit of each shape coefficient, shape (V, 3, S)."""
    faces: NDArray[np.intp]
    """Triangles, shape (F, 3)."""
    regressor: Array
    """Joints from vertices, shape (K, V)."""


def read_model(path: Path) -> ModelArrays:
    """Read a model file.

    Raises:
        ClipError: The file is missing, damaged, or its arrays do not belong together.
        UntrustedFileError: It is a pickle, or one of the arrays holds objects or is too large.
    """
    if path.suffix.lower() == ".pkl":
        raise UntrustedFileError(f"{path}: pickles run code when they are read, so this one is not. {CONVERT}")
    try:
        arrays = read_archive(
            path, expected=_ARRAYS, max_total_bytes=_MAX_BYTES, max_ratio=_MAX_RATIO, skip_others=True
        )
    except UntrustedFileError as error:
        advice = f" {CONVERT}" if "never objects" in str(error) else ""
        raise UntrustedFileError(f"{error}{advice}") from error
    kind = _checked_kind(path, arrays)
    shapes = arrays["shapedirs"][..., : _num_shapes(kind, arrays["shapedirs"].shape[-1])]
    return ModelArrays(
        kind=kind,
        vertices=arrays["v_template"].astype(np.float64),
        shapes=np.ascontiguousarray(shapes, np.float64),
        faces=arrays["f"].astype(np.intp),
        regressor=arrays["J_regressor"].astype(np.float64),
    )


def _model_files(folder: Path) -> Iterator[Path]:
    """Model files at most a few levels below a folder."""
    seen = 0
    for root, folders, names in os.walk(folder):
        if len(Path(root).relative_to(folder).parts) >= _SEARCH_DEPTH:
            folders.clear()
        seen += len(names)
        if seen > _SEARCH_FILES:
            raise ClipError(f"{folder}: more than {_SEARCH_FILES} files. Give the folder with the body models alone.")
        yield from (Path(root) / name for name in names if name.lower().endswith((".npz", ".pkl")))


def _rank(path: Path, folder: Path, kind: Kind, gender: Gender) -> int | None:
    """How well a path names a model; None: not at all, smaller is better."""
    stem, parts = path.stem.lower(), [part.lower() for part in path.relative_to(folder).parts[:-1]]
    if path.suffix.lower() != ".npz":
        return None
    if stem == f"{kind}_{gender}":
        return 0
    if re.fullmatch(rf"{kind}_{gender}_\w+", stem):
        return 1
    if stem != "model" or not parts or parts[-1] != gender:
        return None
    if kind in (folder.name.lower(), *parts):
        return 2
    return 3 if len(parts) == 1 and folder.name.lower() not in KINDS else None


def _num_shapes(kind: Kind, count: int) -> int:
    """How many of a file's coefficients are shape; the others of SMPL-X are facial expressions."""
    if kind != "smplx":
        return count
    return _EXPRESSION_FREE if count >= _EXPRESSION_FREE else min(count, _FEW)


def _checked_kind(path: Path, arrays: Mapping[str, NDArray[Any]]) -> Kind:
    """The kind of a model, after checking that its arrays belong together."""
    joints, vertices = arrays["J_regressor"].shape
    kinds: dict[int, Kind] = {len(names): kind for kind, names in JOINTS.items()}
    if joints not in kinds:
        raise ClipError(f"{path}: has {joints} joints; expected 24 (SMPL), 52 (SMPL-H) or 55 (SMPL-X). {OBTAIN}")
    for name, found, expected in (
        ("v_template", len(arrays["v_template"]), vertices),
        ("shapedirs", len(arrays["shapedirs"]), vertices),
        ("kintree_table", arrays["kintree_table"].shape[1], joints),
    ):
        if found != expected:
            raise ClipError(
                f"{path}: '{name}' is for {found}, J_regressor of shape {(joints, vertices)} for {expected}."
            )
    for name in ("J_regressor", "v_template", "shapedirs"):
        if not np.isfinite(arrays[name]).all():
            raise ClipError(f"{path}: '{name}' holds values that are not finite. Fetch the file again.")
    faces = arrays["f"]
    if len(faces) == 0 or faces.min() < 0 or faces.max() >= vertices:
        raise ClipError(f"{path}: 'f' refers to vertices outside 0 to {vertices - 1}. Fetch the file again.")
    kind = kinds[joints]
    _check_tree(path, JOINTS[kind], arrays["kintree_table"][0])
    return kind


def _check_tree(path: Path, names: tuple[str, ...], parents: NDArray[Any]) -> None:
    """Refuse joints that hang on others than in the published models, so that no joint is taken for another."""
    for name, parent in zip(names[1:], parents[1:].tolist(), strict=True):
        found = names[parent] if 0 <= parent < len(names) else str(parent)
        if found != _parent(name):
            raise ClipError(
                f"{path}: joint {name} hangs on {found}, expected {_parent(name)}. The joints have another order than "
                "the published models'."
            )


def _parent(name: str) -> str:
    """Parent of a joint in all published models."""
    if name in ("Jaw", "L_Eye", "R_Eye"):
        return "Head"
    if name[-1].isdigit():
        return f"{name[:-1]}{int(name[-1]) - 1}" if name[-1] != "1" else f"{name[:2]}Wrist"
    spec = get_body("smpl24")
    return spec.names[spec.parents[spec.index(name)]]

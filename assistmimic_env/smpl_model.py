"""``SmplModel``: bones and mass of a person from the user's own SMPL, SMPL-H or SMPL-X model file.

Five arrays of such a file are enough for rest joints and volume, so nothing but NumPy is needed (``spec/data.md``
section 4). The ``smplx`` package would add nothing to this, and its licence, like that of the model files, is for
non-commercial research only; it is never imported.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import anthropometry
from .body import BodySpec, get_body
from .errors import ClipError, ConfigError
from .frames import to_upright
from .smpl_file import JOINTS, Gender, Kind, find_model, read_model
from .surface import enclosed_volume

Array = NDArray[np.float64]

_STAND_IN = {"L_Hand": "L_Middle1", "R_Hand": "R_Middle1"}
"""Joints of a body whose hands are one piece -> those of models with fingers."""

_STATURES = (0.3, 3.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class SmplModel:
    """A body model of K joints, V vertices and S shape coefficients; axes x left, y up, z forward, metres."""

    path: Path
    """The file."""
    kind: Kind
    """Follows from the number of joints: 24, 52 or 55."""
    vertices: Array = field(repr=False)
    """Mean surface, shape (V, 3)."""
    shapes: Array = field(repr=False)
    """Change of the surface per unit of each shape coefficient, shape (V, 3, S)."""
    faces: NDArray[np.intp] = field(repr=False)
    """Triangles, counter-clockwise from outside, shape (F, 3)."""
    mean_joints: Array = field(repr=False)
    """Rest joints of the mean surface, shape (K, 3)."""
    joint_shapes: Array = field(repr=False)
    """Their change per unit of each shape coefficient, shape (K, 3, S)."""

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SmplModel:
        """Read a model file; the last few are remembered until they change on disk.

        Raises:
            ClipError: The file is missing, damaged, not a body model, or its axes or sides are not SMPL's.
            UntrustedFileError: It is a pickle, or one of the arrays holds objects or is too large.
        """
        path = Path(path)
        status = path.stat() if path.is_file() else None
        return _load(path, status and (status.st_mtime_ns, status.st_size))

    @classmethod
    def find(cls, folder: str | os.PathLike[str], kind: Kind, gender: Gender = "neutral") -> SmplModel:
        """Find a model below a folder and read it, see `smpl_file.find_model`.

        Raises:
            ClipError: There is none, it cannot be read, or it is of another kind than its name says.
            UntrustedFileError: See `load`.
        """
        model = cls.load(find_model(folder, kind, gender))
        if model.kind != kind:
            raise ClipError(f"{model.path}: a {model.kind} model by its joints, not {kind}. Were files renamed?")
        return model

    @property
    def names(self) -> tuple[str, ...]:
        """Our names of the joints, K of them."""
        return JOINTS[self.kind]

    @property
    def num_betas(self) -> int:
        """S."""
        return self.shapes.shape[-1]

    def rest_joints(self, betas: ArrayLike = ()) -> Array:
        """Joints of a person in the rest pose: J_regressor (v_template + shapedirs betas).

        Args:
            betas: Shape coefficients, shape (..., n); missing ones are 0.

        Returns:
            Shape (..., K, 3) [m], model axes.

        Raises:
            ClipError: Not finite, or more coefficients than the model has.
        """
        return self.mean_joints + np.einsum("kcs,...s->...kc", self.joint_shapes, self._checked(betas))

    def pelvis_offset(self, betas: ArrayLike = ()) -> Array:
        """What has to be added to ``trans`` to get the pelvis, in the axes of ``trans``, shape (..., 3) [m].

        SMPL turns a person about the pelvis, which rests at J_0, and then moves by ``trans``: pelvis = trans + J_0.
        """
        return self.rest_joints(betas)[..., 0, :]

    def surface(self, betas: ArrayLike = ()) -> Array:
        """Vertices of a person in the rest pose, shape (V, 3) [m], for betas of shape (n,)."""
        return self.vertices + self.shapes @ self._checked(betas)

    def mass(self, betas: ArrayLike = ()) -> float:
        """Volume of a person times the density of tissue [kg], for betas of shape (n,)."""
        return anthropometry.TISSUE_DENSITY * enclosed_volume(self.surface(betas), self.faces)

    def offsets(self, betas: ArrayLike = (), *, body: str = "smpl24") -> Array:
        """Bone offsets of one of our bodies, upright frames, shape (..., J, 3) [m].

        A hand in one piece begins at the knuckle of the middle finger where the model has fingers.

        Raises:
            ConfigError: There is no such body, or the model lacks its joints.
        """
        spec = get_body(body)
        joints = to_upright(self.rest_joints(betas))[..., _rows(self, spec), :]
        return joints - joints[..., np.maximum(spec.parents, 0), :]

    def _checked(self, betas: ArrayLike) -> Array:
        values = np.asarray(betas, dtype=np.float64)
        count = values.shape[-1] if values.ndim else -1
        if count < 0 or not np.isfinite(values).all():
            raise ClipError(f"betas have shape {values.shape}; expected finite numbers of shape (..., n).")
        if values[..., self.num_betas :].any():
            raise ClipError(
                f"{self.path}: has {self.num_betas} shape coefficients, the motion has {count}. "
                "Use the model that the motion was made with."
            )
        full = np.zeros((*values.shape[:-1], self.num_betas))
        full[..., :count] = values[..., : self.num_betas]
        return full


def body_from_model(
    model: SmplModel | str | os.PathLike[str], betas: ArrayLike = (), *, body: str = "smpl24", mass: float | None = None
) -> BodySpec:
    """One of our bodies with a person's bones and mass.

    Bone lengths are exact. The total mass is the surface's volume times the density of tissue; how it is shared among
    the segments, and with it the capsules, follows our own tables, because that is all a clip stores.

    Args:
        model: The model, or its file.
        betas: Shape coefficients, shape (n,).
        body: Name of the body: smpl24, or smpl52 for models with fingers.
        mass: Total mass [kg]; by default that of the surface.

    Raises:
        ClipError: The model or the betas cannot be read.
        ConfigError: The model lacks joints of the body.
        UntrustedFileError: See `SmplModel.load`.
    """
    model = model if isinstance(model, SmplModel) else SmplModel.load(model)
    return get_body(body).with_offsets(
        model.offsets(betas, body=body), mass=model.mass(betas) if mass is None else mass
    )


def _rows(model: SmplModel, spec: BodySpec) -> list[int]:
    """Row of the model of each body."""
    wanted = [name if name in model.names else _STAND_IN.get(name, name) for name in spec.names]
    if missing := [name for name in wanted if name not in model.names]:
        raise ConfigError(
            f"{model.path}: a {model.kind} model has no joints {', '.join(missing[:4])}, which {spec.name} needs. "
            "Use smpl24, or for fingers a model of SMPL-H or SMPL-X."
        )
    return [model.names.index(name) for name in wanted]


@lru_cache(maxsize=4)
def _load(path: Path, status: tuple[int, int] | None) -> SmplModel:
    """Read and check a model; ``status`` makes a changed file another one."""
    arrays = read_model(path)
    model = SmplModel(
        path=path,
        kind=arrays.kind,
        vertices=arrays.vertices,
        shapes=arrays.shapes,
        faces=arrays.faces,
        mean_joints=arrays.regressor @ arrays.vertices,
        joint_shapes=np.tensordot(arrays.regressor, arrays.shapes, axes=1),
    )
    _check_person(model)
    return model


def _check_person(model: SmplModel) -> None:
    """Refuse a mean person who does not stand along +y, face +z with the left on +x, or is no person's size."""
    at = dict(zip(model.names, model.mean_joints, strict=True))
    for way, found, words in (
        (at["Head"] - at["L_Ankle"], 1, "the head is not above the ankles along +y"),
        (at["L_Hip"] - at["R_Hip"], 0, "the left hip is not on the side +x of the right one"),
        (at["L_Toe"] + at["R_Toe"] - at["L_Ankle"] - at["R_Ankle"], 2, "the toes are not before the ankles along +z"),
    ):
        if way[found] <= 0.5 * np.linalg.norm(way):
            raise ClipError(f"{model.path}: {words}. Model files have x left, y up, z forward; was this one converted?")
    stature = float(np.ptp(model.vertices[:, 1]))
    if not _STATURES[0] <= stature <= _STATURES[1]:
        raise ClipError(f"{model.path}: the mean person is {stature:.3g} m tall; expected metres. Was it converted?")
    if model.mass() <= 0.0:
        raise ClipError(f"{model.path}: the faces enclose no volume; they must be counter-clockwise from outside.")

"""`PairClip`: the motion of two people, their furniture, and where it comes from."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from itertools import groupby
from types import MappingProxyType
from typing import Any, Literal, TypeVar, cast, get_args

import numpy as np
from numpy.typing import NDArray

from . import kinematics, rotations
from .archive import METADATA, ArraySpec, decode_metadata, read_archive, write_archive
from .body import BodySpec, get_body
from .errors import AssistMimicError, ClipError, did_you_mean
from .resources import asset_names, asset_path

Array = NDArray[np.float64]
Role = Literal["supporter", "recipient"]
_T = TypeVar("_T")
FurnitureKind = Literal["seat", "bed", "stool", "rail", "box"]

ROLES: tuple[Role, Role] = ("supporter", "recipient")
MIN_FRAMES = 10

_FORMAT = "assistmimic-clip"
_VERSION = 1
_MAX_METRES = 1e3
_MAX_ITEMS = 256
_MAX_FPS = 1e3
_MAX_MEMBER_BYTES = 64 * 2**20
_ARRAYS = {
    "offsets": ArraySpec(shape=(2, None, 3)),
    "masses": ArraySpec(shape=(2,)),
    "root_position": ArraySpec(shape=(None, 2, 3)),
    "local_rotation": ArraySpec(shape=(None, 2, None, 4)),
    METADATA: ArraySpec(shape=(None,), kinds="u"),
}


@dataclass(frozen=True, kw_only=True)
class Furniture:
    """A box that stands still during the clip."""

    name: str
    kind: FurnitureKind
    size: tuple[float, float, float]
    """Full extents along the box's own axes [m]."""
    position: tuple[float, float, float]
    """Centre in the world frame [m]."""
    yaw: float = 0.0
    """Turn about the world's z axis [rad]."""


@dataclass(frozen=True, kw_only=True)
class Contact:
    """An interval in which a body of one person holds or touches a body of the partner."""

    role: Role
    """Who touches."""
    body: str
    partner_body: str
    start: float
    """Seconds from the beginning of the clip."""
    end: float


@dataclass(frozen=True, kw_only=True)
class PairState:
    """Both people at some instants; all arrays share the leading dimensions of the asked times.

    Positions [m] and linear velocities [m/s] are in the world frame, quaternions are wxyz.
    """

    position: Array
    """(..., 2, J, 3) world positions."""
    rotation: Array
    """(..., 2, J, 4) world rotations."""
    velocity: Array
    """(..., 2, J, 3) world velocities."""
    angular_velocity: Array
    """(..., 2, J, 3) world angular velocities [rad/s]."""
    root_position: Array
    """(..., 2, 3) the pelvis."""
    local_rotation: Array
    """(..., 2, J, 4) relative to the parent; the root's row is its world rotation."""
    joint_velocity: Array
    """(..., 2, J, 3) relative angular velocity in the child's frame [rad/s]; the root's row is not used."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PairClip:
    """Two people's motion at a fixed rate; role 0 is the supporter, role 1 the recipient.

    Checked when made: a clip that exists can be simulated. Arrays are read-only.

    Raises:
        ClipError: A shape, range or name is wrong; the message says which.
    """

    name: str
    fps: float
    body: str = "smpl24"
    """Name of the body in :func:`assistmimic_env.body.get_body`."""
    offsets: Array
    """(2, J, 3) joint positions in the parent's frame, per person [m]."""
    masses: Array
    """(2,) body masses [kg]."""
    root_position: Array
    """(T, 2, 3) pelvis in the world frame [m]."""
    local_rotation: Array
    """(T, 2, J, 4) wxyz, relative to the parent; the root's row is its world rotation."""
    furniture: tuple[Furniture, ...] = ()
    contacts: tuple[Contact, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """JSON: description, source, license, license_file, provenance, family, parameters, seed, split."""

    def __post_init__(self) -> None:
        for key in ("offsets", "masses", "root_position", "local_rotation"):
            object.__setattr__(self, key, _frozen(self.name, key, getattr(self, key)))
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))
        _check_shapes(self)
        _check_ranges(self)
        object.__setattr__(self, "local_rotation", _unit(self.name, self.local_rotation))
        for item in self.furniture:
            _check_furniture(self, item)
        for contact in self.contacts:
            _check_contact(self, contact)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and deepcopy: what was given, checked and frozen again by the constructor."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return _remade, ({**values, "metadata": dict(self.metadata)},)

    @property
    def num_frames(self) -> int:
        """Number of frames T."""
        return len(self.root_position)

    @property
    def duration(self) -> float:
        """Time from the first to the last frame [s]."""
        return (self.num_frames - 1) / self.fps

    @cached_property
    def bodies(self) -> tuple[BodySpec, BodySpec]:
        """The two people's bodies: supporter, recipient."""
        base = get_body(self.body)
        first, second = (
            base.with_offsets(offsets, mass=float(mass))
            for offsets, mass in zip(self.offsets, self.masses, strict=True)
        )
        return first, second

    @property
    def position(self) -> Array:
        """World positions (T, 2, J, 3) [m]."""
        return self._poses[0]

    @property
    def rotation(self) -> Array:
        """World rotations (T, 2, J, 4)."""
        return self._poses[1]

    @cached_property
    def velocity(self) -> Array:
        """World velocities (T, 2, J, 3) [m/s] (:func:`kinematics.linear_velocity`)."""
        return kinematics.linear_velocity(self.position, self.fps)

    @cached_property
    def angular_velocity(self) -> Array:
        """World angular velocities (T, 2, J, 3) [rad/s] (:func:`kinematics.angular_velocity`)."""
        return kinematics.angular_velocity(self.rotation, self.fps)

    @cached_property
    def joint_velocity(self) -> Array:
        """Joint velocities in the child's frame (T, 2, J, 3) [rad/s]; the root's row is not used."""
        return kinematics.joint_velocity(self.local_rotation, self.fps)

    @cached_property
    def _poses(self) -> tuple[Array, Array]:
        parents = get_body(self.body).parents
        return kinematics.forward_kinematics(parents, self.offsets, self.root_position, self.local_rotation)

    def sample(self, time: Array | float) -> PairState:
        """Both people at any time, clamped to the first and last frame.

        Positions and velocities are interpolated linearly, rotations on the shortest arc
        (``spec/phc.md`` section 8).

        Args:
            time: Seconds from the beginning, any shape (...).

        Returns:
            The state, shapes (..., 2, J, k).
        """
        frame = np.clip(np.asarray(time, dtype=np.float64) * self.fps, 0.0, self.num_frames - 1)
        low = np.minimum(frame.astype(np.intp), self.num_frames - 2)
        blend = frame - low
        position = _lerp(self.position, low, blend)
        return PairState(
            position=position,
            rotation=_slerp(self.rotation, low, blend),
            velocity=_lerp(self.velocity, low, blend),
            angular_velocity=_lerp(self.angular_velocity, low, blend),
            root_position=position[..., 0, :],
            local_rotation=_slerp(self.local_rotation, low, blend),
            joint_velocity=_lerp(self.joint_velocity, low, blend),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one npz file, atomically; equal clips give equal bytes."""
        arrays = {key: getattr(self, key) for key in _ARRAYS if key != METADATA}
        header = {
            "format": _FORMAT,
            "version": _VERSION,
            "name": self.name,
            "fps": self.fps,
            "body": self.body,
            "furniture": [asdict(item) for item in self.furniture],
            "contacts": [asdict(item) for item in self.contacts],
            "metadata": dict(self.metadata),
        }
        write_archive(path, arrays, header)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> PairClip:
        """Read a clip, trusting nothing.

        Args:
            path: A file written by :meth:`save`.

        Returns:
            The checked clip.

        Raises:
            UntrustedFileError: The file holds something else than plain arrays of reasonable size.
            ClipError: The file is missing, damaged, or not a clip that can be simulated.
        """
        arrays = read_archive(path, expected=_ARRAYS, max_member_bytes=_MAX_MEMBER_BYTES)
        header = decode_metadata(arrays.pop(METADATA), path=path)
        if (header.get("format"), header.get("version")) != (_FORMAT, _VERSION):
            found = f"{header.get('format')!r} version {header.get('version')!r}"
            raise ClipError(f"{path}: is {found}, expected '{_FORMAT}' version {_VERSION}.")
        try:
            return cls(
                name=_typed(header, "name", str),
                fps=_number(header, "fps"),
                body=_typed(header, "body", str),
                furniture=tuple(_furniture(item) for item in _objects(header, "furniture")),
                contacts=tuple(_contact(item) for item in _objects(header, "contacts")),
                metadata=_typed(header, "metadata", dict),
                **arrays,
            )
        except AssistMimicError as error:
            raise ClipError(f"{path}: {error}") from error


def _remade(values: Mapping[str, Any]) -> PairClip:
    return PairClip(**values)


def resample(clip: PairClip, fps: float) -> PairClip:
    """The same motion at another rate; a remainder shorter than a frame at the end is dropped.

    Args:
        clip: The clip.
        fps: Wanted frames per second.

    Returns:
        The clip itself when it already has this rate, otherwise a new one.

    Raises:
        ClipError: Fewer than ten frames would remain.
    """
    if math.isclose(fps, clip.fps, rel_tol=1e-9):
        return clip
    count = int(np.floor(clip.duration * fps + 1e-6)) + 1
    state = clip.sample(np.arange(count) / fps)
    return replace(clip, fps=float(fps), root_position=state.root_position, local_rotation=state.local_rotation)


def bundled_clips() -> tuple[str, ...]:
    """Names of the clips that ship with the package, for :func:`load_clip`."""
    return tuple(name.removeprefix("clips/").removesuffix(".npz") for name in asset_names("clips", ".npz"))


def bundled_folders() -> tuple[str, ...]:
    """Names of the folders of clips that ship with the package; each stands for its clips to train on."""
    return tuple(dict.fromkeys(clip.rpartition("/")[0] for clip in bundled_clips() if "/" in clip))


def bundled_folder(name: str) -> tuple[str, ...]:
    """Names of the clips to train on in a folder of bundled ones; empty if there is no such folder.

    Args:
        name: Such as ``"assisted_rise"``. Its held-out clips are called ``assisted_rise/test_00`` and so on.
    """
    return tuple(clip for clip in bundled_clips() if clip.startswith(f"{name}/") and not is_held_out(clip))


def is_held_out(name: str) -> bool:
    """Whether a bundled clip is not for training."""
    return name.rpartition("/")[2].startswith("test_")


def bundled_list() -> str:
    """What ships with the package, for messages: numbered clips by the first and the last of them."""
    rows = [list(row) for _, row in groupby(bundled_clips(), key=lambda name: name.rstrip("0123456789"))]
    return ", ".join(f"{row[0]} to {row[-1].rpartition('/')[2]}" if len(row) > 1 else row[0] for row in rows) or "none"


def load_clip(name_or_path: str | os.PathLike[str]) -> PairClip:
    """Load a bundled clip by name, or any clip by path.

    Args:
        name_or_path: One of :func:`bundled_clips`, or a path that ends in ``.npz``.

    Returns:
        The clip.

    Raises:
        ClipError: There is no such clip, or the file is not one.
        UntrustedFileError: See :meth:`PairClip.load`.
    """
    text = os.fspath(name_or_path)
    if text.endswith(".npz"):
        return PairClip.load(text)
    names = bundled_clips()
    if text not in names:
        hint = f"Bundled clips: {bundled_list()}. To load a file, give a path that ends in .npz."
        raise ClipError(f"There is no clip {text!r}.{did_you_mean(text, (*names, *bundled_folders()))} {hint}")
    return PairClip.load(asset_path(f"clips/{text}.npz"))


def _lerp(values: Array, low: NDArray[np.intp], blend: Array) -> Array:
    weight = blend.reshape(blend.shape + (1,) * (values.ndim - 1))
    return (1.0 - weight) * values[low] + weight * values[low + 1]


def _slerp(values: Array, low: NDArray[np.intp], blend: Array) -> Array:
    return rotations.slerp(values[low], values[low + 1], blend.reshape(blend.shape + (1,) * (values.ndim - 2)))


def _frozen(name: str, key: str, values: object) -> Array:
    """A read-only float64 copy without NaN or infinity."""
    array = np.array(values, dtype=np.float64)
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ClipError(f"clip '{name}': {key}[{', '.join(map(str, where))}] is not finite.")
    array.flags.writeable = False
    return array


def _unit(name: str, rotation: Array) -> Array:
    """Unit quaternions; those within float32 rounding of unit length are kept as they are."""
    error = np.abs(np.linalg.norm(rotation, axis=-1, keepdims=True) - 1.0)
    if error.max() > 1e-3:
        raise ClipError(
            f"clip '{name}': local_rotation holds quaternions of length 1 {error.max():+.3g} off; "
            "expected unit quaternions (w, x, y, z)."
        )
    unit = np.where(error > 1e-6, rotations.normalize(rotation), rotation)
    unit.flags.writeable = False
    return unit


def _check_shapes(clip: PairClip) -> None:
    count = get_body(clip.body).num_bodies
    frames = len(clip.root_position) if clip.root_position.ndim else 0
    expected = {
        "offsets": (2, count, 3),
        "masses": (2,),
        "root_position": (frames, 2, 3),
        "local_rotation": (frames, 2, count, 4),
    }
    for key, shape in expected.items():
        got = getattr(clip, key).shape
        if got != shape:
            raise ClipError(
                f"clip '{clip.name}': {key} has shape {got}, expected {shape} "
                f"(body '{clip.body}' has {count} bodies, root_position has {frames} frames)."
            )
    if frames < MIN_FRAMES:
        raise ClipError(f"clip '{clip.name}': {frames} frames; at least {MIN_FRAMES} are needed.")


def _check_ranges(clip: PairClip) -> None:
    ranges = {
        "fps": (clip.fps, 1.0, _MAX_FPS, "frames per second"),
        "masses": (clip.masses, 1.0, 1e3, "kg"),
        "bone lengths": (np.linalg.norm(clip.offsets[:, 1:], axis=-1), 1e-3, 3.0, "m"),
        "root_position": (clip.root_position, -_MAX_METRES, _MAX_METRES, "m"),
    }
    for key, (value, low, high, unit) in ranges.items():
        array = np.asarray(value)
        if not ((array >= low) & (array <= high)).all():
            span = f"{array.min():g} to {array.max():g}"
            raise ClipError(f"clip '{clip.name}': {key} is {span}, expected {low:g} to {high:g} {unit}.")


def _check_furniture(clip: PairClip, item: Furniture) -> None:
    where = f"clip '{clip.name}': furniture '{item.name}'"
    if item.kind not in get_args(FurnitureKind):
        kinds = ", ".join(get_args(FurnitureKind))
        hint = did_you_mean(item.kind, get_args(FurnitureKind))
        raise ClipError(f"{where}: kind {item.kind!r} is unknown.{hint} Kinds: {kinds}.")
    numbers = np.array([*item.size, *item.position, item.yaw])
    if numbers.shape != (7,) or not (np.abs(numbers) <= _MAX_METRES).all() or min(item.size) <= 0.0:
        raise ClipError(f"{where}: size {item.size}, position {item.position}, yaw {item.yaw} do not make a box.")


def _check_contact(clip: PairClip, contact: Contact) -> None:
    where = f"clip '{clip.name}': contact {contact.body!r} - {contact.partner_body!r}"
    if contact.role not in ROLES:
        raise ClipError(f"{where}: role {contact.role!r} is unknown. Roles: {', '.join(ROLES)}.")
    names = get_body(clip.body).names
    for body in (contact.body, contact.partner_body):
        if body not in names:
            raise ClipError(f"{where}: body '{clip.body}' has no {body!r}.{did_you_mean(body, names)}")
    if not 0.0 <= contact.start <= contact.end < np.inf:
        raise ClipError(f"{where}: interval {contact.start} to {contact.end} s is empty or negative.")


def _typed(header: Mapping[str, Any], key: str, kind: type[_T]) -> _T:
    """The entry of a JSON object, which must exist and have this type."""
    value = header.get(key)
    if not isinstance(value, kind):
        raise ClipError(f"entry '{key}' is {value!r:.80}, expected a JSON {kind.__name__}.")
    return value


def _number(header: Mapping[str, Any], key: str) -> float:
    value = header.get(key)
    if type(value) not in (int, float):
        raise ClipError(f"entry '{key}' is {value!r:.80}, expected a number.")
    return float(cast(float, value))


def _triple(header: Mapping[str, Any], key: str) -> tuple[float, float, float]:
    values = _typed(header, key, list)
    if len(values) != 3 or not all(type(value) in (int, float) for value in values):
        raise ClipError(f"entry '{key}' is {values!r:.80}, expected three numbers.")
    x, y, z = (float(value) for value in values)
    return x, y, z


def _objects(header: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    items = _typed(header, key, list)
    if len(items) > _MAX_ITEMS or not all(isinstance(item, dict) for item in items):
        raise ClipError(f"entry '{key}' should be a list of at most {_MAX_ITEMS} objects.")
    return items


def _furniture(item: Mapping[str, Any]) -> Furniture:
    return Furniture(
        name=_typed(item, "name", str),
        kind=cast(FurnitureKind, _typed(item, "kind", str)),
        size=_triple(item, "size"),
        position=_triple(item, "position"),
        yaw=_number(item, "yaw"),
    )


def _contact(item: Mapping[str, Any]) -> Contact:
    return Contact(
        role=cast(Role, _typed(item, "role", str)),
        body=_typed(item, "body", str),
        partner_body=_typed(item, "partner_body", str),
        start=_number(item, "start"),
        end=_number(item, "end"),
    )

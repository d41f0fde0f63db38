"""Pictures of two people: frames, a translucent reference beside or over them, film strips and videos.

The renderer draws body poses, not a simulation: give it positions and rotations from a running world, a log or a clip.
It owns a small MuJoCo model of an empty stage and adds capsules to the scene; physics is neither needed nor touched.

An off-screen OpenGL context is found by itself (EGL, then OSMesa, then the system's own), whatever was imported before;
``MUJOCO_GL`` is respected when set. Without one, `MissingDependencyError` says what to install. Costs and settings:
spec/physics.md section 11.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import zlib
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import mujoco
import numpy as np

from . import rotations
from .errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from .body import BodySpec
    from .clip import Furniture

    Array = NDArray[np.float64]
    Image = NDArray[np.uint8]
    Pose = tuple[ArrayLike, ArrayLike]

Ghost = Literal["beside", "overlay", "none"]

COLORS: Final = ((0.13, 0.47, 0.71), (0.95, 0.52, 0.17))
"""Clothes of the supporter (blue) and the recipient (orange), RGB."""
SKIN: Final = (0.93, 0.78, 0.67)
WOOD: Final = (0.66, 0.52, 0.40)
GHOST_ALPHA: Final = 0.26
_SHADE: Final = (0.10, 0.12, 0.16)
_MARK: Final = (0.86, 0.16, 0.42)
_MARK_RADIUS: Final = 0.045

_BARE_BODIES: Final = ("Head", "Neck")  # and the hands
_FIELD_OF_VIEW: Final = 26.0
_ELEVATION: Final = -11.0
_TURN: Final = 18.0
_EASE: Final = 0.08
_MAX_SIZE: Final = 4096
_MAX_GEOMS: Final = 2000
_MAX_STRIP_FRAMES: Final = 12

_STAGE: Final = """
<mujoco>
  <visual>
    <global fovy="{fovy}" offwidth="{width}" offheight="{height}"/>
    <quality offsamples="{samples}" shadowsize="2048"/>
    <headlight ambient=".42 .42 .42" diffuse=".30 .30 .30" specular="0 0 0"/>
    <map znear=".02" zfar="40" fogstart="9" fogend="26" haze="0"/>
    <rgba fog=".93 .95 .97 1"/>
  </visual>
  <statistic extent="2" center="0 0 1"/>
  <asset>
    <texture type="skybox" builtin="gradient" rgb1=".80 .87 .94" rgb2=".96 .97 .98" width="256" height="1536"/>
    <texture name="floor" type="2d" builtin="checker" mark="edge" rgb1=".87 .89 .91" rgb2=".82 .845 .87"
             markrgb=".70 .74 .78" width="512" height="512"/>
    <material name="floor" texture="floor" texrepeat="1 1" texuniform="true" specular=".1"/>
  </asset>
  <worldbody>
    <light directional="true" castshadow="true" pos="-2 -3 5" dir=".35 .5 -1" diffuse=".55 .54 .52" specular="0 0 0"/>
    <light directional="true" castshadow="false" pos="3 2 4" dir="-.6 -.2 -.7" diffuse=".14 .15 .18" specular="0 0 0"/>
    <geom type="plane" size="0 0 .05" material="floor"/>
  </worldbody>
</mujoco>
"""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What `write_video` left on disk."""

    path: Path
    """The file."""
    kind: Literal["mp4", "png"]
    """A video, or a film strip when no encoder could be used."""
    reason: str
    """Why it is a film strip; empty for a video."""


class PairRenderer:
    """Draws two people, their furniture and, translucent, where they should be.

    Args:
        bodies: The two people's bodies: supporter, recipient.
        furniture: Boxes that stand in the scene.
        width: Picture width [pixels].
        height: Picture height [pixels].
        ghost: Where the reference goes: a second pair beside the first, over it, or nowhere.
        shadows: Cast real shadows (3 to 8 times slower in software) instead of dark discs under the bodies.
        samples: Samples per pixel against jagged edges: 0 is fast, 4 is for final pictures (2 to 3 times slower).

    Raises:
        ConfigError: The picture size cannot be drawn.
        MissingDependencyError: There is no off-screen OpenGL; the message says what to install.
    """

    def __init__(
        self,
        bodies: Sequence[BodySpec],
        furniture: Sequence[Furniture] = (),
        *,
        width: int = 640,
        height: int = 360,
        ghost: Ghost = "beside",
        shadows: bool = False,
        samples: int = 0,
    ) -> None:
        if not (16 <= width <= _MAX_SIZE and 16 <= height <= _MAX_SIZE):
            raise ConfigError(f"picture size is {width} x {height}, expected 16 to {_MAX_SIZE} pixels each way.")
        self._canvas = _Canvas(width, height, shadows=shadows, samples=samples)
        self._aspect = width / height
        self._ghost: Ghost = ghost
        self._shadows = shadows
        self.set_scene(bodies, furniture)

    def set_scene(self, bodies: Sequence[BodySpec], furniture: Sequence[Furniture] = ()) -> None:
        """Draw other people or furniture from now on, with a fresh camera.

        Args:
            bodies: The two people's bodies: supporter, recipient.
            furniture: Boxes that stand in the scene.
        """
        self._people = [_Figure(body, color) for body, color in zip(bodies, COLORS, strict=True)]
        self._furniture = tuple(furniture)
        self.restart_camera()

    def frame(
        self,
        position: ArrayLike,
        rotation: ArrayLike,
        *,
        reference: Pose | None = None,
        targets: ArrayLike | None = None,
    ) -> Image:
        """Draw one picture; the camera follows smoothly from picture to picture.

        Args:
            position: World positions of all bodies, shape (2, J, 3) [m].
            rotation: World rotations of all bodies, wxyz, shape (2, J, 4).
            reference: Position and rotation of the reference, same shapes; None draws no ghost.
            targets: Points to mark, such as the moved targets of the hands, shape (n, 3) [m].

        Returns:
            The picture, shape (height, width, 3).
        """
        position, rotation = np.asarray(position, np.float64), np.asarray(rotation, np.float64)
        ghost = None if self._ghost == "none" or reference is None else _arrays(reference)
        beside = ghost is not None and self._ghost == "beside"
        self._camera.follow(position if ghost is None else ghost[0], self._boxes(), beside=beside)
        shift = self._camera.shift
        self._canvas.begin(self._camera)
        self._draw(position, rotation, shift=-shift, alpha=1.0)
        for point in np.asarray([] if targets is None else targets, np.float64).reshape(-1, 3):
            self._canvas.mark(point - shift)
        if ghost is not None:
            self._draw(*ghost, shift=shift, alpha=GHOST_ALPHA, furniture=beside)
        return self._canvas.finish()

    def restart_camera(self) -> None:
        """Forget the camera's path: the next picture is the first of a new scene."""
        self._camera = _Camera(self._aspect)

    def close(self) -> None:
        """Free the OpenGL context; the renderer cannot be used afterwards."""
        self._canvas.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _boxes(self) -> Array:
        return np.array([item.position for item in self._furniture]).reshape(-1, 3)

    def _draw(self, position: Array, rotation: Array, *, shift: Array, alpha: float, furniture: bool = True) -> None:
        if furniture:
            for item in self._furniture:
                self._canvas.box(item, shift, alpha)
                if alpha == 1.0 and not self._shadows:
                    self._canvas.box_spot(item, shift)
        for person, figure in enumerate(self._people):
            centre, matrix = figure.pose(position[person], rotation[person])
            for index, (kind, size, color) in enumerate(figure.parts):
                self._canvas.add(kind, size, centre[index] + shift, matrix[index], (*color, alpha))
            if alpha == 1.0 and not self._shadows:
                for spot in position[person, figure.grounded]:
                    self._canvas.spot(spot + shift)


class _Camera:
    """Looks at two people from the side, the supporter on the left, and follows them without jerks."""

    def __init__(self, aspect: float) -> None:
        self.aspect = aspect
        self.azimuth = 90.0
        self.centre = np.zeros(3)
        self.shift = np.zeros(3)
        self.distance = 0.0

    @property
    def right(self) -> Array:
        """The picture's horizontal axis in the world."""
        angle = np.radians(self.azimuth)
        return np.array([np.sin(angle), -np.cos(angle), 0.0])

    @property
    def forward(self) -> Array:
        """Where the camera looks, without its elevation."""
        angle = np.radians(self.azimuth)
        return np.array([np.cos(angle), np.sin(angle), 0.0])

    def follow(self, position: Array, boxes: Array, *, beside: bool) -> None:
        """Aim at the people in ``position`` (2, J, 3); ``beside`` leaves room for a second pair."""
        first = self.distance == 0.0
        if first:
            self._choose_side(position)
        points = np.concatenate([position.reshape(-1, 3), boxes])
        across, depth = points @ self.right, points @ self.forward
        low, high = float(across.min()) - 0.25, float(across.max()) + 0.25
        centre = self._centre(position, 0.5 * (low + high))
        half_width = 0.5 * (high - low) * (2.0 if beside else 1.0)
        half_height = max(1.02, 0.5 * float(points[:, 2].max()) + 0.25)
        nearest = float(centre @ self.forward - depth.min())
        distance = max(half_height, half_width / self.aspect) / np.tan(np.radians(_FIELD_OF_VIEW / 2)) + nearest
        ease = 1.0 if first else _EASE
        self.centre += ease * (centre - self.centre)
        self.distance += ease * max(distance - self.distance, 0.0)
        self.shift = self.shift + ease * (self.right * 0.5 * (high - low) - self.shift) if beside else np.zeros(3)

    def _choose_side(self, position: Array) -> None:
        line = position[1, 0] - position[0, 0]  # of the pelvises: hands, with all their fingers, are at the partner
        if np.hypot(line[0], line[1]) > 0.1:
            self.azimuth = float(np.degrees(np.arctan2(line[1], line[0]))) + 90.0 + _TURN

    def _centre(self, position: Array, across: float) -> Array:
        middle = position.mean(axis=(0, 1))
        centre = middle + (across - middle @ self.right) * self.right
        centre[2] = max(0.88, 0.5 * float(position[..., 2].max()))
        return centre


class _Figure:
    """The shapes of one person, ready to be posed."""

    def __init__(self, body: BodySpec, color: tuple[float, float, float]) -> None:
        start = np.array([geom.start for geom in body.geoms])
        end = np.array([geom.end for geom in body.geoms])
        self._body = np.array([geom.body for geom in body.geoms])
        self._centre = 0.5 * (start + end)
        self._rotation = _turn_z_to(end - start)
        half = 0.5 * np.linalg.norm(end - start, axis=-1)
        bare = {*body.indices(_BARE_BODIES), *np.concatenate(body.hands)}
        self.parts: list[tuple[int, Array, tuple[float, float, float]]] = []
        for geom, length in zip(body.geoms, half, strict=True):
            kind = mujoco.mjtGeom.mjGEOM_SPHERE if geom.kind == "sphere" else mujoco.mjtGeom.mjGEOM_CAPSULE
            shade = SKIN if geom.body in bare else color
            self.parts.append((int(kind), np.array([geom.radius, length, 0.0]), shade))
        self._add_eyes(body)
        self.grounded = body.indices(["Pelvis", "L_Ankle", "R_Ankle"])

    def pose(self, position: Array, rotation: Array) -> tuple[Array, Array]:
        """Centres (G, 3) and rotation matrices (G, 3, 3) of the shapes in the world."""
        turned = rotation[self._body]
        centre = position[self._body] + rotations.rotate(turned, self._centre)
        return centre, rotations.to_matrix(rotations.multiply(turned, self._rotation))

    def _add_eyes(self, body: BodySpec) -> None:
        """Two dark dots show where the person looks."""
        head = next(geom for geom in body.geoms if body.names[geom.body] == "Head")
        for side in (-1.0, 1.0):
            direction = np.array([0.88, 0.33 * side, 0.34])
            eye = np.array(head.end) + head.radius * 0.97 * direction / np.linalg.norm(direction)
            self._body = np.append(self._body, head.body)
            self._centre = np.vstack([self._centre, eye])
            self._rotation = np.vstack([self._rotation, [1.0, 0.0, 0.0, 0.0]])
            size = np.full(3, 0.13 * head.radius)
            self.parts.append((int(mujoco.mjtGeom.mjGEOM_SPHERE), size, (0.12, 0.12, 0.15)))


class _Canvas:
    """An off-screen OpenGL context with an empty stage to which shapes are added for each picture."""

    def __init__(self, width: int, height: int, *, shadows: bool, samples: int) -> None:
        stage = _STAGE.format(fovy=_FIELD_OF_VIEW, width=width, height=height, samples=samples)
        self._model = mujoco.MjModel.from_xml_string(stage)
        self._data = mujoco.MjData(self._model)
        mujoco.mj_forward(self._model, self._data)
        self._gl, self._context = _open_gl(self._model, width, height)
        self._scene = mujoco.MjvScene(self._model, maxgeom=_MAX_GEOMS)
        self._option = mujoco.MjvOption()
        self._rectangle = mujoco.MjrRect(0, 0, width, height)
        self._shadows = shadows

    def begin(self, camera: _Camera) -> None:
        """Clear the stage and place the camera."""
        view = mujoco.MjvCamera()
        view.lookat[:] = camera.centre
        view.distance, view.azimuth, view.elevation = camera.distance, camera.azimuth, _ELEVATION
        everything = int(mujoco.mjtCatBit.mjCAT_ALL)
        mujoco.mjv_updateScene(self._model, self._data, self._option, None, view, everything, self._scene)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = int(self._shadows)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_FOG] = 1

    def add(self, kind: int, size: ArrayLike, centre: ArrayLike, matrix: ArrayLike, rgba: tuple[float, ...]) -> None:
        """Add one shape."""
        geom = self._scene.geoms[self._scene.ngeom]
        self._scene.ngeom += 1
        mujoco.mjv_initGeom(
            geom,
            kind,
            np.asarray(size, np.float64),
            np.asarray(centre, np.float64),
            np.asarray(matrix, np.float64).reshape(9),
            np.asarray(rgba, np.float32),
        )
        geom.category = int(mujoco.mjtCatBit.mjCAT_DYNAMIC)
        geom.specular, geom.shininess = 0.25, 0.4

    def box(self, item: Furniture, shift: Array, alpha: float) -> None:
        """Add a piece of furniture."""
        matrix = rotations.to_matrix(rotations.yaw_quaternion(item.yaw))
        half = 0.5 * np.array(item.size)
        self.add(int(mujoco.mjtGeom.mjGEOM_BOX), half, np.array(item.position) + shift, matrix, (*WOOD, alpha))

    def box_spot(self, item: Furniture, shift: Array) -> None:
        """Darken the floor around a piece of furniture."""
        matrix = rotations.to_matrix(rotations.yaw_quaternion(item.yaw))
        for margin in (0.02, 0.05, 0.09):
            half = np.array([0.5 * item.size[0] + margin, 0.5 * item.size[1] + margin, 1e-4 / margin])
            centre = np.array([item.position[0], item.position[1], 0.0]) + shift
            self.add(int(mujoco.mjtGeom.mjGEOM_BOX), half, centre, matrix, (*_SHADE, 0.11))

    def spot(self, point: Array) -> None:
        """Darken the floor under a point, the less the higher it is."""
        strength = 0.30 * float(np.exp(-1.2 * max(point[2], 0.0)))
        radius = 0.16 + 0.12 * float(np.clip(point[2], 0.0, 1.0))
        for scale in (1.0, 0.7, 0.4):
            size = np.array([radius * scale, 5e-4 / scale, 0.0])
            centre = np.array([point[0], point[1], 1e-3 / scale])
            self.add(int(mujoco.mjtGeom.mjGEOM_CYLINDER), size, centre, np.eye(3), (*_SHADE, 0.5 * strength))

    def mark(self, point: Array) -> None:
        """Add a bright ball around a point."""
        self.add(int(mujoco.mjtGeom.mjGEOM_SPHERE), np.full(3, _MARK_RADIUS), point, np.eye(3), (*_MARK, 0.6))

    def finish(self) -> Image:
        """Draw everything that was added."""
        self._gl.make_current()
        mujoco.mjr_render(self._rectangle, self._scene, self._context)
        image = np.empty((self._rectangle.height, self._rectangle.width, 3), np.uint8)
        mujoco.mjr_readPixels(image, None, self._rectangle, self._context)
        return image[::-1].copy()

    def close(self) -> None:
        """Free the context, once."""
        if self._context is not None:
            self._gl.make_current()
            self._context.free()
            self._gl.free()
            self._context = None


def _open_gl(model: mujoco.MjModel, width: int, height: int) -> tuple[Any, Any]:
    """Open an off-screen context by the first back-end that is there.

    A failing back-end raises whatever its driver, ctypes or PyOpenGL raises, so everything is caught.
    """
    backend = _backend()
    try:
        gl = import_module(f"mujoco.{backend}").GLContext(width, height)
        gl.make_current()
        context = mujoco.MjrContext(model, int(mujoco.mjtFontScale.mjFONTSCALE_100))
        mujoco.mjr_setBuffer(int(mujoco.mjtFramebuffer.mjFB_OFFSCREEN), context)
    except Exception as error:
        raise MissingDependencyError(
            f"no off-screen OpenGL (back-end '{backend}': {type(error).__name__}: {error}). Only pictures need it: "
            "install Mesa (Debian, Ubuntu: apt-get install libegl1 libgl1, or libosmesa6 and set MUJOCO_GL=osmesa)."
        ) from error
    return gl, context


def _backend() -> str:
    """Choose what ``MUJOCO_GL`` says, else EGL, else OSMesa, else the windowing system's."""
    wanted = os.environ.get("MUJOCO_GL", "").strip().lower()
    if wanted not in {"", "on", "1", "true", "enable", "enabled"}:
        return {"glx": "glfw", "wgl": "glfw"}.get(wanted, wanted)
    if sys.platform == "darwin":
        return "cgl"
    if sys.platform.startswith("linux"):
        for backend, libraries in (("egl", ["libEGL.so.1"]), ("osmesa", ["libOSMesa.so.8", "libOSMesa.so.6"])):
            for library in libraries:
                with suppress(OSError):
                    ctypes.CDLL(library)
                    return backend
    return "glfw"


def film_strip(frames: Sequence[Image], *, columns: int = 4) -> Image:
    """Put pictures side by side, row by row, with thin white lines between them.

    Args:
        frames: Pictures of equal size, shape (H, W, 3) each; at least one.
        columns: Pictures per row.

    Returns:
        One picture; places that remain empty are white.
    """
    columns = min(columns, len(frames))
    rows = -(-len(frames) // columns)
    height, width = frames[0].shape[:2]
    gap = max(2, width // 160)
    strip = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for index, frame in enumerate(frames):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        strip[top : top + height, left : left + width] = frame
    return strip


def write_png(path: str | os.PathLike[str], image: Image) -> Path:
    """Write a PNG file without any imaging library.

    Args:
        path: The file.
        image: Picture, shape (H, W, 3).

    Returns:
        The file.
    """
    image = np.asarray(image, np.uint8)
    height, width = image.shape[:2]
    rows = np.zeros((height, 1 + 3 * width), np.uint8)
    rows[:, 1:] = image.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    path = Path(path)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks))
    return path


def write_video(path: str | os.PathLike[str], frames: Iterable[Image], *, fps: float = 30.0) -> Written:
    """Write an MP4, or a film strip (PNG) when no encoder can be used.

    Args:
        path: The file; its suffix becomes ``.mp4`` or ``.png``.
        frames: Pictures of equal size, shape (H, W, 3) each; taken one by one.
        fps: Pictures per second.

    Returns:
        What was written and, for a film strip, why.

    Raises:
        ConfigError: There is no picture at all.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    encoder = _Encoder(path.with_suffix(".mp4"), fps)
    highlights = _Highlights()
    for frame in frames:
        encoder.add(frame)
        highlights.add(frame)
    if not highlights.count:
        raise ConfigError(f"{path}: there are no pictures to write.")
    if encoder.finish():
        return Written(path=path.with_suffix(".mp4"), kind="mp4", reason="")
    image = write_png(path.with_suffix(".png"), film_strip(highlights.frames))
    return Written(path=image, kind="png", reason=encoder.problem)


class _Highlights:
    """Keeps a few evenly spaced pictures of a stream of unknown length, the first and the last among them."""

    def __init__(self) -> None:
        self.count = 0
        self._kept: list[Image] = []
        self._last: Image | None = None
        self._stride = 1

    @property
    def frames(self) -> list[Image]:
        """The pictures."""
        if self._last is None or (self.count - 1) % self._stride == 0:
            return self._kept
        return [*self._kept[: _MAX_STRIP_FRAMES - 1], self._last]

    def add(self, frame: Image) -> None:
        """Take the next picture of the stream."""
        self._last = np.array(frame)
        if len(self._kept) == _MAX_STRIP_FRAMES and self.count % self._stride == 0:
            self._kept = self._kept[::2]
            self._stride *= 2
        if self.count % self._stride == 0:
            self._kept.append(self._last)
        self.count += 1


class _Encoder:
    """Encodes with imageio-ffmpeg; on any trouble it notes the problem and ignores the rest."""

    def __init__(self, path: Path, fps: float) -> None:
        self.problem = ""
        self._path = path
        self._part = path.with_name(f".{path.stem}.{os.getpid()}.part.mp4")
        self._fps: Any = fps  # a float is fine, whatever its annotation says
        self._stream: Any = None

    def add(self, frame: Image) -> None:
        """Encode one picture."""
        if self.problem:
            return
        try:
            if self._stream is None:
                self._stream = self._open(frame.shape[1], frame.shape[0])
            self._stream.send(np.ascontiguousarray(frame))
        except ImportError:
            self._fail("imageio-ffmpeg is not installed: pip install 'assistmimic[video]'")
        except (OSError, RuntimeError, StopIteration) as error:
            self._fail(f"the encoder failed ({error})")

    def finish(self) -> bool:
        """Close the file and put it in its place; False if there is none."""
        if self.problem or self._stream is None:
            return False
        try:
            self._stream.close()
            self._part.replace(self._path)
        except (OSError, RuntimeError) as error:
            self._fail(f"the encoder failed ({error})")
        return not self.problem

    def _open(self, width: int, height: int) -> Any:
        import imageio_ffmpeg

        stream = imageio_ffmpeg.write_frames(
            str(self._part), (width, height), fps=self._fps, codec="libx264", quality=7, macro_block_size=2
        )
        stream.send(None)
        return stream

    def _fail(self, problem: str) -> None:
        self.problem = problem
        with suppress(OSError, RuntimeError):
            if self._stream is not None:
                self._stream.close()
        self._part.unlink(missing_ok=True)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _arrays(pose: Pose) -> tuple[Array, Array]:
    return np.asarray(pose[0], np.float64), np.asarray(pose[1], np.float64)


def _turn_z_to(axis: Array) -> Array:
    """Quaternions (..., 4) that turn z to the direction of ``axis`` (..., 3); identity for zero axes."""
    length = np.linalg.norm(axis, axis=-1, keepdims=True)
    up = np.array([0.0, 0.0, 1.0])
    direction = np.where(length > 1e-9, axis / np.maximum(length, 1e-9), up)
    return rotations.between(np.broadcast_to(up, direction.shape), direction)

"""Pictures: what is drawn where, and files that arrive without GL or an encoder too."""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from assistmimic_env import kinematics, rendering, rotations
from assistmimic_env.body import get_body
from assistmimic_env.clip import Furniture
from assistmimic_env.errors import ConfigError, MissingDependencyError
from assistmimic_env.rendering import PairRenderer, film_strip, write_png, write_video

BODY = get_body("smpl24")
STOOL = Furniture(name="stool", kind="seat", size=(0.4, 0.4, 0.42), position=(1.0, 0.0, 0.21))
WIDTH, HEIGHT = 320, 180


def standing(gap: float = 1.0, yaw: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Two people in T-pose, the recipient ``gap`` metres from the supporter in the direction of ``yaw``."""
    local = np.zeros((2, BODY.num_bodies, 4))
    local[..., 0] = 1.0
    local[0, 0] = rotations.yaw_quaternion(yaw)
    local[1, 0] = rotations.yaw_quaternion(yaw + np.pi)
    root = np.array([[0.0, 0.0, BODY.rest_height], [gap * np.cos(yaw), gap * np.sin(yaw), BODY.rest_height]])
    return kinematics.forward_kinematics(BODY.parents, BODY.offsets, root, local)


@pytest.fixture(scope="module")
def renderer() -> Iterator[PairRenderer]:
    """A small renderer; machines without OpenGL check the other tests of this file."""
    try:
        made = PairRenderer((BODY, BODY), (STOOL,), width=WIDTH, height=HEIGHT)
    except MissingDependencyError as error:
        pytest.skip(str(error))
    with made:
        yield made


def columns_of(image: np.ndarray, color: tuple[float, float, float]) -> np.ndarray:
    """Columns of the pixels that have a clothing colour's hue, whatever the light."""
    pixels = image.astype(float) / np.maximum(image.max(axis=-1, keepdims=True), 1)
    wanted = np.array(color) / max(color)
    close = (np.abs(pixels - wanted).max(axis=-1) < 0.16) & (np.ptp(image.astype(int), axis=-1) > 60)
    return np.nonzero(close)[1]


@pytest.mark.parametrize("yaw", [0.0, 0.7, 2.0, -2.5])
def test_supporter_is_left_and_recipient_right(renderer: PairRenderer, yaw: float) -> None:
    """Both people are visible, apart, the same way round wherever they face."""
    renderer.restart_camera()
    image = renderer.frame(*standing(yaw=yaw))
    assert image.shape == (HEIGHT, WIDTH, 3)
    supporter, recipient = (columns_of(image, color) for color in rendering.COLORS)
    assert min(len(supporter), len(recipient)) > 150
    assert supporter.mean() < WIDTH / 2 < recipient.mean()


def test_people_with_fingers_who_hold_each_other_stand_the_same_way_round(renderer: PairRenderer) -> None:
    """Most bodies of `smpl52` are in the hands, and those are behind the partner."""
    body = get_body("smpl52")
    local = np.zeros((2, body.num_bodies, 4))
    local[..., 0] = 1.0
    local[1, 0] = rotations.yaw_quaternion(np.pi)
    for side, turn in (("L_Shoulder", -1.5), ("R_Shoulder", 1.5)):
        local[:, body.index(side)] = rotations.from_rotation_vector([0.0, 0.0, turn])
    root = np.array([[0.0, 0.0, body.rest_height], [0.4, 0.0, body.rest_height]])
    pose = kinematics.forward_kinematics(body.parents, body.offsets, root, local)
    assert pose[0][0, :, 0].mean() > pose[0][1, :, 0].mean()
    renderer.set_scene((body, body))
    supporter, recipient = (columns_of(renderer.frame(*pose), color) for color in rendering.COLORS)
    renderer.set_scene((BODY, BODY), (STOOL,))
    assert np.median(supporter) < WIDTH / 2 < np.median(recipient)


def test_everything_is_inside_the_picture(renderer: PairRenderer) -> None:
    """Neither pair touches the border, for near and far pairs."""
    for gap in (0.3, 1.0, 3.0):
        renderer.restart_camera()
        pose = standing(gap)
        image = renderer.frame(*pose, reference=pose)
        inside = np.concatenate([columns_of(image, color) for color in rendering.COLORS])
        assert inside.min() > 4
        assert inside.max() < WIDTH - 4


def test_ghost_is_drawn_beside_and_is_translucent(renderer: PairRenderer) -> None:
    """With a reference there is a second pair to the right of the first, in paler colours."""
    renderer.restart_camera()
    pose = standing()
    saturation = np.ptp(renderer.frame(*pose, reference=pose).astype(int), axis=-1)
    left, right = np.hsplit(saturation, 2)
    assert (left > 110).sum() > 800
    assert (right > 110).sum() < 0.3 * (left > 110).sum()
    assert ((right > 30) & (right < 110)).sum() > 800


def test_overlay_ghost_hides_behind_a_perfect_pose(renderer: PairRenderer) -> None:
    """Over the simulation, a reference that agrees changes little, and one that does not is seen."""
    pose = standing()
    off = (pose[0] + np.array([0.0, 0.0, 0.3]), pose[1])
    with PairRenderer((BODY, BODY), (STOOL,), width=WIDTH, height=HEIGHT, ghost="overlay") as overlay:
        perfect = overlay.frame(*pose, reference=pose).astype(int)
        displaced = overlay.frame(*pose, reference=off).astype(int)
    assert (np.abs(displaced - perfect).max(axis=-1) > 12).sum() > 500


def test_same_poses_give_the_same_picture(renderer: PairRenderer) -> None:
    """A picture depends on the poses drawn since the camera's restart only, and drawing does not change them."""
    poses = [standing(gap) for gap in (1.0, 1.4, 0.8)]
    copies = [position.copy() for position, _ in poses]
    pictures = []
    for _ in range(2):
        renderer.restart_camera()
        pictures.append(np.stack([renderer.frame(*pose) for pose in poses]))
    np.testing.assert_array_equal(*pictures)
    for (position, _), copy in zip(poses, copies, strict=True):
        np.testing.assert_array_equal(position, copy)


def test_camera_follows_without_jerks(renderer: PairRenderer) -> None:
    """People who walk off stay in the picture."""
    renderer.restart_camera()
    position, rotation = standing()
    walk = [position + np.array([0.03 * step, 0.0, 0.0]) for step in range(50)]
    image = [renderer.frame(step, rotation) for step in walk][-1]
    inside = np.concatenate([columns_of(image, color) for color in rendering.COLORS])
    assert inside.min() > 4
    assert inside.max() < WIDTH - 4


def test_set_scene_draws_other_people(renderer: PairRenderer) -> None:
    """A small pair fills fewer pixels at the same place."""
    pose = standing()
    renderer.restart_camera()
    large = renderer.frame(*pose)
    renderer.set_scene((BODY.scaled(stature=1.2), BODY), ())
    small = renderer.frame(*pose)
    renderer.set_scene((BODY, BODY), (STOOL,))
    color = rendering.COLORS[0]
    assert len(columns_of(small, color)) < 0.8 * len(columns_of(large, color))


def test_missing_gl_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any failure of the back-end becomes one message."""
    monkeypatch.setenv("MUJOCO_GL", "disable")
    with pytest.raises(MissingDependencyError, match=r"back-end 'disable'.*apt-get install libegl1"):
        PairRenderer((BODY, BODY))


@pytest.mark.parametrize("size", [(0, 100), (100, 100000)])
def test_impossible_picture_size_is_refused(size: tuple[int, int]) -> None:
    """Both numbers are in the message."""
    with pytest.raises(ConfigError, match=f"{size[0]} x {size[1]}"):
        PairRenderer((BODY, BODY), width=size[0], height=size[1])


def decode_png(path: Path) -> np.ndarray:
    """Read an unfiltered RGB PNG, checking every checksum."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    position, chunks = 8, {}
    while position < len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        kind, body = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        (check,) = struct.unpack(">I", data[position + 8 + length : position + 12 + length])
        assert check == zlib.crc32(kind + body)
        chunks[kind] = body
        position += 12 + length
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + 3 * width)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, 3)


def noise(count: int, height: int = 18, width: int = 32) -> list[np.ndarray]:
    """Distinct pictures."""
    return list(np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8))


def test_png_holds_the_pixels(tmp_path: Path) -> None:
    """What is written is what is read."""
    image = noise(1)[0]
    np.testing.assert_array_equal(decode_png(write_png(tmp_path / "a.png", image)), image)


def test_film_strip_places_pictures_in_reading_order() -> None:
    """Row by row, and an incomplete last row is white."""
    frames = noise(5)
    strip = film_strip(frames, columns=3)
    assert strip.shape == (2 * 18 + 2, 3 * 32 + 4, 3)
    np.testing.assert_array_equal(strip[:18, 34:66], frames[1])
    np.testing.assert_array_equal(strip[20:, :32], frames[3])
    assert (strip[20:, 68:] == 255).all()
    np.testing.assert_array_equal(film_strip(frames[:1]), frames[0])


def test_video_is_written_when_an_encoder_is_there(tmp_path: Path) -> None:
    """The MP4 has the pictures' size and number; nothing else stays in the folder."""
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    written = write_video(tmp_path / "new" / "run.mp4", iter(noise(20, 64, 96)), fps=30)
    assert (written.kind, written.reason) == ("mp4", "")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["run.mp4"]
    frames, _ = imageio_ffmpeg.count_frames_and_secs(str(written.path))
    assert frames == 20
    reader = imageio_ffmpeg.read_frames(str(written.path))
    assert next(reader)["size"] == (96, 64)
    reader.close()


@pytest.mark.parametrize("count", [1, 7, 12, 13, 100])
def test_without_an_encoder_a_film_strip_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """At most twelve pictures, the first and the last among them, and the reason."""
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    frames = noise(count)
    written = write_video(tmp_path / "run.mp4", iter(frames))
    assert written.kind == "png"
    assert "pip install" in written.reason
    assert [path.name for path in tmp_path.iterdir()] == ["run.png"]
    strip = decode_png(written.path)
    places = [
        strip[top : top + 18, left : left + 32]
        for top in range(0, len(strip), 20)
        for left in range(0, strip.shape[1], 34)
    ]
    shown = [place for place in places if not (place == 255).all()]
    assert len(shown) == min(count, len(shown)) <= 12
    assert count <= 12 or len(shown) >= 7
    np.testing.assert_array_equal(shown[0], frames[0])
    np.testing.assert_array_equal(shown[-1], frames[-1])


def test_failing_encoder_becomes_a_film_strip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder that breaks in the middle costs nothing that was drawn."""
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")

    def broken(*_: object, **__: object) -> Iterator[None]:
        yield
        yield
        raise OSError("broken pipe")

    monkeypatch.setattr(imageio_ffmpeg, "write_frames", broken)
    written = write_video(tmp_path / "run.mp4", iter(noise(6)))
    assert written.kind == "png"
    assert "broken pipe" in written.reason
    assert [path.name for path in tmp_path.iterdir()] == ["run.png"]


def test_no_pictures_is_an_error(tmp_path: Path) -> None:
    """An empty video is refused by name."""
    with pytest.raises(ConfigError, match=r"run\.mp4: there are no pictures"):
        write_video(tmp_path / "run.mp4", iter([]))

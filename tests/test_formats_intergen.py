"""InterHuman's files, samples of models and plain positions: poses come back where they were."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from recorded import DETECTED, STEP, Bomb, moving_clip, people, y_up
from recorded import check as check_positions
from scipy.spatial.transform import Rotation

from assistmimic_env import rotations
from assistmimic_env.body import get_body
from assistmimic_env.errors import ClipError, UntrustedFileError
from assistmimic_env.formats import intergen, intergen_rotations, intergen_samples, positions
from assistmimic_env.formats.intergen import INTERGEN
from assistmimic_env.formats.take import ReadOptions, Take

Array = NDArray[np.float64]
FIRST = ReadOptions(supporter="first")
SMPL = (
    "Pelvis", "L_Hip", "R_Hip", "Torso", "L_Knee", "R_Knee", "Spine", "L_Ankle", "R_Ankle", "Chest", "L_Toe", "R_Toe",
    "Neck", "L_Thorax", "R_Thorax", "Head", "L_Shoulder", "R_Shoulder", "L_Elbow", "R_Elbow", "L_Wrist", "R_Wrist",
)  # fmt: skip
"""SMPL's first 22 joints as published (spec/data.md section 4), in our names."""
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)
SMPL_TO_OURS = Rotation.from_matrix([[0, 0, 1], [1, 0, 0], [0, 1, 0]])
"""SMPL's (left, up, forward) in our (forward, left, up)."""


def smpl_joints(joints: Array) -> Array:
    """Rows of ``smpl24`` (T, 2, 24, 3) as SMPL's first 22."""
    return joints[:, :, [get_body().index(name) for name in SMPL]]


# --- A pose with rotations, by hand --------------------------------------------------------------------------------
# The person faces +x. The right thigh points forward, the right shank down; the left forearm points forward. The
# lowest joint of the spine is 3 cm behind the pelvis in the rest pose, which is nobody's business.

POSED = {
    "Pelvis": (0.0, 0.0, 1.0), "L_Hip": (0.0, 0.1, 0.95), "R_Hip": (0.0, -0.1, 0.95), "Torso": (-0.03, 0.0, 1.10),
    "L_Knee": (0.0, 0.1, 0.52), "R_Knee": (0.43, -0.1, 0.95), "Spine": (-0.03, 0.0, 1.2), "L_Ankle": (0.0, 0.1, 0.1),
    "R_Ankle": (0.43, -0.1, 0.53), "Chest": (-0.02, 0.0, 1.3), "L_Toe": (0.13, 0.1, 0.04), "R_Toe": (0.56, -0.1, 0.47),
    "Neck": (0.0, 0.0, 1.47), "L_Thorax": (0.0, 0.04, 1.42), "R_Thorax": (0.0, -0.04, 1.42), "Head": (0.02, 0.0, 1.56),
    "L_Shoulder": (0.0, 0.18, 1.42), "R_Shoulder": (0.0, -0.18, 1.42), "L_Elbow": (0.0, 0.45, 1.42),
    "R_Elbow": (0.0, -0.45, 1.42), "L_Wrist": (0.25, 0.45, 1.42), "R_Wrist": (0.0, -0.7, 1.42),
}  # fmt: skip
STRAIGHT = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
"""First two columns of the identity, interleaved: m00 m01, m10 m11, m20 m21."""
SIX = {
    "R_Hip": (1.0, 0.0, 0.0, 0.0, 0.0, -1.0),  # -90 degrees about x: down becomes forward
    "R_Knee": (1.0, 0.0, 0.0, 0.0, 0.0, 1.0),  # +90 degrees about x: back to where it was
    "L_Elbow": (0.0, 0.0, 0.0, 1.0, 1.0, 0.0),  # -90 degrees about y: left becomes forward
}


def posed() -> tuple[Array, Array]:
    """Positions (T, 2, 22, 3), z up, and six numbers (T, 2, 21, 6); the second person looks back at the first."""
    place = np.array([POSED[name] for name in SMPL])
    six = np.array([SIX.get(name, STRAIGHT) for name in SMPL[1:]])
    both = np.stack([place, place * (-1.0, -1.0, 1.0) + (1.5, 0.2, 0.0)])
    drift = np.zeros((12, 1, 1, 3))
    drift[:, 0, 0, 0] = STEP * np.arange(12)
    return both + drift, np.broadcast_to(six, (12, 2, 21, 6))


def processed(place: Array, six: Array) -> Array:
    """Frames (T, 2, 492): 62 x 3 positions, 51 x 6 rotations."""
    frames = np.full((len(place), 2, 492), 55.0)
    frames[..., :66] = place.reshape(len(place), 2, 66)
    frames[..., 186:312] = six.reshape(len(place), 2, 126)
    return frames


def sample(place: Array, six: Array) -> Array:
    """Frames (T - 1, 2, 262): y-up positions, their differences, rotations, contacts."""
    flat = y_up(place).reshape(len(place), 2, 66)
    turns = six[:-1].reshape(len(place) - 1, 2, 126)
    return np.concatenate([flat[:-1], np.diff(flat, axis=0), turns, np.ones((len(place) - 1, 2, 4))], axis=-1)


def write_processed(folder: Path, frames: Array | None = None) -> Path:
    frames = processed(*posed()) if frames is None else frames
    for person in (1, 2):
        where = folder / "motions_processed" / f"person{person}"
        where.mkdir(parents=True)
        np.save(where / "4021.npy", frames[:, person - 1].astype(np.float64))
    return folder / "motions_processed"


def write_sample(folder: Path, frames: Array | None = None) -> Path:
    path = folder / "made.npy"
    np.save(path, sample(*posed()) if frames is None else frames)
    return path


def read(path: Path, options: ReadOptions = FIRST) -> Take:
    (recording,) = INTERGEN.find(path, options)
    return INTERGEN.read(recording, options)


def check_pose(take: Take) -> None:
    """Assert that both people are where `posed` put them, turned as it says."""
    body, truth = get_body(), posed()[0]
    names = [name for name in body.names if name in SMPL]
    for who, (person, back) in enumerate(zip(take.people, (1.0, -1.0), strict=True)):
        count = len(person.joints)
        assert person.rotation is not None
        for name in names:
            place = truth[:count, who, SMPL.index(name)]
            np.testing.assert_allclose(person.joints[:, body.index(name)], place, atol=1e-6)
        axes = rotations.to_matrix(person.rotation[:, body.indices(names)])
        expected = {name: np.eye(3) for name in names}
        expected["R_Hip"] = np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]])  # columns: forward is up, left, up is back
        expected["L_Elbow"] = expected["L_Wrist"] = np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]])
        about_z = np.diag([back, back, 1.0])
        for name, found in zip(names, np.moveaxis(axes, 1, 0), strict=True):
            np.testing.assert_allclose(found, np.broadcast_to(about_z @ expected[name], found.shape), atol=1e-6)
        hands = body.indices(("L_Hand", "R_Hand"))
        assert np.isnan(person.rotation[:, hands]).all()
        assert np.isnan(person.joints[:, hands]).all()
        speed = np.diff(person.joints[:, 0, 0]) * take.fps
        np.testing.assert_allclose(speed, STEP * 30.0, rtol=1e-6)


def test_processed_files_come_back(tmp_path: Path) -> None:
    take = read(write_processed(tmp_path))
    check_pose(take)
    assert take.name == "4021"
    assert take.conventions["up"] == "documented: +z"


@pytest.mark.parametrize("layout", [
    lambda s: s, lambda s: np.swapaxes(s, 0, 1), lambda s: s.reshape(len(s), 524), lambda s: s.reshape(1, len(s), 524),
    lambda s: np.concatenate([s, np.zeros((20, 2, 262))]),
], ids=["T2", "2T", "T524", "batch", "padded"])  # fmt: skip
def test_samples_come_back_in_every_layout(tmp_path: Path, layout: Callable[[Array], Array]) -> None:
    take = read(write_sample(tmp_path, layout(sample(*posed()))))
    assert len(take.people[0].joints) == 11
    check_pose(take)
    assert take.conventions["up"] == "documented: +y"
    assert take.conventions["scale"] == "detected: not normalised"


def of_rows(six: Array) -> Array:
    """What a reader makes of the six numbers who takes them for the first two rows."""
    return rotations.conjugate(RIGHT(six))


RIGHT = intergen_rotations.from_six
MIRRORED = replace(
    intergen.SMPL22,
    joints=tuple({"L_": "R_", "R_": "L_"}.get(n[:2], n[:2]) + n[2:] for n in intergen.SMPL22.joints),
)
MUTANTS: dict[str, tuple[Any, str, Any]] = {
    "sides": (intergen, "SMPL22", MIRRORED),
    "arms": (intergen, "SMPL22", replace(intergen.SMPL22, bodies={**intergen.SMPL22.bodies, "L_Wrist": "R_Wrist"})),
    "one after the other": (intergen_rotations, "COLUMNS", ((0, 1, 2), (3, 4, 5))),
    "second column first": (intergen_rotations, "COLUMNS", ((1, 3, 5), (0, 2, 4))),
    "rows": (intergen_rotations, "from_six", of_rows),
    "2 fps": (intergen, "FPS", 2.0),
    "120 fps": (intergen, "FPS", 120.0),
    "roles": (intergen, "supporter_first", lambda people, supporter: people[::-1]),
    "mirrored": (positions, "to_z_up", lambda points, up: points * (1.0, -1.0, 1.0)),
    "pelvis": (intergen_rotations, "_DOWN", np.array([0.0, 0.0, 1.0])),
}


@pytest.mark.parametrize("mutant", MUTANTS)
@pytest.mark.parametrize("write", [write_processed, write_sample])
def test_a_wrong_importer_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], Path], mutant: str
) -> None:
    path = write(tmp_path)
    monkeypatch.setattr(*MUTANTS[mutant])
    with pytest.raises(DETECTED):
        check_pose(read(path))


@pytest.mark.parametrize(
    ("write", "name", "wrong"), [(write_processed, "FILES_UP", "y"), (write_sample, "SAMPLES_UP", "z")]
)
def test_an_axis_swap_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], Path], name: str, wrong: str
) -> None:
    path = write(tmp_path)
    monkeypatch.setattr(intergen, name, wrong)
    with pytest.raises(DETECTED):
        check_pose(read(path))


@pytest.mark.parametrize(("suffix", "factor"), [(".npy", 1.0), (".npz", 100.0)])
@pytest.mark.parametrize("turn", [lambda p: p, y_up])
@pytest.mark.parametrize("layout", [lambda p: p, lambda p: np.swapaxes(p, 0, 1)])
def test_plain_positions_tell_axis_and_unit_by_their_bodies(
    tmp_path: Path, suffix: str, factor: float, turn: Callable[[Array], Array], layout: Callable[[Array], Array]
) -> None:
    source = layout(turn(smpl_joints(people())) * factor)
    path = tmp_path / f"made{suffix}"
    np.save(path, source) if suffix == ".npy" else np.savez(path, joints=source, fps=30.0)
    take = read(path)
    check_positions(take, set(SMPL), fps=30.0)
    assert take.people[0].rotation is None
    assert take.conventions["unit"] == f"detected: {'m' if factor == 1.0 else 'cm'}"


def test_positions_of_lying_people_ask_for_the_axis(tmp_path: Path) -> None:
    lying = smpl_joints(people())[..., [2, 1, 0]] * (1.0, -1.0, 1.0)
    np.save(tmp_path / "made.npy", lying)
    with pytest.raises(ClipError, match="--up y or --up z"):
        read(tmp_path)
    assert read(tmp_path, replace(FIRST, up="z")).conventions["up"] == "given: +z"


def statistics() -> tuple[Array, Array]:
    generator = np.random.default_rng(5)
    frames = sample(*posed()).reshape(-1, 262)
    return frames.mean(axis=0) + 0.05 * generator.standard_normal(262), generator.uniform(0.02, 0.6, 262)


@pytest.mark.parametrize("prefix", ["", "global_"])
def test_normalised_samples_need_the_users_statistics(tmp_path: Path, prefix: str) -> None:
    mean, deviation = statistics()
    path = write_sample(tmp_path, (sample(*posed()) - mean) / deviation)
    with pytest.raises(ClipError, match=r"looks normalised. Put the model's mean.npy and std.npy"):
        read(path)
    np.save(tmp_path / f"{prefix}mean.npy", mean)
    np.save(tmp_path / f"{prefix}std.npy", deviation)
    take = read(tmp_path)
    check_pose(take)
    assert take.conventions["scale"].startswith("detected: normalised")


def test_statistics_of_another_model_are_refused(tmp_path: Path) -> None:
    mean, deviation = statistics()
    path = write_sample(tmp_path, (sample(*posed()) - mean) / deviation)
    np.save(tmp_path / "mean.npy", mean[::-1])
    np.save(tmp_path / "std.npy", deviation)
    with pytest.raises(ClipError, match="Are they this model's"):
        read(path)


@pytest.mark.parametrize(
    ("part", "factor", "shift", "reason"),
    [
        (slice(0, 132), 3.0, 0.0, "thighs and shanks measure"),
        (slice(66, 132), 1.0, 0.2, "positions and their differences disagree"),
        (slice(132, 258), 3.0, 0.0, "columns of rotations"),
    ],
)
def test_each_part_of_a_sample_betrays_a_normalisation(part: slice, factor: float, shift: float, reason: str) -> None:
    frames = sample(*posed())
    frames[..., part] = factor * frames[..., part] + shift
    with pytest.raises(ClipError, match=reason):
        intergen_samples.in_metres("made", frames, None)


def test_the_supporter_is_asked_for(tmp_path: Path) -> None:
    path = write_processed(tmp_path)
    with pytest.raises(ClipError, match="--supporter first or second"):
        INTERGEN.find(path, ReadOptions())
    first, second = read(path).people
    swapped = read(path, ReadOptions(supporter="second")).people
    np.testing.assert_array_equal(swapped[0].joints, second.joints)
    np.testing.assert_array_equal(swapped[1].rotation, first.rotation)


def test_a_motion_of_ours_survives_the_round_trip(tmp_path: Path) -> None:
    """Rotations come back too, whatever the pelvis does: leaning, turning, rising."""
    joints, turns = moving_clip()
    body = get_body()
    order = [body.index(name) for name in SMPL]
    world = Rotation.from_quat(turns[:, :, order][..., [1, 2, 3, 0]].reshape(-1, 4)) * SMPL_TO_OURS
    matrices = world.as_matrix().reshape(len(joints), 2, 22, 3, 3)
    local = np.einsum("tpjki,tpjkl->tpjil", matrices[:, :, PARENTS[1:]], matrices[:, :, 1:])
    six = local[..., :2].reshape(len(joints), 2, 21, 6)
    for path in (write_processed(tmp_path, processed(smpl_joints(joints), six)),
                 write_sample(tmp_path, sample(smpl_joints(joints), six))):  # fmt: skip
        for who, person in enumerate(read(path).people):
            assert person.rotation is not None
            count = len(person.joints)
            assert np.nanmax(np.abs(person.joints - joints[:count, who])) < 1e-6
            known = person.rotation[:, order]
            error = rotations.to_rotation_vector(
                rotations.multiply(rotations.conjugate(known), turns[:count, who][:, order])
            )
            assert np.abs(error).max() < 1e-5


def test_noise_on_the_joints_stays_small_in_the_pelvis() -> None:
    generator = np.random.default_rng(1)
    place, six = posed()
    body = get_body()
    joints = np.full((12, 24, 3), np.nan)
    joints[:, [body.index(name) for name in SMPL]] = place[:, 0] + 0.002 * generator.standard_normal((12, 22, 3))
    found = intergen_rotations.body_rotations("made", joints, six[:, 0], body)
    angle = np.linalg.norm(rotations.to_rotation_vector(found[:, 0]), axis=-1)
    assert angle.max() < np.deg2rad(5.0)


def spoil(path: Path) -> None:
    array = np.load(path)
    array[5, 7] = np.nan
    np.save(path, array)


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-8]), UntrustedFileError),
        (lambda path: path.write_bytes(path.read_bytes()[:30]), ClipError),
        (spoil, ClipError),
        (lambda path: np.save(path, np.array([Bomb(path.parent / "executed")]), allow_pickle=True), UntrustedFileError),
        (lambda path: np.save(path, np.load(path)[:, :262]), ClipError),
        (lambda path: np.save(path, np.load(path)[:9]), ClipError),
        (lambda path: np.save(path, np.zeros_like(np.load(path))), ClipError),
        (Path.unlink, ClipError),
    ],
    ids=["truncated", "header", "NaN", "pickle", "width", "short", "zeros", "missing"],
)  # fmt: skip
def test_a_damaged_file_is_refused_quickly(tmp_path: Path, damage: Any, error: type[Exception]) -> None:
    where = write_processed(tmp_path)
    damage(where / "person2" / "4021.npy")
    start = time.process_time()
    with pytest.raises(error, match="4021"):
        read(where)
    assert time.process_time() - start < 1.0
    assert not (where / "person2" / "executed").exists()


@pytest.mark.parametrize("shape", [(12, 263), (12, 3, 262), (12, 2, 24, 3), (2, 2, 22, 3), (524,), (12, 492)])
def test_other_shapes_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "made.npy", np.ones(shape))
    with pytest.raises(ClipError, match="made"):
        read(tmp_path)


def test_an_archive_of_several_motions_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "made.npz", a=np.ones((12, 2, 22, 3)), b=np.ones((12, 2, 22, 3)))
    with pytest.raises(ClipError, match="2 arrays of frames"):
        read(tmp_path)


def test_rotations_that_are_none_are_refused(tmp_path: Path) -> None:
    place, six = posed()
    flat = six.copy()
    flat[3, 0, 4] = 0.0
    with pytest.raises(ClipError, match="frame 3: six numbers of joint 5"):
        read(write_processed(tmp_path, processed(place, flat)))


def test_two_recordings_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_sample(tmp_path / folder)
    with pytest.raises(ClipError, match="2 recordings are called 'made'"):
        INTERGEN.find(tmp_path, FIRST)

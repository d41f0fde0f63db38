"""Generated sit-to-stands: reproducible, split, sensible in measure, and possible in physics."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistmimic_env import rotations
from assistmimic_env.clip import PairClip, load_clip
from assistmimic_env.errors import ConfigError
from assistmimic_env.generator import FAMILIES, sit_to_stand, timing
from assistmimic_env.quality import center_of_mass, quality
from assistmimic_env.scene import Setting, build_scene
from assistmimic_env.worlds import Worlds

FAMILY = FAMILIES["sit_to_stand"]
BUNDLED = [*FAMILY.bundled_names("train"), *FAMILY.bundled_names("test")]


@pytest.fixture(scope="module")
def regenerated() -> PairClip:
    """The shortest bundled clip, generated anew."""
    return sit_to_stand.sit_to_stand(seed=2, split="test")


def test_bundled_clip_is_regenerated_by_its_seed(regenerated: PairClip, tmp_path: Path) -> None:
    bundled = load_clip("sit_to_stand/test_02")
    np.testing.assert_allclose(regenerated.root_position, bundled.root_position, atol=1e-6)
    np.testing.assert_allclose(regenerated.local_rotation, bundled.local_rotation, atol=1e-6)
    assert regenerated.metadata == bundled.metadata
    assert regenerated.contacts == bundled.contacts
    regenerated.save(tmp_path / "clip.npz")
    np.testing.assert_array_equal(PairClip.load(tmp_path / "clip.npz").local_rotation, regenerated.local_rotation)


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_clips_keep_the_sanity_limits(name: str) -> None:
    """Feet stay, soles are on the floor, nobody is inside anybody, hands touch, nothing is fast."""
    measured = quality(load_clip(name))
    assert measured.foot_slide < 1e-3
    assert measured.sole_height < 1e-3
    assert measured.floor_depth < 1e-3
    assert measured.partner_depth < 0.015
    assert measured.self_depth < 0.0
    assert 0.0 < measured.seat_depth < 0.022
    assert measured.supporter_furniture_depth < -0.2
    assert measured.contact_gap < 2e-3
    assert measured.joint_speed < 1.0
    assert measured.joint_acceleration < 5.0
    assert measured.balance < 0.1


@pytest.mark.parametrize("name", BUNDLED)
def test_recipient_leaves_the_seat_over_the_feet_and_stands_still_at_the_end(name: str) -> None:
    clip = load_clip(name)
    recipient = clip.bodies[1]
    height = clip.root_position[:, 1, 2]
    leaves = int(np.argmax(height > height[0] + 0.02))
    heel = -0.04 * recipient.stature
    assert heel < center_of_mass(clip)[leaves, 1, 0] < 0.1
    assert height[-1] > 0.97 * recipient.rest_height
    last_second = clip.position[-31:, :]
    assert np.abs(last_second - last_second[-1]).max() < 2e-3
    assert np.abs(clip.position[:6] - clip.position[0]).max() < 2e-3


def test_hands_are_in_contact_with_upper_arms_during_the_whole_clip() -> None:
    clip = load_clip("sit_to_stand/train_00")
    assert {(c.role, c.body, c.partner_body) for c in clip.contacts} == {
        (role, f"{side}_Hand", f"{other}_Shoulder")
        for role in ("supporter", "recipient")
        for side, other in (("L", "R"), ("R", "L"))
    }
    assert all((c.start, c.end) == (0.0, clip.duration) for c in clip.contacts)


@pytest.mark.parametrize("name", ["sit_to_stand/train_02", "sit_to_stand/test_02"])
def test_servos_alone_follow_the_clip_in_physics(name: str) -> None:
    """The motion is balanced: without any policy, servo targets of the clip itself keep both people on it."""
    clip = load_clip(name)
    worlds = Worlds(build_scene([Setting(bodies=clip.bodies, furniture=clip.furniture)]), 1, threads=1)
    lead = rotations.from_rotation_vector(0.1 * clip.joint_velocity)  # kd / kp of all servos [s]
    targets = rotations.to_rotation_vector(rotations.multiply(clip.local_rotation, lead))[:, :, 1:].reshape(
        -1, 1, 2, 69
    )
    start = np.concatenate([clip.root_position[:1], clip.local_rotation[:1].reshape(1, 2, -1)], axis=-1)
    worlds.reset(np.array([0]), start, np.zeros((1, 2, 75)), targets[0])
    errors = []
    for frame in range(1, clip.num_frames):
        worlds.step(targets[frame])
        errors.append(np.linalg.norm(worlds.motion().position[0] - clip.position[frame], axis=-1).mean())
    assert np.mean(errors) < 0.08
    assert np.max(errors) < 0.15


@given(seed=st.integers(0, 10**6))
def test_train_and_test_parameters_are_disjoint(seed: int) -> None:
    train, test = (asdict(sit_to_stand.sample_parameters(seed, split)) for split in ("train", "test"))
    held_out = [
        name
        for name, bands in sit_to_stand.TEST_RANGES.items()
        if any(low <= test[name] <= high for low, high in bands)
    ]
    assert len(held_out) == 1
    for name, (low, high) in sit_to_stand.TRAIN_RANGES.items():
        assert low <= train[name] <= high
        assert (low <= test[name] <= high) == (name not in held_out)


def test_parameters_decide_the_body_the_seat_and_the_speed() -> None:
    chosen = sit_to_stand.SitToStandParameters(seat_height=0.5, recipient_stature=1.6, rise_time=1.6, hold_end=0.5)
    clip = sit_to_stand.sit_to_stand(parameters=chosen)
    assert clip.bodies[1].stature == pytest.approx(1.6, abs=1e-6)
    assert clip.furniture[0].size[2] == pytest.approx(0.5, abs=0.015)
    assert clip.duration == pytest.approx(0.3 + 1.6 + 0.5, abs=0.05)
    assert clip.metadata["parameters"] == asdict(chosen)
    assert clip.metadata["seed"] is None


def test_metadata_tells_origin_licence_and_split(regenerated: PairClip) -> None:
    metadata = regenerated.metadata
    assert metadata["license"] == "Apache-2.0"
    assert (metadata["seed"], metadata["split"]) == (2, "test")
    assert metadata["family"] == "sit_to_stand/front/both_hands/upper_arms"
    assert len(metadata["provenance"]["sha256"]) == 64


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "tset"}, "split is 'tset'"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_wrong_samples_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        sit_to_stand.sit_to_stand(**arguments)


def test_parameters_out_of_range_are_named() -> None:
    with pytest.raises(ConfigError, match=r"seat_height is 0\.9, expected a value in \[0\.36, 0\.65\]"):
        sit_to_stand.SitToStandParameters(seat_height=0.9)


def test_minimum_jerk_starts_and_ends_at_rest() -> None:
    phase = np.linspace(-0.2, 1.2, 1401)
    path = timing.minimum_jerk(phase)
    speed = np.gradient(path, phase)
    assert (path[0], path[-1]) == (0.0, 1.0)
    assert (np.diff(path) >= 0).all()
    assert max(abs(speed[200]), abs(speed[1200])) < 1e-2

"""Clips on bodies with other hands, and every environment with both bodies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from brought import clips_of
from pettingzoo.test import parallel_api_test
from toys import make_clip, make_vec, reaching_clip, standing_clip

from assistmimic_env import list_envs, make, make_single, rotations
from assistmimic_env import make_vec as make_registered
from assistmimic_env.body import body_names, get_body, joint_kind
from assistmimic_env.body_change import on_body
from assistmimic_env.clip import ROLES, Contact, PairClip, bundled_clips, load_clip
from assistmimic_env.errors import ConfigError
from assistmimic_env.grip import Hold, clip_holds
from assistmimic_env.hands import Hands
from assistmimic_env.observer import TOUCH_FORCE
from assistmimic_env.reference import build_reference
from assistmimic_env.retargeting import reference_gap
from assistmimic_env.touch import expected_touch, hand_bodies, region_force

PLAIN, FINGERS = get_body("smpl24"), get_body("smpl52")
ARRAYS = ("offsets", "masses", "root_position", "local_rotation")
IDS = [spec.id for spec in list_envs()]
KNUCKLES = ("Index1", "Middle1", "Pinky1", "Ring1")


@pytest.fixture
def bent() -> PairClip:
    """People of two sizes, each with another bend of each hand, and contacts of all kinds of bodies."""
    turn = np.random.default_rng(3).normal(scale=0.4, size=(2, 12, 2, 3))
    root = np.zeros((12, 2, 3))
    root[:, 1, 0], root[:, :, 2] = 0.8, PLAIN.rest_height
    contacts = (
        Contact(role="supporter", body="L_Hand", partner_body="R_Elbow", start=0.0, end=0.2),
        Contact(role="recipient", body="R_Hand", partner_body="L_Hand", start=0.1, end=0.3),
        Contact(role="supporter", body="Chest", partner_body="Spine", start=0.0, end=0.3),
    )
    clip = make_clip("bent", root, {"L_Hand": turn[0], "R_Hand": turn[1], "R_Wrist": turn[1]}, contacts=contacts)
    people = [get_body("smpl24", stature=size, mass=mass) for size, mass in ((1.6, 55.0), (1.9, 95.0))]
    offsets = np.stack([body.offsets for body in people])
    offsets[0, PLAIN.index("L_Hand")] *= 1.2
    return replace(clip, offsets=offsets, masses=np.array([55.0, 95.0]))


# --- the change -----------------------------------------------------------------------------------------------


def test_there_and_back_is_the_same_clip_bit_for_bit(bent: PairClip) -> None:
    clips = [bent, *(load_clip(name) for name in bundled_clips())]
    for clip in clips:
        back = on_body(on_body(clip, "smpl52"), "smpl24")
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(back, name), getattr(clip, name), err_msg=f"{clip.name} {name}")
        assert (back.contacts, back.furniture, back.metadata) == (clip.contacts, clip.furniture, clip.metadata)
        assert (back.name, back.body, back.fps) == (clip.name, "smpl24", clip.fps)


def test_a_clip_of_the_same_body_is_returned_as_it_is(bent: PairClip) -> None:
    assert on_body(bent, "smpl24") is bent


def test_all_shared_bodies_move_as_before(bent: PairClip) -> None:
    """Knuckles are where the hand was, turned like it."""
    clip = on_body(bent, "smpl52")
    for name in [*(name for name in PLAIN.names if name in FINGERS.names), "L_Hand", "R_Hand"]:
        ours = FINGERS.index(name.replace("Hand", "Middle1"))
        theirs = PLAIN.index(name)
        np.testing.assert_allclose(clip.position[:, :, ours], bent.position[:, :, theirs], atol=1e-12, err_msg=name)
        np.testing.assert_allclose(clip.rotation[:, :, ours], bent.rotation[:, :, theirs], atol=1e-12, err_msg=name)


def test_fingers_are_straight_and_follow_the_hand_of_their_own_side(bent: PairClip) -> None:
    clip = on_body(bent, "smpl52")
    for side in "LR":
        hand = bent.local_rotation[:, :, PLAIN.index(f"{side}_Hand")]
        for index in hand_bodies(FINGERS)["LR".index(side)][1:]:
            kind = joint_kind(FINGERS.names[index])
            expected = hand if kind in KNUCKLES else np.broadcast_to([1.0, 0.0, 0.0, 0.0], hand.shape)
            np.testing.assert_array_equal(clip.local_rotation[:, :, index], expected, err_msg=FINGERS.names[index])


def test_fingers_are_as_long_as_the_hand_is_large(bent: PairClip) -> None:
    """The supporter's left hand was lengthened by a fifth."""
    left, right = (np.linalg.norm(on_body(bent, "smpl52").offsets[0][hand[2:]], axis=-1) for hand in FINGERS.hands)
    np.testing.assert_allclose(left, 1.2 * right)


def test_contacts_are_made_by_what_holds(bent: PairClip) -> None:
    clip = on_body(bent, "smpl52")
    pairs = [(contact.body, contact.partner_body) for contact in clip.contacts]
    assert pairs == [("L_Wrist", "R_Elbow"), ("R_Wrist", "L_Wrist"), ("Chest", "Spine")]
    np.testing.assert_array_equal(expected_touch(clip), expected_touch(bent))
    fingers = replace(clip, contacts=(replace(clip.contacts[0], body="L_Ring2", partner_body="R_Thumb3"),))
    back = on_body(fingers, "smpl24").contacts[0]
    assert (back.body, back.partner_body) == ("L_Hand", "R_Hand")


def test_an_unknown_body_is_answered_with_those_that_exist(bent: PairClip) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'smpl52'"):
        on_body(bent, "smpl54")


# --- hands in the environments --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pull_up", "sit_to_stand/train_00"])
def test_hands_are_as_near_to_the_partner_with_fingers_as_without(name: str) -> None:
    """Where hands are near: distances of the surfaces differ by 4 to 6 mm on average."""
    gaps = []
    for body in ("smpl24", "smpl52"):
        reference = build_reference([on_body(load_clip(name), body)])
        gaps.append(reference_gap(reference, Hands([clip.bodies for clip in reference.clips])).min(axis=-1))
    near = gaps[0] < 0.05
    assert near.any()
    assert np.abs(gaps[0] - gaps[1])[near].mean() < 0.01


@pytest.mark.parametrize("name", ["pull_up", "sit_to_stand/train_00"])
def test_palms_hold_what_hands_held(name: str) -> None:
    """About at the hold's length when the clip says so; a contact of a finger is a hold of its palm."""
    clip = load_clip(name)
    plain, palms = clip_holds(clip), clip_holds(on_body(clip, "smpl52"))
    assert [hold.key[1].replace("Hand", "Wrist") for hold in plain] == [hold.key[1] for hold in palms]
    assert [hold.intervals for hold in plain] == [hold.intervals for hold in palms]
    moved = on_body(clip, "smpl52")
    pointing = replace(moved, contacts=tuple(replace(c, body=f"{c.body[0]}_Index2") for c in moved.contacts))
    assert clip_holds(pointing) == palms
    for hold in palms:
        assert abs(length(moved, hold) - hold.rest) < 0.015


def length(clip: PairClip, hold: Hold) -> float:
    """Distance of the two ends of a hold in the clip when it begins [m]."""
    frame, role = round(hold.intervals[0][0] * clip.fps), ROLES.index(hold.key[0])
    ends = []
    for person, name, point in ((role, hold.key[1], hold.point), (1 - role, hold.key[2], hold.partner_point)):
        body = clip.bodies[0].index(name)
        turned = rotations.rotate(clip.rotation[frame, person, body], np.array(point))
        ends.append(clip.position[frame, person, body] + turned)
    return float(np.linalg.norm(ends[0] - ends[1]))


@pytest.mark.parametrize("mode", ["reference", "automatic"])
def test_hands_with_fingers_pull_the_partner(mode: str) -> None:
    simulation = make_registered("PullUp-v0", num_envs=2, threads=1, body="smpl52", grip=mode, start="first").simulation
    simulation.seed(np.arange(2))
    simulation.reset(np.arange(2))
    tension = 0.0
    for _ in range(30):
        target = simulation.reference.target[simulation.reference.row(simulation.clip, simulation.frame + 1)]
        simulation.step(simulation.actions_for(target))
        tension = max(tension, float(np.abs(simulation.worlds.hold_tension).max()))
    assert tension > 20.0


def test_a_force_on_any_finger_is_a_touch_of_the_fingers_and_not_of_the_palm() -> None:
    simulation = make_vec(1, body="smpl52", clips=reaching_clip(), start="first").simulation
    flags = simulation.layout["hand_contact"]
    observer, everyone = simulation._observer, np.arange(1)
    goal = simulation.reference.goal(everyone)
    action = np.zeros((1, 2, 153))

    def seen(name: str) -> list[float]:
        force = np.zeros((1, 2, 52, 3))
        force[0, 0, FINGERS.index(name)] = [0.0, 0.0, 2.0 * TOUCH_FORCE]
        return observer.observe(simulation.worlds.motion(), goal, force, action)[0, 0, flags].tolist()

    assert seen("L_Wrist") == [1, 0, 0, 0]
    assert seen("L_Pinky3") == [0, 1, 0, 0]
    assert seen("R_Thumb1") == [0, 0, 0, 1]
    assert seen("L_Elbow") == [0, 0, 0, 0]


def test_forces_on_fingers_are_forces_on_hands() -> None:
    force = np.zeros((52, 3))
    force[FINGERS.index("R_Ring3")], force[FINGERS.index("R_Elbow")] = [3.0, 0.0, 4.0], [0.0, 7.0, 0.0]
    assert region_force(force, FINGERS).tolist() == [0.0, 0.0, 7.0, 5.0, 0.0, 0.0]


@pytest.mark.parametrize("body", body_names())
def test_following_the_reference_keeps_the_people_with_either_body(body: str) -> None:
    """Retargeting, contact reward, grips, start noise and a weak recipient on; one second of feed-forward servos."""
    options: dict[str, Any] = {
        "recipient": "interx", "retargeting": "dynamic", "contact": {"weight": 0.3, "excess": 0.1}, "start_noise": 0.5,
        "grip": "reference", "reward": {"assist": 0.2}, "body": body,
    }  # fmt: skip
    simulation = make_registered("SitToStand-v0", num_envs=4, threads=2, **options).simulation
    simulation.seed(np.arange(4))
    simulation.reset(np.arange(4), frame=np.array([0, 20, 40, 60]))
    errors = []
    for _ in range(30):
        target = simulation.reference.target[simulation.reference.row(simulation.clip, simulation.frame + 1)]
        transition = simulation.step(simulation.actions_for(target))
        assert not transition.physics_error.any()
        assert np.isfinite(transition.reward).all()
        assert {"contact", "assist"} <= set(transition.terms)
        errors.append(transition.tracking.tracking_error.mean())
    assert errors[-1] < 0.1


# --- frozen fingers -------------------------------------------------------------------------------------------


def trembling(fingers: str, seed: int, *, body: str = "smpl52") -> tuple[np.ndarray, Any]:
    """Last observation after ten steps that differ between seeds in what they ask of the fingers."""
    simulation = make_vec(2, body=body, fingers=fingers, start="first").simulation
    simulation.seed(np.arange(2))
    simulation.reset(np.arange(2))
    beyond = np.concatenate([hand[1:] for hand in simulation.body.hands]) - 1
    rng, target = np.random.default_rng(seed), simulation.reference.target[[0, 0]]
    for _ in range(10):
        action = simulation.actions_for(target).reshape(2, 2, -1, 3)
        action[:, :, beyond] = rng.uniform(-0.5, 0.5, (2, 2, len(beyond), 3))
        simulation.step(action.reshape(2, 2, -1))
    return simulation.observation.copy(), simulation


@pytest.mark.parametrize("body", body_names())
def test_frozen_fingers_ignore_actions(body: str) -> None:
    (one, simulation), (other, _) = (trembling("frozen", seed, body=body) for seed in (0, 1))
    np.testing.assert_array_equal(one, other)
    assert one.shape[-1] == simulation.layout.size == make_vec(1, body=body).simulation.layout.size
    free, also_free = (trembling("free", seed, body=body)[0] for seed in (0, 1))
    assert np.abs(free - also_free).max() > 0.1


def test_frozen_fingers_stay_at_the_reference_and_free_ones_do_not() -> None:
    angle = {}
    for fingers in ("free", "frozen"):
        _, simulation = trembling(fingers, 0)
        row = simulation.reference.row(simulation.clip, simulation.frame)
        hands = np.concatenate([hand[1:] for hand in simulation.body.hands])
        qpos = simulation.worlds.generalised_state(np.arange(2))[0][..., 3:].reshape(2, 2, -1, 4)
        wanted = simulation.reference.qpos[row][..., 3:].reshape(2, 2, -1, 4)
        angle[fingers] = float(rotations.angle_between(qpos[:, :, hands], wanted[:, :, hands]).max())
    assert angle["frozen"] < 0.05
    assert angle["free"] > 0.3


def test_states_of_frozen_fingers_can_be_started_in() -> None:
    """Also states whose actions say something about fingers."""
    _, free = trembling("free", 0)
    state = free.physical_state(np.arange(2))
    assert np.abs(state.action).max() > 0.0
    _, frozen = trembling("frozen", 0)
    observation = frozen.reset(np.arange(2), clip=np.zeros(2, np.intp), frame=np.zeros(2, np.intp), state=state)
    remembered = observation[..., frozen.layout["previous_action"]].reshape(2, 2, 51, 3)
    beyond = np.concatenate([hand[1:] for hand in frozen.body.hands]) - 1
    assert (remembered[:, :, beyond] == 0.0).all()
    assert (remembered != 0.0).any()


def test_other_words_for_fingers_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"fingers is 'frosen', expected one of free, frozen\. Did you mean 'frozen'"):
        make_vec(1, fingers="frosen")


# --- every environment ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", body_names())
@pytest.mark.parametrize("id", IDS)
def test_every_environment_runs_with_every_body(id: str, body: str) -> None:
    """All three views; warnings are errors."""
    env = make(id, body=body, clips=clips_of(id))
    parallel_api_test(env, num_cycles=20)
    assert env.action_space("supporter").shape == (get_body(body).num_dofs,)
    vector = make_registered(id, num_envs=2, threads=1, body=body, clips=clips_of(id))
    observations, _ = vector.reset(seed=1)
    assert observations["recipient"].shape == (2, vector.simulation.layout.size)
    single = make_single(id, body=body, clips=clips_of(id))
    single.reset(seed=0)
    observation, reward, *_ = single.step(single.action_space.sample())
    assert np.isfinite(observation).all()
    assert np.isfinite(reward)


def test_a_clip_with_fingers_plays_in_an_environment_without() -> None:
    clip = on_body(standing_clip(20), "smpl52")
    assert make_vec(1, clips=clip).simulation.reference.clips[0].body == "smpl24"
    assert make_vec(1, clips=[clip, standing_clip(20)], body="smpl52").simulation.body.num_bodies == 52

"""Observations: equal to PHC's, independent of where the world's axes are, and what the layout says they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from toys import by_role, make_vec, pose_action, reaching_clip, rising_clip

from assistmimic_env import observations, rotations
from assistmimic_env.actuation import action_scale, action_to_target
from assistmimic_env.body import get_body
from assistmimic_env.clip import PairClip
from assistmimic_env.layout import FORCE_SCALE, GROUPS
from assistmimic_env.metrics import tracking_error
from assistmimic_env.observer import TOUCH_FORCE
from assistmimic_env.simulation import PairSimulation
from assistmimic_env.vector import VectorEnv

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "golden" / "phc"
STATE = ("body_pos", "body_rot", "body_vel", "body_ang_vel")
REFERENCE = ("ref_pos", "ref_rot", "ref_vel", "ref_ang_vel")
FAST_ROW = 16

parity = pytest.mark.skipif(not GOLDEN.is_dir(), reason="PHC's reference vectors are not beside the repository")
"""Product code needs no reference vectors; these tests do."""


# --- Parity with PHC ------------------------------------------------------------------------------------------


def golden(name: str) -> dict[str, np.ndarray]:
    """Arrays of one file of reference vectors; rotations turned from xyzw to wxyz, floats to float64."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    for key, array in arrays.items():
        if "_rot" in key and array.shape[-1] == 4:
            arrays[key] = np.roll(array, 1, axis=-1)
        if array.dtype == np.float32:
            arrays[key] = arrays[key].astype(np.float64)
    return arrays


@parity
@pytest.mark.parametrize("upright", [True, False])
def test_self_observation_equals_phc(upright: bool) -> None:
    """Version 1 in both conventions of the root."""
    arrays = golden("self_obs_24")
    ours = observations.self_observation(*(arrays[f"in_{name}"] for name in STATE), upright=upright)
    theirs, rows = arrays[f"out_v1_up{int(upright)}"], arrays[f"arg_heading_ok_up{int(upright)}"].copy()
    assert ours.shape == theirs.shape == (32, 358)
    if rows[FAST_ROW]:
        np.testing.assert_allclose(ours[FAST_ROW], theirs[FAST_ROW], atol=2e-2, rtol=1e-5)
    rows[FAST_ROW] = False
    assert rows.sum() > 15
    np.testing.assert_allclose(ours[rows], theirs[rows], atol=1e-4, rtol=1e-5)


@parity
@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("upright", [True, False])
@pytest.mark.parametrize("version", [6, 7])
def test_imitation_observation_equals_phc(version: int, upright: bool, samples: int) -> None:
    """Versions 6 and 7 in both conventions, for one future reference sample and for three one after the other."""
    arrays = golden("task_obs_24")
    own = [np.repeat(arrays[f"in_{name}"][:, None], samples, axis=1) for name in STATE]
    ref = [arrays[f"in_{name}_T{samples}"].reshape(32, samples, 24, -1) for name in REFERENCE]
    ours = observations.imitation_observation(*own, *ref, version=version, upright=upright).reshape(32, -1)
    theirs = arrays[f"out_v{version}_up{int(upright)}_T{samples}"]
    rows = arrays[f"arg_heading_ok_up{int(upright)}"]
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours[rows], theirs[rows], atol=1e-3, rtol=1e-5)


@parity
def test_action_map_equals_phc() -> None:
    """Scales of all controls, and the targets of the shipped setting."""
    arrays, scale = golden("pd_action_24"), action_scale(get_body("smpl24"))
    setting = "nolimit_bias0_up1_pdoff0"
    np.testing.assert_allclose(scale.reshape(-1), arrays[f"out_scale_{setting}"], atol=1e-5)
    ours = action_to_target(arrays["in_action"], scale, "expmap").reshape(8, -1)
    np.testing.assert_allclose(ours, arrays[f"out_pd_target_{setting}"], atol=1e-5)


@parity
@pytest.mark.parametrize("checked", [True, False])
def test_mean_error_rule_equals_phc(checked: bool) -> None:
    """PHC terminates an evaluation by the rule that ends our episodes: mean error of chosen bodies over a distance."""
    arrays = golden("im_reset")
    error = tracking_error(arrays["in_body_pos"], arrays["in_ref_pos"], arrays["arg_ids_eval_05_mean"])
    failed = (error > 0.5) & (arrays["in_progress"] > 1) & checked
    suffix = f"eval_05_mean_nocoll{int(not checked)}"
    np.testing.assert_array_equal(failed, arrays[f"out_term_{suffix}"].astype(bool))
    np.testing.assert_array_equal(failed | arrays["in_pass_time"], arrays[f"out_reset_{suffix}"].astype(bool))


# --- Invariance -----------------------------------------------------------------------------------------------


def random_state(seed: int, bodies: int = 24, batch: tuple[int, ...] = (20,)) -> list[np.ndarray]:
    """Position, rotation, velocity and angular velocity of some bodies."""
    rng = np.random.default_rng(seed)
    rotation = rotations.normalize(rng.normal(size=(*batch, bodies, 4)))
    return [rng.normal(size=(*batch, bodies, 3)), rotation, *rng.normal(size=(2, *batch, bodies, 3))]


def moved(state: list[np.ndarray], yaw: float, shift: np.ndarray) -> list[np.ndarray]:
    """The same state in a world that was turned about z and then moved."""
    turn = rotations.yaw_quaternion(np.array(yaw))
    position, rotation, velocity, angular_velocity = state
    turned = [rotations.rotate(turn, vector) for vector in (position, velocity, angular_velocity)]
    return [turned[0] + shift, rotations.multiply(turn, rotation), *turned[1:]]


@pytest.mark.parametrize("version", [6, 7])
def test_observation_does_not_depend_on_yaw_and_place(version: int) -> None:
    """Only height and tilt of the world matter."""
    own, ref = random_state(0), random_state(1)
    goal = observations.imitation_observation(*own, *ref, version=version)
    felt = observations.self_observation(*own)
    for yaw in np.random.default_rng(2).uniform(-np.pi, np.pi, 20):
        own_moved, ref_moved = (moved(state, yaw, np.array([3.0, -7.0, 0.0])) for state in (own, ref))
        np.testing.assert_allclose(observations.self_observation(*own_moved), felt, atol=1e-6)
        goal_moved = observations.imitation_observation(*own_moved, *ref_moved, version=version)
        np.testing.assert_allclose(goal_moved, goal, atol=1e-6)


def test_self_observation_feels_height_and_tilt() -> None:
    """What invariance must not swallow."""
    state = random_state(3)
    felt = observations.self_observation(*state)
    raised = observations.self_observation(*moved(state, 0.0, np.array([0.0, 0.0, 0.3])))
    np.testing.assert_allclose(raised[:, 0] - felt[:, 0], 0.3)
    np.testing.assert_allclose(raised[:, 1:], felt[:, 1:], atol=1e-12)
    tilt = Rotation.from_euler("x", 0.5).as_quat(scalar_first=True)
    tilted = observations.self_observation(state[0], rotations.multiply(tilt, state[1]), *state[2:])
    assert np.abs(tilted - felt).max() > 0.1


@pytest.mark.parametrize("bodies", [1, 2, 52])
def test_observations_take_any_number_of_bodies_and_batch_dimensions(bodies: int) -> None:
    """Sizes follow PHC's formulas; a batch is its rows."""
    own, ref = random_state(4, bodies, (2, 3)), random_state(5, bodies, (2, 3))
    felt = observations.self_observation(*own)
    goal = observations.imitation_observation(*own, *ref)
    points = observations.imitation_observation(*own, *ref, version=7)
    assert (felt.shape, goal.shape, points.shape) == ((2, 3, 15 * bodies - 2), (2, 3, 24 * bodies), (2, 3, 9 * bodies))
    single = [array[1, 2] for array in (*own, *ref)]
    np.testing.assert_allclose(observations.imitation_observation(*single), goal[1, 2], atol=1e-12)
    np.testing.assert_allclose(observations.self_observation(*single[:4]), felt[1, 2], atol=1e-12)


def test_observations_leave_their_arguments_alone() -> None:
    """Pure functions."""
    own, ref = random_state(6), random_state(7)
    copies = [array.copy() for array in (*own, *ref)]
    observations.self_observation(*own)
    observations.imitation_observation(*own, *ref)
    for array, copy in zip((*own, *ref), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_perfect_tracking_is_seen_as_no_error() -> None:
    """Differences are zero and the rotation error is the identity's axes."""
    own = random_state(8)
    goal = observations.imitation_observation(*own, *own)
    identity = np.tile([1.0, 0.0, 0.0, 0.0, 0.0, 1.0], 24)
    expected = np.concatenate([np.zeros(72), identity, np.zeros(144)])
    np.testing.assert_allclose(goal[:, :360], np.broadcast_to(expected, (20, 360)), atol=1e-12)


def test_unknown_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version is 5, expected 6 or 7"):
        observations.imitation_observation(*random_state(0), *random_state(1), version=5)


@pytest.mark.parametrize("force", [0.0, 1.0, 100.0, 1e6])
def test_contact_force_is_squashed_to_less_than_one(force: float) -> None:
    """The direction stays; 100 N become one half."""
    squashed = observations.squashed_force(force * np.array([0.6, 0.0, -0.8]), FORCE_SCALE)
    assert np.linalg.norm(squashed) == pytest.approx(force / (force + 100.0))
    assert np.cross(squashed, [0.6, 0.0, -0.8]) == pytest.approx(np.zeros(3))


# --- The environment's observation ----------------------------------------------------------------------------


def shaken(num_envs: int = 4, steps: int = 6, **options: object) -> VectorEnv:
    """Worlds after some random steps of two people who push each other."""
    vec = make_vec(num_envs, termination_distance=np.inf, start_noise=1.0, clips=reaching_clip(), **options)
    vec.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(steps):
        action = pose_action(vec.simulation)
        vec.step(by_role(action + rng.uniform(-0.1, 0.1, action.shape)))
    return vec


def states(simulation: PairSimulation) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Own and next reference position, rotation, velocity, angular velocity, each (N, 2, J, k)."""
    motion = simulation.worlds.motion()
    reference, row = simulation.reference, simulation.reference.row(simulation.clip, simulation.frame + 1)
    own = [motion.position, motion.rotation, motion.velocity, motion.angular_velocity]
    position, velocity, spin = (reference.motion[row][:, :, index] for index in range(3))
    return own, [position, reference.rotation[row], velocity, spin]


def test_first_934_numbers_are_phcs_observation() -> None:
    """The simulation's fast path and the public functions are the same."""
    vec = shaken()
    own, ref = states(vec.simulation)
    expected = np.concatenate(
        [observations.self_observation(*own), observations.imitation_observation(*own, *ref)], axis=-1
    )
    assert vec.layout["self"] == slice(0, 358)
    assert vec.layout["goal"] == slice(358, 934)
    np.testing.assert_allclose(vec.simulation.observation[..., :934], expected, atol=1e-5, rtol=1e-6)


def naive_partner_blocks(simulation: PairSimulation, world: int, role: int) -> dict[str, np.ndarray]:
    """The partner group, one body at a time, with scipy's rotations."""
    (position, rotation, velocity, _), ref = states(simulation)
    me, other = (world, role), (world, 1 - role)
    root = Rotation.from_quat(rotation[me][0], scalar_first=True)

    def heading(turn: Rotation) -> Rotation:
        forward = turn.apply([1.0, 0.0, 0.0])
        return Rotation.from_euler("z", np.arctan2(forward[1], forward[0]))

    def axes(turn: Rotation) -> np.ndarray:
        return np.concatenate([turn.apply([1.0, 0.0, 0.0]), turn.apply([0.0, 0.0, 1.0])])

    def touches(who: tuple[int, int]) -> list[bool]:
        bodies = np.concatenate(simulation.body.hands)
        return [bool(np.linalg.norm(simulation.worlds.contact_force[who][body]) > TOUCH_FORCE) for body in bodies]

    own_frame = heading(root).inv()
    partner_root = Rotation.from_quat(rotation[other][0], scalar_first=True)
    blocks: dict[str, list[np.ndarray]] = {name: [] for name in GROUPS["partner"] if name != "previous_action"}
    for body in range(simulation.body.num_bodies):
        turn = Rotation.from_quat(rotation[other][body], scalar_first=True)
        blocks["partner_position"].append(own_frame.apply(position[other][body] - position[me][0]))
        blocks["partner_velocity"].append(own_frame.apply(velocity[other][body]))
        blocks["partner_rotation"].append(axes(own_frame * turn))
        blocks["partner_goal_position"].append(own_frame.apply(ref[0][other][body] - position[me][0]))
        blocks["partner_goal_velocity"].append(own_frame.apply(ref[2][other][body]))
        force = own_frame.apply(simulation.worlds.contact_force[me][body])
        blocks["contact_force"].append(force / (np.linalg.norm(force) + 100.0))
    for wrist in simulation.body.indices(("L_Wrist", "R_Wrist")):
        hand = Rotation.from_quat(rotation[me][wrist], scalar_first=True).inv()
        for body in range(simulation.body.num_bodies):
            blocks["partner_from_wrists"].append(hand.apply(position[other][body] - position[me][wrist]))
    blocks["partner_tilt"] = [axes(heading(partner_root).inv() * partner_root)]
    blocks["hand_contact"], blocks["partner_hand_contact"] = [np.array(touches(me))], [np.array(touches(other))]
    return {name: np.concatenate(parts).astype(np.float64) for name, parts in blocks.items()}


def test_every_partner_block_is_what_the_layout_says() -> None:
    """Against plain loops over bodies, in worlds where people push each other, hands included."""
    vec = shaken(num_envs=8)
    simulation, touched = vec.simulation, 0
    for world in range(vec.num_envs):
        for role in (0, 1):
            found = simulation.observation[world, role]
            for name, expected in naive_partner_blocks(simulation, world, role).items():
                np.testing.assert_allclose(found[vec.layout[name]], expected, atol=1e-5, rtol=1e-5, err_msg=name)
            touched += int(found[vec.layout["hand_contact"]].sum())
    assert touched > 0
    assert np.abs(simulation.observation[..., vec.layout["contact_force"]]).max() > 0.1


def test_hand_contacts_are_seen_by_both() -> None:
    """What is mine is the partner's partner's."""
    vec = shaken(num_envs=8)
    mine, theirs = (
        vec.simulation.observation[..., vec.layout[name]] for name in ("hand_contact", "partner_hand_contact")
    )
    np.testing.assert_array_equal(mine, theirs[:, ::-1])


def test_previous_action_is_the_clipped_action_and_zero_after_a_reset() -> None:
    vec = make_vec(2, termination_distance=np.inf)
    observation, _ = vec.reset(seed=0, options={"frame": 0})
    block = vec.layout["previous_action"]
    assert not observation["supporter"][:, block].any()
    action = np.linspace(-2.0, 2.0, 138).reshape(2, 69)
    observation, *_ = vec.step({"supporter": action, "recipient": np.zeros((2, 69))})
    np.testing.assert_allclose(observation["supporter"][:, block], np.clip(action, -1.0, 1.0), atol=1e-7)
    assert not observation["recipient"][:, block].any()


def turned_clip(clip: PairClip, yaw: float, shift: np.ndarray) -> PairClip:
    """The same clip elsewhere; its furniture is left out."""
    turn = rotations.yaw_quaternion(np.array(yaw))
    local = clip.local_rotation.copy()
    local[:, :, 0] = rotations.multiply(turn, local[:, :, 0])
    root = rotations.rotate(turn, clip.root_position) + shift
    return replace(clip, root_position=root, local_rotation=local, furniture=())


def test_whole_observation_does_not_depend_on_yaw_and_place() -> None:
    """Partner blocks included."""
    clip = replace(rising_clip(), furniture=())
    options = {"frame": np.array([3, 15, 20, 28])}
    first, _ = make_vec(4, clips=clip).reset(seed=0, options=options)
    for yaw in (0.5, 2.8, -1.9):
        second, _ = make_vec(4, clips=turned_clip(clip, yaw, np.array([5.0, -4.0, 0.0]))).reset(seed=0, options=options)
        for role in first:
            np.testing.assert_allclose(second[role], first[role], atol=1e-6)


def test_swapping_the_roles_swaps_the_observations() -> None:
    """Nothing in an observation says who is the supporter."""
    clip = replace(rising_clip(), furniture=())
    exchanged = replace(clip, root_position=clip.root_position[:, ::-1], local_rotation=clip.local_rotation[:, ::-1])
    options = {"frame": np.array([3, 15, 20, 28])}
    first, _ = make_vec(4, clips=clip).reset(seed=0, options=options)
    second, _ = make_vec(4, clips=exchanged).reset(seed=0, options=options)
    np.testing.assert_allclose(second["supporter"], first["recipient"], atol=1e-6)
    np.testing.assert_allclose(second["recipient"], first["supporter"], atol=1e-6)
    assert np.abs(first["supporter"] - first["recipient"]).max() > 0.1


def test_observations_stay_inside_the_bounds_however_far_people_are() -> None:
    """Clipping keeps every number in its space, even 1 km from the reference at 300 m/s."""
    vec = make_vec(1, termination_distance=np.inf)
    vec.reset(seed=0)
    worlds = vec.worlds
    reference, ids = vec.reference, np.array([0])
    qpos, qvel = reference.qpos[:1].copy(), reference.qvel[:1].copy()
    qpos[0, 0, :3], qvel[0, 0, :3] = 1e3, 300.0
    worlds.reset(ids, qpos, qvel, reference.target[:1].reshape(1, 2, -1))
    observation, *_ = vec.step({role: np.zeros((1, 69)) for role in vec.agents})
    for role in vec.agents:
        assert vec.observation_spaces[role].contains(observation[role][0])
    assert np.abs(observation["recipient"][0, vec.layout["partner_position"]]).max() == 100.0

"""Rollouts on fixed seeds: what is logged, compared, saved and drawn."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from brought import clips_of

import assistmimic_env
from assistmimic_env import metrics, pose_errors, quantities, rotations, touch
from assistmimic_env.body import get_body
from assistmimic_env.clip import ROLES, Contact, PairClip
from assistmimic_env.config import CONTROL_DT, env_config
from assistmimic_env.errors import ActionError, ConfigError, MissingDependencyError, PolicyError
from assistmimic_env.evaluation import Evaluation, compare, evaluate, frames, record
from assistmimic_env.layout import VERSION as LAYOUT_VERSION
from assistmimic_env.policy import HoldPolicy, Policy, PolicyCard, RandomPolicy, policy_interface
from assistmimic_env.recording import Recording
from assistmimic_env.registry import resolve_clips
from assistmimic_env.rollout_log import RolloutLog
from assistmimic_env.vector import VectorEnv

BODY = get_body("smpl24")
ACTIONS = BODY.num_dofs


def make_clip(num_frames: int = 24, name: str = "stand") -> PairClip:
    """Two people stand in T-pose, face to face."""
    local = np.zeros((num_frames, 2, BODY.num_bodies, 4))
    local[..., 0] = 1.0
    local[:, 1, 0] = rotations.yaw_quaternion(np.pi)
    root = np.zeros((num_frames, 2, 3))
    root[..., 2] = BODY.rest_height
    root[:, 1, 0] = 1.6
    people = {"offsets": np.stack([BODY.offsets] * 2), "masses": np.array([BODY.mass] * 2)}
    return PairClip(name=name, fps=1 / CONTROL_DT, root_position=root, local_rotation=local, **people)


def make_vec(**options: Any) -> VectorEnv:
    """An environment of one short clip."""
    return VectorEnv([make_clip()], 1, config=env_config(**options), threads=1, name="Test/Stand-v0")


def holding(actions: int = ACTIONS) -> dict[str, Any]:
    """Policies that ask for the T-pose."""
    return {role: HoldPolicy.zero(actions) for role in ROLES}


def random() -> dict[str, Any]:
    """Policies that thrash about."""
    return {role: RandomPolicy(ACTIONS, seed=index) for index, role in enumerate(ROLES)}


@pytest.fixture(scope="module")
def result() -> Evaluation:
    """Thrashing against holding, ten rollouts each, four worlds at once, two recorded."""
    return compare(
        make_vec(), {"random": random(), "hold": holding()}, rollouts=10, seed=7, num_worlds=4, threads=1, record=2
    )


def test_holding_beats_thrashing(result: Evaluation) -> None:
    """The report ranks two obviously different pairs, with intervals apart."""
    thrashing, holding = result.summary["random"], result.summary["hold"]
    assert holding["survived"].low > thrashing["survived"].high
    assert thrashing["success_50"].mean == 0.0
    assert holding["task_success"].mean > 0.5
    assert holding["mpjpe_common"].high < thrashing["mpjpe_common"].low
    assert {holding[name].n for name in ("survived", "task_success", "mpjpe", "max_torque")} == {10}


def test_logs_end_at_the_failure(result: Evaluation) -> None:
    """Nothing is measured after an agent's mean error passed the failure distance."""
    log = result.logs["random"]
    frames_judged = log.frames(result.failure_distance)
    assert (frames_judged < log.length).all()
    for rollout, count in enumerate(frames_judged):
        assert np.isfinite(log.tracking_error[rollout, :count]).all()
        assert log.tracking_error[rollout, count - 1].max() > 0.5 >= log.tracking_error[rollout, : count - 1].max()
        for name in (
            "tracking_error",
            "height_error",
            "contact_force",
            "support_force",
            "region_force",
            "torque",
            "com",
        ):
            assert np.isnan(getattr(log, name)[rollout, count:]).all(), name
        for name, values in log.errors.items():
            first = 1 if name == "acceleration_error" else 0
            assert np.isfinite(values[rollout, first:count]).all(), name
            assert np.isnan(values[rollout, count:]).all(), name
        assert not log.touching[rollout, count:].any()


def test_common_horizon_is_that_of_the_shortest(result: Evaluation) -> None:
    """Over the common horizon the pair that survives is judged on the other's frames."""
    horizon = result.logs["random"].frames(0.5)
    expected = [log[:count].mean() for log, count in zip(result.logs["hold"].errors["mpjpe"], horizon, strict=True)]
    np.testing.assert_allclose(result.per_rollout["hold"]["mpjpe_common"], expected, rtol=1e-12)
    np.testing.assert_array_equal(result.per_rollout["random"]["mpjpe_common"], result.per_rollout["random"]["mpjpe"])


def test_first_frames_do_not_depend_on_the_pair() -> None:
    """Both pairs of a comparison start from the same perturbed states, which differ between rollouts."""
    result = compare(make_vec(), {"a": holding(), "b": random()}, rollouts=3, record=3, threads=1)
    starts = {name: [rec.position[0] for rec in recordings] for name, recordings in result.recordings.items()}
    np.testing.assert_array_equal(starts["a"], starts["b"])
    assert not np.array_equal(starts["a"][0], starts["a"][1])
    exact = compare(make_vec(), {"a": holding()}, rollouts=1, record=1, threads=1, start_noise=0.0)
    recording = exact.recordings["a"][0]
    np.testing.assert_allclose(recording.position[0], recording.ref_position[0], atol=1e-9)


def test_same_call_gives_the_same_numbers(result: Evaluation) -> None:
    """Evaluations repeat exactly, also with policies that roll dice and another number of threads."""
    pairs = {"random": random(), "hold": holding()}
    for _ in range(2):
        again = compare(make_vec(), pairs, rollouts=10, seed=7, num_worlds=4, threads=2)
        assert again.to_json()["policies"] == result.to_json()["policies"]
    other = compare(make_vec(), {"hold": holding()}, rollouts=10, seed=8, num_worlds=4, threads=1)
    assert other.per_rollout["hold"]["mpjpe"][0] == result.per_rollout["hold"]["mpjpe"][1]
    assert other.per_rollout["hold"]["mpjpe"][0] != result.per_rollout["hold"]["mpjpe"][0]


def test_number_of_worlds_does_not_change_independent_policies(result: Evaluation) -> None:
    """Rollouts are the same one at a time."""
    single = evaluate(make_vec(), holding(), rollouts=3, seed=7, num_worlds=1, threads=1)
    np.testing.assert_array_equal(single.logs["policy"].errors["mpjpe"], result.logs["hold"].errors["mpjpe"][:3])


def test_training_settings_of_the_environment_do_not_leak() -> None:
    """A strict training termination or uniform starts do not change the protocol."""
    strict = make_vec(termination_distance=0.1, start="uniform")
    first = evaluate(strict, random(), rollouts=2, threads=1)
    second = evaluate(make_vec(), random(), rollouts=2, threads=1)
    assert first.to_json()["policies"] == second.to_json()["policies"]
    assert strict.config.termination_distance == 0.1


def test_clips_take_turns_with_their_own_length() -> None:
    """Rollout i plays clip i modulo the number of clips, to its own end."""
    vec = VectorEnv([make_clip(24), make_clip(12, "short")], 1, threads=1)
    result = evaluate(vec, holding(), rollouts=5, threads=1, num_worlds=2, start_noise=0.0)
    log = result.logs["policy"]
    assert result.clips == ("stand", "short")
    np.testing.assert_array_equal(log.clip, [0, 1, 0, 1, 0])
    np.testing.assert_array_equal(log.length, [23, 11, 23, 11, 23])
    assert np.isnan(log.errors["mpjpe"][1, 11:]).all()
    assert result.summary["policy"]["survived"].mean == 1.0


def make_log(**changes: Any) -> RolloutLog:
    """Two perfect rollouts of 30 frames, in which nobody touches anybody."""
    frames, zeros = (2, 30), np.zeros((2, 30, 2))
    names = (*(frame + part for frame in pose_errors.FRAMES for part in pose_errors.PARTS), "velocity_error")
    log = RolloutLog(
        seed=np.arange(2),
        clip=np.zeros(2, np.intp),
        length=np.full(2, 30),
        mass=np.full(2, 50.0),
        physics_error=np.zeros(2, np.bool_),
        tracking_error=zeros,
        height_error=np.zeros(frames),
        errors=dict.fromkeys((*names, "acceleration_error"), zeros),
        touching=np.zeros((*frames, 2, 2), np.bool_),
        expected=np.zeros((*frames, 2, 2), np.bool_),
        contact_force=zeros,
        support_force=np.zeros((*frames, 1)),
        region_force=np.zeros((*frames, len(touch.REGIONS))),
        torque=np.zeros((*frames, 1 + len(quantities.TORQUE_GROUPS))),
        com=np.zeros((*frames, 3)),
    )
    return replace(log, **changes)


def per_rollout(log: RolloutLog) -> dict[str, Any]:
    """Its quantities, compared with itself."""
    common = metrics.success(log.tracking_error, log.length)
    return log.per_rollout(failure_distance=0.5, horizon=log.frames(0.5), common=common)


def test_shift_by_d_reports_d_per_role() -> None:
    """Roles are reported apart and together."""
    error = np.zeros((2, 30, 2))
    error[..., 0], error[..., 1] = 0.1, 0.3
    log = make_log()
    values = per_rollout(replace(log, errors={**log.errors, "mpjpe": error}))
    np.testing.assert_allclose(values["mpjpe_supporter"], 0.1)
    np.testing.assert_allclose(values["mpjpe_recipient"], 0.3)
    np.testing.assert_allclose(values["mpjpe"], 0.2)


def test_divergence_is_never_a_success() -> None:
    """A world that exploded in its last frame measured nothing there, and fails."""
    error = np.zeros((2, 30, 2))
    error[1, 29] = np.nan
    values = per_rollout(make_log(tracking_error=error, physics_error=np.array([False, True])))
    np.testing.assert_array_equal(values["success_50"], [True, False])
    np.testing.assert_array_equal(values["task_success"], [True, False])


def test_every_reported_quantity_has_a_unit() -> None:
    """Nothing is reported that is not documented, nothing is documented that is not reported."""
    assert set(per_rollout(make_log())) == set(quantities.UNITS)
    assert {name for names in quantities.TABLES.values() for name in names} <= set(quantities.UNITS)


def test_everything_is_frozen_at_the_failure() -> None:
    """What happens after the failing frame changes nothing, in any quantity."""
    rng = np.random.default_rng(0)
    error = np.zeros((2, 30, 2))
    error[:, 10] = 0.6
    log = make_log(tracking_error=error)
    later = slice(11, None)

    def noisy(values: np.ndarray) -> np.ndarray:
        changed = values.copy()
        changed[:, later] = rng.uniform(size=changed[:, later].shape) > 0.5
        return changed

    names = ("height_error", "touching", "expected", "contact_force", "support_force", "region_force", "torque", "com")
    changes = {name: noisy(getattr(log, name)) for name in names}
    errors = {name: noisy(values) for name, values in log.errors.items()}
    for name, values in per_rollout(replace(log, errors=errors, **changes)).items():
        np.testing.assert_array_equal(values, per_rollout(log)[name], err_msg=name)


def test_weight_share_is_one_when_the_supporter_carries_the_recipient() -> None:
    """Of the recipient's mass in that world: twice as heavy, half the share."""
    values = per_rollout(make_log(support_force=np.full((2, 30, 1), 490.5), mass=np.array([50.0, 100.0])))
    np.testing.assert_allclose(values["weight_share"], [1.0, 0.5])
    np.testing.assert_allclose(values["support_force"], 490.5)


def test_balance_is_reported_for_common_successes_only() -> None:
    """A rollout that one of the compared pairs fails tells nothing about the other's balance."""
    com = np.zeros((2, 30, 3))
    com[:, ::2] = [0.06, 0.08, 0.24]
    log = make_log(com=com)
    values = log.per_rollout(failure_distance=0.5, horizon=log.length, common=np.array([True, False]))
    np.testing.assert_allclose(values["com_std"], [0.13, np.nan])
    np.testing.assert_allclose(values["com_std_xy"], [0.05, np.nan])


def test_comparison_uses_common_successes(result: Evaluation) -> None:
    """Thrashing always fails, so nobody's balance is reported beside it; alone, holding has one."""
    assert result.summary["hold"]["com_std"].n == 0
    alone = evaluate(make_vec(), holding(), rollouts=3, threads=1)
    assert alone.summary["policy"]["com_std"].n > 0


def test_differences_are_paired(result: Evaluation) -> None:
    """To the first pair, on the same seeds."""
    difference = result.differences["hold"]["survived"]
    expected = result.summary["hold"]["survived"].mean - result.summary["random"]["survived"].mean
    assert difference.mean == pytest.approx(expected)
    assert difference.low > 0.0
    assert set(result.differences) == {"hold"}


def push(monkeypatch: pytest.MonkeyPatch, vec: VectorEnv, force: np.ndarray) -> None:
    """Let the simulation report these forces of the partner, shape (2, J, 3)."""
    step = type(vec.simulation).step

    def pushed(self: Any, action: Any) -> Any:
        return replace(step(self, action), contact_force=np.broadcast_to(force, (self.num_worlds, *force.shape)))

    monkeypatch.setattr(type(vec.simulation), "step", pushed)


def test_support_force_is_the_weight_that_is_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Partner forces are summed over bodies: as magnitudes per role, and upwards on the recipient."""
    vec, force = make_vec(recipient={"mass": 0.5}), np.zeros((2, BODY.num_bodies, 3))
    force[1, :2] = [0.0, 30.0, 40.0]
    force[0, 5] = [0.0, -60.0, -80.0]
    push(monkeypatch, vec, force)
    summary = evaluate(vec, holding(), rollouts=1, threads=1).summary["policy"]
    assert summary["contact_force_supporter"].mean == pytest.approx(100.0)
    assert summary["contact_force_recipient"].mean == pytest.approx(100.0)
    assert summary["support_force"].mean == pytest.approx(80.0)
    assert summary["weight_share"].mean == pytest.approx(80.0 / (0.5 * BODY.mass * 9.81), rel=1e-6)
    assert summary["force_peak_pelvis"].mean == pytest.approx(50.0)
    assert summary["force_mean_legs"].mean == pytest.approx(50.0)
    assert summary["force_peak_head"].mean == 0.0


def test_contacts_are_compared_with_the_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clip wants the supporter's left hand for half of the time; it touches always, and a right hand beside it."""
    half = 11.5 * CONTROL_DT
    contact = Contact(role="supporter", body="L_Hand", partner_body="R_Shoulder", start=0.0, end=half)
    clip = replace(make_clip(), contacts=(contact,))
    vec, force = VectorEnv([clip], 1, threads=1), np.zeros((2, BODY.num_bodies, 3))
    force[0, BODY.index("L_Wrist")] = force[0, BODY.index("R_Hand")] = [5.0, 0.0, 0.0]
    push(monkeypatch, vec, force)
    result = evaluate(vec, holding(), rollouts=1, threads=1, start_noise=0.0)
    assert result.summary["policy"]["survived"].mean == 1.0
    assert result.summary["policy"]["contact_recall"].mean == 1.0
    assert result.summary["policy"]["contact_precision"].mean == pytest.approx(11 / (2 * 23))
    assert result.summary["policy"]["contact_precision_recipient"].n == 0


def test_masses_and_torques_are_those_of_the_simulation() -> None:
    """The centre of mass and the mass are MuJoCo's; the torque's norm is that of all joints."""
    vec = make_vec(recipient={"mass": 0.7}, perturbation={"recipient": {"mass": 1.2}})
    log = evaluate(vec, holding(), rollouts=2, threads=1, start_noise=0.0).logs["policy"]
    np.testing.assert_allclose(log.mass, 0.84 * BODY.mass, rtol=1e-6)
    still = log.com[0, 0]
    np.testing.assert_allclose(still[:2], [1.6, 0.0], atol=0.05)
    assert 0.85 < still[2] < 1.15
    assert (log.torque[..., 0] >= log.torque[..., 1:].max(axis=-1)).all()
    assert log.torque[..., 0].max() > 0.0


@pytest.mark.parametrize("env", [spec.id for spec in assistmimic_env.list_envs()])
def test_recipient_who_stays_at_the_start_never_succeeds(env: str) -> None:
    """On every clip of every task, also held-out ones: a perfect supporter and a recipient who never moves."""
    indices = BODY.indices(metrics.RESET_BODIES)
    for clip in resolve_clips(env, clips_of(env)) + resolve_clips(env, assistmimic_env.spec(env).held_out):
        position = clip.position.copy()
        position[:, 1] = position[0, 1]
        error = metrics.tracking_error(position, clip.position, indices)
        heights = BODY.indices(metrics.HEIGHT_BODIES)
        height = metrics.height_error(position[:, 1], clip.position[:, 1], heights)
        assert not metrics.task_success(error, height, len(error), control_dt=1 / clip.fps), clip.name


@pytest.mark.parametrize("env", [spec.id for spec in assistmimic_env.list_envs()])
def test_environments_are_evaluated_by_id(env: str) -> None:
    """The id and its options are enough; holding the first pose helps nobody up."""
    clip = resolve_clips(env, clips_of(env))[0]
    (actions,) = assistmimic_env.make(env, clips=clip).action_space("recipient").shape
    result = evaluate(env, holding(actions), rollouts=2, clips=[clip], actuation="expmap", threads=1)
    assert result.env == env
    assert result.config["actuation"] == "expmap"
    assert result.summary["policy"]["task_success"].mean == 0.0


def test_result_is_valid_json_with_everything_to_repeat_it(result: Evaluation, tmp_path: Path) -> None:
    """Seeds, settings, versions, intervals and per-rollout numbers; no NaN."""
    path = result.save(tmp_path / "new" / "result.json")
    report = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} in the report"))
    assert report["format"] == "assistmimic-evaluation"
    assert (report["env"], report["rollouts"], report["seeds"]) == ("Test/Stand-v0", 10, [7, 16])
    assert set(report["versions"]) >= {"assistmimic", "mujoco", "numpy", "python"}
    assert report["config"]["termination_distance"] == 0.5
    hold = report["policies"]["hold"]
    assert hold["actors"] == dict.fromkeys(ROLES, "HoldPolicy")
    assert set(hold["metrics"]) == set(report["units"])
    assert hold["metrics"]["survived"]["low"] <= hold["metrics"]["survived"]["mean"]
    assert len(hold["per_rollout"]["mpjpe"]) == 10
    assert [file.name for file in path.parent.iterdir()] == ["result.json"]


def test_table_has_a_row_per_pair(result: Evaluation) -> None:
    """Mean and interval in readable units."""
    table = result.table()
    assert [row[0] for row in table] == ["policy", "random", "hold"]
    assert {len(row) for row in table} == {len(table[0])}
    assert re.fullmatch(r"\d+ \(\d+ to \d+\)", table[2][1])


def make_policy(**changes: Any) -> Policy:
    """A policy of the right size that always asks for the T-pose."""
    interface = policy_interface(layout=make_vec().layout, body=BODY, actuation="so3")
    size = max(stop for _, stop in interface["observation_layout"].values())
    settings = {"activation": "tanh", "hidden": [], "normalizer": {"epsilon": 1e-5, "clip": 5.0}, "provenance": {}}
    sizes = {"observation_size": size, "action_size": ACTIONS}
    header = {"format": "assistmimic-policy", "version": 1, "role": "supporter"}
    card = PolicyCard.from_json({**header, **interface, **settings, **sizes, **changes})
    tensors = {name: np.zeros(shape, np.float32) for name, shape in card.tensor_shapes().items()}
    return Policy(card=card, tensors=tensors, source=f"{card.role} of a test")


def test_exported_policies_are_evaluated() -> None:
    """Zero weights are the T-pose."""
    pair = {role: make_policy(role=role) for role in ROLES}
    result = compare(make_vec(), {"exported": pair, "hold": holding()}, rollouts=2, threads=1)
    np.testing.assert_array_equal(result.logs["exported"].com, result.logs["hold"].com)
    assert result.actors["exported"]["recipient"] == "recipient of a test"


def test_single_person_policies_play_both_roles() -> None:
    """A policy that knows only the first blocks of the observation is widened; it is not told of the partner."""
    interface = policy_interface(layout=make_vec().layout, body=BODY, actuation="so3")
    known = {name: ends for name, ends in interface["observation_layout"].items() if ends[1] <= 934}
    tracker = make_policy(role="any", observation_layout=known, observation_size=934)
    result = compare(make_vec(), {"tracker": dict.fromkeys(ROLES, tracker), "hold": holding()}, rollouts=2, threads=1)
    np.testing.assert_array_equal(result.logs["tracker"].com, result.logs["hold"].com)


def test_another_layout_is_named_with_its_version() -> None:
    """Of the policy and of the environment: by number where only the meaning changed, by block where sizes did."""
    other = {role: make_policy(role=role, layout_version=LAYOUT_VERSION + 1) for role in ROLES}
    words = f"layout_version is {LAYOUT_VERSION + 1} in the policy, {LAYOUT_VERSION} in the environment"
    with pytest.raises(PolicyError, match=words):
        evaluate(make_vec(), other, rollouts=1)
    layout = {"self": (0, 3), "crystal_ball": (3, 9)}
    strange = {role: make_policy(role=role, observation_layout=layout, observation_size=9) for role in ROLES}
    with pytest.raises(PolicyError, match=f"crystal_ball .* layout version is {LAYOUT_VERSION}, the environment's"):
        evaluate(make_vec(), strange, rollouts=1)


def test_pairs_may_have_options_of_their_own() -> None:
    """What a policy observes or how its servos work may differ; the result says so."""
    own = {"expmap": {"actuation": "expmap"}}
    result = compare(make_vec(), {"so3": holding(), "expmap": holding()}, rollouts=2, threads=1, own_options=own)
    assert result.to_json()["policies"]["expmap"]["own_options"] == {"actuation": "expmap"}
    assert result.config["actuation"] == "so3"
    assert not np.array_equal(result.logs["so3"].torque, result.logs["expmap"].torque)


def test_pairs_with_different_tasks_are_not_compared() -> None:
    """A healthy and a weak recipient are two tasks."""
    own = {"b": {"recipient": "needs-help"}}
    with pytest.raises(ConfigError, match="'a' and 'b' cannot be compared: their recipient differs"):
        compare(make_vec(), {"a": holding(), "b": holding()}, rollouts=1, own_options=own)


def test_domain_randomisation_of_the_training_does_not_leak() -> None:
    """A vector environment that randomises is measured without it."""
    vec = make_vec(randomisation={"mass": (2.0, 2.0), "push_interval": 0.1, "observation_noise": 0.1})
    log = evaluate(vec, holding(), rollouts=2, threads=1).logs["policy"]
    plain = evaluate(make_vec(), holding(), rollouts=2, threads=1).logs["policy"]
    np.testing.assert_array_equal(log.com, plain.com)
    np.testing.assert_array_equal(log.mass, plain.mass)


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ({"supporter": HoldPolicy.zero(ACTIONS)}, "pair 'policy' has no policy for the recipient; it has supporter"),
        (
            {role: make_policy(role="recipient") for role in ROLES},
            "role is recipient in the policy, supporter in the env",
        ),
        (
            {role: make_policy(role=role, body="smpl52") for role in ROLES},
            "moves the body 'smpl52', this environment has 'smpl24'",
        ),
    ],
)
def test_policies_that_do_not_fit_are_refused_before_any_rollout(pair: dict[str, Any], words: str) -> None:
    """The message names the pair, the role or the key."""
    with pytest.raises(PolicyError, match=words):
        evaluate(make_vec(), pair, rollouts=1)


@pytest.mark.parametrize("action", [(0.0,) * 5, (float("nan"),) * ACTIONS])
def test_policies_that_return_nonsense_are_named(action: tuple[float, ...]) -> None:
    """Wrong shapes and NaN stop the evaluation instead of becoming a bad score."""
    with pytest.raises(ActionError, match="recipient"):
        evaluate(make_vec(), {**holding(), "recipient": HoldPolicy(action=action)}, rollouts=1)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"rollouts": 0}, "rollouts is 0"),
        ({"num_worlds": 0}, "num_worlds is 0"),
        ({"failure_distance": 0.25}, "failure_distance is 0.25"),
        ({"start_noise": -1.0}, "start_noise is -1.0"),
        ({"actuation": "expmap"}, "options actuation were given beside an environment"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], words: str) -> None:
    """The message names the setting and its value."""
    with pytest.raises(ConfigError, match=words):
        evaluate(make_vec(), holding(), **settings)


def test_no_pairs_is_an_error() -> None:
    """An empty comparison has no result."""
    with pytest.raises(ConfigError, match="at least one pair"):
        compare(make_vec(), {})


def test_recordings_end_with_the_rollout(result: Evaluation) -> None:
    """As many as asked for, first frame included, until the failure or the end; they agree with the log."""
    for name, recordings in result.recordings.items():
        assert len(recordings) == 2
        for index, recording in enumerate(recordings):
            log = result.logs[name]
            count = log.frames(0.5)[index]
            assert len(recording.position) == count + 1
            error = metrics.body_error(recording.position, recording.ref_position).mean(axis=-1)
            np.testing.assert_allclose(error[1:], log.errors["mpjpe"][index, :count], rtol=1e-12)


def test_recorded_rollout_is_the_evaluated_one(result: Evaluation) -> None:
    """`record` with the seed of a rollout repeats it."""
    recording = record(make_vec(), holding(), seed=8, threads=1)
    np.testing.assert_array_equal(recording.position, result.recordings["hold"][1].position)


def test_frames_draw_the_whole_recording(result: Evaluation) -> None:
    """One picture per pose, of the size asked for; pictures change while people move."""
    full = result.recordings["random"][0]
    arrays = (item.name for item in fields(Recording) if item.name != "setting")
    short = replace(full, **{name: getattr(full, name)[:4] for name in arrays})
    try:
        pictures = list(frames(short, width=160, height=90))
    except MissingDependencyError as error:
        pytest.skip(str(error))
    assert [picture.shape for picture in pictures] == [(90, 160, 3)] * 4
    assert (pictures[0] != pictures[3]).any()

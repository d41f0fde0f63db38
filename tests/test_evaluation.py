"""Rollouts on fixed seeds: what is logged, compared, saved and drawn."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import assistmimic_env
from assistmimic_env import evaluation, metrics, rotations
from assistmimic_env.body import get_body
from assistmimic_env.clip import ROLES, PairClip
from assistmimic_env.config import CONTROL_DT, EnvConfig
from assistmimic_env.errors import ActionError, ConfigError, MissingDependencyError, PolicyError
from assistmimic_env.evaluation import Evaluation, Recording, RolloutLog, compare, evaluate, frames, record
from assistmimic_env.policy import HoldPolicy, Policy, PolicyCard, RandomPolicy, policy_interface
from assistmimic_env.registry import resolve_clips
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
    return VectorEnv([make_clip()], 1, config=EnvConfig(**options), threads=1, name="Test/Stand-v0")


def holding() -> dict[str, Any]:
    """Policies that ask for the T-pose."""
    return {role: HoldPolicy.zero(ACTIONS) for role in ROLES}


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
    assert {estimate.n for estimate in holding.values()} == {10}


def test_logs_end_at_the_failure(result: Evaluation) -> None:
    """Nothing is measured after an agent's mean error passed the failure distance."""
    log = result.logs["random"]
    frames_judged = log.frames(result.failure_distance)
    assert (frames_judged < log.length).all()
    for rollout, count in enumerate(frames_judged):
        assert np.isfinite(log.tracking_error[rollout, :count]).all()
        assert log.tracking_error[rollout, count - 1].max() > 0.5 >= log.tracking_error[rollout, : count - 1].max()
        for array in (log.tracking_error, log.body_error, log.height_error, log.contact_force, log.support_force):
            assert np.isnan(array[rollout, count:]).all()


def test_common_horizon_is_that_of_the_shortest(result: Evaluation) -> None:
    """Over the common horizon the pair that survives is judged on the other's frames."""
    horizon = result.logs["random"].frames(0.5)
    expected = [log[:count].mean() for log, count in zip(result.logs["hold"].body_error, horizon, strict=True)]
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
    np.testing.assert_array_equal(single.logs["policy"].body_error, result.logs["hold"].body_error[:3])


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
    assert np.isnan(log.body_error[1, 11:]).all()
    assert result.summary["policy"]["survived"].mean == 1.0


def make_log(**changes: Any) -> RolloutLog:
    """Two perfect rollouts of 30 frames."""
    log = RolloutLog(
        seed=np.arange(2),
        clip=np.zeros(2, np.intp),
        length=np.full(2, 30),
        tracking_error=np.zeros((2, 30, 2)),
        body_error=np.zeros((2, 30, 2)),
        height_error=np.zeros((2, 30)),
        contact_force=np.zeros((2, 30, 2)),
        support_force=np.zeros((2, 30, 1)),
        physics_error=np.zeros(2, np.bool_),
    )
    return replace(log, **changes)


def test_shift_by_d_reports_d_per_role() -> None:
    """Roles are reported apart and together."""
    error = np.zeros((2, 30, 2))
    error[..., 0], error[..., 1] = 0.1, 0.3
    values = make_log(body_error=error).per_rollout(failure_distance=0.5, horizon=np.full(2, 30))
    np.testing.assert_allclose(values["mpjpe_supporter"], 0.1)
    np.testing.assert_allclose(values["mpjpe_recipient"], 0.3)
    np.testing.assert_allclose(values["mpjpe"], 0.2)


def test_divergence_is_never_a_success() -> None:
    """A world that exploded in its last frame measured nothing there, and fails."""
    error = np.zeros((2, 30, 2))
    error[1, 29] = np.nan
    log = make_log(tracking_error=error, physics_error=np.array([False, True]))
    values = log.per_rollout(failure_distance=0.5, horizon=np.full(2, 30))
    np.testing.assert_array_equal(values["success_50"], [True, False])
    np.testing.assert_array_equal(values["task_success"], [True, False])


def test_every_reported_quantity_has_a_unit() -> None:
    """Nothing is reported that is not documented, nothing is documented that is not reported."""
    assert set(make_log().per_rollout(failure_distance=0.5, horizon=np.full(2, 30))) == set(evaluation.UNITS)


def test_support_force_is_the_weight_that_is_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Partner forces are summed over bodies: as magnitudes per role, and upwards on the recipient."""
    vec = make_vec()
    step = type(vec.simulation).step

    def pushed(self: Any, action: Any) -> Any:
        force = np.zeros((self.num_worlds, 2, BODY.num_bodies, 3))
        force[:, 1, :2] = [0.0, 30.0, 40.0]
        force[:, 0, 5] = [0.0, -60.0, -80.0]
        return replace(step(self, action), contact_force=force)

    monkeypatch.setattr(type(vec.simulation), "step", pushed)
    summary = evaluate(vec, holding(), rollouts=1, threads=1).summary["policy"]
    assert summary["contact_force_supporter"].mean == pytest.approx(100.0)
    assert summary["contact_force_recipient"].mean == pytest.approx(100.0)
    assert summary["support_force"].mean == pytest.approx(80.0)


@pytest.mark.parametrize("env", [spec.id for spec in assistmimic_env.list_envs()])
def test_recipient_who_stays_at_the_start_never_succeeds(env: str) -> None:
    """On every clip of every task, also held-out ones: a perfect supporter and a recipient who never moves."""
    indices = BODY.indices(metrics.RESET_BODIES)
    for clip in resolve_clips(env) + resolve_clips(env, assistmimic_env.spec(env).held_out):
        position = clip.position.copy()
        position[:, 1] = position[0, 1]
        error = metrics.tracking_error(position, clip.position, indices)
        heights = BODY.indices(metrics.HEIGHT_BODIES)
        height = metrics.height_error(position[:, 1], clip.position[:, 1], heights)
        assert not metrics.task_success(error, height, len(error), control_dt=1 / clip.fps), clip.name


@pytest.mark.parametrize("env", [spec.id for spec in assistmimic_env.list_envs()])
def test_environments_are_evaluated_by_id(env: str) -> None:
    """The id and its options are enough; holding the first pose helps nobody up."""
    clip = resolve_clips(env)[0]
    result = evaluate(env, holding(), rollouts=2, clips=[clip], actuation="expmap", threads=1)
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
    np.testing.assert_array_equal(result.logs["exported"].body_error, result.logs["hold"].body_error)
    assert result.actors["exported"]["recipient"] == "recipient of a test"


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
            "body is smpl52 in the policy, smpl24 in the",
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
            np.testing.assert_allclose(error[1:], log.body_error[index, :count], rtol=1e-12)


def test_recorded_rollout_is_the_evaluated_one(result: Evaluation) -> None:
    """`record` with the seed of a rollout repeats it."""
    recording = record(make_vec(), holding(), seed=8, threads=1)
    np.testing.assert_array_equal(recording.position, result.recordings["hold"][1].position)


def test_frames_draw_the_whole_recording(result: Evaluation) -> None:
    """One picture per pose, of the size asked for; pictures change while people move."""
    full = result.recordings["random"][0]
    poses = {key: getattr(full, key)[:4] for key in ("position", "rotation", "ref_position", "ref_rotation")}
    try:
        pictures = list(frames(Recording(setting=full.setting, **poses), width=160, height=90))
    except MissingDependencyError as error:
        pytest.skip(str(error))
    assert [picture.shape for picture in pictures] == [(90, 160, 3)] * 4
    assert (pictures[0] != pictures[3]).any()

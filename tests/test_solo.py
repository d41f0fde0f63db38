"""Single people: worlds without touch, the view of them that a tracker is trained in, and its evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from toys import make_vec, pose_action, reaching_clip, standing_clip

from assistmimic_env.errors import PolicyError
from assistmimic_env.metrics import Estimate
from assistmimic_env.policy import HoldPolicy, Policy, policy_interface
from assistmimic_env.registry import list_envs
from assistmimic_env.solo_evaluation import evaluate_alone, held_out_clips, mean_of, training_clips

INFINITE = float("inf")


def test_people_alone_pass_through_each_other() -> None:
    """The same reaching arms that push in a world of two exert no force in one of people alone."""
    force = {}
    for solo in (False, True):
        vec = make_vec(1, clips=reaching_clip(gap=0.35), solo=solo, termination_distance=INFINITE)
        vec.reset(seed=0, options={"frame": 0})
        info = {}
        for _ in range(10):
            *_, info = vec.step({role: pose_action(vec.simulation)[:, i] for i, role in enumerate(vec.agents)})
        force[solo] = float(np.abs(info["contact_force"]).max())
    assert force[False] > 20.0
    assert force[True] == 0.0


def test_one_alone_does_not_notice_the_other() -> None:
    """The recipient moves the same whatever the supporter does, up to the tolerance of the solver that they share."""
    results = []
    for shift in (0.0, 0.3):
        vec = make_vec(1, solo=True, termination_distance=INFINITE)
        vec.reset(seed=0, options={"frame": 0})
        for _ in range(20):
            action = pose_action(vec.simulation)
            action[:, 0] += shift
            vec.step({role: action[:, i] for i, role in enumerate(vec.agents)})
        results.append(vec.simulation.worlds.generalised_state()[0][0])
    assert np.abs(results[0][0] - results[1][0]).max() > 0.1
    np.testing.assert_allclose(results[0][1], results[1][1], atol=1e-4)


@pytest.mark.parametrize(("judged", "fails"), [("both", True), ("recipient", False), ("supporter", True)])
def test_only_those_who_are_judged_can_fail(judged: str, fails: bool) -> None:
    """A supporter who collapses fails an episode unless only the recipient is judged, who then even succeeds."""
    clip = standing_clip(70)
    simulation = make_vec(1, clips=clip, solo=True, judged=judged, start="first").simulation
    simulation.auto_reset = False
    simulation.reset(np.array([0]))
    transition = None
    while transition is None or not (transition.terminated[0] or transition.truncated[0]):
        action = pose_action(simulation)
        action[:, 0] = 0.5 * np.sign(action[:, 0] + 1e-3)
        transition = simulation.step(action)
    assert transition.terminated[0] == fails
    assert transition.episodes.task_success[0] == (not fails)
    assert float(transition.tracking.body_error[0, 0].mean()) > 0.25


def test_nobody_holds_alone() -> None:
    import assistmimic_env

    vec = assistmimic_env.make_vec("AssistMimic/PullUp-v0", num_envs=1, solo=True)
    assert vec.simulation.worlds.num_holds == 0


def test_some_worlds_can_be_reset_while_the_others_go_on() -> None:
    vec = make_vec(3)
    vec.reset(seed=0)
    for _ in range(3):
        vec.step({role: pose_action(vec.simulation)[:, i] for i, role in enumerate(vec.agents)})
    before, frame = vec.simulation.observation.copy(), vec.simulation.frame.copy()
    observation = vec.reset_worlds([1], frame=np.array([40]))
    assert vec.simulation.frame.tolist() == [frame[0], 40, frame[2]]
    for index, role in enumerate(vec.agents):
        np.testing.assert_array_equal(observation[role][[0, 2]], before[[0, 2], index])
        assert not np.array_equal(observation[role][1], before[1, index])


def test_bundled_clips_are_split_without_overlap() -> None:
    train, test = set(training_clips()), set(held_out_clips())
    assert not train & test
    assert "pull_up" in train
    assert train >= {clip for spec in list_envs() for clip in spec.clips}
    assert "sit_to_stand/test_00" in test


def test_evaluation_tells_people_apart() -> None:
    """Held in the T-pose, the standing supporter of a sit-to-stand outlasts a recipient on a seat, or the reverse."""
    results = evaluate_alone(HoldPolicy.zero(69), clips=["sit_to_stand/train_00"], rollouts=2, threads=1)
    assert [result.role for result in results] == ["supporter", "recipient"]
    for result in results:
        assert 0.0 < result.metrics["survived"].mean < 1.0
        assert result.metrics["task_success"].mean == 0.0
        assert result.metrics["mpjpe"].mean > 0.1
    assert results[0].metrics["mpjpe"].mean != results[1].metrics["mpjpe"].mean
    assert mean_of(results, "survived") == pytest.approx(np.mean([r.metrics["survived"].mean for r in results]))
    assert isinstance(results[0].to_json()["mpjpe"], dict)
    assert isinstance(results[0].metrics["mpjpe"], Estimate)


def test_evaluation_repeats_bit_for_bit() -> None:
    first, again = (
        evaluate_alone(HoldPolicy.zero(69), clips=["pull_up"], rollouts=2, threads=threads) for threads in (1, 2)
    )
    assert first == again


def test_a_policy_for_other_servos_is_refused() -> None:
    from test_policy_expansion import make_policy

    policy = make_policy()
    assert isinstance(policy, Policy)
    with pytest.raises(PolicyError, match="own"):
        evaluate_alone(policy, clips=["pull_up"], rollouts=1, threads=1)


torch = pytest.importorskip("torch")
pytest.importorskip("ray")

from assistmimic_trainers.solo import TRACKER, SoloEnv, SoloVectorEnv, tracker_interface  # noqa: E402


def make_people(worlds: int = 2, **options: object) -> SoloVectorEnv:
    return SoloVectorEnv(make_vec(worlds, solo=True, **options))


def test_a_person_sees_the_first_two_groups_of_the_pair_observation() -> None:
    people = make_people()
    observation, _ = people.reset(seed=3)
    whole = people.simulation.observation
    end = people.simulation.layout["partner"].start
    assert people.num_envs == 4
    assert observation[TRACKER].shape == (4, end) == (4, people.observation_spaces[TRACKER].shape[0])
    np.testing.assert_array_equal(observation[TRACKER], whole[..., :end].reshape(4, end))


def test_the_one_who_did_not_fail_is_cut_not_failed() -> None:
    people = make_people(1, termination_distance=0.25)
    people.reset(seed=0)
    terminated = truncated = np.zeros(2, np.bool_)
    info: dict[str, Any] = {}
    while not terminated.any():  # the supporter throws itself to the floor
        action = pose_action(people.simulation)
        action[:, 0] = 0.9
        *_, terminated, truncated, info = people.step({TRACKER: action.reshape(2, -1).astype(np.float32)})
    assert terminated.tolist() == [True, False]
    assert truncated.tolist() == [False, True]
    assert info["done"].tolist() == [True, True]
    assert (
        info["final_observation"][TRACKER].shape
        == people.reset_worlds(np.array([0, 1]), clip=np.array([0, 0]), frame=np.array([5, 9]))[TRACKER].shape
    )
    assert people.simulation.frame.tolist() == [5]
    assert info["episode"][f"return_{TRACKER}"].shape == (2,)


def test_the_end_of_the_clip_cuts_both() -> None:
    people = make_people(1, clips=standing_clip(12))
    people.reset(seed=0)
    ended = False
    for _ in range(12):
        *_, terminated, truncated, _ = people.step({TRACKER: pose_action(people.simulation).reshape(2, -1)})
        ended = ended or bool(truncated.all())
        assert not terminated.any()
    assert ended


def test_an_odd_number_of_people_gets_one_more() -> None:
    vec = SoloEnv.make_vec("AssistMimic/SitToStand-v0", {"clips": standing_clip()}, num_envs=3, threads=1)
    assert vec.num_envs == 4
    assert vec.simulation.config.solo


def test_the_tracker_card_has_the_single_person_blocks_only() -> None:
    simulation = make_people().simulation
    blocks = tracker_interface(simulation)["observation_layout"]
    whole = policy_interface(layout=simulation.layout, body=simulation.body, actuation="so3")["observation_layout"]
    assert list(blocks) == list(whole)[: len(blocks)]
    assert max(stop for _, stop in blocks.values()) == 934

"""The PPO configuration, module, learner and checkpoints, on a small real task: two agents that track a point."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
from rich.console import Console

from assistmimic_env.errors import CheckpointError, ConfigError, PolicyError, UnknownOptionError
from assistmimic_env.policy import Policy, load_pair

torch = pytest.importorskip("torch")
ray = pytest.importorskip("ray")

from assistmimic_trainers.adapter import ROLES, PairEnv, world_seed  # noqa: E402
from assistmimic_trainers.cast import PAIR  # noqa: E402
from assistmimic_trainers.checkpoint import POINTER, CheckpointStore  # noqa: E402
from assistmimic_trainers.cluster import ray_session  # noqa: E402
from assistmimic_trainers.export import export_module, export_policies, policy_tensors  # noqa: E402
from assistmimic_trainers.learner import (  # noqa: E402
    LearnerOptions,
    adapted_rate,
    clipped_value_loss,
    excess,
)
from assistmimic_trainers.module import ModuleConfig, PolicyModule  # noqa: E402
from assistmimic_trainers.ppo import assistmimic_ppo, ppo_options  # noqa: E402
from assistmimic_trainers.progress import read_records  # noqa: E402
from assistmimic_trainers.training import Budget, lost_work, resume, train  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray warns about its own deprecations

SIZE, ACTIONS, LENGTH = 5, 2, 12
INTERFACE = {
    "observation_layout": {"error": (0, 2), "own": (2, 4), "partner": (4, 5)},
    "actuation": {"law": "so3"},
    "body": "smpl24",
    "control_dt": 1 / 30,
}


class PointPair:
    """Two points that move by their action and are paid for being close to a target; PettingZoo's parallel API."""

    possible_agents: ClassVar = list(ROLES)

    def __init__(self, *, limit: float = 2.0) -> None:
        self.limit = limit
        self.random = np.random.default_rng()
        self.spaces = (
            gymnasium.spaces.Box(-np.inf, np.inf, (SIZE,), np.float32),
            gymnasium.spaces.Box(-1.0, 1.0, (ACTIONS,), np.float32),
        )

    def observation_space(self, agent: str) -> gymnasium.Space:
        return self.spaces[0]

    def action_space(self, agent: str) -> gymnasium.Space:
        return self.spaces[1]

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        if seed is not None:
            self.random = np.random.default_rng(seed)
        self.time = 0
        self.position = {role: self.random.normal(size=ACTIONS) * 0.5 for role in ROLES}
        return self._observe(), {role: {} for role in ROLES}

    def step(self, actions: dict[str, np.ndarray]) -> tuple[Any, ...]:
        assert list(actions) == list(ROLES)
        assert all(np.all(np.abs(action) <= 1.0) for action in actions.values())
        self.time += 1
        for role in ROLES:
            self.position[role] = self.position[role] + 0.5 * actions[role]
        distance = {role: float(np.linalg.norm(self.position[role])) for role in ROLES}
        failed, ended = max(distance.values()) > self.limit, self.time >= LENGTH
        episode = {"fraction": self.time / LENGTH, "mpjpe": max(distance.values()), "success_50": not failed}
        infos = {role: {"episode": episode} if failed or ended else {"noise": 1.0} for role in ROLES}
        return (
            self._observe(),
            {role: math.exp(-(distance[role] ** 2) * 4) for role in ROLES},
            {"supporter": failed, "recipient": False},
            dict.fromkeys(ROLES, ended),
            infos,
        )

    def _observe(self) -> dict[str, np.ndarray]:
        partner = {"supporter": "recipient", "recipient": "supporter"}
        return {
            role: np.array(
                [*self.position[role], *(100 + 10 * self.position[role]), self.position[partner[role]][0]], np.float32
            )
            for role in ROLES
        }

    def render(self) -> None:
        return None

    def close(self) -> None:
        return None


class PointPairEnv(PairEnv):
    """The adapter around the toy."""

    @staticmethod
    def make_env(env_id: str, options: dict[str, Any]) -> Any:
        return PointPair(**options)


def make_config(**overrides: Any) -> Any:
    """A small configuration that learns in this process."""
    chosen: dict[str, Any] = {
        "num_env_runners": 0,
        "num_envs_per_env_runner": 4,
        "rollout_fragment_length": 32,
        "minibatch_size": 64,
        "num_epochs": 4,
        "learning_rate": 1e-3,
        "gamma": 0.9,
        "module": ModuleConfig(hidden=(32, 16), critic_hidden=(32, 16), log_std=-1.0),
        "learner": LearnerOptions(kl_target=0.02, critic_learning_rate=3e-3),
        "env_class": PointPairEnv,
        "sampler": "stock",  # the toy has no vector environment; test_trainers_fast.py covers the batched sampler
        "focus": 0.0,
    }
    return assistmimic_ppo("toy", **{**chosen, **overrides})


def make_module(**overrides: Any) -> PolicyModule:
    """A stand-alone module with statistics that are not trivial."""
    env = PointPair()
    config = ModuleConfig(**{"hidden": (32, 16), "critic_hidden": (8,), **overrides})
    torch.manual_seed(0)
    module = PolicyModule(
        observation_space=env.observation_space("supporter"),
        action_space=env.action_space("supporter"),
        model_config=config.to_dict(),
    )
    return module


@pytest.fixture(scope="module")
def session() -> Iterator[None]:
    """Ray on this machine."""
    with ray_session(num_cpus=2, learner_threads=1):
        yield


def learner_module(algorithm: Any, role: str) -> PolicyModule:
    return algorithm.learner_group._learner.module[role]


def test_agents_keep_their_order_and_end_together() -> None:
    """One agent that terminates while the other truncates ends the episode once, as a termination."""
    env = PointPairEnv({"id": "toy", "limit": 0.0})
    observations, infos = env.reset(seed=1)
    assert list(observations) == list(ROLES) == env.possible_agents
    assert infos == {role: {} for role in ROLES}
    _, rewards, terminated, truncated, infos = env.step({role: np.ones(ACTIONS, np.float32) for role in ROLES})
    assert terminated == {"supporter": True, "recipient": True, "__all__": True}
    assert truncated == {"supporter": False, "recipient": False, "__all__": False}
    assert set(infos["recipient"]) == {"episode"}
    assert all(type(reward) is float for reward in rewards.values())


def test_actions_outside_the_box_are_clipped_for_the_environment_only() -> None:
    env = PointPairEnv({"id": "toy"})
    env.reset(seed=1)
    actions = {role: np.full(ACTIONS, 7.0, np.float32) for role in ROLES}
    env.step(actions)  # the toy asserts the bounds
    assert np.all(actions["supporter"] == 7.0)


def test_worlds_of_different_runners_get_different_seeds() -> None:
    """RLlib numbers the seeds `s + runner + world`; two runners must not repeat each other's worlds."""
    seeds = {world_seed(3 + runner + world, runner) for runner in range(4) for world in range(16)}
    assert len(seeds) == 64
    assert world_seed(None, 1) is None


def test_runner_copies_have_no_critic(session: None) -> None:
    algorithm = make_config().build_algo()
    try:
        runner = algorithm.env_runner.module["supporter"]
        assert not hasattr(runner, "critic")
        assert not hasattr(runner, "average")
        assert hasattr(learner_module(algorithm, "supporter"), "critic")
    finally:
        algorithm.stop()


def test_training_updates_weights_and_normalizers_and_reports_episodes(session: None) -> None:
    algorithm = make_config().build_algo()
    try:
        before = learner_module(algorithm, "recipient").actor[0].get_parameter("weight").detach().clone()
        frozen = learner_module(algorithm, "recipient").log_std.detach().clone()
        result = algorithm.train()
        module = learner_module(algorithm, "recipient")
        assert not torch.equal(before, module.actor[0].weight)
        assert torch.equal(frozen, module.log_std)
        steps = result["env_runners"]["num_env_steps_sampled_lifetime"]
        assert 4 * 32 <= steps < 4 * 33  # the runner goes on until the last world is there
        assert float(module.normalizer.count[0]) == steps
        assert module.normalizer.mean[2] == pytest.approx(100.0, abs=5.0)
        runner = algorithm.env_runner.module["recipient"]
        assert torch.equal(runner.normalizer.mean, module.normalizer.mean)
        assert 0.0 < result["env_runners"]["task"]["fraction"] <= 1.0
        assert result["learners"]["recipient"]["skipped_updates"] == 0
    finally:
        algorithm.stop()


def test_values_are_learned_in_units_of_the_return(session: None) -> None:
    """The value normaliser is filled before the first gradient step, so the critic never sees raw returns."""
    algorithm = make_config().build_algo()
    try:
        result = [algorithm.train() for _ in range(3)][-1]
        module = learner_module(algorithm, "supporter")
        assert float(module.value_normalizer.count[0]) == result["env_runners"]["num_env_steps_sampled_lifetime"]
        assert result["learners"]["supporter"]["vf_loss"] < 2.0
    finally:
        algorithm.stop()


def test_a_gradient_that_is_not_finite_changes_nothing(session: None) -> None:
    algorithm = make_config(num_epochs=1).build_algo()
    try:
        learner = algorithm.learner_group._learner
        module = learner.module["supporter"]
        parameters = list(module.actor.parameters())
        for parameter in [*parameters, *module.critic.parameters()]:
            parameter.grad = torch.full_like(parameter, float("nan"))
        gradients = {parameter: parameter.grad for parameter in [*parameters, *module.critic.parameters()]}
        kept = learner.postprocess_gradients_for_module(
            module_id="supporter", config=learner.config, module_gradients_dict=gradients
        )
        assert kept == {}
        assert all(parameter.grad is None for parameter in parameters)
    finally:
        algorithm.stop()


def test_checkpoint_restores_weights_optimizer_normalizers_and_counters(session: None, tmp_path: Path) -> None:
    algorithm = make_config().build_algo()
    store = CheckpointStore(folder=tmp_path, keep=2)
    try:
        for _ in range(3):
            algorithm.train()
            store.save(algorithm)
        state = learner_module(algorithm, "supporter").state_dict()
        rate = algorithm.learner_group._learner.get_optimizer("supporter", "actor").param_groups[0]["lr"]
    finally:
        algorithm.stop()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["iteration_000002", "iteration_000003", POINTER]
    restored = store.load()
    try:
        for name, tensor in learner_module(restored, "supporter").state_dict().items():
            assert torch.equal(tensor, state[name]), name
        optimizer = restored.learner_group._learner.get_optimizer("supporter", "actor")
        assert optimizer.param_groups[0]["lr"] == pytest.approx(rate)
        assert all(float(entry["step"]) > 0 for entry in optimizer.state.values())
        assert restored.iteration == 3
        result = restored.train()
        assert result["env_runners"]["num_env_steps_sampled_lifetime"] >= 4 * 4 * 32
    finally:
        restored.stop()


def test_training_ends_at_its_budget_and_resumes(session: None, tmp_path: Path) -> None:
    console = Console(file=io.StringIO())
    algorithm = make_config().build_algo()
    try:
        assert train(algorithm, tmp_path, budget=Budget(steps=200), console=console)
    finally:
        algorithm.stop()
    restored = resume(tmp_path)
    try:
        assert lost_work(tmp_path, restored) == (0, 0.0)
        assert train(restored, tmp_path, budget=Budget(steps=300), console=console)
    finally:
        restored.stop()
    records = read_records(tmp_path / "progress.jsonl")
    assert [record["iteration"] for record in records] == [1, 2, 3]
    assert records[1]["steps"] < 300 <= records[2]["steps"]
    assert records[-1]["seconds"] > records[0]["seconds"]
    assert list((tmp_path / "tensorboard").iterdir())


def test_resume_without_a_checkpoint_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such run"):
        resume(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        resume(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / POINTER).write_text("../../etc\n")
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        resume(tmp_path)


def test_exported_policy_equals_the_module(tmp_path: Path) -> None:
    module = make_module(activation="elu")
    rows = 100 + 30 * torch.randn(64, SIZE)
    from assistmimic_trainers.normalizer import Moments

    module.normalizer.update(Moments.of(rows))
    with torch.no_grad():
        for layer in module.actor:
            layer.get_parameter("weight").mul_(3.0)
    export_module(module, tmp_path / "supporter", role="supporter", interface=INTERFACE, provenance={})
    expected = module.forward_inference({"obs": rows})["action_dist_inputs"][:, :ACTIONS]
    actual = Policy.load(tmp_path / "supporter").act(rows.numpy())
    np.testing.assert_allclose(actual, expected.numpy(), atol=1e-5)


def test_averaged_export_is_the_mean_of_the_actors(tmp_path: Path) -> None:
    module = make_module()
    before = module.actor.layers[0].weight.detach().clone()
    with torch.no_grad():
        module.actor.layers[0].weight.add_(1.0)
    module.update_average(0.75)
    now, averaged = (policy_tensors(module, averaged=choice)["actor.0.weight"] for choice in (False, True))
    np.testing.assert_allclose(now, before + 1.0, atol=1e-6)
    np.testing.assert_allclose(averaged, before + 0.25, atol=1e-6)


def test_module_starts_from_an_exported_policy(tmp_path: Path) -> None:
    source = make_module()
    source.normalizer.mean.fill_(3.0)
    source.normalizer.count.fill_(1000.0)
    modules = dict.fromkeys(ROLES, source)
    folder = export_policies(modules, tmp_path, cast=PAIR, interface=INTERFACE, provenance={"note": "test"})
    assert load_pair(folder)["recipient"].role == "recipient"
    copy = make_module(init_from=str(tmp_path / "recipient"), log_std=-2.0)
    assert torch.equal(copy.actor[1].weight, source.actor[1].weight)
    assert torch.equal(copy.normalizer.mean, source.normalizer.mean)
    assert float(copy.normalizer.count[0]) == 1000.0
    assert float(copy.log_std[0]) == -2.0


def test_a_policy_of_another_shape_is_refused_by_name(tmp_path: Path) -> None:
    export_module(make_module(), tmp_path / "supporter", role="supporter", interface=INTERFACE, provenance={})
    with pytest.raises(PolicyError, match=r"hidden is \(32, 16\), expected \(64,\)"):
        make_module(hidden=(64,), init_from=str(tmp_path / "supporter"))


@pytest.mark.parametrize(("divergence", "factor"), [(0.2, 1 / 1.5), (0.06, 1.0), (0.01, 1.5), (float("nan"), 1 / 1.5)])
def test_learning_rate_follows_the_divergence(divergence: float, factor: float) -> None:
    assert adapted_rate(1e-4, divergence, LearnerOptions(kl_target=0.06)) == pytest.approx(1e-4 * factor)


def test_learning_rate_stays_in_its_bounds() -> None:
    options = LearnerOptions(learning_rate_bounds=(1e-5, 1e-3))
    assert adapted_rate(1e-5, 1.0, options) == 1e-5
    assert adapted_rate(1e-3, 0.0, options) == 1e-3


def test_value_loss_is_pessimistic_outside_the_band() -> None:
    values, old, targets = torch.tensor([1.0]), torch.tensor([0.0]), torch.tensor([1.0])
    assert clipped_value_loss(values, old, targets, None) == 0.0
    assert clipped_value_loss(values, old, targets, 0.2) == pytest.approx(0.64)


def test_only_the_part_of_a_mean_outside_the_box_is_penalised() -> None:
    assert excess(torch.tensor([[0.9, -1.0]])) == 0.0
    assert excess(torch.tensor([[1.5, -2.0]])) == pytest.approx(1.25)


def test_configuration_sets_every_hurtful_default() -> None:
    config = make_config()
    assert (config.use_kl_loss, config.vf_clip_param, config.normalize_actions) == (False, math.inf, False)
    assert (config.lambda_, config.clip_param, config.num_epochs, config.minibatch_size) == (0.95, 0.2, 4, 64)
    assert config.torch_skip_nan_gradients
    json.dumps(config.learner_config_dict)


def test_settings_of_ppo_can_be_written_as_words() -> None:
    words = ["curriculum.start=0", "curriculum.whole=true", "gamma=0.9"]
    assert ppo_options(words) == {"curriculum": {"start": 0, "whole": True}, "gamma": 0.9}
    for word, message in (("seed=3", "no option 'seed'"), ("gamma", "not KEY=VALUE"), ("gamma=much", "a number")):
        with pytest.raises((ConfigError, UnknownOptionError), match=message):
            ppo_options([word])


@pytest.mark.slow
def test_both_roles_learn_the_toy(session: None) -> None:
    algorithm = make_config(num_envs_per_env_runner=8, rollout_fragment_length=48, minibatch_size=128).build_algo()
    try:
        first = algorithm.train()["env_runners"]["episode_return_mean"]
        result = [algorithm.train() for _ in range(29)][-1]
    finally:
        algorithm.stop()
    last = result["env_runners"]["episode_return_mean"]
    assert last > 16.0 > first  # of 24 possible

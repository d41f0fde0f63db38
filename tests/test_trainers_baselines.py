"""Baselines: who is frozen stays bit for bit, a residual adds to what it starts from, stages follow each other."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from toys import TOY_ID, make_vec, standing_clip

from assistmimic_env.errors import ConfigError
from assistmimic_env.policy import Policy, load_pair
from assistmimic_env.policy_expansion import fitted

torch = pytest.importorskip("torch")
pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore")

from assistmimic_trainers.cast import PAIR, SOLO  # noqa: E402
from assistmimic_trainers.cluster import ray_session  # noqa: E402
from assistmimic_trainers.export import export_policies  # noqa: E402
from assistmimic_trainers.method import Method  # noqa: E402
from assistmimic_trainers.module import ModuleConfig, PolicyModule, blank_module  # noqa: E402
from assistmimic_trainers.normalizer import Moments  # noqa: E402
from assistmimic_trainers.ppo import assistmimic_ppo  # noqa: E402
from assistmimic_trainers.run import ALONE, RunSettings, learner_modules, read_settings, start_run  # noqa: E402
from assistmimic_trainers.solo import TRACKER, single_person_size  # noqa: E402
from assistmimic_trainers.start import Start  # noqa: E402
from assistmimic_trainers.training import Budget  # noqa: E402

NETWORK = ModuleConfig(hidden=(24, 16), critic_hidden=(8,))
COUNT = 5000.0


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A single-person policy with statistics; the stem of its files."""
    simulation = make_vec(1).simulation
    torch.manual_seed(3)
    module = blank_module(single_person_size(simulation), 69, NETWORK.to_dict())
    module.normalizer.update(Moments.of(torch.randn(100, single_person_size(simulation))))
    module.normalizer.count.fill_(COUNT)
    folder = tmp_path_factory.mktemp("prior")
    export_policies({TRACKER: module}, folder, cast=SOLO, interface=SOLO.interface(simulation), provenance={})
    return folder / TRACKER


def make_algorithm(tracker: Path, *, residual: bool = False, **options: Any) -> Any:
    """PPO on a toy clip, from the tracker."""
    start = Start.of(str(tracker), PAIR)
    config = start.module_config(NETWORK, PAIR, make_vec(1).simulation)
    return assistmimic_ppo(
        TOY_ID,
        env_options={"clips": standing_clip(20)},
        num_envs_per_env_runner=2,
        rollout_fragment_length=16,
        num_epochs=2,
        module=ModuleConfig.from_dict({**config.to_dict(), "residual": residual}),
        init_from=start.paths,
        **options,
    ).build_algo()


def trained_states(tracker: Path, *, updates: int = 2, **options: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Role -> state, before and after some updates of `make_algorithm`."""
    with ray_session(num_cpus=1, learner_threads=1):
        algorithm = make_algorithm(tracker, **options)
        try:
            before = {role: module.get_state() for role, module in learner_modules(algorithm).items()}
            for _ in range(updates):
                algorithm.train()
            return before, {role: module.get_state() for role, module in learner_modules(algorithm).items()}
        finally:
            algorithm.stop()


@pytest.mark.parametrize("sampler", ["batched", "stock"])
@pytest.mark.parametrize(("trained", "frozen"), [("supporter", "recipient"), ("recipient", "supporter")])
def test_who_is_not_trained_stays_bit_for_bit(trained: str, frozen: str, sampler: str, tracker: Path) -> None:
    """Weights and statistics; of the other one both move."""
    before, after = trained_states(tracker, trained=(trained,), sampler=sampler)
    for name, array in before[frozen].items():
        np.testing.assert_array_equal(after[frozen][name], array, err_msg=name)
    for name in ("actor.0.weight", "critic.0.weight", "normalizer.mean", "value_normalizer.mean"):
        assert not np.array_equal(after[trained][name], before[trained][name]), name


def residual_module(tracker: Path) -> PolicyModule:
    simulation = make_vec(1).simulation
    config = Start.of(str(tracker), PAIR).module_config(NETWORK, PAIR, simulation)
    values = {**config.to_dict(), "residual": True, "init_from": str(tracker)}
    return blank_module(simulation.layout.size, 69, values)


def observations() -> tuple[Any, np.ndarray]:
    vec = make_vec(3, start_noise=1.0)
    vec.reset(seed=0)
    return vec.simulation, np.ascontiguousarray(vec.simulation.observation[:, 0])


def means(module: PolicyModule, rows: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return module.forward_inference({"obs": torch.from_numpy(rows)})["action_dist_inputs"][..., :69].numpy()


def test_a_residual_starts_as_what_it_adds_to(tracker: Path) -> None:
    simulation, rows = observations()
    expected = fitted(Policy.load(tracker), simulation).act(rows)
    np.testing.assert_allclose(means(residual_module(tracker), rows), expected, atol=1e-6)


def test_what_a_residual_adds_to_does_not_move(tracker: Path) -> None:
    """Neither its weights nor the statistics of its inputs; those of the partner do, and so does the sum."""
    before, after = trained_states(tracker, residual=True)
    partner = make_vec(1).simulation.layout["partner"]
    for role in PAIR.roles:
        fixed = [name for name in before[role] if name.startswith("base.")]
        assert len(fixed) == 6
        for name in fixed:
            np.testing.assert_array_equal(after[role][name], before[role][name])
        for name in ("normalizer.mean", "normalizer.variance"):
            np.testing.assert_array_equal(after[role][name][: partner.start], before[role][name][: partner.start])
            assert not np.array_equal(after[role][name][partner], before[role][name][partner])
        assert not before[role]["actor.2.weight"].any()
        assert after[role]["actor.2.weight"].any()
        assert after[role]["average.2.weight"].any()


def test_an_exported_residual_acts_the_same_in_numpy(tracker: Path, tmp_path: Path) -> None:
    module = residual_module(tracker)
    with torch.no_grad():
        for parameter in module.actor.parameters():
            parameter.normal_(std=0.1)
    simulation, rows = observations()
    pair = dict.fromkeys(PAIR.roles, module)
    folder = export_policies(pair, tmp_path, cast=PAIR, interface=PAIR.interface(simulation), provenance={})
    policy = load_pair(folder)["supporter"]
    assert policy.card.mixture is not None
    added = np.abs(means(module, rows) - fitted(Policy.load(tracker), simulation).act(rows))
    assert added.max() > 0.1
    np.testing.assert_allclose(policy.act(rows), means(module, rows), atol=1e-5)
    fitted(policy, simulation)


def test_nothing_can_be_added_to_random_weights(tmp_path: Path) -> None:
    settings = RunSettings(env_id=TOY_ID, init_from="random", residual=True)
    with pytest.raises(ConfigError, match="random weights are no policy to add to"):
        start_run(settings, tmp_path / "run", budget=Budget(steps=1), console=Console(file=io.StringIO()))


def run_method(word: str, folder: Path, *, steps: int = 256) -> RunSettings:
    """Train a little as a method says."""
    ppo = {"num_envs_per_env_runner": 4, "rollout_fragment_length": 16}
    settings = Method.parse(word).settings(TOY_ID, init_from="prior", recipient="needs-help", ppo=ppo)
    result = start_run(settings, folder, budget=Budget(steps=steps), console=Console(file=io.StringIO()))
    assert result.finished
    return settings


def changed(first: Path, second: Path) -> dict[str, bool]:
    """Role -> whether two folders of policies hold different ones."""
    mine, other = load_pair(first), load_pair(second)
    return {
        role: any(not np.array_equal(array, other[role].tensors.get(name)) for name, array in policy.tensors.items())
        for role, policy in mine.items()
    }


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("word", "moved"),
    [
        ("recipient-alone", {"recipient"}),
        ("frozen-partner", {"supporter"}),
        ("kinematic-recipient", {"supporter"}),
        ("residual", {"supporter", "recipient"}),
    ],
)
def test_baselines_train_whom_they_say(word: str, moved: set[str], tmp_path: Path) -> None:
    run_method(word, tmp_path)
    policies = tmp_path / "policies"
    assert {role for role, one in changed(policies / "start", policies / "trained").items() if one} == moved


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_sequential_trains_the_recipient_alone_and_then_the_supporter(tmp_path: Path) -> None:
    run_method("sequential", tmp_path)
    first, second = tmp_path / ALONE / "policies", tmp_path / "policies"
    assert changed(first / "start", first / "trained") == {"supporter": False, "recipient": True}
    assert changed(first / "trained", second / "start") == {"supporter": False, "recipient": False}
    assert changed(second / "start", second / "trained") == {"supporter": True, "recipient": False}
    alone, together = read_settings(tmp_path / ALONE), read_settings(tmp_path)
    assert (alone.trained, together.trained) == (("recipient",), ("supporter",))
    assert alone.env_options["solo"]
    assert "solo" not in together.env_options

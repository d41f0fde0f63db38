"""What training starts from: exactly the tracker, whatever the partner does; one clear error for what does not fit."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import TOY_ID, make_vec, standing_clip

from assistmimic_env.errors import ConfigError, PolicyError
from assistmimic_env.policy import Policy
from assistmimic_env.simulation import PairSimulation

torch = pytest.importorskip("torch")
pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore")

from assistmimic_trainers.cast import PAIR, SOLO  # noqa: E402
from assistmimic_trainers.cluster import ray_session  # noqa: E402
from assistmimic_trainers.export import export_policies  # noqa: E402
from assistmimic_trainers.feedforward import WarmStart  # noqa: E402
from assistmimic_trainers.imitation import Imitation  # noqa: E402
from assistmimic_trainers.module import ModuleConfig, PolicyModule, blank_module  # noqa: E402
from assistmimic_trainers.normalizer import Moments  # noqa: E402
from assistmimic_trainers.ppo import assistmimic_ppo  # noqa: E402
from assistmimic_trainers.regulator import RegulatorConfig  # noqa: E402
from assistmimic_trainers.sampling import SamplingConfig  # noqa: E402
from assistmimic_trainers.solo import TRACKER, single_person_size  # noqa: E402
from assistmimic_trainers.start import Start, StartSettings, ablated  # noqa: E402

NETWORK = ModuleConfig(hidden=(24, 16), critic_hidden=(8,), activation="relu")
COUNT = 5000.0


def make_simulation(num_worlds: int = 3, **options: Any) -> PairSimulation:
    return make_vec(num_worlds, clips=standing_clip(20), start_noise=1.0, **options).simulation


@pytest.fixture(scope="module")
def simulation() -> PairSimulation:
    simulation = make_simulation()
    simulation.reset(np.arange(3))
    return simulation


@pytest.fixture(scope="module")
def tracker(simulation: PairSimulation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A single-person policy with statistics and large weights; the stem of its files."""
    torch.manual_seed(3)
    module = blank_module(single_person_size(simulation), 69, NETWORK.to_dict())
    module.normalizer.update(Moments.of(torch.randn(100, single_person_size(simulation))))
    module.normalizer.count.fill_(COUNT)
    with torch.no_grad():
        module.actor.layers[-1].weight.mul_(300.0)
    folder = tmp_path_factory.mktemp("prior")
    export_policies({TRACKER: module}, folder, cast=SOLO, interface=SOLO.interface(simulation), provenance={})
    return folder / TRACKER


def started(start: Start, simulation: PairSimulation, config: ModuleConfig = NETWORK) -> dict[str, PolicyModule]:
    chosen = start.module_config(config, PAIR, simulation)
    make = partial(make_simulation)
    settings = StartSettings(feedforward=WarmStart(samples=64, epochs=1, batch_size=16))
    return start.modules(chosen, PAIR, make, settings=settings, seed=0, log=lambda _: None)[0]


def means(module: PolicyModule, rows: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return module.forward_inference({"obs": torch.from_numpy(rows)})["action_dist_inputs"][..., :69].numpy()


def test_both_roles_act_exactly_as_the_tracker(simulation: PairSimulation, tracker: Path) -> None:
    """Also when everything about the partner changes."""
    modules = started(Start.of(str(tracker), PAIR), simulation)
    policy, partner = Policy.load(tracker), simulation.layout["partner"]
    for index, module in enumerate(modules.values()):
        rows = np.ascontiguousarray(simulation.observation[:, index])
        expected = policy.act(rows[:, : partner.start])
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(means(module, rows), expected, atol=1e-5)
        other = rows.copy()
        other[:, partner] = 50.0
        np.testing.assert_array_equal(means(module, other), means(module, rows))
        assert torch.count_nonzero(module.actor.layers[0].weight[:, partner]) == 0


def test_statistics_of_the_partner_start_without_data(simulation: PairSimulation, tracker: Path) -> None:
    """So that they adapt at once, while those of the tracker stay: its weights were made with them."""
    module, partner = started(Start.of(str(tracker), PAIR), simulation)["recipient"], simulation.layout["partner"]
    assert set(module.normalizer.count[: partner.start].tolist()) == {COUNT}
    assert set(module.normalizer.count[partner].tolist()) == {0.0}
    before = module.normalizer.mean.clone()
    module.normalizer.update(Moments.of(torch.full((10, len(before)), 7.0)))
    assert torch.allclose(module.normalizer.mean[partner], torch.tensor(7.0, dtype=torch.float64))
    assert torch.equal(module.normalizer.mean[: partner.start], before[: partner.start])
    assert set(module.normalizer.count[: partner.start].tolist()) == {COUNT}


def test_a_pair_can_be_taught_by_its_own_regulator(simulation: PairSimulation) -> None:
    """Both learn, from inputs about the partner, too; and each something of its own."""
    torch.set_num_threads(1)
    start = Start.of("regulator", PAIR)
    brief = StartSettings(
        regulator=RegulatorConfig(stride=10, sampling=SamplingConfig(samples=8, survivors=4)),
        imitation=Imitation(rounds=1, samples=512, epochs=2, batch_size=64),
    )
    lines: list[str] = []
    modules, report = start.modules(
        start.module_config(NETWORK, PAIR, simulation), PAIR, make_simulation, settings=brief, seed=0, log=lines.append
    )
    assert list(modules) == ["supporter", "recipient"]
    assert any("sampled path" in line for line in lines)
    assert report["samples"] > 256
    one, other = (module.actor.layers[0].weight[:, simulation.layout["partner"]] for module in modules.values())
    assert one.abs().max() > 0.0
    assert not torch.equal(one, other)


@pytest.mark.parametrize(("word", "fixed"), [("random", False), ("feedforward", False), ("regulator", True)])
def test_statistics_of_few_data_follow_the_training(word: str, fixed: bool, simulation: PairSimulation) -> None:
    assert Start.of(word, PAIR).module_config(NETWORK, PAIR, simulation).fixed_statistics == fixed


def test_statistics_of_a_policy_can_follow_the_training(tracker: Path, simulation: PairSimulation) -> None:
    chosen = Start.of(str(tracker), PAIR).module_config(NETWORK, PAIR, simulation)
    values = {**chosen.to_dict(), "init_from": str(tracker), "fixed_statistics": False}
    assert not blank_module(simulation.layout.size, 69, values).normalizer.fixed.any()


def test_the_actor_of_rllib_is_the_one_that_was_exported(simulation: PairSimulation, tracker: Path) -> None:
    start = Start.of(str(tracker), PAIR)
    config = assistmimic_ppo(
        TOY_ID,
        env_options={"clips": standing_clip(20)},
        num_envs_per_env_runner=2,
        module=start.module_config(NETWORK, PAIR, simulation),
        init_from=start.paths,
    )
    with ray_session(num_cpus=1, learner_threads=1):
        algorithm = config.build_algo()
        try:
            for index, role in enumerate(PAIR.roles):
                rows = np.ascontiguousarray(simulation.observation[:, index])
                exported = means(started(start, simulation)[role], rows)
                np.testing.assert_array_equal(means(algorithm.get_module(role), rows), exported)
                learner = algorithm.learner_group._learner.module[role].unwrapped()
                np.testing.assert_array_equal(means(learner, rows), exported)
        finally:
            algorithm.stop()


def test_network_sizes_are_those_of_the_policy(simulation: PairSimulation, tracker: Path) -> None:
    chosen = Start.of(str(tracker), PAIR).module_config(ModuleConfig(), PAIR, simulation)
    assert (chosen.hidden, chosen.activation) == (NETWORK.hidden, "relu")
    assert chosen.critic_hidden == ModuleConfig().critic_hidden


def test_a_pair_starts_from_the_folder_of_a_pair(simulation: PairSimulation, tracker: Path, tmp_path: Path) -> None:
    modules = started(Start.of(str(tracker), PAIR), simulation)
    folder = export_policies(modules, tmp_path, cast=PAIR, interface=PAIR.interface(simulation), provenance={})
    again = started(Start.of(str(folder), PAIR), simulation)
    rows = np.ascontiguousarray(simulation.observation[:, 0])
    np.testing.assert_array_equal(means(again["supporter"], rows), means(modules["supporter"], rows))


def test_random_and_feedforward_differ_and_repeat(simulation: PairSimulation) -> None:
    rows = np.ascontiguousarray(simulation.observation[:, 1])
    results = {
        word: [means(started(Start.of(word, PAIR), simulation)["recipient"], rows) for _ in range(2)]
        for word in ("random", "feedforward")
    }
    for first, second in results.values():
        np.testing.assert_array_equal(first, second)
    assert not np.allclose(results["random"][0], results["feedforward"][0])


def test_the_environment_takes_the_servo_law_of_the_policy(tracker: Path) -> None:
    assert Start.of(str(tracker), PAIR).env_options() == {"actuation": "so3"}
    assert Start.of("random", PAIR).env_options() == {}


def test_a_policy_for_other_servos_is_refused(tracker: Path) -> None:
    other = make_simulation(1, actuation="expmap")
    with pytest.raises(PolicyError, match=r"actuation\.law is so3 in the policy, expmap in the environment"):
        Start.of(str(tracker), PAIR).module_config(NETWORK, PAIR, other)


def test_a_missing_policy_is_named_and_words_are_suggested(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="Did you mean 'feedforward'"):
        Start.of("feedforwrd", PAIR)
    with pytest.raises(PolicyError, match="holds no policy called supporter or recipient"):
        Start.of(str(tmp_path), PAIR)
    with pytest.raises(PolicyError, match=r"Convert it first: assistmimic import-phc Humanoid\.pth"):
        Start.of("Humanoid.pth", PAIR)


@pytest.mark.parametrize("start", ["prior", "feedforward", "some/policy"])
def test_without_weight_initialisation_everything_is_random(start: str) -> None:
    assert ablated(start, "weight-init") == "random"


def test_the_feedforward_stage_can_be_ablated_where_there_is_one() -> None:
    assert ablated("feedforward", "feedforward") == "random"
    with pytest.raises(ConfigError, match="'prior' has no feed-forward stage"):
        ablated("prior", "feedforward")
    with pytest.raises(ConfigError, match="Did you mean 'weight-init'"):
        ablated("prior", "weight-int")

"""Distillation: schedule, teachers, mixing of actions, masked losses, bad input, and one short real run."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("ray")

from rich.console import Console  # noqa: E402
from test_trainers_fast import STEPS, WORLDS, make_config  # noqa: E402
from toys import TOY_ID, make_vec, sent, standing_clip  # noqa: E402

from assistmimic_env.errors import ClipError, ConfigError, PolicyError  # noqa: E402
from assistmimic_env.policy import Policy, TrainedIn, load_pair  # noqa: E402
from assistmimic_trainers.adapter import ROLES  # noqa: E402
from assistmimic_trainers.batched_runner import BatchedEnvRunner  # noqa: E402
from assistmimic_trainers.cast import PAIR  # noqa: E402
from assistmimic_trainers.cli import USER_ERROR, main  # noqa: E402
from assistmimic_trainers.cluster import ray_session  # noqa: E402
from assistmimic_trainers.distillation import Distillation, Gate, Schedule, Specialist, ramp  # noqa: E402
from assistmimic_trainers.distillation_learner import (  # noqa: E402
    DistillationLearner,
    distilled,
    imitation_loss,
    standardize_where,
)
from assistmimic_trainers.distillation_runner import STUDENT, TEACHER, DistillationRunner  # noqa: E402
from assistmimic_trainers.distillation_start import Source, distillation_settings  # noqa: E402
from assistmimic_trainers.distillation_teachers import Teachers, assign  # noqa: E402
from assistmimic_trainers.export import export_policies  # noqa: E402
from assistmimic_trainers.learner import PairLearner  # noqa: E402
from assistmimic_trainers.module import ModuleConfig, blank_module  # noqa: E402
from assistmimic_trainers.progress import read_records  # noqa: E402
from assistmimic_trainers.run import RunSettings, resume_run, start_run  # noqa: E402
from assistmimic_trainers.training import Budget  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray warns about its own deprecations

SIT_TO_STAND = "AssistMimic/SitToStand-v0"
CLIPS = (standing_clip(14, name="near"), standing_clip(20, gap=0.9, name="far"), standing_clip(17, gap=0.8, name="mid"))
TEACHERS_ONLY, STUDENTS_ONLY = (Schedule(teacher_alone=9, student_alone=9), Schedule(teacher_alone=0, student_alone=0))


@pytest.fixture(scope="module")
def specialists(tmp_path_factory: pytest.TempPathFactory) -> tuple[Specialist, ...]:
    """Two pairs of random policies; the first teaches two clips of three."""
    simulation = make_vec(1, clips=CLIPS).simulation
    found = []
    for number, clips in enumerate((("near", "mid"), ("far",))):
        torch.manual_seed(number)
        modules = {role: blank_module(simulation.layout.size, 69, {"hidden": (16,)}) for role in ROLES}
        with torch.no_grad():
            for module in modules.values():
                module.actor.layers[-1].weight.mul_(30.0)
        folder = tmp_path_factory.mktemp(f"specialist{number}")
        export_policies(modules, folder, cast=PAIR, interface=PAIR.interface(simulation), provenance={})
        found.append(Specialist(paths={role: str(folder / role) for role in ROLES}, clips=clips))
    return tuple(found)


def make_distillation(specialists: tuple[Specialist, ...], schedule: Schedule | None = None) -> Any:
    """The small configuration of the sampler's tests, with teachers."""
    world = {"clips": CLIPS, "physics": "fast", "termination_distance": 0.2, "start_noise": 1.0}
    options = {**world, "clip_weights": False}  # the environment alone chooses where episodes start
    distillation = Distillation(specialists=specialists, schedule=schedule or Schedule())
    return distilled(make_config(env_options=options), distillation)


def make_runner(specialists: tuple[Specialist, ...], schedule: Schedule | None = None) -> DistillationRunner:
    return DistillationRunner(config=make_distillation(specialists, schedule), worker_index=0)


@pytest.fixture(scope="module")
def session() -> Iterator[None]:
    with ray_session(num_cpus=3, learner_threads=1):
        yield


# --- schedule -----------------------------------------------------------------------------------------------


def test_share_of_the_teachers_falls_from_one_to_zero_as_in_the_paper() -> None:
    schedule = Schedule()
    shares = np.array([schedule.teacher_share(update) for update in range(1200)])
    assert np.all(shares[:201] == 1.0)
    assert np.all(shares[1000:] == 0.0)
    assert np.all(np.diff(shares) <= 0.0)
    assert schedule.teacher_share(600) == 0.5


def test_stages_follow_one_another() -> None:
    """Imitation only, then the critics, then PPO in and imitation out down to its floor; all monotone and bounded."""
    schedule, gate = Schedule(), Gate(opened=1300)
    closed = [schedule.weights(update, Gate()) for update in range(4000)]
    assert {(weights.imitation, weights.ppo) for weights in closed} == {(1.0, 0.0)}
    critic = np.array([weights.critic for weights in closed])
    assert (critic[1000], critic[1100], critic[1200]) == (0.0, 0.5, 1.0)
    opened = [schedule.weights(update, gate) for update in range(1300, 4000)]
    ppo, imitation = (np.array([getattr(weights, name) for weights in opened]) for name in ("ppo", "imitation"))
    assert np.all(np.diff(critic) >= 0.0)
    assert np.all(np.diff(ppo) >= 0.0)
    assert np.all(np.diff(imitation) <= 0.0)
    assert 0.0 < ppo[0] < 0.001
    assert ppo[-1] == 1.0
    assert imitation[-1] == pytest.approx(0.3)
    assert imitation.min() >= 0.3 - 1e-12


def test_ppo_waits_until_the_critics_explain_the_returns() -> None:
    schedule = Schedule(monitor_start=2, ppo_start=4, explained_decay=0.5, explained_updates=2)
    gate = Gate().after(1, 0.9, schedule)
    assert gate == Gate()  # not monitored yet
    gate = gate.after(2, 0.2, schedule)
    assert gate == Gate(average=0.2, good=0)
    gate = gate.after(3, 1.0, schedule)
    assert gate == Gate(average=pytest.approx(0.6), good=1)  # type: ignore[arg-type]
    again = gate.after(4, 0.0, schedule)
    assert (again.good, again.opened) == (0, None)
    gate = gate.after(4, 1.0, schedule)
    assert (gate.good, gate.opened) == (2, 5)
    assert gate.after(5, -7.0, schedule) == gate  # open stays open


def test_gate_does_not_open_before_its_time_nor_for_values_that_are_no_numbers() -> None:
    schedule = Schedule(monitor_start=0, ppo_start=8, explained_decay=0.0)
    gate = Gate()
    for update in range(7):
        gate = gate.after(update, 0.99, schedule)
        assert gate.opened is None
    assert gate.after(7, 0.99, schedule).opened == 8
    assert gate.after(7, float("nan"), schedule) == Gate(average=-1.0, good=0)


def test_without_ppo_the_gate_stays_closed() -> None:
    schedule = Schedule.over(50, ppo=False)
    gate = Gate()
    for update in range(100):
        gate = gate.after(update, 1.0, schedule)
    assert gate == Gate()
    assert schedule.teacher_share(29) > 0.0 == schedule.teacher_share(30)


def test_the_papers_number_of_updates_gives_the_papers_schedule() -> None:
    assert Schedule.over(3300, ppo=True) == Schedule()


@pytest.mark.parametrize("updates", [1, 3, 20, 1000])
@pytest.mark.parametrize("ppo", [False, True])
def test_every_number_of_updates_has_a_schedule_whose_teachers_leave(updates: int, ppo: bool) -> None:
    schedule = Schedule.over(updates, ppo=ppo)
    assert schedule.teacher_share(updates) == 0.0
    assert 0.0 <= schedule.explained_decay <= 0.99**0.5


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("teacher_alone", {"teacher_alone": 5, "student_alone": 4}),
        ("critic_start", {"critic_start": -1}),
        ("imitation_floor", {"imitation_floor": 1.5}),
        ("explained_updates", {"explained_updates": 0}),
        ("ppo_start", {"ppo_start": -3}),
    ],
)
def test_impossible_schedules_are_refused_by_name(field: str, values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"schedule.{field}"):
        Schedule(**values)


def test_ramp_is_a_step_where_its_ends_meet() -> None:
    assert [ramp(update, 3, 3) for update in (2, 3, 4)] == [0.0, 1.0, 1.0]


def test_settings_survive_json(specialists: tuple[Specialist, ...]) -> None:
    settings = RunSettings(env_id=TOY_ID, distillation=Distillation(specialists=specialists))
    assert RunSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings


# --- losses -------------------------------------------------------------------------------------------------


def test_imitation_loss_of_a_batch_made_by_hand() -> None:
    mean = torch.tensor([[1.0, 2.0], [0.0, 0.0], [3.0, -1.0]])
    taught = torch.tensor([[1.0, 0.0], [0.0, 0.0], [2.0, 1.0]])
    assert imitation_loss(mean, taught) == (4.0 + 0.0 + 5.0) / 3.0


def test_advantages_are_standardised_over_the_students_rows() -> None:
    values, chosen = torch.tensor([1.0, 100.0, 3.0, float("inf")]), torch.tensor([True, False, True, False])
    found = standardize_where(chosen, values)
    assert found[~chosen].tolist() == [0.0, 0.0]
    assert found[chosen].mean() == 0.0
    assert found[chosen].std() == pytest.approx(1.0)
    assert standardize_where(torch.zeros(4, dtype=torch.bool), values).tolist() == [0.0] * 4


@pytest.fixture(scope="module")
def learner(specialists: tuple[Specialist, ...]) -> DistillationLearner:
    """A learner in the middle of the last stage."""
    schedule = dataclasses.replace(STUDENTS_ONLY, critic_start=0, critic_full=0, ppo_ramp=4, imitation_ramp=4)
    config = make_distillation(specialists, schedule)
    learner = config.build_learner(spaces=make_runner(specialists).get_spaces())
    learner.gate = Gate(opened=0)
    learner.before_gradient_based_update(timesteps={})
    assert 0.0 < learner._weights.ppo < 1.0
    return learner


def make_batch(learner: DistillationLearner, acted: list[float]) -> tuple[dict[str, Any], Any]:
    """Random rows of a minibatch, and what the actor makes of them."""
    torch.manual_seed(5)
    module, rows = learner._policy("supporter"), len(acted)
    observations = torch.randn(rows, module.normalizer.mean.shape[0])
    inputs = module.forward_train({"obs": observations})["action_dist_inputs"]
    before = (inputs + 0.05 * torch.randn_like(inputs)).detach()
    distribution = module.get_train_action_dist_cls().from_logits(before)
    actions = distribution.sample()
    batch = {
        "actions": actions,
        "action_logp": distribution.logp(actions),
        "action_dist_inputs": before,
        "advantages": torch.randn(rows),
        TEACHER: torch.randn(rows, before.shape[1] // 2),
        STUDENT: torch.tensor(acted),
    }
    return batch, inputs


def gradient_of(loss: Any, learner: DistillationLearner) -> list[Any]:
    return list(torch.autograd.grad(loss, list(learner._policy("supporter").actor.parameters())))


def test_rows_of_the_teachers_have_no_effect_on_the_ppo_loss(learner: DistillationLearner) -> None:
    """Not even actions and advantages that are infinite: the loss and its gradient stay the same bit for bit."""
    loss, gradients = [], []
    for wild in (0.0, 1.0, float("inf")):
        batch, inputs = make_batch(learner, [1.0, 0.0, 1.0, 0.0, 1.0])
        for name in ("actions", "advantages", "action_logp"):
            batch[name][batch[STUDENT] == 0.0] += wild
        value = learner.actor_loss("supporter", learner.config, batch, inputs)
        loss.append(float(value))
        gradients.append(gradient_of(value, learner))
    assert np.isfinite(loss[0])
    assert loss[0] == loss[1] == loss[2]
    for first, second, third in zip(*gradients, strict=True):
        assert torch.equal(first, second)
        assert torch.equal(first, third)


def test_loss_is_the_weighted_sum_of_imitation_and_ppo(learner: DistillationLearner) -> None:
    batch, inputs = make_batch(learner, [1.0, 1.0, 1.0])
    weights, coefficient = learner._weights, learner.distillation.coefficient
    ppo = PairLearner.actor_loss(learner, "supporter", learner.config, batch, inputs)
    imitation = imitation_loss(inputs.chunk(2, dim=-1)[0], batch[TEACHER])
    total = learner.actor_loss("supporter", learner.config, batch, inputs)
    assert float(total) == pytest.approx(float(coefficient * weights.imitation * imitation + weights.ppo * ppo))
    assert abs(float(ppo)) > 1e-4


def test_rows_of_the_teachers_alone_leave_the_imitation(learner: DistillationLearner) -> None:
    batch, inputs = make_batch(learner, [0.0, 0.0])
    imitation = imitation_loss(inputs.chunk(2, dim=-1)[0], batch[TEACHER])
    total = learner.actor_loss("supporter", learner.config, batch, inputs)
    assert total == learner.distillation.coefficient * learner._weights.imitation * imitation


def test_critics_learn_at_the_rate_of_the_stage(specialists: tuple[Specialist, ...]) -> None:
    learner = make_distillation(specialists).build_learner(spaces=make_runner(specialists).get_spaces())
    rates = []
    for update in (0, 1000, 1100, 1200):
        learner._weights_seq_no = update
        learner.before_gradient_based_update(timesteps={})
        rates.append(learner.get_optimizer("recipient", "critic").param_groups[0]["lr"])
        assert learner.get_optimizer("recipient", "actor").param_groups[0]["lr"] == learner.distillation.learning_rate
    full = learner.options.critic_learning_rate
    assert rates == pytest.approx([0.0, 0.0, 0.5 * full, full])


# --- teachers and sampling ----------------------------------------------------------------------------------


def test_labels_are_what_the_policy_of_the_clip_does_row_by_row(specialists: tuple[Specialist, ...]) -> None:
    simulation = make_vec(1, clips=CLIPS).simulation
    teachers = Teachers.load(specialists, simulation)
    random = np.random.default_rng(0)
    clip = random.integers(3, size=40)
    observations = {role: random.normal(size=(40, simulation.layout.size)).astype(np.float32) for role in ROLES}
    labels = teachers.act(observations, clip)
    policies = {role: [Policy.load(each.paths[role]) for each in specialists] for role in ROLES}
    owner = {0: 0, 1: 1, 2: 0}
    for role in ROLES:
        alone = [policies[role][owner[c]].act(row) for c, row in zip(clip, observations[role], strict=True)]
        np.testing.assert_allclose(labels[role], alone, rtol=0.0, atol=1e-6)
        other = [policies[role][1 - owner[c]].act(row) for c, row in zip(clip, observations[role], strict=True)]
        assert np.abs(labels[role] - other).max(axis=1).min() > 0.01  # the specialists differ, so this could fail


def test_at_share_one_the_teachers_act_bit_for_bit(specialists: tuple[Specialist, ...]) -> None:
    """The environment gets exactly their actions: another one that plays these arrives at the same observations."""
    runner = make_runner(specialists, TEACHERS_ONLY)
    env = make_vec(WORLDS, clips=CLIPS, physics="fast", termination_distance=0.2, start_noise=1.0)
    runner._reset()
    env.set_state(runner.env.get_state())
    (chunk,) = runner.sample()
    columns = {
        role: {name: rows.reshape(WORLDS, STEPS, *rows.shape[1:]) for name, rows in chunk.columns[role].items()}
        for role in ROLES
    }
    for step in range(STEPS):
        for index, role in enumerate(ROLES):
            np.testing.assert_array_equal(columns[role]["obs"][:, step], env.simulation.observation[:, index])
        env.step({role: columns[role][TEACHER][:, step] for role in ROLES})
    for role in ROLES:
        np.testing.assert_array_equal(columns[role]["actions"], columns[role][TEACHER])
        assert np.all(columns[role][STUDENT] == 0.0)
        assert np.all(columns[role]["action_logp"] == 0.0)


def test_at_share_zero_the_students_act_bit_for_bit(specialists: tuple[Specialist, ...]) -> None:
    """Equal seeds: every column is that of the runner without teachers."""
    config = make_distillation(specialists, STUDENTS_ONLY)
    plain, taught = BatchedEnvRunner(config=config, worker_index=0), DistillationRunner(config=config, worker_index=0)
    taught.set_state(plain.get_state())
    chunks = []
    for runner in (plain, taught):
        torch.manual_seed(3)
        chunks.append(runner.sample()[0])
    for role in ROLES:
        for name, column in chunks[0].columns[role].items():
            np.testing.assert_array_equal(chunks[1].columns[role][name], column, err_msg=name)
        assert np.all(chunks[1].columns[role][STUDENT] == 1.0)


def test_in_between_both_roles_of_a_world_are_the_teachers_or_the_students(specialists: tuple[Specialist, ...]) -> None:
    runner = make_runner(specialists, Schedule(teacher_alone=0, student_alone=4))
    runner._weights_seq_no = 1  # a share of three quarters
    (chunk,) = runner.sample(num_timesteps=WORLDS * STEPS)
    supporter, recipient = (chunk.columns[role] for role in ROLES)
    np.testing.assert_array_equal(supporter[STUDENT], recipient[STUDENT])
    acted = supporter[STUDENT] == 1.0
    assert 0 < acted.sum() < 0.5 * len(acted)
    for columns in (supporter, recipient):
        equal = np.all(columns["actions"] == columns[TEACHER], axis=1)
        np.testing.assert_array_equal(equal, ~acted)


def test_without_exploration_the_students_act_alone(specialists: tuple[Specialist, ...]) -> None:
    (chunk,) = make_runner(specialists, TEACHERS_ONLY).sample(explore=False)
    assert np.all(chunk.columns["recipient"][STUDENT] == 1.0)


def test_the_further_columns_survive_slicing_and_transport(specialists: tuple[Specialist, ...]) -> None:
    (chunk,) = make_runner(specialists, Schedule(teacher_alone=0, student_alone=2)).sample()
    piece = sent(chunk).slice(slice(3, 9))
    for name in (TEACHER, STUDENT):
        np.testing.assert_array_equal(piece.columns["recipient"][name], chunk.columns["recipient"][name][3:9])


def test_in_the_first_stage_only_the_actors_move(session: None, specialists: tuple[Specialist, ...]) -> None:
    """Three updates of the small configuration; the teachers' share falls, and the gate is part of the state."""
    schedule = Schedule(teacher_alone=0, student_alone=2, monitor_start=0)
    algorithm = make_distillation(specialists, schedule).build_algo()
    module = algorithm.learner_group._learner.module["supporter"]
    try:
        before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        learners = [algorithm.train()["learners"]["supporter"] for _ in range(3)]
        state = algorithm.learner_group.get_state()["learner"]["gate"]
    finally:
        algorithm.stop()
    assert [each["teacher_share"] for each in learners] == [1.0, 0.5, 0.0]
    assert {(each["imitation_weight"], each["critic_weight"], each["ppo_weight"]) for each in learners} == {(1, 0, 0)}
    moved = {name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])}
    assert not {name for name in moved if name.startswith(("critic", "log_std"))}
    assert {name for name in before if name.startswith("actor")} <= moved
    assert state["average"] == pytest.approx(float(learners[2]["explained_variance_average"]))


# --- bad input ----------------------------------------------------------------------------------------------


def make_specialist(*clips: str) -> Specialist:
    return Specialist(paths={}, clips=clips)


def test_every_clip_needs_exactly_one_specialist() -> None:
    both = [make_specialist("a", "b"), make_specialist("c")]
    assert assign(both, ["c", "a"]).tolist() == [1, 0]
    with pytest.raises(ConfigError, match=r"nobody teaches d, e\. Specialists teach a, b, c"):
        assign(both, ["d", "a", "e"])
    with pytest.raises(ConfigError, match="b: several specialists teach this"):
        assign([*both, make_specialist("b")], ["a"])


def test_a_specialist_that_does_not_fit_is_refused_by_the_key(
    specialists: tuple[Specialist, ...], tmp_path: Path
) -> None:
    card = json.loads(Path(specialists[1].paths["supporter"] + ".json").read_text())
    (tmp_path / "supporter.json").write_text(json.dumps({**card, "control_dt": 0.02}))
    (tmp_path / "supporter.safetensors").write_bytes(
        Path(specialists[1].paths["supporter"] + ".safetensors").read_bytes()
    )
    odd = Specialist(paths={**specialists[1].paths, "supporter": str(tmp_path / "supporter")}, clips=("far",))
    with pytest.raises(PolicyError, match=r"does not fit this environment: control_dt"):
        Teachers.load([specialists[0], odd], make_vec(1, clips=CLIPS).simulation)


def test_a_specialist_with_the_roles_swapped_is_refused(specialists: tuple[Specialist, ...]) -> None:
    swapped = dict(zip(ROLES, reversed(list(specialists[0].paths.values())), strict=True))
    with pytest.raises(PolicyError, match="role is"):
        Teachers.load([Specialist(paths=swapped, clips=("near", "mid", "far"))], make_vec(1, clips=CLIPS).simulation)


def test_clips_come_from_the_word_or_from_the_run(specialists: tuple[Specialist, ...], tmp_path: Path) -> None:
    pair = Path(specialists[0].paths["supporter"]).parent
    with pytest.raises(ConfigError, match="has no clips"):
        Source.read(str(pair), SIT_TO_STAND)
    listed = Source.read(f"{pair}=sit_to_stand/train_01,sit_to_stand/train_03", SIT_TO_STAND)
    assert listed.specialist.clips == ("sit_to_stand_train_01", "sit_to_stand_train_03")
    assert listed.env_options is None
    trained = tmp_path / "policies" / "trained"
    trained.parent.mkdir()
    trained.symlink_to(pair)
    settings = RunSettings(env_id=SIT_TO_STAND, env_options={"clips": ["sit_to_stand/train_02"], "physics": "fast"})
    (tmp_path / "run.json").write_text(json.dumps(settings.to_json()))
    for folder in (tmp_path, trained):
        found = Source.read(str(folder), SIT_TO_STAND)
        assert found.specialist.clips == ("sit_to_stand_train_02",)
        assert found.env_options == {"physics": "fast"}
        assert load_pair(Path(found.specialist.paths["supporter"]).parent)


def test_a_pair_whose_card_says_what_it_was_trained_in_needs_no_run(tmp_path: Path) -> None:
    simulation = make_vec(1).simulation
    modules = dict.fromkeys(ROLES, blank_module(simulation.layout.size, 69, {"hidden": (4,)}))
    options = {"clips": ["sit_to_stand/test_01"], "physics": "fast", "start_noise": 1.0}
    export_policies(
        modules,
        tmp_path,
        cast=PAIR,
        interface=PAIR.interface(simulation),
        environment=TrainedIn.of(SIT_TO_STAND, options),
        provenance={},
    )
    found = Source.read(str(tmp_path), SIT_TO_STAND)
    assert found.specialist.clips == ("sit_to_stand_test_01",)
    assert found.env_options == {"physics": "fast"}
    assert Source.read(f"{tmp_path}=sit_to_stand/train_07", SIT_TO_STAND).clips == ("sit_to_stand/train_07",)


def test_specialists_of_different_environments_are_refused(specialists: tuple[Specialist, ...], tmp_path: Path) -> None:
    words = []
    for number, physics in enumerate(("fast", "standard")):
        run = tmp_path / physics
        (run / "policies").mkdir(parents=True)
        (run / "policies" / "trained").symlink_to(Path(specialists[0].paths["supporter"]).parent)
        options = {"clips": [f"sit_to_stand/train_0{number}"], "physics": physics}
        (run / "run.json").write_text(json.dumps(RunSettings(env_id=SIT_TO_STAND, env_options=options).to_json()))
        words.append(str(run))
    with pytest.raises(ConfigError, match=r"physics is 'fast' for .* and 'standard' for"):
        distillation_settings(words, SIT_TO_STAND, steps=1000)


def test_the_run_plays_the_clips_of_all_specialists() -> None:
    """The shipped tracker as two specialists; the stages are spread over the updates."""
    words = ["prior=sit_to_stand/train_00", "prior=sit_to_stand/train_05,sit_to_stand/test_00"]
    settings = distillation_settings(words, SIT_TO_STAND, steps=96 * 32 * 20, ppo_stage=False)
    assert settings.env_options["clips"] == ["sit_to_stand/train_00", "sit_to_stand/train_05", "sit_to_stand/test_00"]
    assert settings.init_from == "prior"
    assert settings.distillation is not None
    assert settings.distillation.schedule == Schedule.over(20, ppo=False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no specialists to learn from"),
        (["--specialist", "prior"], "specialist 'prior' has no clips"),
        (["--specialist", "random=sit_to_stand/train_00"], "is no policy"),
        (["--specialist", "nowhere=sit_to_stand/train_00"], "no such policy"),
        (["--specialist", "prior=sit_to_stand/train_77"], "sit_to_stand/train_77"),
        (["--specialist", "prior=sit_to_stand/train_00", "--clips", "sit_to_stand/train_01"], "nobody teaches"),
        (["--specialist", "prior=sit_to_stand/train_00", "--specialist", "prior=sit_to_stand/train_00"], "several"),
        (["--specialist", "prior=sit_to_stand/train_00", "--option", "actuation=expmap"], "actuation"),
    ],
)
def test_bad_specialists_are_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["distill", "--env", SIT_TO_STAND, "--out", str(tmp_path / "run"), *words]) == USER_ERROR
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_an_unknown_clip_is_an_error_of_clips() -> None:
    with pytest.raises(ClipError):
        Source.read("prior=nothing_like_that", SIT_TO_STAND)


# --- a real run ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_imitates_and_goes_on_after_a_resume(session: None, tmp_path: Path) -> None:
    """Random students of the shipped tracker: the error falls, also after the resume, and the stages go on."""
    settings = distillation_settings(
        ["prior=sit_to_stand/train_00,sit_to_stand/train_02", "prior=sit_to_stand/train_05"],
        SIT_TO_STAND,
        steps=8 * 512,
        init_from="random",
        ppo={"num_envs_per_env_runner": 16},
    )
    schedule = Schedule(
        teacher_alone=1, student_alone=4, critic_start=2, critic_full=3, monitor_start=3, ppo_start=5,
        explained_variance=-1.0, explained_updates=2, ppo_ramp=2, imitation_ramp=2,
    )  # fmt: skip
    distillation = dataclasses.replace(settings.distillation, schedule=schedule, learning_rate=1e-3)  # type: ignore[type-var]
    small = ModuleConfig(hidden=(64,), critic_hidden=(32,))
    settings = dataclasses.replace(settings, distillation=distillation, module=small)
    console, run = Console(file=io.StringIO()), tmp_path / "run"
    assert start_run(settings, run, budget=Budget(steps=4 * 512), console=console).finished
    assert resume_run(run, budget=Budget(steps=8 * 512), console=console).finished
    records = [record["learners"]["recipient"] for record in read_records(run / "progress.jsonl")]
    assert [record["teacher_share"] for record in records] == pytest.approx([1, 1, 2 / 3, 1 / 3, 0, 0, 0, 0])
    assert [record["ppo_weight"] for record in records] == [0, 0, 0, 0, 0, 0.5, 1, 1]
    assert [record["critic_weight"] for record in records] == [0, 0, 0, 1, 1, 1, 1, 1]
    errors = [record["imitation_loss"] for record in records]
    assert errors[3] < 0.8 * errors[0]
    assert errors[4] < 0.8 * errors[0]
    pair = load_pair(run / "policies" / "trained")
    assert pair["supporter"].card.provenance["method"].startswith("distillation")


@pytest.mark.slow
def test_two_learners_open_the_gate_together(session: None, specialists: tuple[Specialist, ...]) -> None:
    """Also with a remote env runner, whose teachers' share follows the learners' updates."""
    schedule = Schedule(
        teacher_alone=0, student_alone=2, critic_start=0, critic_full=0, monitor_start=0, ppo_start=0,
        explained_variance=-1.0, explained_updates=1, ppo_ramp=2, imitation_ramp=2,
    )  # fmt: skip
    config = make_distillation(specialists, schedule).learners(num_learners=2).env_runners(num_env_runners=1)
    config.training(train_batch_size_per_learner=WORLDS * STEPS // 2)
    algorithm = config.build_algo()
    try:
        results = [algorithm.train() for _ in range(3)]
        states = [
            each.get()
            for each in algorithm.learner_group.foreach_learner(
                lambda learner: (learner.gate, learner.module["supporter"].unwrapped().get_state())
            )
        ]
        shares = algorithm.env_runner_group.foreach_env_runner(
            lambda runner: runner.distillation.schedule.teacher_share(runner._weights_seq_no), local_env_runner=False
        )
    finally:
        algorithm.stop()
    assert [result["learners"]["recipient"]["ppo_weight"] for result in results] == [0.0, 0.5, 1.0]
    assert states[0][0] == states[1][0]
    assert states[0][0].opened == 1
    for name, array in states[0][1].items():
        np.testing.assert_array_equal(array, states[1][1][name], err_msg=name)
    assert shares == [0.0]

"""Checkpoints of PHC: the same numbers as PHC's own networks, safe reading, and a clear word on what does not fit.

The files are made here, in PHC's layout; parity with PHC itself is tested where its golden files are at hand.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from assistmimic_env.body import get_body
from assistmimic_env.errors import AssistMimicError, CheckpointError, ConfigError, PolicyError, UntrustedFileError
from assistmimic_env.layout import build_layout
from assistmimic_env.policy import Policy, load_pair, policy_interface
from assistmimic_trainers import cli
from assistmimic_trainers.normalizer import Normalizer
from assistmimic_trainers.phc import load_policy
from assistmimic_trainers.phc.explanation import explain
from assistmimic_trainers.phc.observation import known_observations
from assistmimic_trainers.phc.servo import servo
from assistmimic_trainers.phc.source import open_source

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "golden" / "phc"
HIDDEN = (12, 10)
OBSERVATION, CONTROLS = 934, 69

Numbers = np.ndarray[Any, np.dtype[Any]]


def random(*shape: int) -> Tensor:
    """Random numbers that depend on the shape alone, times 0.1."""
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def linear(name: str, inputs: int, outputs: int, seed: int = 0) -> dict[str, Tensor]:
    """One layer with a bias that matters."""
    generator = torch.Generator().manual_seed(1000 * seed + inputs + outputs)
    return {
        f"{name}.weight": torch.randn(outputs, inputs, generator=generator) / inputs**0.5,
        f"{name}.bias": torch.randn(outputs, generator=generator),
    }


def sequence(name: str, sizes: Sequence[int], seed: int = 0) -> dict[str, Tensor]:
    """Layers of a sequential network in which every other part is an activation."""
    layers = [linear(f"{name}.{2 * i}", a, b, seed + i) for i, (a, b) in enumerate(pairwise(sizes))]
    return {key: value for layer in layers for key, value in layer.items()}


def statistics(size: int, seed: int = 0) -> dict[str, Tensor]:
    """Of a normaliser."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "running_mean": torch.randn(size, generator=generator, dtype=torch.float64),
        "running_var": 0.5 + torch.rand(size, generator=generator, dtype=torch.float64),
        "count": torch.tensor(54321.0, dtype=torch.float64),
    }


def extras(inputs: int, outputs: int, hidden: Sequence[int]) -> dict[str, Tensor]:
    """What every file has beside its actor."""
    return {
        "sigma": torch.full((outputs,), -2.9),
        **sequence("critic_mlp", (inputs, *hidden), 7),
        **linear("value", hidden[-1], 1),
        **sequence("_disc_mlp", (20, 8), 8),
        **linear("_disc_logits", 8, 1),
    }


def mlp(inputs: int = OBSERVATION, outputs: int = CONTROLS, hidden: Sequence[int] = HIDDEN) -> dict[str, Tensor]:
    """Parameters of a plain policy."""
    head = linear("mu", hidden[-1], outputs, 5)
    return {**extras(inputs, outputs, hidden), **sequence("actor_mlp", (inputs, *hidden)), **head}


def pnn(
    count: int = 3, inputs: int = OBSERVATION, outputs: int = CONTROLS, hidden: Sequence[int] = HIDDEN
) -> dict[str, Tensor]:
    """Parameters of a file with primitives; its `mu` is there but not in use."""
    columns = [sequence(f"pnn.actors.{i}", (inputs, *hidden, outputs), 10 * (i + 1)) for i in range(count)]
    unused = linear("mu", hidden[-1], outputs)
    return {**extras(inputs, outputs, hidden), **unused, **{k: v for column in columns for k, v in column.items()}}


def mcp(count: int = 3, inputs: int = OBSERVATION, hidden: Sequence[int] = HIDDEN) -> dict[str, Tensor]:
    """Parameters of a composer; its `actor_mlp` and `mu` are there but not in use."""
    return {**mlp(inputs, count, hidden), **sequence("composer", (inputs, *hidden, count), 3)}


def save(path: Path, model: Mapping[str, Tensor], *, prefix: str = "a2c_network.", **changes: Any) -> Path:
    """Write a checkpoint in the layout of PHC, numpy scalars and optimiser state included."""
    inputs = next(v.shape[1] for k, v in model.items() if k.endswith(("actor_mlp.0.weight", "actors.0.0.weight")))
    content = {
        "model": {f"{prefix}{key}": value for key, value in model.items()},
        "running_mean_std": statistics(inputs, seed=len(model)),
        "reward_mean_std": statistics(1),
        "epoch": 42,
        "optimizer": {
            "state": {0: {"step": torch.tensor(1.0), "exp_avg": torch.zeros(3)}},
            "param_groups": [{"lr": 2e-5}],
        },
        "frame": 4128768,
        "last_mean_rewards": np.float32(12.5),
        "env_state": None,
    }
    torch.save({**content, **changes}, path)
    return path


def observations(rows: int = 8, size: int = OBSERVATION) -> Tensor:
    """Small, large and zero observations."""
    generator = torch.Generator().manual_seed(99)
    batch = 2.0 * torch.randn(rows, size, generator=generator)
    batch[0], batch[1], batch[2] = 0.0, 1000.0, -1000.0
    return batch


def plain(path: Path, names: Sequence[str], batch: Tensor, activation: str, *, ending: bool = False) -> Numbers:
    """A network written down in the plainest way, in float64, straight from the file."""
    functions = {
        "silu": lambda x: x / (1.0 + np.exp(-x)),
        "relu": lambda x: np.maximum(x, 0.0),
        "tanh": np.tanh,
        "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    }
    with torch.serialization.safe_globals(
        [(np.float64(0).__reduce__()[0], "numpy._core.multiarray.scalar"), np.dtype, np.dtypes.Float32DType]
    ):
        content = torch.load(path, weights_only=True)
    model, rms = content["model"], content["running_mean_std"]
    x = (batch.double().numpy() - rms["running_mean"].numpy()) / np.sqrt(rms["running_var"].numpy() + 1e-5)
    x = np.clip(x, -5.0, 5.0)
    for index, name in enumerate(names):
        x = (
            x @ model[f"a2c_network.{name}.weight"].double().numpy().T
            + model[f"a2c_network.{name}.bias"].double().numpy()
        )
        x = functions[activation](x) if index < len(names) - 1 or ending else x
    return x


def run(policy: torch.nn.Module, batch: Tensor) -> Numbers:
    """Actions as an array."""
    with torch.no_grad():
        return policy(batch).numpy()


def column(index: int) -> list[str]:
    """Names of the layers of a primitive."""
    return [f"pnn.actors.{index}.{part}" for part in (0, 2, 4)]


COMPOSER = [f"composer.{part}" for part in (0, 2, 4)]


@pytest.mark.parametrize("activation", ["silu", "relu", "elu", "tanh"])
def test_plain_policy_computes_the_network(tmp_path: Path, activation: str) -> None:
    path = save(tmp_path / "im.pth", mlp())
    expected = plain(path, ["actor_mlp.0", "actor_mlp.2", "mu"], observations(), activation)
    found = run(load_policy(path, activation=activation), observations())
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("count", [1, 3, 4])
def test_each_primitive_computes_its_own_network(tmp_path: Path, count: int) -> None:
    path = save(tmp_path / "pnn.pth", pnn(count))
    for index in range(count):
        found = run(load_policy(path, primitive=index), observations())
        np.testing.assert_allclose(found, plain(path, column(index), observations(), "relu"), atol=1e-5)


@pytest.mark.parametrize("ending", [True, False])
def test_composer_alone_gives_its_weights(tmp_path: Path, ending: bool) -> None:
    path = save(tmp_path / "mcp.pth", mcp())
    expected = plain(path, COMPOSER, observations(), "relu", ending=ending)
    found = run(load_policy(path, ending_activation=ending), observations())
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_composer_mixes_by_bounded_weights_and_each_file_normalises_by_itself(tmp_path: Path) -> None:
    """The mixed action is not bounded, and the statistics of the two files differ."""
    composer, primitives = save(tmp_path / "mcp.pth", mcp()), save(tmp_path / "pnn.pth", pnn())
    batch = observations()
    raw = 3.0 * plain(composer, COMPOSER, batch, "relu", ending=False)
    model = {key: 3.0 * value if key.startswith("composer.4") else value for key, value in mcp().items()}
    composer = save(tmp_path / "mcp.pth", model)
    weights = np.clip(raw, -1.0, 1.0)
    actions = np.stack([plain(primitives, column(i), batch, "relu") for i in range(3)], axis=1)
    found = run(load_policy(composer, primitives=primitives, ending_activation=False), batch)
    np.testing.assert_allclose(found, (weights[..., None] * actions).sum(1), atol=1e-5)
    assert np.abs(raw).max() > 1.0
    assert np.abs(found).max() > 1.0


def test_softmax_follows_the_trailing_activation(tmp_path: Path) -> None:
    path = save(tmp_path / "mcp.pth", mcp())
    powers = np.exp(plain(path, COMPOSER, observations(), "relu", ending=True))
    found = run(load_policy(path, softmax=True), observations())
    np.testing.assert_allclose(found, powers / powers.sum(-1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("primitive", [0, 1, 2])
def test_lateral_connections_are_followed(tmp_path: Path, primitive: int) -> None:
    """Second hidden layer of column i: W2 h1_i + b2 + sum over j < i of U_(i-1),j,0 h1_j."""
    model = pnn()
    lateral = {
        f"pnn.u.{i}.{j}.0.weight": random(HIDDEN[1], HIDDEN[0] + 0 * j) * (i + 2 * j + 1)
        for i in (0, 1)
        for j in range(i + 1)
    }
    path = save(tmp_path / "pnn.pth", {**model, **lateral})
    rms = statistics(OBSERVATION, seed=len(model) + len(lateral))
    x = ((observations().double() - rms["running_mean"]) / (rms["running_var"] + 1e-5).sqrt()).clamp(-5, 5)

    def layer(index: int, part: int, rows: Tensor) -> Tensor:
        name = f"pnn.actors.{index}.{part}"
        return rows @ model[f"{name}.weight"].double().T + model[f"{name}.bias"].double()

    first = [layer(i, 0, x).relu() for i in range(3)]
    second = layer(primitive, 2, first[primitive])
    for j in range(primitive):
        second = second + first[j] @ lateral[f"pnn.u.{primitive - 1}.{j}.0.weight"].double().T
    expected = layer(primitive, 4, second.relu()).numpy()
    np.testing.assert_allclose(run(load_policy(path, primitive=primitive), observations()), expected, atol=1e-5)


def test_lateral_connections_of_deep_primitives_are_refused(tmp_path: Path) -> None:
    model = {**pnn(hidden=(6, 5, 4)), "pnn.u.0.0.0.weight": random(5, 6)}
    with pytest.raises(CheckpointError, match=r"lateral connections.*3 hidden layers"):
        load_policy(save(tmp_path / "pnn.pth", model), primitive=1, activation="silu")


@pytest.mark.parametrize("prefix", ["", "module.", "a2c_network.module.", "module.a2c_network."])
def test_prefixes_of_distributed_training_do_not_matter(tmp_path: Path, prefix: str) -> None:
    usual, other = save(tmp_path / "a.pth", pnn()), save(tmp_path / "b.pth", pnn(), prefix=prefix)
    np.testing.assert_array_equal(run(load_policy(usual), observations()), run(load_policy(other), observations()))


def test_inputs_beyond_the_statistics_pass_unchanged(tmp_path: Path) -> None:
    """As in PHC; our own format cannot express it and says so."""
    path = save(tmp_path / "im.pth", mlp(), running_mean_std=statistics(900))
    batch = observations()
    policy = load_policy(path)
    changed = batch.clone()
    changed[3, 933] = 80.0
    assert np.abs(run(policy, batch) - run(policy, changed))[3].max() > 1.0
    assert cli.main(["import-phc", str(path), "--out", str(tmp_path / "out")]) == cli.USER_ERROR


def test_loading_leaves_the_random_numbers_of_torch_alone(tmp_path: Path) -> None:
    path = save(tmp_path / "im.pth", mlp())
    before = torch.get_rng_state()
    load_policy(path)
    assert torch.equal(before, torch.get_rng_state())


def test_leading_dimensions_are_kept_and_other_widths_refused(tmp_path: Path) -> None:
    policy = load_policy(save(tmp_path / "im.pth", mlp()))
    batch = observations()
    np.testing.assert_allclose(run(policy, batch.reshape(2, 4, -1)).reshape(8, -1), run(policy, batch), atol=1e-6)
    with pytest.raises(PolicyError, match=r"\(8, 933\), expected \(\.\.\., 934\)"):
        policy(batch[:, 1:])


def test_deep_networks_default_to_silu_and_shallow_ones_to_relu(tmp_path: Path) -> None:
    """Other depths must be told."""
    deep = save(tmp_path / "deep.pth", mlp(hidden=(9, 8, 7, 6, 5, 4)))
    names = [f"actor_mlp.{i}" for i in range(0, 12, 2)] + ["mu"]
    np.testing.assert_allclose(
        run(load_policy(deep), observations()), plain(deep, names, observations(), "silu"), atol=1e-5
    )
    with pytest.raises(ConfigError, match=r"3 hidden layers.*--activation"):
        load_policy(save(tmp_path / "other.pth", mlp(hidden=(9, 8, 7))))


# --- conversion -------------------------------------------------------------------------------------------------------


def convert(tmp_path: Path, *words: str) -> Policy:
    """Run the command and load what it wrote."""
    assert cli.main(["import-phc", *words, "--out", str(tmp_path / "out")]) == cli.OK
    return Policy.load(tmp_path / "out" / Path(words[0]).stem)


def test_converted_plain_policy_acts_as_the_module(tmp_path: Path) -> None:
    path = save(tmp_path / "im.pth", mlp())
    policy = convert(tmp_path, str(path), "--activation", "tanh")
    expected = run(load_policy(path, activation="tanh"), observations())
    np.testing.assert_allclose(policy.act(observations().numpy()), expected, atol=1e-5)
    np.testing.assert_allclose(policy.tensors["log_std"], -2.9)


def test_converted_primitive_acts_as_the_module(tmp_path: Path) -> None:
    """Lateral connections included: they become a wider network."""
    lateral = {f"pnn.u.{i}.{j}.0.weight": random(HIDDEN[1], HIDDEN[0]) for i in (0, 1) for j in range(i + 1)}
    path = save(tmp_path / "pnn.pth", {**pnn(), **lateral})
    policy = convert(tmp_path, str(path), "--primitive", "2")
    expected = run(load_policy(path, primitive=2), observations())
    np.testing.assert_allclose(policy.act(observations().numpy()), expected, atol=1e-5)
    assert policy.card.hidden == (3 * HIDDEN[0], HIDDEN[1])


@pytest.mark.parametrize("words", [[], ["--no-ending-activation"], ["--softmax"]], ids=" ".join)
def test_converted_composition_acts_as_the_module(tmp_path: Path, words: list[str]) -> None:
    composer, primitives = save(tmp_path / "mcp.pth", mcp()), save(tmp_path / "pnn.pth", pnn(hidden=(11, 9)))
    policy = convert(tmp_path, str(composer), "--primitives", str(primitives), *words)
    options = {"ending_activation": "--no-ending-activation" not in words, "softmax": "--softmax" in words}
    expected = run(load_policy(composer, primitives=primitives, **options), observations())
    np.testing.assert_allclose(policy.act(observations().numpy()), expected, atol=1e-5)
    np.testing.assert_allclose(policy.act(observations().numpy()[3]), expected[3], atol=1e-5)


def test_card_says_what_the_policy_expects(tmp_path: Path) -> None:
    """Servo law, gains, armature, upright, sample count, and the first blocks of our environments' observation."""
    card = convert(tmp_path, str(save(tmp_path / "im.pth", mlp()))).card
    body = get_body("smpl24")
    interface = policy_interface(layout=build_layout(body), body=body, actuation="expmap")
    assert list(card.observation_layout.items()) == list(interface["observation_layout"].items())[:11]
    assert card.actuation == interface["actuation"]
    assert (card.role, card.body, card.upright, card.normalizer_count) == ("any", "smpl24", True, 54321.0)
    assert card.control_dt == interface["control_dt"]
    assert card.servo is not None
    assert card.servo == servo(24)
    assert card.servo["kp"]["Torso"] == 1000.0
    assert card.servo["kd"]["Hip"] == 80.0
    assert card.servo["armature"] == 0.02


def test_a_policy_for_any_role_can_play_both(tmp_path: Path) -> None:
    path = save(tmp_path / "supporter.pth", mlp())
    policy = convert(tmp_path, str(path))
    convert(tmp_path, str(path.rename(tmp_path / "recipient.pth")))
    assert set(load_pair(tmp_path / "out")) == {"supporter", "recipient"}
    interface = {"body": "smpl24", "upright": True}
    policy.check(interface, action_size=CONTROLS, role="recipient")
    with pytest.raises(PolicyError, match="upright is True in the policy, False in the environment"):
        policy.check({**interface, "upright": False}, action_size=CONTROLS)


def test_policy_of_another_frame_does_not_fit_an_upright_environment(tmp_path: Path) -> None:
    """The SMPL-X body of PHC is not upright."""
    card = convert(tmp_path, str(save(tmp_path / "x.pth", pnn(1, 2026, 153)))).card
    assert (card.body, card.upright, card.action_size) == ("smpl52", False, 153)
    assert card.servo is not None
    assert card.servo["kp"]["Index1"] == 100.0
    assert "Hand" not in card.servo["kp"]


@pytest.mark.parametrize(
    ("size", "controls", "words"),
    [
        (934, 69, ["24 bodies", "self v1 358 + task v6 576"]),
        (574, 69, ["24 bodies", "task v7 216"]),
        (945, 69, ["24 bodies", "self v1 369 + task v6 576", "body shape"]),
        (585, 69, ["self v1 369 + task v7 216"]),
        (430, 69, ["task v6 72", "3 tracked bodies"]),
        (2086, 69, ["task v6 1728", "3 future samples"]),
        (2026, 153, ["52 bodies", "self v1 778 + task v6 1248"]),
        (1246, 153, ["52 bodies", "task v7 468"]),
    ],
)
def test_observation_is_known_by_its_width(tmp_path: Path, size: int, controls: int, words: list[str]) -> None:
    source = open_source(save(tmp_path / "im.pth", mlp(size, controls)))
    explanation = explain(source)
    assert explanation.problem is None
    for word in words:
        assert word in explanation.summary["observation"]


def test_no_two_observations_have_the_same_width() -> None:
    sizes = [observation.size for observation in known_observations()]
    assert len(sizes) == len(set(sizes))


# --- explanation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["mlp", "pnn", "lateral"])
def test_ignored_entries_do_not_matter_and_the_others_do(tmp_path: Path, kind: str) -> None:
    """What `--explain` says of each entry is true: changed alone, it changes the policy or does not."""
    lateral = {f"pnn.u.{i}.{j}.0.weight": random(5, 6) for i in (0, 1) for j in range(i + 1)}
    small = {"inputs": 574, "outputs": CONTROLS, "hidden": (6, 5)}
    model = mlp(**small) if kind == "mlp" else {**pnn(2, **small), **(lateral if kind == "lateral" else {})}
    options: dict[str, Any] = {"primitive": 0 if kind == "mlp" else 1, "activation": "tanh"}
    path, batch = save(tmp_path / "a.pth", model), observations(size=574)
    expected = run(load_policy(path, **options), batch)
    uses = {use.key: use for use in explain(open_source(path, **options)).keys}
    for name, value in model.items():
        if name != "sigma":
            changed = save(tmp_path / "b.pth", {**model, name: value + 0.5})
            same = np.array_equal(run(load_policy(changed, **options), batch), expected)
            assert same == (uses[f"model.a2c_network.{name}"].to is None), name


def test_explain_lists_every_entry_and_every_assumption(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As text and as JSON, and writes nothing."""
    composer, primitives = save(tmp_path / "mcp.pth", mcp()), save(tmp_path / "pnn.pth", pnn())
    words = ["import-phc", str(composer), "--primitives", str(primitives), "--explain", "--out", str(tmp_path / "out")]
    assert cli.main(words) == cli.OK
    text = capsys.readouterr().out
    for name in [*mcp(), *pnn()]:
        assert f"a2c_network.{name} " in text
    for name in (
        "optimizer",
        "last_mean_rewards",
        "running_mean_std.running_var",
        "reward_mean_std.count",
        "env_state",
    ):
        assert f"  {name} " in text
    for name in (
        "activation",
        "trailing activation",
        "softmax",
        "upright",
        "mixture bounded",
        "--no-ending-activation",
    ):
        assert name in text
    assert "the first 934 of our environments'" in text
    assert "armature is 0.1 here, 0.02" in text
    assert cli.main([*words, "--json"]) == cli.OK
    report = json.loads(capsys.readouterr().out)
    assert report["written"] is None
    assert report["problem"] is None
    assert {use["to"] for use in report["keys"]} >= {
        "actor.2.bias",
        "primitive.2.0.weight",
        "primitive_normalizer.mean",
    }
    assert not (tmp_path / "out").exists()


def test_explain_names_the_blocks_that_differ_from_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["import-phc", str(save(tmp_path / "im.pth", mlp(945))), "--explain"]) == cli.OK
    text = capsys.readouterr().out
    assert "first layer expects 945 inputs, they provide 934" in text
    assert "Differing blocks: shape (+11)" in text


@pytest.mark.parametrize(
    ("model", "words", "message"),
    [
        (mlp(935), [], ["first layer expects 935 inputs", "The nearest has 934", "+1"]),
        (mlp(934, 72), [], ["last layer gives 72 controls, expected 69", "24 bodies"]),
        (mlp(934, 153), [], ["last layer gives 153 controls, expected 69"]),
        (mlp(), ["--activation", "gelu"], ["activation is 'gelu'", "silu, relu, elu, tanh", "Did you mean 'elu'?"]),
        (mlp(), ["--primitive", "1"], ["primitive is 1", "plain network"]),
        (pnn(), ["--primitive", "3"], ["primitive is 3", "the primitives 0 to 2"]),
        (pnn(), ["--primitive", "-1"], ["primitive is -1"]),
        (pnn(), ["--softmax"], ["primitives (PNN)", "softmax"]),
        (mcp(), [], ["3 outputs weigh primitives", "--primitives"]),
        (mlp(hidden=(4, 4, 4)), [], ["3 hidden layers", "--activation"]),
        ({**mlp(), "actor_mlp.3.weight": random(3, 3)}, [], ["its parts [0, 2, 3]"]),
        ({**mlp(), "mu.weight": random(69, 7)}, [], ["'mu.weight' has shape (69, 7), expected (69, 10)"]),
        ({**mlp(), "mu.bias": torch.full((69,), torch.nan)}, [], ["'mu.bias'", "not finite"]),
        ({k: v for k, v in mlp().items() if k != "mu.bias"}, [], ["'mu.bias' is missing"]),
        ({k: v for k, v in mlp().items() if k != "sigma"}, [], ["'sigma' is missing"]),
        ({"actor_mlp.0.weight": random(3, 3)}, [], ["'actor_mlp.0.bias' is missing", "Present: actor_mlp."]),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: dict[str, Tensor], words: list[str], message: list[str]
) -> None:
    """Expected and found, exit code 2, and nothing is written."""
    path = save(tmp_path / "x.pth", model)
    assert cli.main(["import-phc", str(path), *words, "--out", str(tmp_path / "out")]) == cli.USER_ERROR
    text = capsys.readouterr().err
    for word in message:
        assert word in text
    assert not (tmp_path / "out").exists()


def test_explain_shows_the_entries_even_if_nothing_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So that a user can find out what the file is."""
    assert cli.main(["import-phc", str(save(tmp_path / "x.pth", mlp(700, 60))), "--explain"]) == cli.USER_ERROR
    output = capsys.readouterr()
    assert "actor_mlp.0.weight" in output.out
    assert "first layer expects 700 inputs" in output.err


def test_primitives_must_belong_to_the_composer(tmp_path: Path) -> None:
    composer = save(tmp_path / "mcp.pth", mcp())
    with pytest.raises(CheckpointError, match=r"weighs 3 primitives, .* has 2"):
        load_policy(composer, primitives=save(tmp_path / "pnn.pth", pnn(2)))
    with pytest.raises(CheckpointError, match=r"takes 934 inputs.* take 574"):
        load_policy(composer, primitives=save(tmp_path / "pnn.pth", pnn(3, 574)))
    with pytest.raises(CheckpointError, match=r"plain network, expected primitives"):
        load_policy(composer, primitives=save(tmp_path / "im.pth", mlp()))
    with pytest.raises(ConfigError, match=r"are for composers"):
        load_policy(save(tmp_path / "pnn.pth", pnn()), primitives=composer)


# --- untrusted files --------------------------------------------------------------------------------------------------


class Payload:
    """Creates a file when it is unpickled without care."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


class Evaluated(Payload):
    """The same through a builtin."""

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (f"open({str(self.marker)!r}, 'w')",)


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("payload", [Payload, Evaluated])
@pytest.mark.parametrize("place", ["model", "optimizer", "plain pickle", "old format"])
def test_hostile_file_is_not_run_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], protocol: int, payload: type[Payload], place: str
) -> None:
    """The marker must not exist, the name is printed, and the exit code is 2."""
    marker, path = tmp_path / "marker", tmp_path / "evil.pth"
    bad = payload(marker)
    if place == "plain pickle":
        path.write_bytes(pickle.dumps({"model": bad}, protocol=protocol))
    else:
        content = {"model": mlp(), "running_mean_std": statistics(OBSERVATION), place: bad}
        torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=place != "old format")
    name = f"{os.system.__module__}.system" if payload is Payload else "eval"
    for words in ([], ["--explain"]):
        assert cli.main(["import-phc", str(path), *words, "--out", str(tmp_path / "out")]) == cli.USER_ERROR
        text = capsys.readouterr().err
        assert name in text
        assert "was not loaded" in text
    with pytest.raises(UntrustedFileError):
        load_policy(path)
    good = save(tmp_path / "mcp.pth", mcp())
    with pytest.raises(UntrustedFileError):
        load_policy(good, primitives=path)
    assert not marker.exists()


@pytest.mark.parametrize(
    "scalar",
    [np.float32(1), np.float64(-100500), np.int64(3), 1.5, None, torch.tensor(2.0)],
    ids=lambda s: type(s).__name__,
)
def test_numpy_scalars_of_real_files_are_accepted(tmp_path: Path, scalar: Any) -> None:
    """`last_mean_rewards` and the counters may be any of these."""
    path = save(tmp_path / "im.pth", mlp(), last_mean_rewards=scalar, frame=np.int64(7))
    assert explain(open_source(path)).problem is None


def test_numpy_scalars_of_old_numpy_are_accepted(tmp_path: Path) -> None:
    """NumPy 1 called the module of its scalars `numpy.core`."""
    new = save(tmp_path / "new.pth", mlp(), last_mean_rewards=np.float64(3.5))
    with zipfile.ZipFile(new) as source, zipfile.ZipFile(tmp_path / "old.pth", "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b"cnumpy._core.multiarray", b"cnumpy.core.multiarray"))
    assert b"numpy.core.multiarray" in (tmp_path / "old.pth").read_bytes()
    np.testing.assert_array_equal(
        run(load_policy(tmp_path / "old.pth"), observations()), run(load_policy(new), observations())
    )


def test_compressed_members_are_refused(tmp_path: Path) -> None:
    """A small file that would inflate; torch.save never compresses."""
    path = save(tmp_path / "im.pth", mlp())
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    with pytest.raises(UntrustedFileError, match="uncompressed"):
        load_policy(tmp_path / "bomb.pth")


def test_expanded_tensors_are_refused(tmp_path: Path) -> None:
    """One number that claims to be a matrix of 4 TB."""
    path = save(tmp_path / "im.pth", {**mlp(), "mu.weight": torch.zeros(1).expand(10**6, 10**6)})
    with pytest.raises(UntrustedFileError, match="more than the file holds"):
        load_policy(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds a list"),
        ({"epoch": 1}, "'model' must be a dictionary by names, found nothing"),
        ({"model": 3}, "found int"),
        ({"model": {}}, "'running_mean_std' must be"),
        ({"model": {1: 2}}, "'model' must be a dictionary by names"),
        ({"model": {}, "running_mean_std": {}}, "running_mean_std lacks 'running_mean'"),
        ({"model": {}, "running_mean_std": statistics(3)}, "neither actor_mlp, pnn nor composer"),
        ({"model": {"a2c_network.mu.bias": 1, "mu.bias": 2}, "running_mean_std": statistics(3)}, "the same parameter"),
        ({"model": {"actor_mlp.0.weight": 3}, "running_mean_std": statistics(3)}, "must be a dense array"),
        ({"model": mlp(), "running_mean_std": {**statistics(3), "running_var": -torch.ones(3)}}, "negative variances"),
        ({"model": mlp(), "running_mean_std": statistics(999)}, "999 entries, the first layer expects 934"),
    ],
)  # fmt: skip
def test_files_that_are_no_checkpoints_are_described(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=message):
        load_policy(tmp_path / "x.pth")


def test_missing_and_empty_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere\.pth: no such file"):
        load_policy(tmp_path / "nowhere.pth")
    (tmp_path / "empty.pth").touch()
    with pytest.raises(CheckpointError, match=r"empty\.pth: not a zip"):
        load_policy(tmp_path / "empty.pth")
    torch.save(mlp(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match=r"old\.pth: not a zip"):
        load_policy(tmp_path / "old.pth")


@settings(max_examples=200)
@given(data=st.data())
def test_damaged_files_are_errors_of_the_user(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Truncated, or with bytes changed: the policy loads, or there is one clear error."""
    buffer = io.BytesIO()
    small = {**mlp(10, 3, (4, 4))}
    torch.save({"model": small, "running_mean_std": statistics(10), "last_mean_rewards": np.float32(1)}, buffer)
    content = bytearray(buffer.getvalue())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "x.pth"
    path.write_bytes(content)
    try:
        load_policy(path)
    except AssistMimicError as error:
        assert str(path) in str(error)


@pytest.mark.slow
def test_files_of_full_width_are_exact(tmp_path: Path) -> None:
    """Three primitives of 2048-1536-1024-1024-512-512 and their composer, as in PHC's largest models."""
    wide = (2048, 1536, 1024, 1024, 512, 512)
    composer, primitives = save(tmp_path / "mcp.pth", mcp(hidden=wide)), save(tmp_path / "pnn.pth", pnn(hidden=wide))
    batch = observations()
    actions = [plain(primitives, [f"pnn.actors.{i}.{2 * part}" for part in range(7)], batch, "silu") for i in range(3)]
    for index, expected in enumerate(actions):
        np.testing.assert_allclose(run(load_policy(primitives, primitive=index), batch), expected, rtol=0, atol=1e-5)
    weights = plain(composer, [f"composer.{2 * part}" for part in range(7)], batch, "silu", ending=True).clip(-1, 1)
    mixed = (weights[..., None] * np.stack(actions, axis=1)).sum(1)
    np.testing.assert_allclose(run(load_policy(composer, primitives=primitives), batch), mixed, rtol=0, atol=1e-5)
    policy = convert(tmp_path, str(composer), "--primitives", str(primitives))
    np.testing.assert_allclose(policy.act(batch.numpy()), mixed, rtol=0, atol=1e-5)


# --- parity with PHC --------------------------------------------------------------------------------------------------

needs_golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="PHC's reference vectors are not shipped")

CASES = {
    "im": ("im", {}, "out_mu"),
    "pnn 0": ("pnn", {"primitive": 0}, "out_prim_0"),
    "pnn 1": ("pnn", {"primitive": 1}, "out_mu"),
    "pnn 2": ("pnn", {"primitive": 2}, "out_prim_2"),
    "composer": ("mcp_endact", {}, "out_mu"),
    "mixture": ("mcp_endact", {"primitives": GOLDEN / "ckpt_pnn_small.pth"}, "out_mcp_final_action"),
}


@needs_golden
@pytest.mark.parametrize("case", CASES)
def test_policies_agree_with_phc(tmp_path: Path, case: str) -> None:
    """The torch module, and the converted policy in NumPy."""
    kind, options, output = CASES[case]
    path, vectors = GOLDEN / f"ckpt_{kind}_small.pth", np.load(GOLDEN / f"ckpt_{kind}_small_io.npz")
    found = run(load_policy(path, **options), torch.from_numpy(vectors["in_obs"]))
    np.testing.assert_allclose(found, vectors[output], rtol=0, atol=1e-5)
    if case != "composer":
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        policy = convert(tmp_path, str(path), *words)
        np.testing.assert_allclose(policy.act(vectors["in_obs"]), vectors[output], rtol=0, atol=1e-5)


@needs_golden
@pytest.mark.parametrize("kind", ["im", "pnn", "mcp_endact"])
def test_normalised_observations_agree_with_phc(kind: str) -> None:
    vectors = np.load(GOLDEN / f"ckpt_{kind}_small_io.npz")
    policy: Any = load_policy(GOLDEN / f"ckpt_{kind}_small.pth")
    found = policy.normalizer(torch.from_numpy(vectors["in_obs"])).numpy()
    np.testing.assert_allclose(found, vectors["out_obs_normalized"], rtol=0, atol=1e-5)


@needs_golden
def test_normaliser_agrees_with_phc() -> None:
    """Given the same statistics, in both directions; PHC's inverse bounds what it gets to [-5, 5]."""
    vectors = np.load(GOLDEN / "running_mean_std.npz")
    normalizer = Normalizer(7)
    normalizer.mean.copy_(torch.from_numpy(vectors["out_running_mean"]))
    normalizer.variance.copy_(torch.from_numpy(vectors["out_running_var"]))
    rows = torch.from_numpy(vectors["in_eval"])
    np.testing.assert_allclose(normalizer(rows).numpy(), vectors["out_eval"], rtol=1e-4, atol=1e-4)
    inverse = normalizer.denormalize(rows.clamp(-5.0, 5.0)).numpy()
    np.testing.assert_allclose(inverse, vectors["out_unnorm"], rtol=1e-4, atol=1e-4)


@needs_golden
def test_every_architecture_of_phc_is_recognised(tmp_path: Path) -> None:
    """All keys and shapes at full width, without their numbers: kind, observation, and no entry of unknown purpose."""
    shapes = json.loads((GOLDEN / "true_shapes.json").read_text())
    for title, entry in shapes.items():
        model = {name: torch.empty(shape, device="meta") for name, shape in entry["model"].items()}
        assert_recognised(title, entry, model)


def assert_recognised(title: str, entry: Mapping[str, Any], model: Mapping[str, Tensor]) -> None:
    """Check one architecture."""
    from assistmimic_trainers.phc.architecture import KIND_NAMES, kind_of
    from assistmimic_trainers.phc.checkpoint import Checkpoint
    from assistmimic_trainers.phc.explanation import _reason
    from assistmimic_trainers.phc.observation import identify

    short = {name.removeprefix("a2c_network."): tensor for name, tensor in model.items()}
    empty = torch.zeros(entry["obs"])
    checkpoint = Checkpoint(
        source=title, model=short, full_names={}, mean=empty, variance=empty, count=1.0, others={}, epoch=0, frame=0
    )
    kind = kind_of(checkpoint)
    assert kind in KIND_NAMES
    observation = identify(title, entry["obs"], None if kind == "mcp" else entry["actions"])
    goal = sum(width for name, width in observation.blocks.items() if name.startswith("goal"))
    assert (observation.size - goal, goal) == (entry["self_obs"], entry["task_obs"])
    used = {"sigma", "mu", "actor_mlp", "composer", "pnn"}
    ignored = [name for name in short if name.split(".")[0] not in used]
    assert not [name for name in ignored if "unknown" in _reason(name, checkpoint)]

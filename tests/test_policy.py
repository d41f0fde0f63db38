"""Exported policies: the same numbers as the network, and one clear error for every bad file."""

from __future__ import annotations

import copy
import itertools
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import make_vec, pose_action

from assistmimic_env import policy as policies
from assistmimic_env.body import get_body
from assistmimic_env.config import Impairment
from assistmimic_env.errors import PolicyError
from assistmimic_env.layout import build_layout
from assistmimic_env.policy import (
    HoldPolicy,
    Policy,
    RandomPolicy,
    StillPolicy,
    TrainedIn,
    load_pair,
    policy_interface,
    save_policy,
)

LAYOUT = {"self": slice(0, 30), "goal": slice(30, 50)}
INTERFACE: dict[str, Any] = {
    "observation_layout": {name: (block.start, block.stop) for name, block in LAYOUT.items()},
    "body": "smpl24",
    "actuation": {"law": "so3", "scale": [3.14, 5.0], "target_limit": None},
    "control_dt": 1 / 30,
}


def make_card(**changes: Any) -> dict[str, Any]:
    """Card of a small policy."""
    card = {
        "role": "supporter",
        "observation_layout": {name: [block.start, block.stop] for name, block in LAYOUT.items()},
        "observation_size": 50,
        "action_size": 6,
        "activation": "silu",
        "hidden": [32, 16],
        "normalizer": {"epsilon": 1e-5, "clip": 5.0},
        "actuation": {"law": "so3", "scale": [3.14, 5.0], "target_limit": None},
        "body": "smpl24",
        "control_dt": 1 / 30,
        "provenance": {"seed": 3},
    }
    return {**card, **changes}


def make_tensors(seed: int = 0, widths: tuple[int, ...] = (50, 32, 16, 6)) -> dict[str, np.ndarray]:
    """Random tensors of a small policy."""
    rng = np.random.default_rng(seed)
    tensors = {
        "normalizer.mean": rng.normal(size=widths[0]),
        "normalizer.variance": rng.uniform(0.1, 2.0, widths[0]),
        "log_std": np.full(widths[-1], -3.5),
    }
    for layer, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        tensors[f"actor.{layer}.weight"] = rng.normal(size=(outputs, inputs)) / np.sqrt(inputs)
        tensors[f"actor.{layer}.bias"] = rng.normal(size=outputs)
    return {name: array.astype(np.float32) for name, array in tensors.items()}


def save(folder: Path, name: str = "supporter", **changes: Any) -> Path:
    """Write a small policy and return its stem."""
    save_policy(folder / name, make_tensors(), make_card(**changes))
    return folder / name


def plain_network(tensors: dict[str, np.ndarray], observation: np.ndarray, activation: str) -> np.ndarray:
    """The network, written down once more in the plainest way."""
    functions = {
        "silu": lambda x: x / (1.0 + np.exp(-x)),
        "relu": lambda x: x * (x > 0),
        "elu": lambda x: np.where(x > 0, x, np.exp(x) - 1.0),
        "tanh": np.tanh,
    }
    x = (observation - tensors["normalizer.mean"]) / np.sqrt(tensors["normalizer.variance"] + 1e-5)
    x = np.clip(x, -5.0, 5.0)
    for layer in range(3):
        x = tensors[f"actor.{layer}.weight"] @ x + tensors[f"actor.{layer}.bias"]
        x = functions[activation](x) if layer < 2 else x
    return x


@pytest.mark.parametrize("activation", ["silu", "relu", "elu", "tanh"])
def test_loaded_policy_computes_the_network(tmp_path: Path, activation: str) -> None:
    """Saving and loading keeps the function, for every activation, with normaliser and clipping."""
    stem = save(tmp_path, activation=activation)
    observation = 4.0 * np.random.default_rng(1).normal(size=50).astype(np.float32)
    expected = plain_network(make_tensors(), observation, activation)
    action = Policy.load(stem).act(observation)
    assert action.dtype == np.float32
    np.testing.assert_allclose(action, expected, atol=2e-6)


def test_batched_rows_equal_single_rows() -> None:
    """At full size, a row of a batch is the row alone within 1e-6, for any leading dimensions."""
    card = make_card(observation_size=1500, observation_layout={"all": [0, 1500]}, action_size=69, hidden=[512, 256])
    tensors = make_tensors(widths=(1500, 512, 256, 69))
    full = {"format": policies.FORMAT, "version": policies.VERSION, **card}
    policy = Policy(card=policies.PolicyCard.from_json(full), tensors=tensors)
    observation = 3.0 * np.random.default_rng(2).normal(size=(128, 1500)).astype(np.float32)
    batch = policy.act(observation)
    single = np.stack([policy.act(row) for row in observation])
    np.testing.assert_allclose(batch, single, rtol=0, atol=1e-6)
    np.testing.assert_allclose(policy.act(observation.reshape(2, 64, -1)).reshape(128, -1), batch, rtol=0, atol=1e-6)


def test_extreme_observations_give_finite_actions(tmp_path: Path) -> None:
    """Neither the normaliser nor an activation overflows."""
    policy = Policy.load(save(tmp_path))
    assert np.isfinite(policy.act(np.full((2, 50), 3e38, np.float32))).all()


@pytest.mark.parametrize("suffix", ["", ".json", ".safetensors"])
def test_load_accepts_the_stem_and_either_file(tmp_path: Path, suffix: str) -> None:
    """A dot inside the name is no suffix."""
    stem = save(tmp_path, name="step_0.5")
    assert Policy.load(f"{stem}{suffix}").card.provenance == {"seed": 3}


def test_pair_loads_both_roles_and_survives_pickling(tmp_path: Path) -> None:
    """A pair is a folder, and a loaded policy can be sent to another process."""
    save(tmp_path, "supporter")
    save(tmp_path, "recipient", role="recipient")
    pair = load_pair(tmp_path)
    assert list(pair) == ["supporter", "recipient"]
    observation = np.ones((3, 50), np.float32)
    other = pickle.loads(pickle.dumps(pair["recipient"]))  # noqa: S301 (our own bytes)
    np.testing.assert_array_equal(other.act(observation), pair["recipient"].act(observation))


def test_swapped_roles_are_refused(tmp_path: Path) -> None:
    """A recipient's policy under the supporter's name is an error."""
    save(tmp_path, "supporter", role="recipient")
    save(tmp_path, "recipient", role="recipient")
    with pytest.raises(PolicyError, match="role is 'recipient', expected 'supporter'"):
        load_pair(tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    """The message says which file is missing and which policies exist."""
    with pytest.raises(PolicyError, match="no such folder"):
        load_pair(tmp_path / "nowhere")
    save(tmp_path, "recipient")
    with pytest.raises(PolicyError, match=r"supporter\.json: no such file.*recipient"):
        load_pair(tmp_path)


def test_matching_environment_passes_the_check(tmp_path: Path) -> None:
    """Rounding of a JSON trip and tuples instead of lists are no difference."""
    policy = Policy.load(save(tmp_path))
    policy.check({**INTERFACE, "control_dt": np.float64(1 / 30)}, action_size=6, role="supporter")
    actuation = {"law": "so3", "scale": (3.14, 5.0), "target_limit": None}
    policy.check({**INTERFACE, "actuation": actuation}, action_size=6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"observation_layout": {"self": (0, 30), "goal": (30, 50), "partner": (50, 70)}}, ["partner", "[50, 70]"]),
        (
            {"observation_layout": {"self": (0, 28), "goal": (28, 50)}},
            ["observation_layout.self", "[0, 28]", "[0, 30]"],
        ),
        ({"action_size": 150}, ["action_size is 6 in the policy, 150 in the environment"]),
        ({"body": "smpl52"}, ["body is smpl24", "smpl52"]),
        ({"actuation": {**INTERFACE["actuation"], "law": "expmap"}}, ["actuation.law is so3", "expmap"]),
        ({"actuation": {**INTERFACE["actuation"], "target_limit": 3.0}}, ["actuation.target_limit is None", "3.0"]),
        ({"control_dt": 1 / 60}, ["control_dt"]),
        ({"role": "recipient"}, ["role is supporter"]),
    ],
)
def test_check_names_what_differs(tmp_path: Path, change: dict[str, Any], words: list[str]) -> None:
    """Each mismatch is named with both values."""
    policy = Policy.load(save(tmp_path))
    wanted = {**INTERFACE, "action_size": 6, "role": "supporter", **change}
    with pytest.raises(PolicyError) as caught:
        policy.check(wanted, action_size=wanted.pop("action_size"), role=wanted.pop("role"))
    for word in words:
        assert word in str(caught.value)


def test_card_says_what_the_policy_was_trained_in(tmp_path: Path) -> None:
    """Id and plain options come back; what JSON cannot hold is left out, dataclasses are mappings."""
    options = {
        "recipient": Impairment(mass=0.7),
        "termination_distance": float("inf"),
        "clips": ["pull_up"],
        "grip": "none",
    }
    environment = TrainedIn.of("AssistMimic/PullUp-v0", options)
    found = Policy.load(save(tmp_path, environment=environment.to_json())).card.environment
    assert found.id == "AssistMimic/PullUp-v0"
    assert found.options == {
        "recipient": {"mass": 0.7, "gain": {}, "torque_limit": {}}, "clips": ["pull_up"], "grip": "none"
    }  # fmt: skip


def test_old_cards_know_neither_environment_nor_layout_version(tmp_path: Path) -> None:
    """They are read, they fit by their blocks, and saving them again adds nothing."""
    policy = Policy.load(save(tmp_path))
    assert policy.card.environment is None
    assert policy.card.layout_version is None
    assert not {"environment", "layout_version"} & set(policy.card.to_json())
    policy.check({**INTERFACE, "layout_version": 7}, action_size=6)
    with pytest.raises(PolicyError, match="layout_version is 6 in the policy, 7 in the environment"):
        Policy.load(save(tmp_path, layout_version=6)).check({**INTERFACE, "layout_version": 7}, action_size=6)


@pytest.mark.parametrize("law", ["so3", "expmap"])
def test_policy_made_for_an_environment_fits_it(tmp_path: Path, law: Any) -> None:
    """What an environment says of itself can be exported and is found again; the other law is refused."""
    body = get_body("smpl24")
    layout = build_layout(body)
    interface = policy_interface(layout=layout, body=body, actuation=law)
    assert sum(stop - start for start, stop in interface["observation_layout"].values()) == layout.size
    size, actions = layout.size, body.num_dofs
    card = make_card(**interface, observation_size=size, action_size=actions, hidden=[4])
    save_policy(tmp_path / "supporter", make_tensors(widths=(size, 4, actions)), card)
    policy = Policy.load(tmp_path / "supporter")
    policy.check(interface, action_size=actions, role="supporter")
    other = policy_interface(layout=layout, body=body, actuation="expmap" if law == "so3" else "so3")
    with pytest.raises(PolicyError, match=r"actuation\.law"):
        policy.check(other, action_size=actions)


def test_wrong_observation_width_is_refused(tmp_path: Path) -> None:
    """The message has both widths."""
    with pytest.raises(PolicyError, match=r"\(2, 49\), expected \(\.\.\., 50\)"):
        Policy.load(save(tmp_path)).act(np.zeros((2, 49)))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", "other"),
        ("version", 2),
        ("role", "referee"),
        ("role", ["supporter"]),
        ("observation_size", -5),
        ("observation_size", True),
        ("observation_size", 10**9),
        ("observation_layout", {"self": [0, 30]}),
        ("observation_layout", {"self": [0, 30], "goal": [31, 50]}),
        ("observation_layout", {"self": "abc"}),
        ("observation_layout", []),
        ("hidden", [10**9]),
        ("hidden", [4] * 100),
        ("hidden", 5),
        ("activation", "system"),
        ("normalizer", None),
        ("normalizer", {"epsilon": 1e-5, "clip": -1.0}),
        ("normalizer", {"epsilon": float("nan"), "clip": 5.0}),
        ("control_dt", 0),
        ("body", ""),
        ("provenance", "me"),
        ("layout_version", 0),
        ("layout_version", "1"),
        ("environment", "AssistMimic/PullUp-v0"),
        ("environment", {"id": "AssistMimic/PullUp-v0"}),
        ("environment", {"id": "", "options": {}}),
        ("environment", {"id": "x" * 2000, "options": {}}),
        ("environment", {"id": ["x"], "options": {}}),
        ("environment", {"id": "x", "options": [1]}),
        ("environment", {"id": "x", "options": dict.fromkeys(map(str, range(200)), 1)}),
        ("environment", {"id": "x", "options": {"start_noise": float("inf")}}),
        ("environment", {"id": "x", "options": {"clips": ["x" * 2000]}}),
        ("environment", {"id": "x", "options": {"clips": list(range(2000))}}),
        ("environment", {"id": "x", "options": {"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}}}),
    ],
)
def test_bad_card_is_refused_by_key(tmp_path: Path, key: str, value: object) -> None:
    """Any wrong value in the card names its key, when loading and when saving."""
    stem = save(tmp_path)
    path = Path(f"{stem}.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(PolicyError, match=key):
        Policy.load(stem)
    with pytest.raises(PolicyError, match=key):
        save_policy(tmp_path / "new", make_tensors(), make_card(**{key: value}))
    assert not list(tmp_path.glob("*new*"))


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "[" * 20000, "\x00\xff", '{"format": 1e999}'])
def test_broken_json_is_refused(tmp_path: Path, text: str) -> None:
    """Whatever the card holds, the error is ours."""
    stem = save(tmp_path)
    Path(f"{stem}.json").write_text(text)
    with pytest.raises(PolicyError, match=r"supporter\.json"):
        Policy.load(stem)


def test_tensors_that_do_not_match_the_card_are_named(tmp_path: Path) -> None:
    """Missing, additional, misshapen and non-finite tensors, each by name."""
    good = make_tensors()
    bad_shape = {**good, "actor.1.weight": np.zeros((16, 31), np.float32)}
    missing = {name: array for name, array in good.items() if name != "log_std"}
    for tensors, words in (
        (bad_shape, r"'actor\.1\.weight' has shape \(16, 31\), its card says \(16, 32\)"),
        (missing, r"'log_std' \(6,\) is missing"),
        ({**good, "backdoor": np.zeros(1)}, "unknown tensor 'backdoor'"),
        ({**good, "log_std": np.full(6, np.nan)}, "'log_std' holds values that are not finite"),
        ({**good, "normalizer.variance": np.full(50, -1.0)}, r"'normalizer\.variance' holds negative"),
    ):
        with pytest.raises(PolicyError, match=words):
            save_policy(tmp_path / "bad", tensors, make_card())
    assert not list(tmp_path.iterdir())


def test_other_types_are_refused_before_they_are_read(tmp_path: Path) -> None:
    """Half precision would silently change the policy."""
    from safetensors.numpy import save_file

    stem = save(tmp_path)
    save_file({**make_tensors(), "log_std": np.zeros(6, np.float16)}, f"{stem}.safetensors")
    with pytest.raises(PolicyError, match="'log_std' has type F16, expected F32"):
        Policy.load(stem)


def test_files_of_two_exports_do_not_mix(tmp_path: Path) -> None:
    """New tensors under an old card are noticed, even if all shapes agree."""
    save(tmp_path, "old")
    save_policy(tmp_path / "new", make_tensors(seed=1), make_card())
    (tmp_path / "new.safetensors").replace(tmp_path / "old.safetensors")
    with pytest.raises(PolicyError, match="sha256"):
        Policy.load(tmp_path / "old")


def test_oversized_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The size is looked at first."""
    stem = save(tmp_path)
    monkeypatch.setattr(policies, "MAX_TENSOR_BYTES", 100)
    with pytest.raises(PolicyError, match="at most 100"):
        Policy.load(stem)
    monkeypatch.setattr(policies, "MAX_CARD_BYTES", 10)
    with pytest.raises(PolicyError, match="at most 10"):
        Policy.load(stem)


def test_a_pickle_is_not_executed(tmp_path: Path) -> None:
    """Bytes of a pickle in place of the tensors are an unreadable file, nothing more."""

    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "executed",))

    stem = save(tmp_path)
    Path(f"{stem}.safetensors").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(PolicyError, match="not a readable safetensors file"):
        Policy.load(stem)
    assert not (tmp_path / "executed").exists()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A stem and the bytes of its tensors."""
    stem = save(tmp_path_factory.mktemp("policy"))
    return stem, Path(f"{stem}.safetensors").read_bytes()


@settings(max_examples=150, deadline=None)
@given(cut=st.integers(0, 13000), flips=st.lists(st.tuples(st.integers(0, 900), st.integers(1, 255)), max_size=4))
def test_damaged_tensors_raise_only_policy_errors(exported: tuple[Path, bytes], cut: int, flips: list) -> None:
    """Truncated and mutated files: our error, or (nothing changed) a policy."""
    stem, original = exported
    data = bytearray(original[: len(original) - cut])
    for position, mask in flips:
        if position < len(data):
            data[position] ^= mask
    Path(f"{stem}.safetensors").write_bytes(data)
    if bytes(data) == original:
        Policy.load(stem)
        return
    with pytest.raises(PolicyError):
        Policy.load(stem)


def test_failed_write_keeps_the_old_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk in the middle of an export leaves the last good files, and no litter."""
    stem = save(tmp_path)
    before = copy.deepcopy(Policy.load(stem).act(np.ones(50)))

    def full_disk(path: Path, data: bytes) -> int:
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_policy(stem, make_tensors(seed=5), make_card())
    np.testing.assert_array_equal(Policy.load(stem).act(np.ones(50)), before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["supporter.json", "supporter.safetensors"]


def test_same_policy_gives_the_same_bytes(tmp_path: Path) -> None:
    """An export depends on its content only."""
    first, second = save(tmp_path / "a"), save(tmp_path / "b")
    for suffix in (".json", ".safetensors"):
        assert Path(f"{first}{suffix}").read_bytes() == Path(f"{second}{suffix}").read_bytes()


def test_random_policy_repeats_after_reset() -> None:
    """Its actions fill the space, differ by seed and start again on demand."""
    random = RandomPolicy(6, seed=1)
    first = random.act(np.zeros((500, 50)))
    assert first.shape == (500, 6)
    assert first.min() < -0.98
    assert first.max() > 0.98
    assert not np.array_equal(first, random.act(np.zeros((500, 50))))
    random.reset()
    np.testing.assert_array_equal(first, random.act(np.zeros((500, 50))))
    assert not np.array_equal(first, RandomPolicy(6, seed=2).act(np.zeros((500, 50))))


def test_hold_policy_always_returns_its_action() -> None:
    """One action per observation; zero is the T-pose."""
    np.testing.assert_array_equal(HoldPolicy(action=(0.5, -1.0)).act(np.zeros((3, 50))), [[0.5, -1.0]] * 3)
    np.testing.assert_array_equal(HoldPolicy.zero(4).act(np.zeros(50)), np.zeros(4))


def make_composition() -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors and card of a composer with two primitives."""
    composer, *primitives = (
        make_tensors(seed, widths) for seed, widths in enumerate([(50, 8, 2), *[(50, 32, 16, 6)] * 2])
    )
    tensors = {**composer, "log_std": primitives[0]["log_std"]}
    for index, primitive in enumerate(primitives):
        for name, array in primitive.items():
            renamed = name.replace("actor", f"primitive.{index}").replace("normalizer", "primitive_normalizer")
            if name != "log_std":
                tensors[renamed] = array
    mixture = {"primitives": 2, "hidden": [32, 16], "activation": "silu", "ending": "none", "softmax": False}
    return tensors, make_card(hidden=[8], mixture=mixture)


def test_composition_weighs_its_primitives(tmp_path: Path) -> None:
    """Weights are bounded to [-1, 1], the sum is not; a trip through the files changes nothing."""
    tensors, card = make_composition()
    save_policy(tmp_path / "mixed", tensors, card)
    policy = Policy.load(tmp_path / "mixed")
    primitives = [Policy(card=policy.card, tensors=tensors)._networks[1 + index] for index in range(2)]
    observation = 2.0 * np.random.default_rng(4).normal(size=(7, 50)).astype(np.float32)
    x = (observation - tensors["normalizer.mean"]) / np.sqrt(tensors["normalizer.variance"] + 1e-5)
    hidden = np.clip(x, -5.0, 5.0) @ tensors["actor.0.weight"].T + tensors["actor.0.bias"]
    weights = hidden / (1.0 + np.exp(-hidden)) @ tensors["actor.1.weight"].T + tensors["actor.1.bias"]
    expected = sum(np.clip(weights[:, [i]], -1.0, 1.0) * primitives[i](observation) for i in range(2))
    np.testing.assert_allclose(policy.act(observation), expected, atol=2e-6)
    assert np.abs(weights).max() > 1.0
    assert policies.PolicyCard.from_json({**policy.card.to_json()}) == policy.card


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"primitives": 0}, "'primitives' must be an integer from 1"),
        ({"primitives": 3}, r"'actor\.1\.weight' has shape \(2, 8\), its card says \(3, 8\)"),
        ({"hidden": [32]}, "'primitive"),
        ({"activation": "gelu"}, "'activation' must be one of"),
        ({"ending": None}, "'ending' must be one of"),
        ({"softmax": 1}, "'softmax' must be true or false"),
    ],
)
def test_damaged_composition_is_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    """Each key of a mixture is checked."""
    tensors, card = make_composition()
    with pytest.raises(PolicyError, match=words):
        save_policy(tmp_path / "mixed", tensors, {**card, "mixture": {**card["mixture"], **change}})


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("upright", {"upright": "yes"}),
        ("servo", {"servo": 3}),
        ("mixture", {"mixture": [1]}),
        ("role", {"role": "anyone"}),
        ("count", {"normalizer": {"epsilon": 1e-5, "clip": 5.0, "count": -1}}),
    ],
)
def test_optional_keys_of_a_card_are_checked(tmp_path: Path, key: str, change: dict[str, Any]) -> None:
    """Left out, they mean: upright, unknown servos, no primitives, unknown count."""
    with pytest.raises(PolicyError, match=f"'{key}' must be"):
        save(tmp_path, **change)
    card = Policy.load(save(tmp_path)).card
    assert (card.upright, card.servo, card.mixture, card.normalizer_count) == (True, None, None, 0.0)


def test_a_still_person_keeps_asking_for_the_pose_of_the_start() -> None:
    """Also where an episode begins later than in the other worlds; the pose is the reference's at that frame."""
    vec = make_vec(2, start="uniform")
    simulation = vec.simulation
    still = StillPolicy(vec.layout, simulation.body.parents, simulation.action_scale)
    observation, _ = vec.reset(seed=0)
    first = still.act(observation["supporter"])
    np.testing.assert_allclose(first, pose_action(simulation)[:, 0], atol=1e-5)
    wild = {role: np.full((2, simulation.body.num_dofs), 0.1) for role in vec.agents}
    for _ in range(4):
        observation, *_ = vec.step(wild)
    np.testing.assert_array_equal(still.act(observation["supporter"]), first)
    observation = vec.reset_worlds([1], frame=np.array([40]))
    again = still.act(observation["supporter"])
    np.testing.assert_array_equal(again[0], first[0])
    np.testing.assert_allclose(again[1], pose_action(simulation)[1, 0], atol=1e-5)

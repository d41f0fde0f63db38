"""Exported policies: a safetensors file and a JSON card per role, run in NumPy without torch.

A policy called `supporter` is two files, `supporter.safetensors` (the numbers) and `supporter.json` (what they mean and
which environment they fit). A pair is a folder with one policy per role. Files may come from anywhere: nothing is
unpickled, every size is capped, and whatever does not fit is a `PolicyError` that names the key, what was expected and
what was found.

The network: observations normalised with a running mean and variance and clipped, then linear layers with an activation
between them. Its last layer is the mean action. A composer (`Mixture`) is such a network whose outputs weigh the
actions of several others.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as encode_tensors

from . import rotations
from .actuation import target_to_action
from .errors import PolicyError
from .policy_card import ANY_ROLE, FORMAT, ROLES, VERSION, Mixture, PolicyCard, TrainedIn, policy_interface

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    Float32 = NDArray[np.float32]
    StrPath = str | os.PathLike[str]

__all__ = [
    "ANY_ROLE", "FORMAT", "ROLES", "VERSION", "Actor", "HoldPolicy", "Mixture", "Policy", "PolicyCard", "RandomPolicy",
    "StillPolicy", "TrainedIn", "load_pair", "policy_interface", "save_policy", "write_atomically",
]  # fmt: skip

MAX_TENSOR_BYTES: Final = 256 * 2**20
MAX_CARD_BYTES: Final = 2**20
MAX_TENSORS: Final = 512

_ACTIVATIONS: Final[dict[str, Callable[[Any], Any]]] = {
    "silu": lambda x: 0.5 * x * (1.0 + np.tanh(0.5 * x)),
    "relu": lambda x: np.maximum(x, 0.0),
    "elu": lambda x: np.where(x > 0.0, x, np.expm1(np.minimum(x, 0.0))),
    "tanh": np.tanh,
    "none": lambda x: x,
}


class Actor(Protocol):
    """Anything that maps observations to actions; `Policy` and the simple policies below are actors."""

    def act(self, observation: Float32) -> Float32:
        """Choose actions, (..., observation size) -> (..., action size)."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Policy:
    """An exported policy that runs in NumPy."""

    card: PolicyCard
    """What it is and where it fits."""
    tensors: Mapping[str, Float32]
    """Name -> array, as `PolicyCard.tensor_shapes` says."""
    source: str = "policy"
    """Where it was loaded from, for messages."""

    def __post_init__(self) -> None:
        expected = self.card.tensor_shapes()
        _check_shapes(self.source, expected, {name: np.shape(array) for name, array in self.tensors.items()})
        for name, array in self.tensors.items():
            if not np.all(np.isfinite(array)):
                raise PolicyError(f"{self.source}: tensor '{name}' holds values that are not finite. Export it again.")
            if name.endswith(".variance") and np.any(array < 0.0):
                raise PolicyError(f"{self.source}: tensor '{name}' holds negative values. Export it again.")

    @classmethod
    def load(cls, path: StrPath) -> Policy:
        """Load a policy.

        Args:
            path: Its stem, or either of its two files, e.g. ``runs/best/supporter``.

        Returns:
            The policy.

        Raises:
            PolicyError: A file is missing, too large, damaged, or the two do not belong together.
        """
        stem = _stem(path)
        raw = _read_card(_with_suffix(stem, ".json"))
        card = PolicyCard.from_json(raw, where=str(_with_suffix(stem, ".json")))
        tensors = _read_tensors(_with_suffix(stem, ".safetensors"), card, raw.get("sha256"))
        return cls(card=card, tensors=tensors, source=str(stem))

    @property
    def role(self) -> str:
        """Who the policy controls."""
        return self.card.role

    def act(self, observation: ArrayLike) -> Float32:
        """Compute the mean action, unclipped.

        Args:
            observation: Observations, shape (..., observation size).

        Returns:
            Actions, shape (..., action size). A row of a batch equals the row alone within float32 rounding, because
            the arithmetic is float64 (measured: 1.2 ms instead of 0.7 ms for 64 rows and 512-256 units).

        Raises:
            PolicyError: The observation has another width.
        """
        x = np.asarray(observation, np.float64)
        if x.ndim == 0 or x.shape[-1] != self.card.observation_size:
            raise PolicyError(
                f"{self.source}: observation has shape {x.shape}, expected (..., {self.card.observation_size}). "
                "See which blocks differ with policy.check(...)."
            )
        actor, *primitives = self._networks
        if self.card.mixture is None:
            return actor(x).astype(np.float32)
        weights = actor(x)
        if self.card.mixture.softmax:
            weights = _softmax(weights)
        weights = np.clip(weights, -1.0, 1.0)
        mixed = sum(weights[..., i, None] * primitive(x) for i, primitive in enumerate(primitives))
        return np.asarray(mixed, np.float32)

    def check(self, interface: Mapping[str, Any], *, action_size: int, role: str | None = None) -> None:
        """Make sure that the policy fits an environment.

        Args:
            interface: What the environment needs, from `policy_interface`.
            action_size: Width of the environment's actions.
            role: The role it is to play; None if any will do.

        Raises:
            PolicyError: Something differs; the message lists everything that does.
        """
        played = {} if role is None or self.role == ANY_ROLE else {"role": role}
        expected = {**interface, "action_size": action_size, **played}
        if self.card.layout_version is None:
            expected.pop("layout_version", None)  # a card from before there were versions; its blocks are compared
        found = {name: self.card.to_json().get(name) for name in expected}
        differences = _differences(_plain(expected), _plain(found))
        if differences:
            shown = "; ".join(differences[:6]) + (f"; and {len(differences) - 6} more" if len(differences) > 6 else "")
            raise PolicyError(
                f"{self.source} does not fit this environment: {shown}. "
                "Use the environment id and options it was trained with, or train one for this environment."
            )

    @cached_property
    def _networks(self) -> list[_Network]:
        """The actor or composer, then the primitives."""
        card, mixture = self.card, self.card.mixture
        if mixture is None:
            return [_network(self, "actor", "normalizer", len(card.hidden), card.activation)]
        composer = _network(self, "actor", "normalizer", len(card.hidden), card.activation, ending=mixture.ending)
        return [composer] + [
            _network(self, f"primitive.{i}", "primitive_normalizer", len(mixture.hidden), mixture.activation)
            for i in range(mixture.primitives)
        ]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Network:
    """A normaliser and a perceptron, in float64."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    clip: float
    layers: tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]
    activation: str
    ending: str

    def __call__(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map (..., inputs) to (..., outputs)."""
        rows = np.clip((rows - self.mean) * self.scale, -self.clip, self.clip)
        between = _ACTIVATIONS[self.activation]
        for weight, bias in self.layers[:-1]:
            rows = between(rows @ weight + bias)
        weight, bias = self.layers[-1]
        return _ACTIVATIONS[self.ending](rows @ weight + bias)


def _network(
    policy: Policy, name: str, normalizer: str, hidden: int, activation: str, *, ending: str = "none"
) -> _Network:
    """Gather one network of a policy's tensors; weights are kept as (inputs, outputs)."""
    double = {key: np.asarray(array, np.float64) for key, array in policy.tensors.items() if key.startswith(f"{name}.")}
    mean, variance = (np.asarray(policy.tensors[f"{normalizer}.{part}"], np.float64) for part in ("mean", "variance"))
    return _Network(
        mean=mean,
        scale=1.0 / np.sqrt(variance + policy.card.normalizer_epsilon),
        clip=policy.card.normalizer_clip,
        layers=tuple((double[f"{name}.{i}.weight"].T, double[f"{name}.{i}.bias"]) for i in range(hidden + 1)),
        activation=activation,
        ending=ending,
    )


def _softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Positive numbers with the sum 1 along the last axis."""
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


@dataclass(frozen=True, kw_only=True)
class HoldPolicy:
    """Always the same action: the servos hold one pose."""

    action: tuple[float, ...]
    """The action, one number per control."""

    @classmethod
    def zero(cls, action_size: int) -> HoldPolicy:
        """Return the policy whose action is zero, the T-pose.

        Args:
            action_size: Width of an action.
        """
        return cls(action=(0.0,) * action_size)

    def act(self, observation: ArrayLike) -> Float32:
        """Return the action once per observation.

        Args:
            observation: Observations, shape (..., observation size).

        Returns:
            Actions, shape (..., action size).
        """
        action = np.asarray(self.action, np.float32)
        return np.broadcast_to(action, (*np.shape(observation)[:-1], action.size)).copy()


class StillPolicy:
    """A passive person: the servos go on asking for the pose in which each episode began.

    Args:
        layout: Of the observation: own body rotations, and the previous action, which is 0 when an episode begins.
        parents: Parent of each body, -1 for the root.
        scale: What an action is multiplied with, shape (J - 1, 3), see `actuation.action_scale`.
    """

    def __init__(self, layout: Mapping[str, slice], parents: Sequence[int], scale: ArrayLike) -> None:
        self._rotation, self._action = layout["body_rotation"], layout["previous_action"]
        self._parents, self._scale = np.asarray(parents[1:]), np.asarray(scale, np.float64)
        self.reset()

    def reset(self) -> None:
        """Forget the poses."""
        self._held: Float32 | None = None

    def act(self, observation: ArrayLike) -> Float32:
        """Return the actions, (N, observation size) -> (N, action size); the rows are the same worlds each time."""
        observation = np.asarray(observation, np.float32)
        if self._held is None or len(self._held) != len(observation):
            self._held = self._pose(observation)
        begun = ~observation[:, self._action].any(axis=-1)
        if begun.any():
            self._held[begun] = self._pose(observation[begun])
        return self._held.copy()

    def _pose(self, observation: Float32) -> Float32:
        """The actions that ask for the present pose."""
        axes = observation[:, self._rotation].astype(np.float64).reshape(len(observation), -1, 2, 3)
        x, z = axes[:, :, 0], axes[:, :, 1]
        matrix = np.stack([x, np.cross(z, x), z], axis=-1)
        local = np.swapaxes(matrix[:, self._parents], -1, -2) @ matrix[:, 1:]
        target = rotations.to_rotation_vector(rotations.from_matrix(local))
        return target_to_action(target, self._scale).reshape(len(observation), -1).astype(np.float32)


class RandomPolicy:
    """Uniform random actions in [-1, 1], the same sequence after every `reset`.

    Args:
        action_size: Width of an action.
        seed: Seed of the sequence.
    """

    def __init__(self, action_size: int, *, seed: int = 0) -> None:
        self.action_size = action_size
        self.seed = seed
        self.reset()

    def reset(self) -> None:
        """Start the sequence again."""
        self._random = np.random.default_rng(self.seed)

    def act(self, observation: ArrayLike) -> Float32:
        """Draw one action per observation.

        Args:
            observation: Observations, shape (..., observation size).

        Returns:
            Actions, shape (..., action size).
        """
        shape = (*np.shape(observation)[:-1], self.action_size)
        return self._random.uniform(-1.0, 1.0, shape).astype(np.float32)


def save_policy(path: StrPath, tensors: Mapping[str, ArrayLike], card: Mapping[str, Any]) -> Path:
    """Write a policy; each file appears whole or not at all.

    Args:
        path: Stem of the two files, e.g. ``runs/best/supporter``; missing folders are created.
        tensors: Name -> array, as `PolicyCard.tensor_shapes` says; stored as float32.
        card: The card as a JSON object; ``format`` and ``version`` may be left out.

    Returns:
        The path of the JSON card.

    Raises:
        PolicyError: The tensors and the card do not belong together, so that nobody could load the result.
    """
    stem = _stem(path)
    checked = PolicyCard.from_json({"format": FORMAT, "version": VERSION, **card}, where=f"card of {stem.name}")
    arrays = {name: np.ascontiguousarray(array, np.float32) for name, array in tensors.items()}
    Policy(card=checked, tensors=arrays, source=stem.name)
    data = encode_tensors(arrays)
    text = json.dumps({**checked.to_json(), "sha256": hashlib.sha256(data).hexdigest()}, indent=2, allow_nan=False)
    stem.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(_with_suffix(stem, ".safetensors"), data)
    write_atomically(_with_suffix(stem, ".json"), (text + "\n").encode())
    return _with_suffix(stem, ".json")


def load_pair(folder: StrPath) -> dict[str, Policy]:
    """Load the policies of both roles.

    Args:
        folder: A folder with ``supporter`` and ``recipient``, each as ``.safetensors`` and ``.json``.

    Returns:
        Role -> policy.

    Raises:
        PolicyError: The folder or a file is missing, damaged, or a file holds the other role's policy.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise PolicyError(f"{folder}: no such folder. Give the folder that holds supporter.json and recipient.json.")
    pair = {role: Policy.load(folder / role) for role in ROLES}
    for role, policy in pair.items():
        if policy.role not in (role, ANY_ROLE):
            raise PolicyError(f"{folder / role}.json: role is '{policy.role}', expected '{role}'. Were files swapped?")
    return pair


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all.

    Args:
        path: The file; its folder must exist.
        data: All of its bytes.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _stem(path: StrPath) -> Path:
    path = Path(path)
    return path.with_suffix("") if path.suffix in {".json", ".safetensors"} else path


def _with_suffix(stem: Path, suffix: str) -> Path:
    return stem.with_name(stem.name + suffix)


def _checked_size(path: Path, limit: int) -> None:
    if not path.is_file():
        siblings = sorted(file.stem for file in path.parent.glob("*" + path.suffix))[:8] if path.parent.is_dir() else []
        present = f" Policies in {path.parent}: {', '.join(siblings)}." if siblings else ""
        raise PolicyError(f"{path}: no such file.{present} A policy is <name>.safetensors and <name>.json.")
    if (size := path.stat().st_size) > limit:
        raise PolicyError(f"{path}: {size} bytes, at most {limit} are read. This is not one of our policies.")


def _read_card(path: Path) -> Mapping[str, Any]:
    _checked_size(path, MAX_CARD_BYTES)
    try:
        card = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise PolicyError(f"{path}: not valid JSON ({error}). It looks damaged; export the policy again.") from error
    if not isinstance(card, Mapping):
        raise PolicyError(f"{path}: a JSON object is expected, found {type(card).__name__}. Export the policy again.")
    return card


def _read_tensors(path: Path, card: PolicyCard, digest: object) -> dict[str, Float32]:
    """Read the tensors of a card; names, shapes and types are checked before any array is made."""
    _checked_size(path, MAX_TENSOR_BYTES)
    try:
        with safe_open(path, framework="numpy") as file:
            slices = {name: file.get_slice(name) for name in list(file.keys())[: MAX_TENSORS + 1]}
            _check_shapes(str(path), card.tensor_shapes(), {name: tuple(s.get_shape()) for name, s in slices.items()})
            _check_types(path, {name: s.get_dtype() for name, s in slices.items()})
            tensors = {name: file.get_tensor(name) for name in slices}
    except (SafetensorError, OSError, ValueError) as error:
        if isinstance(error, PolicyError):
            raise
        raise PolicyError(f"{path}: not a readable safetensors file ({error}). Export the policy again.") from error
    if digest is not None and hashlib.sha256(path.read_bytes()).hexdigest() != digest:
        raise PolicyError(f"{path}: its sha256 is not the one in {path.stem}.json. Export the policy again.")
    return tensors


def _check_types(path: Path, types: Mapping[str, str]) -> None:
    for name, found in types.items():
        if found != "F32":
            raise PolicyError(f"{path}: tensor '{name}' has type {found}, expected F32. Export the policy again.")


def _check_shapes(where: str, expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> None:
    for name, shape in expected.items():
        if name not in found:
            present = ", ".join(sorted(found)[:8]) or "none"
            raise PolicyError(f"{where}: tensor '{name}' {shape} is missing. Present: {present}. Export it again.")
        if found[name] != shape:
            raise PolicyError(
                f"{where}: tensor '{name}' has shape {found[name]}, its card says {shape}. Export the policy again."
            )
    if unknown := sorted(set(found) - set(expected)):
        raise PolicyError(f"{where}: unknown tensor '{unknown[0]}' (of {len(unknown)}). Export the policy again.")


def _plain(value: Any) -> Any:
    """Turn a value into what it would be after a trip through JSON."""
    return json.loads(
        json.dumps(value, default=lambda other: other.tolist() if hasattr(other, "tolist") else str(other))
    )


def _differences(expected: Any, found: Any, name: str = "") -> list[str]:
    """List where two JSON values differ, by key."""
    if isinstance(expected, dict) and isinstance(found, dict):
        keys = [*expected, *(key for key in found if key not in expected)]
        prefix = f"{name}." if name else ""
        return [
            line
            for key in keys
            for line in _differences(expected.get(key, "nothing"), found.get(key, "nothing"), prefix + key)
        ]
    if isinstance(expected, float | int) and isinstance(found, float | int):
        same = math.isclose(expected, found, rel_tol=1e-6, abs_tol=1e-12)
    else:
        same = expected == found
    return [] if same else [f"{name} is {found} in the policy, {expected} in the environment"]

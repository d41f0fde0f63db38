"""Exported policies: a safetensors file and a JSON card per role, run in NumPy without torch.

A policy called `supporter` is two files, `supporter.safetensors` (the numbers) and `supporter.json` (what they mean and
which environment they fit). A pair is a folder with one policy per role. Files may come from anywhere: nothing is
unpickled, every size is capped, and whatever does not fit is a `PolicyError` that names the key, what was expected and
what was found.

The network: observations normalised with a running mean and variance and clipped, then linear layers with an activation
between them. Its last layer is the mean action.
"""

from __future__ import annotations

import hashlib
import itertools
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

from .actuation import KNEE_FLEXION_SCALE, TARGET_LIMIT
from .config import CONTROL_DT, ActuationLaw
from .errors import PolicyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import ArrayLike, NDArray

    from .body import BodySpec

    Float32 = NDArray[np.float32]
    StrPath = str | os.PathLike[str]

FORMAT: Final = "assistmimic-policy"
VERSION: Final = 1
ROLES: Final = ("supporter", "recipient")

MAX_TENSOR_BYTES: Final = 256 * 2**20
MAX_CARD_BYTES: Final = 2**20
MAX_TENSORS: Final = 64
MAX_LAYERS: Final = 16

_ACTIVATIONS: Final[dict[str, Callable[[Any], Any]]] = {
    "silu": lambda x: 0.5 * x * (1.0 + np.tanh(0.5 * x)),
    "relu": lambda x: np.maximum(x, 0.0),
    "elu": lambda x: np.where(x > 0.0, x, np.expm1(np.minimum(x, 0.0))),
    "tanh": np.tanh,
}


class Actor(Protocol):
    """Anything that maps observations to actions; `Policy` and the simple policies below are actors."""

    def act(self, observation: Float32) -> Float32:
        """Choose actions, (..., observation size) -> (..., action size)."""
        ...


def policy_interface(*, layout: Mapping[str, slice], body: BodySpec, actuation: ActuationLaw) -> dict[str, Any]:
    """Describe what a policy must know about its environment: the part of its card that an environment decides.

    Args:
        layout: The environment's observation layout, name -> slice, blocks in order; groups of blocks after them
            are left out.
        body: The environment's body.
        actuation: The environment's servo law.

    Returns:
        ``observation_layout``, ``actuation``, ``body`` and ``control_dt`` of a card, for `Policy.check` and for export.
    """
    blocks: dict[str, tuple[int, int]] = {}
    stop = 0
    for name, block in layout.items():
        if block.start == stop:
            stop = block.stop
            blocks[name] = (block.start, stop)
    limit = TARGET_LIMIT if actuation == "so3" else None
    law = {"law": actuation, "scale": math.pi, "knee_flexion_scale": KNEE_FLEXION_SCALE, "target_limit": limit}
    return {"observation_layout": blocks, "actuation": law, "body": body.name, "control_dt": CONTROL_DT}


@dataclass(frozen=True, kw_only=True)
class PolicyCard:
    """What a policy is and which environment it fits; the JSON half of an export."""

    role: str
    """Who it controls, ``supporter`` or ``recipient``."""
    observation_layout: Mapping[str, tuple[int, int]]
    """Name of each block of the observation -> its start and stop, in order and without gaps."""
    observation_size: int
    """Width of an observation."""
    action_size: int
    """Width of an action."""
    activation: str
    """Name of the activation between the layers: silu, relu, elu or tanh."""
    hidden: tuple[int, ...]
    """Widths of the hidden layers."""
    normalizer_epsilon: float
    """Added to the variance before the square root."""
    normalizer_clip: float
    """Bound of a normalised observation."""
    actuation: Mapping[str, Any]
    """How the environment turns an action into a servo target."""
    body: str
    """Name of the body, e.g. ``smpl24``."""
    control_dt: float
    """Time between two actions [s]."""
    provenance: Mapping[str, Any]
    """Where it comes from: free, for people."""

    @classmethod
    def from_json(cls, card: Mapping[str, Any], *, where: str = "card") -> PolicyCard:
        """Check a JSON object and turn it into a card.

        Args:
            card: The decoded JSON object.
            where: What to call it in messages.

        Returns:
            The card.

        Raises:
            PolicyError: A key is missing or its value is not what it must be.
        """
        read = _Reader(where, card)
        read.equal("format", FORMAT)
        read.equal("version", VERSION)
        normalizer = _Reader(f"{where}, normalizer", read.mapping("normalizer"))
        size = read.integer("observation_size", 1, 10**6)
        return cls(
            role=read.choice("role", ROLES),
            observation_layout=read.layout("observation_layout", size),
            observation_size=size,
            action_size=read.integer("action_size", 1, 10**5),
            activation=read.choice("activation", _ACTIVATIONS),
            hidden=read.widths("hidden"),
            normalizer_epsilon=normalizer.positive("epsilon"),
            normalizer_clip=normalizer.positive("clip"),
            actuation=read.mapping("actuation"),
            body=read.text("body"),
            control_dt=read.positive("control_dt"),
            provenance=read.mapping("provenance"),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the card as a JSON object; `from_json` is its inverse."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "role": self.role,
            "observation_layout": {name: list(ends) for name, ends in self.observation_layout.items()},
            "observation_size": self.observation_size,
            "action_size": self.action_size,
            "activation": self.activation,
            "hidden": list(self.hidden),
            "normalizer": {"epsilon": self.normalizer_epsilon, "clip": self.normalizer_clip},
            "actuation": dict(self.actuation),
            "body": self.body,
            "control_dt": self.control_dt,
            "provenance": dict(self.provenance),
        }

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of every tensor that belongs to this card."""
        widths = (self.observation_size, *self.hidden, self.action_size)
        shapes: dict[str, tuple[int, ...]] = {
            "normalizer.mean": (self.observation_size,),
            "normalizer.variance": (self.observation_size,),
            "log_std": (self.action_size,),
        }
        for layer, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
            shapes[f"actor.{layer}.weight"] = (outputs, inputs)
            shapes[f"actor.{layer}.bias"] = (outputs,)
        return shapes


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
        if np.any(self.tensors["normalizer.variance"] < 0.0):
            raise PolicyError(f"{self.source}: tensor 'normalizer.variance' holds negative values. Export it again.")

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
        mean, scale, layers = self._network
        x = np.clip((x - mean) * scale, -self.card.normalizer_clip, self.card.normalizer_clip)
        activation = _ACTIVATIONS[self.card.activation]
        for weight, bias in layers[:-1]:
            x = activation(x @ weight + bias)
        weight, bias = layers[-1]
        return (x @ weight + bias).astype(np.float32)

    def check(self, interface: Mapping[str, Any], *, action_size: int, role: str | None = None) -> None:
        """Make sure that the policy fits an environment.

        Args:
            interface: What the environment needs, from `policy_interface`.
            action_size: Width of the environment's actions.
            role: The role it is to play; None if any will do.

        Raises:
            PolicyError: Something differs; the message lists everything that does.
        """
        expected = {**interface, "action_size": action_size} | ({} if role is None else {"role": role})
        found = {name: self.card.to_json().get(name) for name in expected}
        differences = _differences(_plain(expected), _plain(found))
        if differences:
            shown = "; ".join(differences[:6]) + (f"; and {len(differences) - 6} more" if len(differences) > 6 else "")
            raise PolicyError(
                f"{self.source} does not fit this environment: {shown}. "
                "Use the environment id and options it was trained with, or train one for this environment."
            )

    @cached_property
    def _network(self) -> tuple[NDArray[np.float64], NDArray[np.float64], list[tuple[Any, Any]]]:
        """Mean, reciprocal standard deviation, and (weight (in, out), bias) per layer, in float64."""
        double = {name: np.asarray(array, np.float64) for name, array in self.tensors.items()}
        scale = 1.0 / np.sqrt(double["normalizer.variance"] + self.card.normalizer_epsilon)
        count = len(self.card.hidden) + 1
        layers = [(double[f"actor.{i}.weight"].T, double[f"actor.{i}.bias"]) for i in range(count)]
        return double["normalizer.mean"], scale, layers


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
        if policy.role != role:
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


class _Reader:
    """Reads values of a JSON object and says precisely what is wrong with them."""

    def __init__(self, where: str, values: Mapping[str, Any]) -> None:
        self.where = where
        self.values = values

    def fail(self, key: str, expected: str) -> PolicyError:
        found = repr(self.values[key]) if key in self.values else "nothing"
        found = found if len(found) <= 80 else found[:77] + "..."
        return PolicyError(f"{self.where}: '{key}' must be {expected}, found {found}. Export the policy again.")

    def equal(self, key: str, expected: object) -> None:
        if self.values.get(key) != expected:
            raise self.fail(key, repr(expected))

    def choice(self, key: str, choices: Iterable[str]) -> str:
        value = self.values.get(key)
        if not isinstance(value, str) or value not in choices:
            raise self.fail(key, "one of " + ", ".join(choices))
        return value

    def text(self, key: str) -> str:
        value = self.values.get(key)
        if not isinstance(value, str) or not value:
            raise self.fail(key, "a name")
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        value: Any = self.values.get(key)
        if not _is_integer(value) or not low <= value <= high:
            raise self.fail(key, f"an integer from {low} to {high}")
        return value

    def positive(self, key: str) -> float:
        value = self.values.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0.0 < value < 1e9:
            raise self.fail(key, "a positive number")
        return float(value)

    def mapping(self, key: str) -> Mapping[str, Any]:
        value = self.values.get(key)
        if not isinstance(value, Mapping):
            raise self.fail(key, "an object")
        return value

    def widths(self, key: str) -> tuple[int, ...]:
        value: Any = self.values.get(key)
        sound = isinstance(value, list | tuple) and len(value) <= MAX_LAYERS
        if not sound or not all(_is_integer(width) and 1 <= width <= 65536 for width in value):
            raise self.fail(key, f"a list of at most {MAX_LAYERS} widths from 1 to 65536")
        return tuple(value)

    def layout(self, key: str, size: int) -> dict[str, tuple[int, int]]:
        layout: dict[str, tuple[int, int]] = {}
        stop = 0
        for name, ends in self.mapping(key).items():
            sound = isinstance(ends, list | tuple) and len(ends) == 2 and all(_is_integer(end) for end in ends)
            if not sound or ends[0] != stop or ends[1] < stop:
                raise self.fail(key, f"blocks [start, stop] without gaps; '{name}' has to start at {stop}")
            stop = ends[1]
            layout[name] = (ends[0], stop)
        if stop != size:
            raise self.fail(key, f"blocks that end at observation_size = {size}, they end at {stop}")
        return layout


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


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

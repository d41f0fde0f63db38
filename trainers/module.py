"""`PolicyModule`: actor, critic and normalisers of one role, as RLlib's new API stack wants them.

Design notes are in the RLModule documentation of ray 2.60. Everything a policy needs is inside the module, so that
learners, env runners and restarted env runners start equal, and a later restore overrides it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import gymnasium
import numpy as np
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis import InferenceOnlyAPI, ValueFunctionAPI
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor, nn

from assistmimic_env.errors import CheckpointError, ConfigError, PolicyError
from assistmimic_env.policy import Policy
from assistmimic_env.policy_expansion import expand, known_columns

from .normalizer import Normalizer
from .perceptron import ACTIVATIONS, Perceptron

STATE = "state"
"""Column with the normalised joint state, for a centralised critic."""

NEW_KEYS = ("average.", "critic.", "state_normalizer.", "value_normalizer.", "normalizer.count", "normalizer.fixed")
"""Prefixes of the state that an exported policy does not carry; everything else must be there."""


@dataclass(frozen=True, kw_only=True)
class ModuleConfig:
    """What a `PolicyModule` is built from; RLlib carries it as the `model_config` dictionary."""

    hidden: tuple[int, ...] = (512, 256)
    """Widths of the actor's hidden layers."""
    critic_hidden: tuple[int, ...] = (512, 256)
    """Widths of the critic's hidden layers."""
    state_size: int = 0
    """Width of the joint state (`env.state()`) that a centralised critic sees; 0: the critic sees the observation."""
    activation: str = "silu"
    """Between the layers of both networks: silu, relu, elu or tanh."""
    log_std: float = -3.5
    """Natural logarithm of the standard deviation of each action component."""
    learn_log_std: bool = False
    """Whether the optimiser may change the standard deviation."""
    epsilon: float = 1e-5
    """Added to the variance of the observation normaliser."""
    clip: float = 5.0
    """Bound of the normalised observation."""
    init_from: str | None = None
    """An exported policy (`assistmimic_env.policy`) to start from; must be readable on every node."""
    fixed_statistics: bool = True
    """The observation statistics in `init_from` stay as they are, since its weights were made with them; those of other
    columns follow the data. Without it all do."""
    residual: bool = False
    """The actor only adds to the policy in `init_from`, which stays as it is with its statistics; it has the same shape
    and starts at 0."""
    interface: Mapping[str, Any] | None = None
    """What the environment needs of a policy (`policy_card.policy_interface`); with it, `init_from` may know fewer
    blocks of the observation: the weights of the others start at zero, their statistics without data."""

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ConfigError(
                f"activation is {self.activation!r}, expected one of {sorted(ACTIVATIONS)}. Choose one of these."
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModuleConfig:
        """Read back what RLlib carried; keys that RLlib adds are ignored."""
        known = {field.name for field in fields(cls)}
        chosen = {key: value for key, value in values.items() if key in known}
        for key in {"hidden", "critic_hidden"} & chosen.keys():
            chosen[key] = tuple(chosen[key])
        return cls(**chosen)

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


class PolicyModule(TorchRLModule, InferenceOnlyAPI, ValueFunctionAPI):
    """Gaussian policy on the normalised observation, and a value function on it or on the joint state.

    State: `normalizer.{mean,variance,count,fixed}`, `actor.<i>.{weight,bias}`, `log_std`, `critic.<i>.{weight,bias}`,
    `value_normalizer.*`, `state_normalizer.*` of a centralised critic, and
    `average.<i>.{weight,bias}`, the actor averaged over recent updates; with `residual`, `base.<i>.{weight,bias}`, what
    the actor adds to. Env runners keep the first three and the base.
    """

    normalizer: Normalizer
    actor: Perceptron
    base: Perceptron | None
    average: Perceptron
    state_normalizer: Normalizer
    critic: Perceptron
    value_normalizer: Normalizer

    def setup(self) -> None:
        """Build the networks; called by RLlib."""
        config = ModuleConfig.from_dict(self.model_config)
        inputs, outputs = _size(self.observation_space), _size(self.action_space)
        self.normalizer = Normalizer(inputs, epsilon=config.epsilon, clip=config.clip)
        widths = (inputs, *config.hidden, outputs)
        gain = 0.0 if config.residual else 0.01
        self.actor = Perceptron(widths, activation=config.activation, output_gain=gain)
        self.base = Perceptron(widths, activation=config.activation, output_gain=0.01) if config.residual else None
        self.log_std = nn.Parameter(torch.full((outputs,), config.log_std), requires_grad=config.learn_log_std)
        self.state_normalizer = Normalizer(config.state_size, epsilon=config.epsilon, clip=config.clip)
        seen = config.state_size or inputs
        self.critic = Perceptron((seen, *config.critic_hidden, 1), activation=config.activation, output_gain=1.0)
        self.value_normalizer = Normalizer(1, clip=0.0)
        if self.base is not None:
            self.base.requires_grad_(False)
        if config.init_from is not None:
            self._load(config.init_from, config)
        self.average = copy.deepcopy(self.actor).requires_grad_(False)

    @property
    def centralised(self) -> bool:
        """Whether the critic sees the joint state."""
        return len(self.state_normalizer.mean) > 0

    def get_non_inference_attributes(self) -> list[str]:
        """Parts that only a learner needs."""
        return ["average", "critic", "state_normalizer", "value_normalizer"]

    def get_state(
        self, components: Any = None, *, not_components: Any = None, inference_only: bool = False, **kwargs: Any
    ) -> dict[str, np.ndarray]:
        """The state as arrays; unlike RLlib's own method it does not round the statistics to float32."""
        left_out = tuple(f"{name}." for name in self.get_non_inference_attributes()) if inference_only else ()
        state = {name: tensor for name, tensor in self.state_dict().items() if not name.startswith(left_out)}
        return {name: tensor.detach().cpu().numpy().copy() for name, tensor in state.items()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Load what `get_state` returned; a runner's copy ignores the critic."""
        tensors = {name: torch.as_tensor(np.asarray(value)) for name, value in state.items()}
        missing, _ = self.load_state_dict(tensors, strict=False)
        if missing:
            raise CheckpointError(f"the state of a policy lacks {missing}. It was saved by another version.")

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return {Columns.ACTION_DIST_INPUTS: self._distribution(self.normalizer(batch[Columns.OBS]))}

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        known = batch.get(Columns.EMBEDDINGS)
        normalized = self.normalizer(batch[Columns.OBS]) if known is None else known
        return {Columns.ACTION_DIST_INPUTS: self._distribution(normalized), Columns.EMBEDDINGS: normalized}

    def _distribution(self, normalized: Tensor) -> Tensor:
        mean = self.actor(normalized)
        if self.base is not None:
            mean = mean + self.base(normalized)
        return torch.cat([mean, self.log_std.expand_as(mean)], dim=-1)

    def compute_values(self, batch: dict[str, Any], embeddings: Tensor | None = None) -> Tensor:
        """Expected discounted return, shape (rows,).

        Args:
            batch: Has the observation, shape (rows, size), and for a centralised critic `STATE`, the normalised joint
                state, shape (rows, state size).
            embeddings: The normalised observation, when a forward pass already made it.
        """
        return self.value_normalizer.denormalize(self.normalized_values(batch, embeddings)[..., None])[..., 0]

    def normalized_values(self, batch: dict[str, Any], embeddings: Tensor | None = None) -> Tensor:
        """As `compute_values`, in units of `value_normalizer`."""
        if self.centralised:
            return self.critic(batch[STATE])[..., 0]
        normalized = self.normalizer(batch[Columns.OBS]) if embeddings is None else embeddings
        return self.critic(normalized)[..., 0]

    @torch.no_grad()
    def update_average(self, decay: float) -> None:
        """Move `average` towards the actor; it keeps the share `decay` of what it was."""
        for mean, current in zip(self.average.parameters(), self.actor.parameters(), strict=True):
            mean.lerp_(current, 1.0 - decay)

    def _load(self, path: str, config: ModuleConfig) -> None:
        narrow = Policy.load(path)
        policy = narrow if config.interface is None else expand(narrow, config.interface)
        _check(policy, config, _size(self.observation_space), _size(self.action_space))
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in policy.tensors.items()}
        if config.residual:
            tensors = {name.replace("actor.", "base."): tensor for name, tensor in tensors.items()}
        new = (*NEW_KEYS, "actor.") if config.residual else NEW_KEYS
        missing, _ = self.load_state_dict(tensors, strict=False)
        if absent := [key for key in missing if not key.startswith(new)]:
            raise PolicyError(f"{path} lacks {absent}. Export the policy again.")
        known = known_columns(narrow, policy.card.observation_layout)
        self.normalizer.count[torch.from_numpy(known)] = policy.card.normalizer_count
        self.normalizer.fixed[torch.from_numpy(known)] = config.fixed_statistics or config.residual
        with torch.no_grad():
            self.log_std.fill_(config.log_std)


def blank_module(inputs: int, outputs: int, model_config: Mapping[str, Any]) -> PolicyModule:
    """A module outside of RLlib.

    Args:
        inputs: Size of the observation.
        outputs: Size of the action.
        model_config: `ModuleConfig.to_dict()`.
    """
    low, high = np.full(inputs, -np.inf, np.float32), np.full(inputs, np.inf, np.float32)
    return PolicyModule(
        observation_space=gymnasium.spaces.Box(low, high),
        action_space=gymnasium.spaces.Box(-1.0, 1.0, (outputs,), np.float32),
        model_config=dict(model_config),
    )


def _check(policy: Policy, config: ModuleConfig, inputs: int, outputs: int) -> None:
    """Refuse a policy whose shape differs from the module's, naming what differs."""
    expected = {
        "observation_size": inputs,
        "action_size": outputs,
        "hidden": config.hidden,
        "activation": config.activation,
        "normalizer_epsilon": config.epsilon,
        "normalizer_clip": config.clip,
        "mixture": None,
    }
    found = {name: getattr(policy.card, name) for name in expected}
    wrong = [f"{name} is {found[name]}, expected {value}" for name, value in expected.items() if found[name] != value]
    if wrong:
        raise PolicyError(
            f"{policy.source} cannot start this training: {'; '.join(wrong)}. "
            "Use the environment and network sizes it was made with, or make a new one."
        )


def _size(space: Any) -> int:
    return int(space.shape[0])

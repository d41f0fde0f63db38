"""`Start`: what the policies of a run begin with.

| start | actor |
|-|-|
| a policy or a pair of policies | those weights; inputs they do not know get zero weights (paper eq. 7) |
| `prior` | the same, from the single-person tracker that ships with the package |
| `feedforward` | regressed onto "ask the servos for the next reference pose" (`feedforward`) |
| `regulator` | taught by a linear-quadratic regulator of each person alone, or of the pair (`regulator`, `imitation`) |
| `random` | random weights |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from assistmimic_env import resources
from assistmimic_env.errors import ConfigError, PolicyError, did_you_mean
from assistmimic_env.policy import Policy
from assistmimic_env.policy_expansion import expand
from assistmimic_env.simulation import PairSimulation

from .cast import Cast
from .feedforward import WarmStart, warm_start
from .imitation import Imitation, imitate
from .module import ModuleConfig, PolicyModule, blank_module
from .regulator import RegulatorConfig, design

PRIOR, FEEDFORWARD, REGULATOR, RANDOM = "prior", "feedforward", "regulator", "random"
WORDS = (PRIOR, FEEDFORWARD, REGULATOR, RANDOM)

PARTS = ("feedforward", "weight-init")
"""What `ablated` can take away."""

WORLDS = 128
"""Worlds in which a start collects its samples."""

MakeSimulation = Callable[..., PairSimulation]
Log = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class StartSettings:
    """Settings of the starts that are made, not read."""

    feedforward: WarmStart = field(default_factory=WarmStart)
    """Of the feed-forward stage."""
    regulator: RegulatorConfig = field(default_factory=RegulatorConfig)
    """Of the regulator that teaches."""
    imitation: Imitation = field(default_factory=Imitation)
    """Of its imitation."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StartSettings:
        """Read back `dataclasses.asdict`."""
        return cls(
            feedforward=WarmStart(**values["feedforward"]),
            regulator=RegulatorConfig.from_dict(values["regulator"]),
            imitation=Imitation(**values["imitation"]),
        )


@dataclass(frozen=True, kw_only=True)
class Start:
    """Where the actors come from."""

    word: str
    """`feedforward`, `regulator`, `random`, or `policy`."""
    paths: Mapping[str, str]
    """Policy -> stem of the files it starts from; empty unless `word` is `policy`."""

    @classmethod
    def of(cls, init_from: str, cast: Cast) -> Start:
        """Find what `--init-from` names.

        Args:
            init_from: One of `WORDS`, a policy (either of its two files, or their stem), or a folder of a pair.
            cast: Who is trained.

        Raises:
            PolicyError: There is no such policy.
        """
        if init_from in (FEEDFORWARD, REGULATOR, RANDOM):
            return cls(word=init_from, paths={})
        path = resources.asset_path(resources.PRIOR) if init_from == PRIOR else Path(init_from)
        if path.is_dir():
            missing = [name for name in cast.roles if not (path / f"{name}.json").is_file()]
            if missing:
                found = ", ".join(sorted(file.stem for file in path.glob("*.json"))) or "none"
                raise PolicyError(f"{path}: holds no policy called {' or '.join(missing)}. Policies there: {found}.")
            stems = {name: path / name for name in cast.roles}
        else:
            stem = path.with_suffix("") if path.suffix in {".json", ".safetensors"} else path
            if path.suffix == ".pth":
                raise PolicyError(
                    f"{init_from}: a checkpoint of PHC. Convert it first: assistmimic import-phc {init_from}"
                )
            if not stem.with_name(stem.name + ".json").is_file():
                raise PolicyError(
                    f"{init_from}: no such policy.{did_you_mean(init_from, WORDS)} Give {', '.join(WORDS)}, "
                    "a policy (<name>.safetensors with <name>.json), or the folder of a pair."
                )
            stems = dict.fromkeys(cast.roles, stem)
        return cls(word="policy", paths={name: str(stem.absolute()) for name, stem in stems.items()})

    def policies(self) -> dict[str, Policy]:
        """Read the files: policy -> what it starts from."""
        return {name: Policy.load(path) for name, path in self.paths.items()}

    def env_options(self) -> dict[str, Any]:
        """Options of the environment that the policies expect: their servo law; none for other starts."""
        laws = {str(policy.card.actuation.get("law")) for policy in self.policies().values()}
        return {"actuation": laws.pop()} if len(laws) == 1 else {}

    def module_config(self, config: ModuleConfig, cast: Cast, simulation: PairSimulation) -> ModuleConfig:
        """Network sizes and normaliser of the policies to start from; the configured ones for other starts.

        Raises:
            PolicyError: A policy does not fit the environment, or the policies differ from each other.
        """
        policies = self.policies()
        if not policies:
            fixed = self.word == REGULATOR  # the others have seen too little to last
            return replace(config, init_from=None, interface=None, fixed_statistics=fixed)
        interface = cast.interface(simulation)
        for name, policy in policies.items():
            role = None if cast.alone else cast.roles[name]
            expand(policy, interface).check(interface, action_size=simulation.body.num_dofs, role=role)
            if policy.card.mixture is not None:
                raise PolicyError(
                    f"{policy.source} is a composer of {policy.card.mixture.primitives} primitives; training cannot "
                    "continue one. Start from one of its primitives: assistmimic import-phc PNN.pth --primitive K"
                )
        cards = [policy.card for policy in policies.values()]
        shapes = {(card.hidden, card.activation, card.normalizer_epsilon, card.normalizer_clip) for card in cards}
        if len(shapes) > 1:
            raise PolicyError(f"the policies to start from have different networks: {sorted(shapes)}. Use equal ones.")
        hidden, activation, epsilon, clip = shapes.pop()
        return replace(config, hidden=hidden, activation=activation, epsilon=epsilon, clip=clip, interface=interface)

    def modules(
        self, config: ModuleConfig, cast: Cast, make: MakeSimulation, *, settings: StartSettings, seed: int, log: Log
    ) -> tuple[dict[str, PolicyModule], dict[str, Any]]:
        """Make the policies as they are before PPO.

        Args:
            config: From `module_config`.
            cast: Who is trained.
            make: `make(num_worlds, **options)` gives worlds of the run.
            settings: Of the start.
            seed: Seed of everything random.
            log: Receives lines about what happens.

        Returns:
            Policy -> module, and what happened, as plain values.
        """
        if self.word == FEEDFORWARD:
            return warm_start(make(WORLDS), config=config, settings=settings.feedforward, seed=seed, cast=cast)
        if self.word == REGULATOR:
            regulator = design(make, settings.regulator, log=log)
            return imitate(
                regulator, make(WORLDS), config=config, settings=settings.imitation, seed=seed, cast=cast, log=log
            )
        simulation = make(1)
        if self.word == RANDOM:
            return random_modules(config, cast, simulation, seed=seed), {}
        return {
            name: _blank(replace(config, init_from=path), cast, simulation) for name, path in self.paths.items()
        }, {}


def random_modules(
    config: ModuleConfig, cast: Cast, simulation: PairSimulation, *, seed: int
) -> dict[str, PolicyModule]:
    """Networks with random weights."""
    torch.manual_seed(seed)
    return {name: _blank(replace(config, init_from=None), cast, simulation) for name in cast.roles}


def _blank(config: ModuleConfig, cast: Cast, simulation: PairSimulation) -> PolicyModule:
    return blank_module(cast.observation_size(simulation), simulation.body.num_dofs, config.to_dict())


def ablated(init_from: str, ablate: str) -> str:
    """The start without one of its parts.

    Args:
        init_from: The start of the full method.
        ablate: `weight-init`: random weights and no feed-forward stage, the paper's row. `feedforward`: the
            feed-forward stage alone is left out.

    Raises:
        ConfigError: There is no such part, or this start does not have it.
    """
    if ablate not in PARTS:
        raise ConfigError(f"cannot ablate '{ablate}'.{did_you_mean(ablate, PARTS)} Parts: {', '.join(PARTS)}.")
    if ablate == "feedforward" and init_from != FEEDFORWARD:
        raise ConfigError(
            f"--ablate feedforward: the start '{init_from}' has no feed-forward stage. "
            "Give --init-from feedforward, or --ablate weight-init."
        )
    return RANDOM

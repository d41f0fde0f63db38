"""`Method`: how a pair is trained: the full method, the method without some components, or a baseline.

Every component is a plain option of the environment or of `assistmimic_ppo`, so that the settings of a run say it all.

    Method.parse("no-retargeting+no-grip").settings("AssistMimic/SitToStand-v0", recipient="needs-help")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from assistmimic_env.config import ROLE_NAMES
from assistmimic_env.errors import ConfigError, did_you_mean

from .module import ModuleConfig
from .options import merged
from .run import ALONE_OPTIONS, TRAINING_OPTIONS, RunSettings, default_start
from .start import FEEDFORWARD, PARTS, ablated

FULL, TRACKING = "full", "tracking"
BASES = (FULL, TRACKING)
"""The full method, or imitation only: none of `COMPONENTS`, every option as the environment has it."""

SUPPORTER, RECIPIENT = ROLE_NAMES

Options = Mapping[str, Any]

UPDATES: Options = {"rollout_fragment_length": 12, "minibatch_size": 576, "num_epochs": 3}
"""Many small updates. With 96 worlds, 100,000 steps from the shipped prior, `needs-help` and a grip, they took the task
success on SitToStand-v0 from 0.54 to 0.76; fragments of 32 steps and minibatches of 2048 to 0.69. Five epochs are no
better than three (0.77 and 0.75, with the contact reward) and take a third longer."""

NOISE = -4.0
"""Logarithm of the standard deviation of the actions: what the shipped prior was trained with. With -3.5 to 0.70."""


DYNAMICS: Options = {
    "mass": [1.0, 1.4], "gain": [0.5, 1.0], "torque_limit": [0.5, 1.0], "supporter_gain": [0.5, 1.0]
}  # fmt: skip
"""Ranges of factors, see `assistmimic_env.config.RandomisationConfig`: all of the paper's grid but a mass of 1.5, which
stays outside to be measured."""


@dataclass(frozen=True, kw_only=True)
class Component:
    """A part of the method that can be left out."""

    summary: str
    """What it does."""
    where: Literal["env_options", "ppo"] = "env_options"
    """Which field of `RunSettings` has its options."""
    present: Options
    """The options with it."""
    absent: Options
    """The same options without it."""


COMPONENTS: Mapping[str, Component] = {
    "retargeting": Component(
        summary="the supporter's hand targets follow the recipient's real body",
        present={"retargeting": {"mode": "dynamic"}},
        absent={"retargeting": {"mode": "none"}},
    ),
    "contact-reward": Component(
        summary="near hands are rewarded for closeness and supporting force instead of tracking",
        present={"contact": {"weight": 0.3, "excess": 0.1}},
        absent={"contact": {"weight": 0.0, "excess": 0.0}},
    ),
    "coupling": Component(
        summary="the supporter shares the recipient's reward",
        present={"reward": {"coupling": 0.5}},
        absent={"reward": {"coupling": 0.0}},
    ),
    "assist": Component(
        summary="both are rewarded for the recipient's height",
        present={"reward": {"assist": 0.2}},
        absent={"reward": {"assist": 0.0}},
    ),
    "grip": Component(
        summary="hands hold where the clip says so",
        present={"grip": {"mode": "reference"}},
        absent={"grip": {"mode": "none"}},
    ),
    "partner-obs": Component(
        summary="each observes the other",
        present={"partner_observations": True},
        absent={"partner_observations": False},
    ),
    "randomisation": Component(
        summary="masses, gains and torque limits of the recipient and gains of the supporter vary",
        present={"randomisation": DYNAMICS},
        absent={"randomisation": {name: [1.0, 1.0] for name in DYNAMICS}},
    ),
    "curriculum": Component(
        summary="the impairment grows with success",
        where="ppo",
        present={"curriculum": {"start": 0.5}},  # so far the shipped prior is as good as with healthy people
        absent={"curriculum": False},
    ),
    "physical-starts": Component(
        summary="some episodes start from stored simulated states",
        where="ppo",
        present={"physical_starts": 0.1},
        absent={"physical_starts": 0.0},
    ),
}
"""What the full method adds to imitation; `start.PARTS` can be left out beside these."""


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """Another way to train, in place of both together."""

    summary: str
    """What it does."""
    trained: tuple[str, ...] = ()
    """Who is trained; empty: both."""
    env_options: Options = field(default_factory=dict)
    """Options of the environment, on top of the method's."""
    alone_first: bool = False
    """See `RunSettings.alone_first`."""
    residual: bool = False
    """See `RunSettings.residual`."""
    init_from: str | None = None
    """What both start from, whatever else is asked for; see `start.Start`."""


BASELINES: Mapping[str, Baseline] = {
    "recipient-alone": Baseline(
        summary="the recipient without help: the two pass through each other, and the supporter does not count",
        trained=(RECIPIENT,),
        env_options=ALONE_OPTIONS,
    ),
    "frozen-partner": Baseline(
        summary="the recipient keeps what it starts with, the supporter is trained",
        trained=(SUPPORTER,),
    ),
    "sequential": Baseline(
        summary="the recipient is trained alone for half of the steps, then the supporter with it as it is",
        trained=(SUPPORTER,),
        alone_first=True,
    ),
    "residual": Baseline(
        summary="both are trained to add to the policy they start with, which stays as it is",
        residual=True,
    ),
    "kinematic-recipient": Baseline(
        summary="the recipient is moved along the reference, the supporter is trained",
        trained=(SUPPORTER,),
        env_options={"kinematic_recipient": True},
    ),
    "feedforward-start": Baseline(
        summary="both start from feed-forward to the clip instead of the single-person tracker",
        init_from=FEEDFORWARD,
    ),
}
"""What the method is compared with (`spec/assistmimic.md` section 11.2), and the control of the recipient alone."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """How a pair is trained."""

    base: str = FULL
    """`full` or `tracking`."""
    ablated: tuple[str, ...] = ()
    """Left out: names of `COMPONENTS` or of `start.PARTS`."""
    baseline: str | None = None
    """One of `BASELINES`."""

    def __post_init__(self) -> None:
        _check("method", self.base, BASES)
        for name in self.ablated:
            _check("component", name, (*COMPONENTS, *PARTS))
            if self.base == TRACKING and name in COMPONENTS:
                raise ConfigError(f"the method 'tracking' has no component '{name}' to leave out. Ablate 'full'.")
        if self.baseline is not None:
            _check("baseline", self.baseline, tuple(BASELINES))

    @classmethod
    def parse(cls, word: str) -> Method:
        """Read words joined by `+`: `full`, `tracking`, `no-COMPONENT`, or a baseline; without the first two `full`.

        Raises:
            ConfigError: A word means nothing, or two contradict each other; names the closest.
        """
        words = word.split("+")
        known = (*BASES, *(f"no-{name}" for name in (*COMPONENTS, *PARTS)), *BASELINES)
        for one in words:
            _check("arm", one, known)
        bases = [one for one in words if one in BASES]
        baselines = [one for one in words if one in BASELINES]
        if len(bases) > 1 or len(baselines) > 1:
            raise ConfigError(f"the arm '{word}' names several methods. Give one of {', '.join(bases or baselines)}.")
        return cls(
            base=bases[0] if bases else FULL,
            ablated=tuple(one.removeprefix("no-") for one in words if one.startswith("no-")),
            baseline=baselines[0] if baselines else None,
        )

    def options(self, where: str) -> dict[str, Any]:
        """Its options for a field of `RunSettings`, `env_options` or `ppo`."""
        chosen: dict[str, Any] = {}
        if self.base == FULL:
            for name, component in COMPONENTS.items():
                if component.where == where:
                    chosen = merged(chosen, component.absent if name in self.ablated else component.present)
        if where == "env_options" and self.baseline is not None:
            chosen = merged(chosen, BASELINES[self.baseline].env_options)
        return chosen

    def settings(
        self,
        env_id: str,
        *,
        init_from: str | None = None,
        recipient: str | None = None,
        options: Options | None = None,
        ppo: Options | None = None,
        seed: int = 0,
    ) -> RunSettings:
        """The run that trains so.

        Args:
            env_id: Environment.
            init_from: The start before ablations, see `start.Start`; by default the one of `run.default_start`.
            recipient: Impairment of the recipient by name; by default the environment's.
            options: Further options of the environment; they come before the method's.
            ppo: Further keyword arguments of `assistmimic_ppo`; they come before the method's.
            seed: Seed of everything random.
        """
        impairment = {} if recipient is None else {"recipient": recipient}
        env_options = merged(TRAINING_OPTIONS, self.options("env_options"), impairment, options or {})
        other = BASELINES[self.baseline] if self.baseline else Baseline(summary="")
        start = other.init_from or init_from or default_start(RunSettings(env_id=env_id, env_options=env_options))
        return RunSettings(
            env_id=env_id,
            seed=seed,
            env_options=env_options,
            ppo=merged(UPDATES, self.options("ppo"), ppo or {}),
            module=ModuleConfig(log_std=NOISE),
            init_from=self.start(start),
            trained=other.trained,
            alone_first=other.alone_first,
            residual=other.residual,
        )

    def start(self, init_from: str) -> str:
        """The start without the parts that are left out."""
        for part in PARTS:
            init_from = ablated(init_from, part) if part in self.ablated else init_from
        return init_from


def _check(kind: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise ConfigError(f"there is no {kind} '{name}'.{did_you_mean(name, known)} There are: {', '.join(known)}.")

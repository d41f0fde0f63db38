"""From what a user says about specialists to the settings of a run that distils them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import assistmimic_env
from assistmimic_env.errors import ConfigError, PolicyError
from assistmimic_env.policy import ANY_ROLE, Policy, TrainedIn
from assistmimic_env.registry import resolve_clips

from .adapter import ROLES
from .cast import PAIR
from .distillation import Distillation, Schedule, Specialist
from .distillation_teachers import Teachers
from .options import merged
from .ppo import assistmimic_ppo
from .run import TRAINING_OPTIONS, RunSettings, default_start, make_simulation, read_settings, with_start_options
from .start import Start

OPTIMISATION: Mapping[str, Any] = {"num_epochs": 10, "minibatch_size": 512}
"""Imitation is a regression: more and smaller steps than PPO takes."""

RUN_FILE = "run.json"

SYNTAX = "--specialist FOLDER or --specialist FOLDER=CLIP,CLIP"


@dataclass(frozen=True, kw_only=True)
class Source:
    """A specialist as it was found."""

    word: str
    """What the user called it."""
    specialist: Specialist
    """Its policies and the names of its clips."""
    clips: tuple[str, ...]
    """Its clips as `assistmimic_env.make` takes them: names or files."""
    env_options: Mapping[str, Any] | None
    """Options of the environment it was trained in; None if that is unknown."""

    @classmethod
    def read(cls, word: str, env_id: str) -> Source:
        """Find a specialist.

        Args:
            word: `FOLDER=CLIP,CLIP`, or only the folder: that of a run, or of a pair, whose clips are those it was
                trained on. In place of the folder also a single policy that plays both roles, or `prior`.
            env_id: Environment of the distillation.

        Raises:
            ConfigError: It has no clips.
            PolicyError: There are no such policies.
            ClipError: There is no such clip.
        """
        name, _, listed = (word, "", "") if Path(word).exists() else word.partition("=")
        run, pair = _run_and_pair(Path(name))
        paths = Start.of(str(pair), PAIR).paths
        if not paths:
            raise PolicyError(f"specialist '{name}' is no policy. Give the folder of a run or of an exported pair.")
        environment = _trained_in(Policy.load(paths[ROLES[0]]), run)
        clips = tuple(filter(None, listed.split(","))) or _clips_of(environment)
        if not clips:
            raise ConfigError(
                f"specialist '{name}' has no clips: neither its card nor a run around it says what it was trained on. "
                f"Name them: --specialist {name}=CLIP,CLIP"
            )
        names = tuple(clip.name for clip in resolve_clips(env_id, clips))
        return cls(
            word=name,
            specialist=Specialist(paths=paths, clips=names),
            clips=clips,
            env_options=None if environment is None else _lasting(environment.options),
        )


def distillation_settings(
    words: Sequence[str],
    env_id: str,
    *,
    steps: int,
    ppo_stage: bool = True,
    clips: Sequence[str] = (),
    init_from: str | None = None,
    options: Mapping[str, Any] | None = None,
    ppo: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> RunSettings:
    """The run that makes one pair of several specialists.

    Args:
        words: The specialists, see `Source.read`.
        env_id: Environment.
        steps: Control steps of the run; the schedule is spread over them.
        ppo_stage: Whether PPO follows the imitation.
        clips: Clips to play; by default those of all specialists.
        init_from: The students' start; by default the one of `run.default_start`.
        options: Further options of the environment; they come before those of the specialists.
        ppo: Further keyword arguments of `assistmimic_ppo`.
        seed: Seed of everything random.

    Raises:
        ConfigError: There is no specialist, one has no clips, the specialists come from different environments, or a
            clip has no specialist, or several.
        PolicyError: A specialist cannot be read or does not fit.
    """
    if not words:
        raise ConfigError(f"there are no specialists to learn from. Give at least one: {SYNTAX}")
    sources = [Source.read(word, env_id) for word in words]
    played = list(clips) or list(dict.fromkeys(clip for source in sources for clip in source.clips))
    env_options = merged(TRAINING_OPTIONS, _common_options(sources), options or {}, {"clips": played})
    optimisation = {**OPTIMISATION, **(ppo or {})}
    updates = -(-steps // steps_per_update(env_id, optimisation))
    start = init_from or default_start(RunSettings(env_id=env_id, env_options=env_options))
    distillation = Distillation(
        specialists=tuple(source.specialist for source in sources), schedule=Schedule.over(updates, ppo=ppo_stage)
    )
    settings = RunSettings(
        env_id=env_id,
        seed=seed,
        env_options=env_options,
        ppo=optimisation,
        init_from=start,
        distillation=distillation,
    )
    Teachers.load(distillation.specialists, make_simulation(with_start_options(settings)))  # complains in time
    return settings


def steps_per_update(env_id: str, ppo: Mapping[str, Any]) -> int:
    """Control steps of all worlds in one update of a configuration."""
    config: Any = assistmimic_ppo(env_id, **ppo)
    return config.train_batch_size_per_learner * max(config.num_learners, 1)


def _run_and_pair(folder: Path) -> tuple[Path | None, Path]:
    """The run, if there is one, and the pair that a folder stands for."""
    if (folder / RUN_FILE).is_file():
        return folder, folder / "policies" / "trained"
    above = folder.absolute().parent.parent
    return (above if (above / RUN_FILE).is_file() else None), folder


def _trained_in(policy: Policy, run: Path | None) -> TrainedIn | None:
    """What a pair was trained in, if its card or its run says so; a single person's training says nothing of a pair."""
    if policy.role == ANY_ROLE:
        return None
    if policy.card.environment is None and run is not None:
        return read_settings(run).environment
    return policy.card.environment


def _clips_of(environment: TrainedIn | None) -> tuple[str, ...]:
    if environment is None:
        return ()
    clips = environment.options.get("clips", assistmimic_env.spec(environment.id).clips)
    return (clips,) if isinstance(clips, str) else tuple(clips)


def _lasting(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that say what a policy is good for, not how it was trained or on what."""
    return {name: value for name, value in options.items() if name not in (*TRAINING_OPTIONS, "clips")}


def _common_options(sources: Sequence[Source]) -> Mapping[str, Any]:
    """The options of the environment that all specialists were trained in, as far as that is known."""
    known = [source for source in sources if source.env_options is not None]
    for source in known[1:]:
        first, other = known[0].env_options or {}, source.env_options or {}
        if differing := sorted(name for name in {*first, *other} if first.get(name) != other.get(name)):
            name = differing[0]
            raise ConfigError(
                f"specialists come from different environments: {name} is {first.get(name)!r} for '{known[0].word}' "
                f"and {other.get(name)!r} for '{source.word}'. Distil specialists of one environment."
            )
    return (known[0].env_options if known else None) or {}

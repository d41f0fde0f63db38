"""`Stage`: where policies are measured and shown: an environment, its options, and what its policies bring along.

An exported policy says what it was trained in. Without an environment on the command line that one is used, so that a
policy is measured with the observations, the grip and the weak recipient it was trained for; single flags come before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .pairs import pair_folder, pair_parts, split_name

if TYPE_CHECKING:
    from assistmimic_env.policy import TrainedIn

DEFAULT_ENV = "AssistMimic/PullUp-v0"
"""Where policies are shown that do not say where they belong."""

TRAINING_ONLY = (
    "start", "start_noise", "noise", "termination_distance", "randomisation", "reward", "contact",
    "kinematic_recipient", "perturbation", "clips",
)  # fmt: skip
"""Options of a training that an evaluation decides by itself."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Where policies act."""

    env: str
    """Id of the environment."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options for all policies, clips included."""
    own_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Name of a pair -> further options for its worlds, from its card."""

    def describe(self) -> str:
        """One line for people."""
        own = {name: options for name, options in self.own_options.items() if options}
        shared = ", ".join(f"{name}={_text(value)}" for name, value in self.options.items())
        lines = [self.env + (f" with {shared}" if shared else "")]
        lines += [f"  {name}: {', '.join(f'{k}={_text(v)}' for k, v in each.items())}" for name, each in own.items()]
        return "\n".join(lines)


def choose_stage(
    words: Sequence[str],
    *,
    env: str | None,
    clips: Sequence[str],
    held_out: bool,
    recipient: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Stage:
    """Find out where policies act.

    Args:
        words: The policies, as for `pairs.load_pairs`.
        env: Environment id given by the user; then the cards decide nothing.
        clips: Clips given by the user.
        held_out: Whether the user asked for the clips that training does not see.
        recipient: Name of an impairment given by the user.
        options: Further options given by the user; they come before those of the cards.

    Raises:
        ConfigError: The policies were trained in several environments, or options contradict each other.
        PolicyError: A policy cannot be read.
        UnknownEnvironmentError: There is no such environment.
    """
    import assistmimic_env

    from .pairs import choose_clips

    chosen = {**(options or {}), **({} if recipient is None else {"recipient": recipient})}
    cards = {} if env is not None else {word: found for word in words if (found := _trained_in(word)) is not None}
    name = assistmimic_env.spec(env or _one_env(cards)).id
    motion = choose_clips(name, clips, held_out=held_out) or _card_clips(cards)
    brought = {word: _brought(word, card, chosen) for word, card in cards.items()}
    usual = next(iter(brought.values()), chosen)
    each = {split_name(word)[0]: brought.get(word, usual) for word in words}
    shared = {key: value for key, value in usual.items() if all(_has(mine, key, value) for mine in each.values())}
    own = {pair: {key: item for key, item in mine.items() if key not in shared} for pair, mine in each.items()}
    return Stage(env=name, options={**shared, **({} if motion is None else {"clips": motion})}, own_options=own)


def _trained_in(word: str) -> TrainedIn | None:
    """What the card of a pair says; single-person policies and simple ones say nothing."""
    from assistmimic_env.errors import PolicyError
    from assistmimic_env.policy import load_pair

    path = split_name(word)[1]
    folders = [folder for part in pair_parts(path) if (folder := pair_folder(part)) is not None]
    if not folders:
        return None
    found = [policy.card.environment for folder in folders for policy in load_pair(folder).values()]
    if any(environment != found[0] for environment in found) and None not in found:
        raise PolicyError(
            f"{path}: its policies were trained in different environments or with different options. "
            "Say where to use them with --env and --option."
        )
    return next((environment for environment in found if environment is not None), None)


def _one_env(cards: Mapping[str, TrainedIn]) -> str:
    from assistmimic_env.errors import ConfigError

    names = {card.id: word for word, card in cards.items()}
    if len(names) > 1:
        listed = ", ".join(f"'{word}' in {name}" for name, word in names.items())
        raise ConfigError(f"the policies were trained in different environments: {listed}. Choose one with --env.")
    return next(iter(names), DEFAULT_ENV)


def _card_clips(cards: Mapping[str, TrainedIn]) -> tuple[str, ...] | None:
    """Clips or folders that all cards name; only those that ship with the package, a card may come from anywhere."""
    from assistmimic_env.clip import bundled_clips, bundled_folders
    from assistmimic_env.errors import ConfigError

    named = {tuple(_listed(card.options["clips"])) for card in cards.values() if card.options.get("clips")}
    if not named:
        return None
    clips = next(iter(named))
    if len(named) > 1 or not {*clips}.issubset((*bundled_clips(), *bundled_folders())):
        shown = "; ".join(", ".join(each) for each in sorted(named))
        raise ConfigError(
            f"the policies were trained on clips that differ or do not ship with the package ({shown}). "
            "Choose with --clips, or with --env the environment's own."
        )
    return clips


def _listed(clips: Any) -> list[str]:
    return [str(clip) for clip in clips] if isinstance(clips, list | tuple) else [str(clips)]


def _brought(word: str, card: TrainedIn, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a card that matter in an evaluation, and those of the user, which come before."""
    from assistmimic_env.config import env_config
    from assistmimic_env.errors import AssistMimicError, PolicyError
    from assistmimic_trainers.options import merged

    kept = {name: value for name, value in card.options.items() if name not in TRAINING_ONLY}
    try:
        env_config(**kept)
    except (AssistMimicError, AttributeError, TypeError, ValueError) as error:
        raise PolicyError(
            f"{split_name(word)[1]}: the environment on its card cannot be made ({error}). "
            "Say where to use it with --env and --option."
        ) from error
    return merged(kept, chosen)


def _has(options: Mapping[str, Any], key: str, value: Any) -> bool:
    return key in options and options[key] == value


def _text(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, default=str)

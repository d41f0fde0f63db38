"""What several commands choose: pairs of policies (exported ones, or simple ones by name) and clips."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assistmimic_env.policy import Actor
    from assistmimic_env.vector import VectorEnv

PRIOR = "prior"
"""The word for the single-person tracker that ships with the package."""

SIMPLE = ("random", "hold", "still", PRIOR)
"""Policies that are called by a word, beside the pairs that ship (`resources.shipped_pairs`); `hold` asks for the
T-pose, `still` for the pose in which the episode began."""

EACH = "+"
"""Between two words that are played by the supporter and by the recipient."""


def load_pairs(words: Sequence[str], env: VectorEnv, *, seed: int) -> dict[str, dict[str, Actor]]:
    """Load pairs of policies; whether they fit is checked by the evaluation.

    Args:
        words: For each pair a folder with the policies of both roles or of a run that made them, a single-person policy
            that plays both, one of `SIMPLE`, or a pair that ships; `A+B`: the supporter of A and the recipient of B.
            Each may have a name of its own in front, as in `full=runs/full`.
        env: The environment they act in.
        seed: Seed of the random ones.

    Returns:
        Name, by default the word -> role -> policy.

    Raises:
        ConfigError: Two pairs have the same name.
        PolicyError: A folder does not hold a pair of exported policies.
    """
    from assistmimic_env.errors import ConfigError

    named = [split_name(word) for word in words]
    names = [name for name, _ in named]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"two policies are called '{twice[0]}'. Name them: NAME={twice[0]}.")
    return {name: _load(path, env, seed) for name, path in named}


def split_name(word: str) -> tuple[str, str]:
    """Name and path of a pair given as `NAME=PATH`, or as a path, which is its own name."""
    name, separator, path = word.partition("=")
    return (name, path) if separator and name and path and not Path(word).exists() else (word, word)


def pair_parts(path: str) -> tuple[str, ...]:
    """The supporter's and the recipient's word of `A+B`, or the one word of both."""
    first, plus, second = path.partition(EACH)
    return (first, second) if plus and first and second and not Path(path).exists() else (path,)


def choose_clips(env: str, clips: Sequence[str], *, held_out: bool) -> tuple[str, ...] | None:
    """Return what to give `make_vec` as clips.

    Args:
        env: Environment id.
        clips: Names, files or folders given by the user.
        held_out: Whether the user asked for the clips that training does not see.

    Returns:
        The clips, or None for those of the environment.

    Raises:
        ConfigError: The user asked for both, or the environment holds nothing out.
    """
    import assistmimic_env
    from assistmimic_env.errors import ConfigError

    if not held_out:
        return tuple(clips) or None
    spec = assistmimic_env.spec(env)
    if clips:
        raise ConfigError("--clips and --held-out choose different motion; give one of them.")
    if not spec.held_out:
        raise ConfigError(f"{spec.id} has no held-out clips. Give other motion with --clips.")
    return spec.held_out


def pair_folder(word: str) -> Path | None:
    """Where the pair of a word is: its folder, of a run the one after training; None for other policies."""
    from assistmimic_env.resources import shipped_pairs

    if (shipped := shipped_pairs().get(word)) is not None:
        return shipped
    if word in SIMPLE or not Path(word).is_dir():
        return None
    trained = Path(word) / "policies" / "trained"
    return trained if trained.is_dir() else Path(word)


def policy_stem(word: str) -> Path:
    """Where a single policy is.

    Args:
        word: `prior` for the tracker that ships with the package, or either file of a policy, or their stem.
    """
    from assistmimic_env import resources

    return resources.asset_path(resources.PRIOR) if word == PRIOR else Path(word)


def _load(word: str, env: VectorEnv, seed: int) -> dict[str, Actor]:
    from assistmimic_env.errors import PolicyError, did_you_mean
    from assistmimic_env.policy import HoldPolicy, Policy, RandomPolicy, StillPolicy, load_pair
    from assistmimic_env.resources import shipped_pairs

    if len(parts := pair_parts(word)) > 1:
        return {role: _load(part, env, seed)[role] for role, part in zip(env.agents, parts, strict=True)}
    size = env.simulation.body.num_dofs
    if word == "random":
        return {role: RandomPolicy(size, seed=seed + index) for index, role in enumerate(env.agents)}
    if word == "hold":
        return {role: HoldPolicy.zero(size) for role in env.agents}
    if word == "still":
        body, scale = env.simulation.body, env.simulation.action_scale
        return {role: StillPolicy(env.layout, body.parents, scale) for role in env.agents}
    if (folder := pair_folder(word)) is not None:
        return {**load_pair(folder)}
    if policy_stem(word).with_suffix(".json").is_file():
        return dict.fromkeys(env.agents, Policy.load(policy_stem(word)))
    known = (*SIMPLE, *shipped_pairs())
    raise PolicyError(
        f"there is no policy or folder '{word}'.{did_you_mean(word, known)} "
        f"Give the folder of a run or of exported policies, a single-person policy, or one of: "
        f"{', '.join(known)}."
    )

"""``Grid``: the same policies on the same seeds under several conditions, such as heavier or weaker recipients.

grid = evaluate_grid("AssistMimic/SitToStand-v0", {"best": load_pair("best")}, conditions=conditions(["paper"]))
grid.save("evaluation.json")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from .config import PERTURBATIONS
from .errors import ConfigError, did_you_mean
from .evaluation import Evaluation, compare, json_value, save_json, versions
from .quantities import QUANTITIES, TABLES

if TYPE_CHECKING:
    import os

    from .vector import VectorEnv

FORMAT: Final = "assistmimic-grid"
VERSION: Final = 1

SEEN: Final = "none"
"""The condition in which nothing is changed."""

GRIDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({"paper": tuple(PERTURBATIONS)})
"""Name -> its conditions (``config.PERTURBATIONS``)."""

Rows = list[list[str]]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Evaluations under several conditions.

    Attributes:
        evaluations: Condition -> its result; all of the same policies, rollouts and seeds.

    Raises:
        ConfigError: There is nothing in it.
    """

    evaluations: Mapping[str, Evaluation] = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse an empty result, of which nothing could be told."""
        if not self.evaluations or not all(result.logs and result.rollouts for result in self.evaluations.values()):
            raise ConfigError(
                "there is nothing to report: no condition, no policy or no rollout was evaluated. "
                "Give at least one of each."
            )

    @property
    def first(self) -> Evaluation:
        """The evaluation of the first condition."""
        return next(iter(self.evaluations.values()))

    @property
    def pairs(self) -> tuple[str, ...]:
        """Names of the policies."""
        return tuple(self.first.logs)

    def table(self, columns: Sequence[str]) -> Rows:
        """Figures as rows of text, headings first: condition, policy, then mean and 95 % interval.

        Args:
            columns: Names of `quantities.QUANTITIES`.
        """
        rows = [["condition", "policy", *(QUANTITIES[name].heading for name in columns)]]
        for condition, result in self.evaluations.items():
            rows.extend([condition, *row] for row in result.table(columns)[1:])
        return rows

    def cross_table(self, quantity: str) -> Rows:
        """One quantity as rows of text, headings first: a row per condition, a column per policy.

        Args:
            quantity: Name of one of `quantities.QUANTITIES`.
        """
        rows = [["condition", *self.pairs]]
        for condition, result in self.evaluations.items():
            texts = (QUANTITIES[quantity].text(result.summary[pair][quantity]) for pair in self.pairs)
            rows.append([condition, *texts])
        return rows

    def markdown(self) -> str:
        """All of `quantities.TABLES` in Markdown."""
        tables = (f"## {title}\n\n{markdown_table(self.table(columns))}\n" for title, columns in TABLES.items())
        first = self.first
        head = (
            f"# Evaluation of {first.env}\n\n{first.rollouts} rollouts per policy and condition, seeds {first.seed} to "
            f"{first.seed + first.rollouts - 1}; means with 95 % intervals.\n"
        )
        return "\n".join((head, *tables))

    def to_json(self) -> dict[str, Any]:
        """Return everything but poses and per-frame logs as one JSON object (NaN becomes null)."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "env": self.first.env,
            "rollouts": self.first.rollouts,
            "versions": versions(),
            "perturbations": {name: json_value(result.config["perturbation"]) for name, result in self._items()},
            "conditions": {name: result.to_json() for name, result in self._items()},
        }

    def _items(self) -> Sequence[tuple[str, Evaluation]]:
        return tuple(self.evaluations.items())

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write `to_json` to a file, which appears whole or not at all."""
        return save_json(path, self.to_json())


def conditions(words: Sequence[str]) -> tuple[str, ...]:
    """Resolve names of grids and conditions.

    Args:
        words: Names of `GRIDS` and of ``config.PERTURBATIONS``; repetitions are dropped.

    Raises:
        ConfigError: No word, or an unknown one; names the closest and all that exist.
    """
    known = (*GRIDS, *PERTURBATIONS)
    for word in words:
        if word not in known:
            raise ConfigError(
                f"there is no grid or condition '{word}'.{did_you_mean(word, known)} "
                f"Grids: {', '.join(GRIDS)}. Conditions: {', '.join(PERTURBATIONS)}."
            )
    if not words:
        raise ConfigError(f"no condition was given. Conditions: {', '.join(PERTURBATIONS)}; grids: {', '.join(GRIDS)}.")
    return tuple(dict.fromkeys(name for word in words for name in GRIDS.get(word, (word,))))


def evaluate_grid(
    env: str | VectorEnv,
    pairs: Mapping[str, Any],
    *,
    conditions: Sequence[str] = (SEEN,),
    own_options: Mapping[str, Mapping[str, Any]] | None = None,
    watch: Callable[[str], None] = lambda _: None,
    **settings: Any,
) -> Grid:
    """Measure pairs of policies on the same seeds under several conditions.

    Args:
        env: As for `evaluation.compare`.
        pairs: Name -> role -> policy.
        conditions: Names of ``config.PERTURBATIONS``, see `conditions`.
        own_options: As for `evaluation.compare`.
        watch: Called with each condition before it begins.
        **settings: Further keyword arguments of `evaluation.compare`.

    Returns:
        The result.

    Raises:
        ConfigError: A setting cannot work, or the perturbation is given twice.
        PolicyError: A policy is missing or does not fit the environment.
    """
    own = own_options or {}
    if any("perturbation" in options for options in (settings, *own.values())):
        raise ConfigError("the option perturbation and the conditions of a grid are the same thing; give one of them.")
    evaluations = {}
    for condition in conditions:
        watch(condition)
        perturbed = {name: {**own.get(name, {}), "perturbation": condition} for name in pairs}
        evaluations[condition] = compare(env, pairs, own_options=perturbed, **settings)
    return Grid(evaluations=evaluations)


def markdown_table(rows: Rows) -> str:
    """Rows of text, headings first, as a table in Markdown."""
    heading, *body = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    lines = [heading, ["-"] * len(heading), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

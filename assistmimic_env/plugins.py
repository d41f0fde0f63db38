"""What other distributions add by entry points; nothing is imported before somebody asks for a name we do not know.

| group | an entry point's object |
|-|-|
| `assistmimic.envs` | an `EnvSpec`, several of them, or a function that returns either |
| `assistmimic.bodies` | a `Topology`, or a function that returns one; registered under the entry point's name |
| `assistmimic.reward_terms` | a function of a `RewardContext`; registered under the entry point's name |
| `assistmimic.converters` | a `Format`, or a function of a path that returns clips; registered under its name |
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


class PluginWarning(RuntimeWarning):
    """A plug-in is broken and was left out; everything else works."""


_loaded: set[str] = set()


def load_plugins(group: str, add: Callable[[str, Any], None]) -> None:
    """Hand every entry point of a group over, once per process.

    A plug-in that cannot be loaded or added is left out, with one ``PluginWarning`` that names its distribution.

    Args:
        group: Such as ``"assistmimic.envs"``.
        add: Receives the entry point's name and object; what it raises counts as the plug-in's error.
    """
    if group in _loaded:
        return
    _loaded.add(group)
    from importlib.metadata import entry_points

    complaints = [_add(point, add) for point in sorted(entry_points(group=group))]
    for complaint in filter(None, complaints):
        warnings.warn(complaint, PluginWarning, stacklevel=3)


def _add(point: EntryPoint, add: Callable[[str, Any], None]) -> str | None:
    """Load and add one; returns what to complain about."""
    try:
        add(point.name, point.load())
    except (Exception, SystemExit) as error:  # other people's code: whatever it does must not take us down
        origin = "an unknown distribution" if point.dist is None else f"{point.dist.name} {point.dist.version}"
        return (
            f"the plug-in '{point.name}' of {origin} is left out ({point.group}: {point.value}): "
            f"{type(error).__name__}: {error}"
        )
    return None

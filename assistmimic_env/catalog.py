"""``Catalog``: things of one kind by name, ours and other people's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from .errors import ConfigError, did_you_mean
from .plugins import load_plugins

T = TypeVar("T")


class Catalog(Generic[T]):
    """Built-in things, registered ones and those of plug-ins.

    Args:
        kind: What they are called in messages.
        group: Entry points that add to them; loaded by the first look for a name that is not there.
        read: Checks and returns what is added under a name (an entry point's object, or ``add``'s item).
        items: The built-in ones.
    """

    def __init__(self, kind: str, group: str, *, read: Callable[[str, Any], T], items: Mapping[str, T]) -> None:
        self.kind = kind
        self.group = group
        self._read = read
        self._items = dict(items)

    def add(self, name: str, item: Any) -> None:
        """Add one.

        Raises:
            ConfigError: The name is taken, or the item is not what it should be.
        """
        if name in self._items:
            raise ConfigError(f"{self.kind} '{name}' is registered already.")
        self._items[name] = self._read(name, item)

    def names(self) -> tuple[str, ...]:
        """All names, those of plug-ins included."""
        load_plugins(self.group, self.add)
        return tuple(self._items)

    def find(self, name: str) -> T:
        """One of them.

        Raises:
            ConfigError: Unknown name; says the closest and all that exist.
        """
        if name not in self._items and name not in self.names():
            known = ", ".join(sorted(self._items)) or "none"
            hint = did_you_mean(name, self._items)
            raise ConfigError(f"{self.kind} '{name}' is not known.{hint} Available: {known}.")
        return self._items[name]

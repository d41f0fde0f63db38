"""Options of an environment as a person writes them: `key=value` words, merged from several places."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from assistmimic_env.errors import ConfigError


def read_options(words: Sequence[str]) -> dict[str, Any]:
    """Read options from `KEY=VALUE`.

    Args:
        words: Such as `recipient=needs-help` or `reward.assist=0.2`: dots in the key go into mappings, and a value that
            is no JSON is text.

    Raises:
        ConfigError: A word is no `KEY=VALUE`.
    """
    options: dict[str, Any] = {}
    for word in words:
        key, separator, text = word.partition("=")
        names = key.split(".")
        if not separator or not all(names):
            raise ConfigError(f"the option '{word}' is not KEY=VALUE. Write physics=fast, or contact.weight=0.5.")
        value = _value(text)
        for name in reversed(names):
            value = {name: value}
        options = merged(options, value)
    return options


def env_options(words: Sequence[str], *, clips: Sequence[str] = ()) -> dict[str, Any]:
    """Options of an environment from `KEY=VALUE` and from the clips that a user names; none stand for its own.

    Raises:
        ConfigError: See `read_options`.
    """
    return merged(read_options(words), {"clips": list(clips)} if clips else {})


def merged(*options: Mapping[str, Any]) -> dict[str, Any]:
    """Join options, also inside of mappings; later ones win."""
    joined: dict[str, Any] = {}
    for each in options:
        for name, value in each.items():
            before = joined.get(name)
            if isinstance(before, Mapping) and isinstance(value, Mapping):
                value = merged(before, value)
            joined[name] = value
    return joined


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text

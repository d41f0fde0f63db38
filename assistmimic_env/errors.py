"""Every error a user can meet: what went wrong, where, what exists, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AssistMimicError(Exception):
    """Base of all errors raised on purpose; its text is one message for a person."""


class ConfigError(AssistMimicError, ValueError):
    """A setting has a value that cannot work."""


class UnknownEnvironmentError(AssistMimicError, KeyError):
    """No environment has this id."""

    __str__ = Exception.__str__


class UnknownOptionError(AssistMimicError, TypeError):
    """An environment, body or command has no such option."""


class ActionError(AssistMimicError, ValueError):
    """An action has the wrong shape, type, agent or value."""


class ClipError(AssistMimicError, ValueError):
    """A motion clip is malformed or does not fit."""


class UntrustedFileError(AssistMimicError, ValueError):
    """A file asks for more than plain arrays, or is larger than it may be."""


class PolicyError(AssistMimicError, ValueError):
    """An exported policy is malformed or does not fit the environment."""


class PhysicsError(AssistMimicError, RuntimeError):
    """The simulation cannot continue."""


class MissingDependencyError(AssistMimicError, ImportError):
    """An optional package or system library is needed for this."""


class CheckpointError(AssistMimicError, RuntimeError):
    """A training checkpoint is missing, damaged or from another set-up."""


class AssetNotFoundError(AssistMimicError, FileNotFoundError):
    """A file that ships with the package is not where it should be."""


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """Suggest the closest choice.

    Args:
        name: What the user wrote.
        choices: What exists.

    Returns:
        ``" Did you mean 'x'?"``, or an empty string when nothing is close.
    """
    by_lower = {choice.lower(): choice for choice in choices}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return f" Did you mean '{by_lower[close[0]]}'?" if close else ""

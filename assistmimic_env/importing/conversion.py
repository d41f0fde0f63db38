"""`convert_take`: a take on our bodies and our clock, as a clip."""

from __future__ import annotations

from dataclasses import dataclass

from ..clip import PairClip
from ..formats.take import Take
from .conversion_report import ConversionReport
from .settings import ConversionSettings

__all__ = ["Conversion", "ConversionReport", "ConversionSettings", "convert_take"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Conversion:
    """A clip and what was done to get it."""

    clip: PairClip
    report: ConversionReport


def convert_take(take: Take, settings: ConversionSettings | None = None) -> Conversion:
    """Put a take on our bodies.

    Args:
        take: What a file says.
        settings: See `ConversionSettings`.

    Returns:
        The clip and its report.

    Raises:
        ClipError: Joints are missing, not finite, or jump; or the take is too short.
        ConfigError: There is no such body.
    """
    raise NotImplementedError

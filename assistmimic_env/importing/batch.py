"""`Import`: many recordings of one format become clip files in one folder.

Every file appears complete or not at all. A clip that was made from the same files, with the same options, by the same
converter is kept, so an import that was interrupted goes on where it stopped. What cannot be read is told and does not
stop the rest.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from ..clip import PairClip
from ..errors import AssistMimicError, ClipError, ConfigError, did_you_mean
from ..formats.take import ReadOptions
from .ledger import Ledger
from .occupancy import occupied
from .provenance import PROVENANCE, REPORT, is_another_source, is_made_from
from .settings import ConversionSettings
from .sources import Source, find_sources
from .workers import results

Status = Literal["imported", "kept", "failed"]

_TIME = "milliseconds_per_person_frame"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one recording; JSON."""

    name: str
    """Of the clip; its file is ``NAME.npz``."""
    status: Status
    error: str = ""
    """Why it failed, one line."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Format, licence, files, options, converter, conventions."""
    report: Mapping[str, Any] = field(default_factory=dict)
    """What was measured, see ``ConversionReport``."""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What importing one recording would do; JSON."""

    name: str
    status: Literal["would import", "would keep", "would fail"]
    error: str = ""
    frames: int = 0
    fps: float = 0.0
    """Of the source."""
    conventions: Mapping[str, str] = field(default_factory=dict)
    """How up axis, unit, rate and roles were settled."""


@dataclass(frozen=True, kw_only=True)
class Import:
    """One import: what is read, how, and where the clips go."""

    format: str
    """One of ``formats.format_names()``."""
    path: Path
    """File or folder of that format."""
    out: Path
    """Folder of the clips."""
    options: ReadOptions = field(default_factory=ReadOptions)
    settings: ConversionSettings = field(default_factory=ConversionSettings)
    pattern: str = "*"
    """Only recordings whose names match (``*`` and ``?`` as in a shell)."""

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """What is imported.

        Raises:
            ConfigError: See ``find_sources``.
            ClipError: The same, or no name matches the pattern.
        """
        found = find_sources(self.format, self.path, options=self.options, settings=self.settings)
        chosen = tuple(source for source in found if fnmatch.fnmatchcase(source.name, self.pattern))
        if not chosen:
            names = [source.name for source in found]
            some = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            hint = did_you_mean(self.pattern, names)
            raise ClipError(f"{self.path}: no recording is called '{self.pattern}'.{hint} There: {some}.")
        return chosen

    def preview(self) -> Generator[Preview, None, None]:
        """Read everything; convert and write nothing."""
        for source in self.sources:
            try:
                kept = _kept(self.out, source, source.identity()) is not None
                look = source.look()
            except (AssistMimicError, OSError) as error:
                yield Preview(name=source.name, status="would fail", error=_line(error))
                continue
            yield Preview(name=source.name, status="would keep" if kept else "would import", **vars(look))

    def run(self, *, workers: int = 1) -> Generator[Outcome, None, None]:
        """Import everything, in the order of the sources; with several workers as they finish.

        The folder's ``import.json`` is up to date when this ends, however it ends.

        Args:
            workers: Processes.

        Raises:
            ConfigError: The folder cannot be written to, there is less than one worker, or one was killed.
            AssistMimicError: See ``sources``.
        """
        if workers < 1:
            raise ConfigError(f"workers is {workers}, expected at least 1.")
        sources = self.sources
        with occupied(self.out):
            ledger = Ledger(self.out)
            ledger.write()
            steps = results(import_one, [(source, self.out) for source in sources], self.out, workers=workers)
            try:
                with closing(steps) as outcomes:
                    for outcome in outcomes:
                        ledger.add(outcome.name, asdict(outcome))
                        yield outcome
            finally:
                ledger.write()


def import_one(source: Source, out: Path) -> Outcome:
    """Import one recording into a folder that exists; its errors become part of the outcome.

    Args:
        source: What is read.
        out: Folder of the clips.
    """
    try:
        wanted = source.identity()
        clip = _kept(out, source, wanted)
        if clip is not None:
            return _outcome(clip, "kept", clip.metadata[REPORT])
        clip, report = _convert(source, wanted)
        clip.save(_target(out, source))
    except (AssistMimicError, OSError) as error:
        return Outcome(name=source.name, status="failed", error=_line(error))
    except Exception as error:
        message = f"{type(error).__name__}: {_line(error)}; a bug of AssistMimic or a plug-in, please report it"
        return Outcome(name=source.name, status="failed", error=message)
    return _outcome(clip, "imported", report)


def _target(out: Path, source: Source) -> Path:
    return out / f"{source.name}.npz"


def _kept(out: Path, source: Source, wanted: Mapping[str, Any]) -> PairClip | None:
    """The clip that is there already and stays; None if it is to be made, again where it is damaged."""
    target = _target(out, source)
    if not target.exists():
        return None
    try:
        clip = PairClip.load(target)
    except AssistMimicError:
        return None
    if is_made_from(clip, wanted):
        return clip
    if is_another_source(clip, wanted):
        raise ClipError(f"{target} is another clip, not made from these files. Choose another folder for --out.")
    return None


def _convert(source: Source, wanted: Mapping[str, Any]) -> tuple[PairClip, Mapping[str, Any]]:
    """The clip with its provenance, and the report; all of it but the time it took is in the clip, too."""
    made = source.make()
    terms = made.clip.metadata.get("license", made.license)
    provenance = {**wanted, "license": terms, "conventions": dict(made.conventions)}
    if PROVENANCE in made.clip.metadata:
        provenance["earlier"] = made.clip.metadata[PROVENANCE]
    report = {key: value for key, value in made.report.items() if key != _TIME}
    metadata = {**made.clip.metadata, "license": terms, PROVENANCE: provenance, REPORT: report}
    return replace(made.clip, name=source.name, metadata=metadata), made.report


def _outcome(clip: PairClip, status: Status, report: Mapping[str, Any]) -> Outcome:
    return Outcome(name=clip.name, status=status, provenance=clip.metadata[PROVENANCE], report=report)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__

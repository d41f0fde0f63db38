"""`Source`: one recording below a path, whatever reads it: a `Format`, or a function that makes clips itself."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..clip import PairClip
from ..converters import call_converter
from ..errors import ClipError, ConfigError, did_you_mean
from ..formats import Converter, find_format
from ..formats.take import Format, ReadOptions, Recording, Take
from ..quality import quality
from .conversion import convert_take
from .provenance import identity, option_record
from .settings import ConversionSettings

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}", re.ASCII)


@dataclass(frozen=True, kw_only=True, eq=False)
class Made:
    """A clip and what is told about it."""

    clip: PairClip
    report: Mapping[str, Any]
    """What was measured, JSON; see ``ConversionReport``."""
    license: str
    """Terms, where the clip does not say."""
    conventions: Mapping[str, str] = field(default_factory=dict)
    """How up axis, unit, rate and roles were settled."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a recording says before it is converted."""

    frames: int
    fps: float
    conventions: Mapping[str, str]


class Source(Protocol):
    """One recording, ready to be made into a clip."""

    @property
    def name(self) -> str:
        """Of the clip; also its file's stem."""
        ...

    def identity(self) -> dict[str, Any]:
        """See ``provenance.identity``; reads the files."""
        ...

    def look(self) -> Look:
        """Read it, convert nothing."""
        ...

    def make(self) -> Made:
        """Read and convert it.

        Raises:
            ClipError: It cannot be read, or is not fit for a clip.
            UntrustedFileError: A file asks for more than plain data.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """A recording of a `Format`."""

    format: str
    root: Path
    recording: Recording
    options: ReadOptions
    settings: ConversionSettings

    @property
    def name(self) -> str:
        return self.recording.name

    def identity(self) -> dict[str, Any]:
        options = option_record(self.options, self.settings)
        files, key = self.recording.files, self.recording.key
        return identity(format=self.format, key=key, files=files, root=self.root, options=options)

    def look(self) -> Look:
        take, _ = self._read()
        return Look(frames=len(take.people[0].joints), fps=take.fps, conventions=dict(take.conventions))

    def make(self) -> Made:
        take, terms = self._read()
        made = convert_take(take, self.settings)
        conventions = dict(take.conventions)
        return Made(clip=made.clip, report=made.report.to_json(), license=terms, conventions=conventions)

    def _read(self) -> tuple[Take, str]:
        """The take and its terms; the format is found by name, also in another process."""
        found = find_format(self.format)
        if not isinstance(found, Format):
            raise ConfigError(f"format '{self.format}' has become a function of a path.")
        take = found.read(self.recording, self.options)
        return take, str(take.metadata.get("license", found.license))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Finished:
    """A clip that a function of a path returned."""

    format: str
    root: Path
    name: str
    files: tuple[Path, ...]
    clip: PairClip

    def identity(self) -> dict[str, Any]:
        options = option_record(ReadOptions(), None)
        return identity(format=self.format, key=self.name, files=self.files, root=self.root, options=options)

    def look(self) -> Look:
        return Look(frames=self.clip.num_frames, fps=self.clip.fps, conventions={})

    def make(self) -> Made:
        values = {key: value if math.isfinite(value) else None for key, value in asdict(quality(self.clip)).items()}
        stature = [body.stature for body in self.clip.bodies]
        report = {"frames": self.clip.num_frames, "fps": self.clip.fps, "stature": stature, "quality": values}
        return Made(clip=self.clip, report=report, license="")


def find_sources(format: str, path: Path, *, options: ReadOptions, settings: ConversionSettings) -> tuple[Source, ...]:
    """What there is to import at or below a path.

    Args:
        format: One of ``formats.format_names()``.
        path: A file or folder.
        options: What the user says about it.
        settings: How motion is put on bodies.

    Returns:
        At least one source, in the format's order.

    Raises:
        ConfigError: No such format, or options for a function that takes none.
        ClipError: Nothing is there, or the format cannot tell recordings apart.
    """
    found = find_format(format)
    _check_path(path)
    if isinstance(found, Format):
        sources: tuple[Source, ...] = tuple(
            _Measured(format=format, root=path, recording=recording, options=options, settings=settings)
            for recording in found.find(path, options)
        )
        hint = " ".join(found.obtain.split())
    else:
        sources, hint = _finished(format, found, path, options), ""
    if not sources:
        raise ClipError(f"{path}: nothing in the format '{format}' is there. {hint}".rstrip())
    _check_names(sources)
    return sources


def _finished(format: str, converter: Converter, path: Path, options: ReadOptions) -> tuple[Source, ...]:
    """Clips that a function of the path made."""
    given = [f"--{key}" for key, value in vars(options).items() if value is not None]
    if given:
        raise ConfigError(f"format '{format}' is a function of a path; it takes no {', '.join(given)}.")
    files = (path,) if path.is_file() else tuple(sorted(filter(Path.is_file, path.rglob("*"))))
    return tuple(
        _Finished(format=format, root=path, name=re.sub(r"[^A-Za-z0-9_.-]+", "_", clip.name), files=files, clip=clip)
        for clip in call_converter(format, converter, path)
    )


def _check_path(path: Path) -> None:
    if path.exists():
        return
    siblings = sorted(entry.name for entry in path.parent.iterdir()) if path.parent.is_dir() else []
    raise ClipError(f"{path}: no such file or folder.{did_you_mean(path.name, siblings)}")


def _check_names(sources: tuple[Source, ...]) -> None:
    seen: set[str] = set()
    for source in sources:
        if not _NAME.fullmatch(source.name):
            raise ClipError(f"a recording is called {source.name!r}; expected letters, digits, '_', '-' and '.'.")
        if source.name in seen:
            raise ClipError(f"two recordings are called '{source.name}'; import their folders one by one.")
        seen.add(source.name)

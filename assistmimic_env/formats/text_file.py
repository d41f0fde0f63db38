"""Text of motion files from strangers: size-checked, with line numbers in every message."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import ClipError, UntrustedFileError

MAX_BYTES = 128 * 2**20


@dataclass(frozen=True)
class Line:
    """Words of a line and where it is."""

    path: Path
    number: int
    """From 1."""
    words: tuple[str, ...]

    def error(self, problem: str) -> ClipError:
        """An error that says where the line is."""
        return ClipError(f"{self.path}, line {self.number}: {problem}")

    def numbers(self, count: int, start: int = 1) -> list[float]:
        """Numbers after ``start`` words.

        Raises:
            ClipError: Another count, or no numbers.
        """
        words = self.words[start:]
        if len(words) != count:
            raise self.error(f"{len(words)} values, expected {count}. The file looks damaged or truncated.")
        try:
            return [float(word) for word in words]
        except ValueError:
            raise self.error(f"{' '.join(words)[:60]!r} are not numbers. The file looks damaged.") from None


def read_lines(path: Path) -> list[Line]:
    """Lines that are not empty.

    Raises:
        UntrustedFileError: The file is too large.
        ClipError: Missing, empty, or no text.
    """
    if not path.is_file():
        raise ClipError(f"{path}: no such file.")
    if path.stat().st_size > MAX_BYTES:
        raise UntrustedFileError(f"{path}: larger than {MAX_BYTES} bytes, too large for motion in text.")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ClipError(f"{path}: is not text. The file looks damaged.") from None
    lines = [Line(path, number, tuple(line.split())) for number, line in enumerate(text.splitlines(), start=1)]
    lines = [line for line in lines if line.words]
    if not lines:
        raise ClipError(f"{path}: is empty.")
    return lines

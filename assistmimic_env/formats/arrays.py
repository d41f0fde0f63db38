"""Arrays of other people's files: one npy file each, and what every motion must be (finite, long enough, one clock)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..archive import DAMAGE, MAX_MEMBER_BYTES, ArraySpec, read_array
from ..clip import MIN_FRAMES
from ..errors import AssistMimicError, ClipError, UntrustedFileError

Array = NDArray[np.float64]


def read_npy(
    path: str | os.PathLike[str], *, expected: ArraySpec | None = None, max_bytes: int = MAX_MEMBER_BYTES
) -> NDArray[Any]:
    """Read one array that may come from a stranger.

    Args:
        path: An npy file.
        expected: What the array must look like; None: any plain numbers or text.
        max_bytes: Largest size of the file.

    Returns:
        A fresh, writable copy in native byte order.

    Raises:
        UntrustedFileError: The file holds objects (a pickle), or is larger than it may be or than its array.
        ClipError: The file is missing, truncated or damaged, or the array is misshapen.
    """
    path = Path(path)
    if not path.is_file():
        raise ClipError(f"{path}: no such file. Give the path of an .npy file.")
    size = path.stat().st_size
    if size > max_bytes:
        raise UntrustedFileError(f"{path}: {size} bytes, at most {max_bytes} are accepted.")
    try:
        with path.open("rb") as stream:
            array = read_array(str(path), stream, size)
    except AssistMimicError:
        raise
    except DAMAGE as error:
        raise ClipError(
            f"{path}: not a readable npy file ({str(error)[:200]}). It looks damaged; fetch or write it again."
        ) from error
    if expected is not None and not expected.matches(array):
        raise ClipError(f"{path}: shape {array.shape}, kind {array.dtype.kind}; expected {expected.describe()}.")
    return array


def check_finite(where: str, values: NDArray[Any]) -> Array:
    """The values as float64.

    Args:
        where: For messages.
        values: Numbers, shape (T, ...), T frames.

    Raises:
        ClipError: A value is NaN or infinite, or there are fewer than ten frames.
    """
    if len(values) < MIN_FRAMES:
        raise ClipError(f"{where}: {len(values)} frames; at least {MIN_FRAMES} are needed.")
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        place = ", ".join(str(int(index)) for index in bad[0])
        raise ClipError(f"{where}: value [{place}] is not finite. Cut the clip there, or fill the gap.")
    return np.asarray(values, dtype=np.float64)


def on_one_clock(where: str, first: Array, second: Array) -> Array:
    """Both people in one array.

    Args:
        where: For messages.
        first: The first person, shape (T, ...).
        second: The second person, the same shape.

    Returns:
        Shape (T, 2, ...).

    Raises:
        ClipError: They do not have the same number of frames.
    """
    if len(first) != len(second):
        raise ClipError(
            f"{where}: {len(first)} frames of the first person, {len(second)} of the second: "
            "no common clock. Cut both files to the same instants."
        )
    return np.stack([first, second], axis=1)

"""Reading a PHC checkpoint file (``spec/phc.md`` section 7) without running anything in it.

Such a file is a pickle inside a zip. Three gates stand before its numbers: the pickle may import nothing but what
tensors need (`pickled.ALLOWED`), torch unpickles it with ``weights_only=True``, and every tensor that is used must be
dense, finite and no larger than the file. There is no way around them.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from assistmimic_env.errors import CheckpointError, UntrustedFileError

from .pickled import foreign_names

MAX_FILE_BYTES = 4 * 2**30
MAX_PICKLE_BYTES = 16 * 2**20
MAX_MEMBERS = 10_000

PREFIXES = ("a2c_network.", "module.")
"""What rl_games and distributed training put before the names of parameters."""

_FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
_SCALAR: Any = np.float64(0).__reduce__()[0]
_NUMPY_SCALARS = [
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8")),
]


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """The numbers of one file."""

    source: str
    """The file's name, for messages."""
    model: Mapping[str, Tensor]
    """Parameters by their names without `PREFIXES`."""
    full_names: Mapping[str, str]
    """Name in `model` -> name in the file."""
    mean: Tensor
    """Of the observation normaliser, shape (S,), float64."""
    variance: Tensor
    """Of the observation normaliser, shape (S,), float64."""
    count: float
    """Number of samples behind mean and variance."""
    others: Mapping[str, tuple[int, ...] | None]
    """Everything else in the file -> its shape, None for what is not a tensor."""
    epoch: int | None
    """Training epoch, if the file says."""
    frame: int | None
    """Number of training samples, if the file says."""

    def tensor(self, name: str, *, dims: int) -> Tensor:
        """Return a parameter as float32.

        Args:
            name: Key of `model`.
            dims: Its number of dimensions.

        Raises:
            CheckpointError: It is missing, or not a dense array of finite numbers.
        """
        if name not in self.model:
            raise CheckpointError(
                f"{self.source}: '{name}' is missing. {_stems(self.model)} The file is incomplete; save it again."
            )
        return _sound(self.source, name, self.model[name], dims).float()


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a file as `torch.save` of PHC wrote it.

    Args:
        path: The file.

    Returns:
        Its numbers.

    Raises:
        UntrustedFileError: It would import something that tensors do not need, or is larger than it may be.
        CheckpointError: It is missing, damaged, or something else than a PHC checkpoint.
    """
    file = Path(path)
    _check_imports(file)
    content = _load(file)
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{file}: holds a {type(content).__name__}, expected a dictionary with 'model'.")
    parameters, full_names = _short(file, _mapping(file, content, "model"))
    statistics, _ = _short(file, _mapping(file, content, "running_mean_std"))
    mean, variance, count = (_statistic(file, statistics, name) for name in ("running_mean", "running_var", "count"))
    if mean.shape != variance.shape or mean.ndim != 1 or bool((variance < 0.0).any()):
        raise CheckpointError(
            f"{file}: running_mean_std has a mean of shape {tuple(mean.shape)} and a variance of shape "
            f"{tuple(variance.shape)}, expected two equal vectors without negative variances. Save the file again."
        )
    return Checkpoint(
        source=str(file),
        model=parameters,
        full_names=full_names,
        mean=mean,
        variance=variance,
        count=float(count),
        others=_others({key: value for key, value in content.items() if key not in {"model", "running_mean_std"}}),
        epoch=_integer(content.get("epoch")),
        frame=_integer(content.get("frame")),
    )


def _check_imports(file: Path) -> None:
    """Refuse a file that would import anything but what tensors need; nothing in it is run."""
    if not file.is_file():
        raise CheckpointError(f"{file}: no such file. Give a checkpoint of PHC, e.g. Humanoid.pth.")
    if (size := file.stat().st_size) > MAX_FILE_BYTES:
        raise UntrustedFileError(f"{file}: {size} bytes, at most {MAX_FILE_BYTES} are read.")
    is_zip = zipfile.is_zipfile(file)
    pickles = _zipped_pickles(file, size) if is_zip else [_head(file)]
    if foreign := sorted({name for data in pickles for name in foreign_names(io.BytesIO(data))}):
        shown = ", ".join(foreign[:5]) + (f" and {len(foreign) - 5} more" if len(foreign) > 5 else "")
        raise UntrustedFileError(
            f"{file} refers to {shown} and was not loaded. Only tensors, numbers and dictionaries of them are accepted."
        )
    if not is_zip:
        raise CheckpointError(
            f"{file}: not a zip as torch.save writes since torch 1.6; damaged, or of an older torch. Save it again."
        )


def _head(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(MAX_PICKLE_BYTES)


def _zipped_pickles(file: Path, size: int) -> list[bytes]:
    """Read the pickles of a zip after looking at its table of contents."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            _check_members(file, members, size)
            return [archive.read(member) for member in members if member.filename.endswith(".pkl")]
    except UntrustedFileError:
        raise
    except Exception as error:
        raise _damaged(file, error) from error


def _check_members(file: Path, members: list[zipfile.ZipInfo], size: int) -> None:
    total = sum(member.file_size for member in members)
    stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
    if not stored or len(members) > MAX_MEMBERS or total > size:
        raise UntrustedFileError(
            f"{file}: has {len(members)} members of {total} bytes in a file of {size}; torch.save writes at most "
            f"{MAX_MEMBERS}, uncompressed."
        )
    if any(member.file_size > MAX_PICKLE_BYTES for member in members if member.filename.endswith(".pkl")):
        raise UntrustedFileError(f"{file}: its pickle is larger than {MAX_PICKLE_BYTES} bytes.")


def _load(file: Path) -> Any:
    try:
        with torch.serialization.safe_globals(_NUMPY_SCALARS):
            return torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> CheckpointError:
    reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
    return CheckpointError(
        f"{file}: not readable as a torch checkpoint ({reason}). Damaged or truncated? Get it again."
    )


def _mapping(file: Path, content: Mapping[Any, Any], key: str) -> Mapping[str, Any]:
    value = content.get(key)
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        found = "nothing" if value is None else type(value).__name__
        present = ", ".join(sorted(map(str, content))[:10]) or "none"
        raise CheckpointError(
            f"{file}: '{key}' must be a dictionary by names, found {found}. Keys in the file: {present}. "
            "A PHC checkpoint has 'model' and 'running_mean_std'."
        )
    return value


def _short(file: Path, values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Take the prefixes off names; returns the values by short name and the full names by short name."""
    full: dict[str, str] = {}
    for name in values:
        short = name
        while short.startswith(PREFIXES):
            short = short.split(".", 1)[1]
        if short in full:
            raise CheckpointError(f"{file}: '{name}' and '{full[short]}' are the same parameter. Save the file again.")
        full[short] = name
    return {short: values[name] for short, name in full.items()}, full


def _statistic(file: Path, statistics: Mapping[str, Any], name: str) -> Tensor:
    if name not in statistics:
        present = ", ".join(sorted(statistics)) or "none"
        raise CheckpointError(f"{file}: running_mean_std lacks '{name}'. Present: {present}. Save the file again.")
    dims = 0 if name == "count" else 1
    value = statistics[name]
    return _sound(str(file), name, torch.as_tensor(value) if isinstance(value, int | float) else value, dims).double()


def _sound(source: str, name: str, value: Any, dims: int) -> Tensor:
    """Return a tensor that is safe to compute with."""
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.ndim != dims:
        found = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise CheckpointError(f"{source}: '{name}' must be a dense array with {dims} dimensions, found {found}.")
    if value.nbytes > value.untyped_storage().nbytes():
        raise UntrustedFileError(f"{source}: '{name}' has shape {tuple(value.shape)}, more than the file holds.")
    if dims and value.dtype not in _FLOATS:
        raise CheckpointError(f"{source}: '{name}' has type {value.dtype}, expected one of {_FLOATS}.")
    if not bool(torch.isfinite(value).all()):
        raise CheckpointError(f"{source}: '{name}' holds values that are not finite. Use an earlier checkpoint.")
    return value.detach()


def _others(values: Mapping[Any, Any]) -> dict[str, tuple[int, ...] | None]:
    """Name and shape of what no policy needs, one level into dictionaries of tensors."""
    others: dict[str, tuple[int, ...] | None] = {}
    for key, value in values.items():
        inner = value if isinstance(value, Mapping) and any(isinstance(v, Tensor) for v in value.values()) else None
        named = {str(key): value} if inner is None else {f"{key}.{name}": v for name, v in inner.items()}
        others |= {name: tuple(v.shape) if isinstance(v, Tensor) else None for name, v in named.items()}
    return others


def _stems(model: Mapping[str, Any]) -> str:
    return "Present: " + (", ".join(sorted({name.split(".")[0] for name in model})) or "none") + "."


def _integer(value: Any) -> int | None:
    return int(value) if isinstance(value, int | np.integer) and not isinstance(value, bool) else None

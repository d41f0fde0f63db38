"""Where a file that ships with the package is: in a wheel, an editable install or a clone."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from assistmimic_env.errors import AssetNotFoundError, did_you_mean

PRIOR = "policies/prior/tracker.json"
"""Asset: the single-person tracker from which both roles start (`assistmimic prior train` makes it)."""

_CLONE = Path(__file__).resolve().parent.parent


def asset_path(relative: str) -> Path:
    """Return the path of a shipped file or folder.

    Args:
        relative: Its place below the asset folder, with forward slashes, for example ``"clips/pull_up.npz"``.

    Returns:
        An existing path.

    Raises:
        AssetNotFoundError: There is no such asset; the message lists those that exist.
    """
    inside = not PurePosixPath(relative).is_absolute() and ".." not in PurePosixPath(relative).parts
    for root in _roots() if inside else ():
        if (root / relative).exists():
            return root / relative
    names = asset_names()
    exists = f"Existing assets: {', '.join(names)}." if names else "No assets are installed; reinstall the package."
    raise AssetNotFoundError(f"There is no asset {relative!r}.{did_you_mean(relative, names)} {exists}")


def asset_names(folder: str = "", suffix: str = "") -> tuple[str, ...]:
    """List the shipped data files.

    Args:
        folder: Only files below this folder, for example ``"clips"``.
        suffix: Only files whose name ends like this, for example ``".npz"``.

    Returns:
        Sorted names that `asset_path` accepts.
    """
    found = {
        path.relative_to(root).as_posix()
        for root in _roots()
        for path in (root / folder).rglob(f"*{suffix}")
        if path.is_file() and path.suffix not in {".py", ".pyc", ".md"}
    }
    return tuple(sorted(found))


def shipped_pairs() -> dict[str, Path]:
    """Find the shipped pairs of policies; their cards say in which environment each was trained.

    Returns:
        Name -> folder, for every folder below ``policies`` that holds a supporter: `needs_help` is ``needs-help``.
    """
    folders = [PurePosixPath(name).parent for name in asset_names("policies", "supporter.json")]
    return {folder.name.replace("_", "-"): asset_path(str(folder)) for folder in folders}


def _roots() -> Iterator[Path]:
    """Yield the asset folders: the installed package, or the sibling folder of a clone that is not installed."""
    spec = importlib.util.find_spec("assistmimic_env.assets")
    if spec is not None and spec.origin is not None:
        yield Path(spec.origin).parent
    elif (_CLONE / "setup.cfg").is_file():
        yield _CLONE / "assets"

"""What the commands about clips share: clips by what a user writes, and how much of the machine they use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assistmimic_env.clip import PairClip


def clip_names(word: str) -> tuple[str, ...]:
    """What a word stands for, as names and paths that `load_clip` takes.

    Args:
        word: A bundled clip, a folder of bundled ones (those to train on), an npz file, a folder of them, or an
            environment (its training clips).

    Raises:
        ClipError: Nothing is called so, or there is no clip in it.
    """
    from assistmimic_env import spec
    from assistmimic_env.clip import bundled_clips, bundled_folder
    from assistmimic_env.errors import ClipError, UnknownEnvironmentError
    from assistmimic_env.registry import own_clips

    path, names = Path(word), bundled_clips()
    if path.is_dir():
        return _files(path)
    if word.endswith(".npz") or word in names:
        return (word,)
    if folder := bundled_folder(word):
        return folder
    try:
        return own_clips(spec(word))
    except UnknownEnvironmentError:
        raise ClipError(_unknown(word, names)) from None


def one_thread() -> None:
    """Before NumPy is imported: on a busy machine, threads of its linear algebra wait for each other for minutes."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def load_each(names: tuple[str, ...]) -> Iterator[tuple[str, PairClip | Exception]]:
    """Every clip with its name, or why it cannot be read."""
    from assistmimic_env.clip import load_clip
    from assistmimic_env.errors import AssistMimicError

    for name in names:
        try:
            yield name, load_clip(name)
        except AssistMimicError as error:
            yield name, error


def _files(folder: Path) -> tuple[str, ...]:
    from assistmimic_env.errors import ClipError

    files = tuple(str(path) for path in sorted(folder.glob("*.npz")))
    if not files:
        raise ClipError(f"the folder {folder} holds no clip (*.npz).")
    return files


def _unknown(word: str, names: tuple[str, ...]) -> str:
    from assistmimic_env import list_envs
    from assistmimic_env.clip import bundled_folders, bundled_list
    from assistmimic_env.errors import did_you_mean

    ids = [entry.id for entry in list_envs()]
    short = [name.rsplit("/", 1)[1] for name in ids]
    hint = did_you_mean(word, (*names, *bundled_folders())) or did_you_mean(word, ids) or did_you_mean(word, short)
    return (
        f"there is no clip, file, folder or environment '{word}'.{hint} "
        f"Bundled clips: {bundled_list()}. Environments: {', '.join(ids)}."
    )

"""Pictures of clips: both people and the furniture, as they were recorded; no policy and no physics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assistmimic_env.clip import PairClip
    from assistmimic_env.rendering import Image, Written

FPS = 30.0
"""Of a film [1/s]; clips of other rates are resampled."""
SUFFIXES = (".png", ".mp4")
_MAX_ROWS = 12
_COLUMNS = 4


def draw(clips: Sequence[PairClip], out: Path, *, frames: int = 8, width: int = 640, height: int = 360) -> Written:
    """Write a film strip or a video.

    Args:
        clips: What is shown: a row of pictures per clip (the first twelve; a single one in rows of four), or one
            after the other.
        out: A file ending in .png or .mp4; without an encoder an MP4 becomes a film strip.
        frames: Pictures per row of a film strip.
        width: Picture width [pixels].
        height: Picture height [pixels].

    Returns:
        What was written.

    Raises:
        ConfigError: The file's ending says neither, or there is no frame to draw.
        MissingDependencyError: There is no off-screen OpenGL.
    """
    from assistmimic_env.errors import ConfigError
    from assistmimic_env.rendering import Written, film_strip, write_png, write_video

    if out.suffix not in SUFFIXES:
        raise ConfigError(f"--out {out}: expected a file that ends in {' or '.join(SUFFIXES)}.")
    if frames < 1:
        raise ConfigError(f"frames is {frames}, expected at least 1.")
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".mp4":
        return write_video(out, pictures(clips, count=None, width=width, height=height), fps=FPS)
    shown = list(pictures(clips[:_MAX_ROWS], count=frames, width=width, height=height))
    columns = frames if len(clips) > 1 else min(frames, _COLUMNS)
    return Written(path=write_png(out, film_strip(shown, columns=columns)), kind="png", reason="")


def pictures(clips: Sequence[PairClip], *, count: int | None, width: int, height: int) -> Iterator[Image]:
    """Draw clips one after the other.

    Args:
        clips: The clips.
        count: Evenly spaced pictures of each, the first and the last frame among them; None: every frame at 30 fps.
        width: Picture width [pixels].
        height: Picture height [pixels].

    Yields:
        Pictures, shape (height, width, 3).
    """
    import numpy as np

    from assistmimic_env.rendering import PairRenderer

    first = clips[0]
    with PairRenderer(first.bodies, first.furniture, width=width, height=height, ghost="none", samples=4) as renderer:
        for clip in clips:
            renderer.set_scene(clip.bodies, clip.furniture)
            steps = round(clip.duration * FPS) + 1 if count is None else count
            state = clip.sample(np.linspace(0.0, clip.duration, steps))
            for position, rotation in zip(state.position, state.rotation, strict=True):
                if count is not None:
                    renderer.restart_camera()  # it would still be on its way from the picture before
                yield renderer.frame(position, rotation)

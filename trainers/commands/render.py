"""`assistmimic render`: a video of one rollout, beside the reference."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro


def render(
    policies: Annotated[str, tyro.conf.Positional] = "random",
    *,
    out: Path = Path("assistmimic.mp4"),
    env: str | None = None,
    recipient: str | None = None,
    option: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
    clips: tuple[str, ...] = (),
    held_out: bool = False,
    seed: int = 0,
    start_noise: float = 1.0,
    ghost: Literal["beside", "overlay", "none"] = "beside",
    width: int = 854,
    height: int = 480,
) -> None:
    """Make a video of one rollout and of the translucent reference; without an encoder, a film strip (PNG).

    Example: assistmimic render runs/quickstart/policies/trained --out pair.mp4

    Args:
        policies: The folder of a run or of exported policies, a single-person policy, or one of: random, hold, still,
            prior, needs-help (a pair that ships; assistmimic demo names all).
        out: The file to write; its suffix becomes .mp4 or .png.
        env: Environment id (list them: assistmimic info). By default the one that the policies were trained in, with
            the options on their cards.
        recipient: How impaired the recipient is, e.g. needs-help.
        option: Another option of the environment as KEY=VALUE, e.g. perturbation=mass-1.5; may be repeated.
        clips: Other motion: names of bundled clips or of their folders, files, folders of files; the first is shown.
        held_out: Use the environment's clips that training does not see.
        seed: Seed of the rollout.
        start_noise: Scale of the noise of the start state; 0 starts exactly on the reference.
        ghost: Where the reference goes.
        width: Picture width in pixels.
        height: Picture height in pixels.
    """
    import assistmimic_env
    from assistmimic_env.errors import MissingDependencyError
    from assistmimic_env.evaluation import record
    from assistmimic_env.recording import frames
    from assistmimic_env.rendering import write_video
    from assistmimic_trainers.options import read_options

    from .pairs import load_pairs
    from .stage import choose_stage

    words, options = [policies], read_options(option)
    stage = choose_stage(words, env=env, clips=clips, held_out=held_out, recipient=recipient, options=options)
    vec = assistmimic_env.make_vec(stage.env, num_envs=1, **stage.options)
    (pair,) = load_pairs(words, vec, seed=seed).values()
    recording = record(vec, pair, seed=seed, start_noise=start_noise)
    try:
        written = write_video(out, frames(recording, width=width, height=height, ghost=ghost))
    except MissingDependencyError as error:
        print(f"assistmimic: no picture was made: {error}", file=sys.stderr)
        return
    print(written.path)
    if written.reason:
        print(f"assistmimic: a film strip instead of a video: {written.reason}", file=sys.stderr)

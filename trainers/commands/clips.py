"""`assistmimic clips`: look into any clip, and build the bundled real one from its source."""

from __future__ import annotations

import json as json_module
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

if TYPE_CHECKING:
    from assistmimic_env.clip import PairClip


def show(
    clip: Annotated[str, tyro.conf.Positional],
    *,
    out: Path | None = None,
    frames: int = 8,
    width: int = 480,
    height: int = 320,
    json: bool = False,
) -> None:
    """Describe clips: what happens in them, people and furniture, where they come from; and draw them.

    Example: assistmimic clips show pull_up --out pull_up.png

    Args:
        clip: Name of a bundled clip (see: assistmimic info), an npz file, a folder of them, or an environment's id.
        out: Draw the recorded motion: a film strip (.png, one row per clip, at most twelve) or a video (.mp4).
        frames: Pictures per row of a film strip.
        width: Picture width in pixels.
        height: Picture height in pixels.
        json: Print one JSON object (for several clips, a list) instead of text.
    """
    from assistmimic_env.clip import load_clip

    from .clips_film import draw
    from .clips_named import clip_names

    clips = [load_clip(name) for name in clip_names(clip)]
    written = None if out is None else draw(clips, out, frames=frames, width=width, height=height)
    reports = [describe(one) for one in clips]
    if json:
        print(json_module.dumps(reports[0] if len(reports) == 1 else reports, indent=2))
    else:
        print("\n".join([*map(_text, reports), *([] if written is None else [str(written.path)])]))
    if written is not None and written.reason:
        print(f"assistmimic: a film strip instead of a video: {written.reason}", file=sys.stderr)


def describe(clip: PairClip) -> dict[str, Any]:
    """Summarise a clip.

    Args:
        clip: The clip.

    Returns:
        What `assistmimic clips show --json` prints: lengths [m], masses [kg], times [s].
    """
    return {
        "name": clip.name,
        "seconds": round(clip.duration, 3),
        "frames": clip.num_frames,
        "fps": clip.fps,
        "body": clip.body,
        "people": {
            role: {"stature": round(body.stature, 3), "mass": round(body.mass, 1)}
            for role, body in zip(("supporter", "recipient"), clip.bodies, strict=True)
        },
        "furniture": [{"name": box.name, "kind": box.kind, "size": list(box.size)} for box in clip.furniture],
        "contacts": [asdict(hold) for hold in clip.contacts],
        "metadata": dict(clip.metadata),
    }


def build_pull_up(source: Annotated[Path, tyro.conf.Positional], *, out: Path) -> None:
    """Retarget the CMU pair "B sits; A pulls up B" to our body and write it as a clip.

    Args:
        source: Folder with the key frames: 22_01_keyframes.txt, 23_01_keyframes.txt and skeletons.json.
        out: The npz file to write.
    """
    from assistmimic_env.cmu import convert
    from assistmimic_env.cmu_report import report

    out.parent.mkdir(parents=True, exist_ok=True)
    clip = convert(source)
    clip.save(out)
    print(f"{out}: {clip.duration:.2f} s, {clip.num_frames} frames at {clip.fps:g} fps")
    print(report(clip, source))


def _text(report: dict[str, Any]) -> str:
    lines = [f"{report['name']}: {report['seconds']} s, {report['frames']} frames at {report['fps']:g} fps"]
    lines += [f"  {role:<10} {one['stature']:.2f} m, {one['mass']:.0f} kg" for role, one in report["people"].items()]
    lines += [
        f"  {box['kind']:<10} {' x '.join(f'{side:.2f}' for side in box['size'])} m" for box in report["furniture"]
    ]
    lines += [
        f"  {hold['role']}'s {hold['body']} at the partner's {hold['partner_body']}, "
        f"{hold['start']:.2f} to {hold['end']:.2f} s"
        for hold in report["contacts"]
    ]
    lines += [f"  {key}: {value}" for key, value in report["metadata"].items() if isinstance(value, str)]
    lines += _origin(report["metadata"].get("provenance"))
    return "\n".join(lines)


def _origin(provenance: Any) -> list[str]:
    """The files that an imported clip was made from."""
    if not isinstance(provenance, dict) or not isinstance(provenance.get("files"), list):
        return []
    lines = [f"  imported from {provenance.get('format')} by {provenance.get('converter')}"]
    files = [file for file in provenance["files"] if isinstance(file, dict)]
    return lines + [f"    {file.get('name')}  sha256 {str(file.get('sha256'))[:12]}..." for file in files]

"""`assistmimic clips check`: is a clip fit for physics, and if not, what to do."""

from __future__ import annotations

import json as json_module
from typing import TYPE_CHECKING, Annotated, Any

import tyro

if TYPE_CHECKING:
    from assistmimic_env.clip import PairClip


def check(clip: Annotated[str, tyro.conf.Positional], *, json: bool = False) -> int:
    """Tell whether clips are fit for physics: foot slide, penetration, gaps, speeds, against limits.

    Exit code 2 when one of them is unfit or cannot be read. The limits are in docs/motion.md.

    Args:
        clip: Name of a bundled clip, an npz file, a folder of them, or an environment's id.
        json: Print one JSON object instead of text.
    """
    from .clips_named import clip_names, load_each

    verdicts = [_judged(name, found) for name, found in load_each(clip_names(clip))]
    print(json_module.dumps({"clips": verdicts}, indent=2) if json else "\n".join(map(_text, verdicts)))
    bad = sum(verdict["level"] in ("unfit", "unreadable") for verdict in verdicts)
    if not json and len(verdicts) > 1:
        print(f"{len(verdicts) - bad} of {len(verdicts)} clips are fit for physics.")
    return 2 if bad else 0


def _judged(name: str, found: PairClip | Exception) -> dict[str, Any]:
    from assistmimic_env.clip_check import check

    if isinstance(found, Exception):
        return {"name": name, "level": "unreadable", "error": str(found), "remarks": []}
    return {**check(found).to_json(), "name": name}


def _text(verdict: dict[str, Any]) -> str:
    words = {"fine": "fit", "doubtful": "fit, with remarks", "unfit": "not fit for physics"}
    lines = [f"{verdict['name']}: {words.get(verdict['level']) or verdict['error']}"]
    for one in verdict["remarks"]:
        limit = one["fit"] if one["level"] == "unfit" else one["fine"]
        lines.append(
            f"  {one['name']} {one['value']:.3g} {one['unit']}, above {limit:g} {one['unit']}: {one['remedy']}"
        )
    return "\n".join(lines)

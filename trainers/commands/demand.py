"""`assistmimic demand`: which joints a person would need more torque in to follow a clip without help."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

if TYPE_CHECKING:
    from assistmimic_env.demand import Demand


def demand(
    env: Annotated[str, tyro.conf.Positional] = "AssistMimic/SitToStand-v0",
    *,
    recipient: str | None = None,
    role: Literal["supporter", "recipient"] = "recipient",
    clips: tuple[str, ...] = (),
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Inverse dynamics along the reference: which joints are asked for more than they can give, when, by how much.

    Example: assistmimic demand AssistMimic/SitToStand-v0 --recipient needs-help

    Args:
        env: Environment id (list them: assistmimic info).
        recipient: Impairment of the recipient: none, interx, hhi, needs-help; by default the environment's.
        role: Whose joints.
        clips: Other motion: names of bundled clips or of their folders, clip files, or folders of files.
        out: Write the result to this JSON file, every frame included.
        json: Print the result as one JSON object instead of a table.
    """
    import assistmimic_env
    from assistmimic_env.demand import demand as demand_of

    from .pairs import choose_clips

    options: dict[str, Any] = {} if recipient is None else {"recipient": recipient}
    motion = choose_clips(env, clips, held_out=False)
    vec = assistmimic_env.make_vec(env, num_envs=1, threads=1, clips=motion, **options)
    found = [demand_of(vec.simulation, clip, role) for clip in range(len(vec.reference.clips))]
    report = {
        "env": vec.name,
        "recipient": recipient,
        "role": role,
        "units": {"torque": "N m", "time": "s", "unsupported": "N"},
        "clips": {one.clip: _summary(one) for one in found},
    }
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json_module.dumps(report, indent=2) + "\n", encoding="utf-8")
    if json:
        print(json_module.dumps(report, indent=2))
    else:
        _print_table(found)


def _summary(found: Demand) -> dict[str, Any]:
    """What goes into the file: peaks of all joints, those that are exceeded with their course."""
    exceeded = found.exceeded()
    course = {name: found.torque[:, found.names.index(name)].round(1).tolist() for name in exceeded}
    return {
        "peak": dict(zip(found.names, found.torque.max(axis=0).round(1).tolist(), strict=True)),
        "limit": dict(zip(found.names, found.limit.round(1).tolist(), strict=True)),
        "unsupported_peak": round(float(found.unsupported.max()), 1),
        "exceeded": {name: {key: round(value, 3) for key, value in row.items()} for name, row in exceeded.items()},
        "torque": course,
    }


def _print_table(found: list[Demand]) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(
        Column("clip", overflow="fold"),
        "joint",
        "limit [Nm]",
        "peak [Nm]",
        "x",
        "from [s]",
        "to [s]",
        "share of the clip",
    )
    for one in found:
        rows = one.exceeded()
        if not rows:
            table.add_row(one.clip, "none", "", "", "", "", "", "")
        for name, row in rows.items():
            numbers = (f"{row['limit']:.0f}", f"{row['peak']:.0f}", f"{row['ratio']:.2f}")
            times = (f"{row['first']:.2f}", f"{row['last']:.2f}", f"{100 * row['share']:.0f} %")
            table.add_row(one.clip, name, *numbers, *times)
    Console(markup=False).print(table)

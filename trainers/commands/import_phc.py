"""`assistmimic import-phc`: a policy of PHC becomes one of ours."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import tyro


def import_phc(
    file: Annotated[Path, tyro.conf.Positional],
    *,
    primitives: Path | None = None,
    primitive: int = 0,
    activation: str | None = None,
    ending_activation: bool = True,
    softmax: bool = False,
    out: Path = Path("policies"),
    explain: bool = False,
    json: bool = False,
) -> None:
    """Convert a checkpoint of PHC to safetensors and a JSON card; nothing in the file is run.

    Example: assistmimic import-phc phc_3/Humanoid.pth --explain

    Args:
        file: The checkpoint, e.g. Humanoid.pth: a plain network, primitives (PNN) or a composer (MCP).
        primitives: For a composer, the checkpoint with the primitives that it weighs.
        primitive: Which primitive of a PNN checkpoint.
        activation: Between the layers: silu, relu, elu or tanh. By default PHC's for this number of layers.
        ending_activation: Whether an activation follows a composer's last layer.
        softmax: A composer ends with a softmax.
        out: Folder that receives the policy, named after the checkpoint.
        explain: Only say what is in the file, where it goes, what is assumed and what it fits.
        json: Print one JSON object instead of text.
    """
    from assistmimic_env.errors import CheckpointError
    from assistmimic_trainers.phc.conversion import write_policy
    from assistmimic_trainers.phc.explanation import explain as explain_source
    from assistmimic_trainers.phc.source import open_source

    source = open_source(
        file,
        primitives=primitives,
        primitive=primitive,
        activation=activation,
        ending_activation=ending_activation,
        softmax=softmax,
    )
    explanation = explain_source(source)
    written = None if explain else write_policy(source, out / file.stem)
    if json:
        report = {**explanation.to_json(), "written": None if written is None else str(written)}
        print(json_module.dumps(report, indent=2))
    else:
        print("\n".join(explanation.lines(entries=explain)))
    if written is not None and not json:
        print(f"\nwrote {written} and {written.with_suffix('.safetensors').name}")
    if explanation.problem is not None:
        raise CheckpointError(explanation.problem)

"""Small clips and environments for the tests: quick to make, made from geometry alone."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from assistmimic_env import registry, rotations
from assistmimic_env.actuation import target_to_action
from assistmimic_env.body import get_body
from assistmimic_env.clip import ROLES, Furniture, PairClip
from assistmimic_env.parallel import PairEnv
from assistmimic_env.simulation import PairSimulation
from assistmimic_env.vector import VectorEnv

BODY = get_body("smpl24")
TOY_ID = "AssistMimic/PullUp-v0"
"""The id under which toy clips are played; any would do."""


def make_clip(name: str, root: np.ndarray, turns: dict[str, np.ndarray], **options: Any) -> PairClip:
    """A clip at 30 frames per second from root positions (T, 2, 3) and rotation vectors (T, 2, 3) of some bodies."""
    rotation = np.zeros((len(root), 2, BODY.num_bodies, 4))
    rotation[..., 0] = 1.0
    for body, vector in turns.items():
        rotation[:, :, BODY.index(body)] = rotations.from_rotation_vector(vector)
    people = {"offsets": np.stack([BODY.offsets] * 2), "masses": np.full(2, BODY.mass)}
    return PairClip(name=name, fps=30.0, root_position=root, local_rotation=rotation, **people, **options)


def standing_clip(frames: int = 90, *, gap: float = 0.7, name: str = "standing") -> PairClip:
    """Two people stand ``gap`` metres apart, face each other and move their hanging arms a little."""
    root = np.zeros((frames, 2, 3))
    root[:, :, 2] = BODY.rest_height
    root[:, 1, 0] = gap
    facing, arm = np.zeros((2, frames, 2, 3))
    facing[:, 1, 2] = np.pi
    arm[..., 0] = -1.3 + 0.1 * np.sin(np.arange(frames) / 10.0)[:, None]
    return make_clip(name, root, {"Pelvis": facing, "L_Shoulder": arm, "R_Shoulder": -arm})


def reaching_clip(frames: int = 60, *, gap: float = 0.6) -> PairClip:
    """Two people stretch their arms forward and push each other's shoulders."""
    root = np.zeros((frames, 2, 3))
    root[:, :, 2] = BODY.rest_height
    root[:, 1, 0] = gap
    facing, arm = np.zeros((2, frames, 2, 3))
    facing[:, 1, 2] = np.pi
    arm[..., 2] = -0.5 * np.pi
    return make_clip("reaching", root, {"Pelvis": facing, "L_Shoulder": arm, "R_Shoulder": -arm})


def rising_clip(*, sitting: int = 10, rising: int = 20, upright: int = 25) -> PairClip:
    """The recipient rises from a high stool, feet in place, 1.5 m from a standing supporter; counts are frames.

    Seated, the recipient's reset bodies are 0.3 m on average from the standing pose and the pelvis is 0.2 m lower.
    """
    bend = np.radians(60.0) * np.concatenate([np.ones(sitting), np.linspace(1.0, 0.0, rising), np.zeros(upright)])
    thigh = np.linalg.norm(BODY.offsets[BODY.index("L_Knee")])
    root = np.zeros((len(bend), 2, 3))
    root[:, :, 2] = BODY.rest_height
    root[:, 0, 0] = 1.5
    root[:, 1, 0] = -thigh * np.sin(bend)
    root[:, 1, 2] -= thigh * (1.0 - np.cos(bend))
    hip, knee, arm, facing = np.zeros((4, len(bend), 2, 3))
    hip[:, 1, 1], knee[:, 1, 1] = -bend, bend
    arm[..., 0] = -1.3
    facing[:, 0, 2] = np.pi
    height = float(root[0, 1, 2]) - max(geom.radius for geom in BODY.geoms if geom.body == 0)
    seat = (float(root[0, 1, 0]) - 0.15, 0.0, 0.5 * height)
    stool = Furniture(name="stool", kind="seat", size=(0.3, 0.4, height), position=seat)
    turns = {"Pelvis": facing, "L_Shoulder": arm, "R_Shoulder": -arm}
    turns |= {"L_Hip": hip, "R_Hip": hip, "L_Knee": knee, "R_Knee": knee}
    return make_clip("rising", root, turns, furniture=(stool,))


def make_env(**options: Any) -> PairEnv:
    """One world that plays the standing clip unless ``clips`` says otherwise."""
    return registry.make(TOY_ID, **{"clips": standing_clip(), **options})


def make_vec(num_envs: int = 3, **options: Any) -> VectorEnv:
    """Some worlds that play the standing clip unless ``clips`` says otherwise."""
    return registry.make_vec(TOY_ID, num_envs=num_envs, **{"clips": standing_clip(), "threads": 1, **options})


def pose_action(simulation: PairSimulation, frame: int | np.ndarray | None = None) -> np.ndarray:
    """Actions (N, 2, A) that ask for the reference pose at a frame of each world's clip, by default the present one."""
    row = simulation.reference.row(simulation.clip, simulation.frame if frame is None else np.asarray(frame))
    return target_to_action(simulation.reference.target[row], simulation.action_scale)


def by_role(action: np.ndarray) -> dict[str, np.ndarray]:
    """(..., 2, A) -> role -> (..., A)."""
    return {role: action[..., index, :] for index, role in enumerate(ROLES)}


def sent(value: Any, dump: Callable[[Any], bytes] = pickle.dumps) -> Any:
    """What arrives in another process: pickled and read again."""
    return pickle.loads(dump(value))  # noqa: S301 - our own bytes

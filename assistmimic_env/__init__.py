"""Physics-based assistance between two humans: environments by name.

import assistmimic_env
env = assistmimic_env.make("AssistMimic/PullUp-v0")
vec = assistmimic_env.make_vec("AssistMimic/PullUp-v0", num_envs=64)
one = assistmimic_env.make_single("AssistMimic/PullUp-v0", role="recipient", partner="replay")
"""

from __future__ import annotations

from .errors import AssistMimicError
from .registry import EnvSpec, list_envs, make, make_single, make_vec, register, spec

__version__ = "0.1.0"

__all__ = [
    "AssistMimicError",
    "EnvSpec",
    "__version__",
    "list_envs",
    "make",
    "make_single",
    "make_vec",
    "register",
    "spec",
]

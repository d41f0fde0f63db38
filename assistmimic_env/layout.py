"""``Layout``: the one place that says what each number of an observation is.

| block | size (J = 24) | content | unit | frame |
|-|-|-|-|-|
| `root_height` | 1 | height of the own pelvis | m | world |
| `body_position` | 3 (J-1) | own bodies, relative to the own root | m | heading |
| `body_rotation` | 6 J | x and z axes of the own bodies | 1 | heading |
| `body_velocity`, `body_angular_velocity` | 3 J each | own bodies | m/s, rad/s | heading |
| `goal_position_error` | 3 J | next reference minus own bodies | m | heading |
| `goal_rotation_error` | 6 J | x and z axes of (reference after own inverse) | 1 | heading |
| `goal_velocity_error`, `goal_angular_velocity_error` | 3 J each | next reference minus own | m/s, rad/s | heading |
| `goal_position` | 3 J | next reference, relative to the own root | m | heading |
| `goal_rotation` | 6 J | x and z axes of the next reference | 1 | heading |
| `partner_position` | 3 J | partner's bodies, relative to the own root | m | heading |
| `partner_velocity` | 3 J | partner's bodies | m/s | heading |
| `partner_rotation` | 6 J | x and z axes of the partner's bodies | 1 | heading |
| `partner_goal_position` | 3 J | partner's next reference, relative to the own root | m | heading |
| `partner_goal_velocity` | 3 J | partner's next reference | m/s | heading |
| `contact_force` | 3 J | force of the partner on each own body, f / (|f| + 100 N) | 1 | heading |
| `partner_tilt` | 6 | x and z axes of the partner's root without its heading | 1 | partner's heading |
| `partner_from_wrists` | 2 (3 J) | partner's bodies seen from the own left and right wrist | m | wrist |
| `hand_contact` | 4 | own left palm, left fingers, right palm, right fingers touch the partner (> 1 N) | 0/1 | - |
| `partner_hand_contact` | 4 | the same of the partner | 0/1 | - |
| `previous_action` | 3 (J-1) | last action, clipped; zero after a reset | 1 | - |

"Heading" is the world turned by the own root's yaw. The first two groups are PHC's observations v1 and v6
(`spec/phc.md` section 4), 934 numbers for J = 24; everything after them is the partner-aware block
(`spec/assistmimic.md` section 1.6). The reference is that of the next control step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from .body import BodySpec
from .errors import ConfigError, did_you_mean

VERSION = 1
"""Changes whenever the meaning, size or order of a block changes."""

FORCE_SCALE = 100.0
"""Contact force at which its observation reaches one half [N]."""

HAND_PARTS = 4
"""Parts of the hands whose contacts with the partner are flagged: the palm (the wrist's body) and the fingers (all
bodies beyond it) of the left and the right hand."""

GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "self": ("root_height", "body_position", "body_rotation", "body_velocity", "body_angular_velocity"),
        "goal": (
            "goal_position_error",
            "goal_rotation_error",
            "goal_velocity_error",
            "goal_angular_velocity_error",
            "goal_position",
            "goal_rotation",
        ),
        "partner": (
            "partner_position",
            "partner_velocity",
            "partner_rotation",
            "partner_goal_position",
            "partner_goal_velocity",
            "contact_force",
            "partner_tilt",
            "partner_from_wrists",
            "hand_contact",
            "partner_hand_contact",
            "previous_action",
        ),
    }
)
"""The three groups in order; ``layout["self"]`` and so on are slices too."""

_BOUNDS: Mapping[str, float] = MappingProxyType(
    {"position": 100.0, "height": 100.0, "velocity": 1000.0, "wrists": 100.0}
)


@dataclass(frozen=True, kw_only=True)
class Layout(Mapping[str, slice]):
    """Name -> slice of one agent's observation; blocks, then groups.

    Attributes:
        sizes: Size of each block in order.
    """

    sizes: Mapping[str, int]

    @cached_property
    def _slices(self) -> Mapping[str, slice]:
        slices, start = {}, 0
        for name, size in self.sizes.items():
            slices[name] = slice(start, start + size)
            start += size
        for group, names in GROUPS.items():
            slices[group] = slice(slices[names[0]].start, slices[names[-1]].stop)
        return slices

    def __getitem__(self, name: str) -> slice:
        """Where a block or group is."""
        try:
            return self._slices[name]
        except KeyError:
            raise ConfigError(
                f"the observation has no block '{name}'.{did_you_mean(name, self._slices)} "
                f"Blocks: {', '.join(self._slices)}."
            ) from None

    def __iter__(self) -> Iterator[str]:
        """Names of blocks, then of groups."""
        return iter(self._slices)

    def __len__(self) -> int:
        """Number of names."""
        return len(self._slices)

    @property
    def size(self) -> int:
        """Length of the observation."""
        return sum(self.sizes.values())

    @cached_property
    def bounds(self) -> NDArray[np.float32]:
        """Largest absolute value of each number, shape (size,): 100 m, 1000 m/s or rad/s, else 1.

        Observations are clipped to it; a world that is not about to end stays far inside.
        """
        limit = np.ones(self.size, dtype=np.float32)
        for name in self.sizes:
            kind = next((key for key in _BOUNDS if key in name), None)
            limit[self[name]] = 1.0 if kind is None else _BOUNDS[kind]
        limit.setflags(write=False)
        return limit


def build_layout(body: BodySpec) -> Layout:
    """The layout of one agent's observation for a body."""
    j = body.num_bodies
    sizes = {
        "root_height": 1,
        "body_position": 3 * (j - 1),
        "partner_tilt": 6,
        "partner_from_wrists": 6 * j,
        "hand_contact": HAND_PARTS,
        "partner_hand_contact": HAND_PARTS,
        "previous_action": body.num_dofs,
    }
    for name in (name for names in GROUPS.values() for name in names):
        if name not in sizes:
            sizes[name] = (6 if "rotation" in name else 3) * j
    ordered = {name: sizes[name] for names in GROUPS.values() for name in names}
    return Layout(sizes=MappingProxyType(ordered))

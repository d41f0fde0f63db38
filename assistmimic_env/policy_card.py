"""The card of an exported policy: what its network is and which environment it fits.

A card is a JSON object. Cards may come from anywhere, so every key is checked when one is read.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import TYPE_CHECKING, Any, Final

from .actuation import KNEE_FLEXION_SCALE, TARGET_LIMIT
from .config import CONTROL_DT, ActuationLaw
from .errors import PolicyError
from .frames import BodyFrames
from .layout import VERSION as LAYOUT_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .body import BodySpec

FORMAT: Final = "assistmimic-policy"
VERSION: Final = 1
ROLES: Final = ("supporter", "recipient")
ANY_ROLE: Final = "any"
"""The role of a single-person policy, from which either role can start."""

ACTIVATIONS: Final = ("silu", "relu", "elu", "tanh")
"""What may stand between the layers."""

MAX_LAYERS: Final = 16
MAX_OPTION_DEPTH: Final = 4
MAX_OPTIONS: Final = 128
MAX_VALUES: Final = 1024
MAX_TEXT: Final = 1024
MAX_PRIMITIVES: Final = 16


def policy_interface(
    *, layout: Mapping[str, slice], body: BodySpec, actuation: ActuationLaw, frames: BodyFrames = "upright"
) -> dict[str, Any]:
    """Describe what a policy must know about its environment: the part of its card that an environment decides.

    Args:
        layout: The environment's observation layout, name -> slice, blocks in order; groups of blocks after them
            are left out.
        body: The environment's body.
        actuation: The environment's servo law.
        frames: The environment's body frames.

    Returns:
        ``observation_layout``, ``layout_version``, ``actuation``, ``body``, ``control_dt`` and ``upright`` of a card,
        for `Policy.check` and for export.
    """
    blocks: dict[str, tuple[int, int]] = {}
    stop = 0
    for name, block in layout.items():
        if block.start == stop:
            stop = block.stop
            blocks[name] = (block.start, stop)
    return {
        "observation_layout": blocks,
        "layout_version": LAYOUT_VERSION,
        "actuation": actuation_interface(actuation),
        "body": body.name,
        "control_dt": CONTROL_DT,
        "upright": frames == "upright",
    }


def actuation_interface(law: ActuationLaw) -> dict[str, Any]:
    """Describe how an action becomes a servo target: the ``actuation`` of a card.

    Args:
        law: The servo law.
    """
    limit = TARGET_LIMIT if law == "so3" else None
    return {"law": law, "scale": math.pi, "knee_flexion_scale": KNEE_FLEXION_SCALE, "target_limit": limit}


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Makes a policy a composer: its network weighs the actions of other networks, the primitives.

    The composer's outputs, bounded to [-1, 1], are the weights; the action is the weighted sum, neither divided by the
    sum of the weights nor bounded. The primitives share a normaliser of their own (PHC's MCP, ``spec/phc.md`` 7).
    """

    primitives: int
    """Number of primitives."""
    hidden: tuple[int, ...]
    """Widths of the hidden layers of each primitive."""
    activation: str
    """Name of the activation between the layers of a primitive."""
    ending: str
    """Name of the activation after the composer's last layer, or ``none``."""
    softmax: bool
    """Whether the composer ends with a softmax."""

    @classmethod
    def from_json(cls, mixture: Mapping[str, Any], *, where: str) -> Mixture:
        """Check a JSON object and turn it into a mixture; `PolicyError` says which key is wrong."""
        read = _Reader(where, mixture)
        return cls(
            primitives=read.integer("primitives", 1, MAX_PRIMITIVES),
            hidden=read.widths("hidden"),
            activation=read.choice("activation", ACTIVATIONS),
            ending=read.choice("ending", (*ACTIVATIONS, "none")),
            softmax=read.boolean("softmax"),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the mixture as a JSON object; `from_json` is its inverse."""
        return {
            "primitives": self.primitives,
            "hidden": list(self.hidden),
            "activation": self.activation,
            "ending": self.ending,
            "softmax": self.softmax,
        }


@dataclass(frozen=True, kw_only=True)
class TrainedIn:
    """The environment that a policy was trained in, as `assistmimic_env.make` takes it.

    Options are only checked to be few and plain here; whoever makes the environment checks what they say.
    """

    id: str
    """Id of the environment."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options by name: numbers, words, flags, and lists and mappings of them."""

    @classmethod
    def of(cls, id: str, options: Mapping[str, Any]) -> TrainedIn:
        """From options as Python has them; one that a card cannot hold, such as infinity, is left out."""
        plain = {name: asdict(value) if is_dataclass(value) else value for name, value in options.items()}  # type: ignore[arg-type]
        return cls(id=id, options={name: value for name, value in plain.items() if _is_plain_option(value)})

    @classmethod
    def from_json(cls, environment: Mapping[str, Any], *, where: str) -> TrainedIn:
        """Check a JSON object; `PolicyError` says which key is wrong."""
        read = _Reader(where, environment)
        options = read.mapping("options")
        if len(options) > MAX_OPTIONS or not all(map(_is_plain_option, options.values())):
            expected = (
                f"at most {MAX_OPTIONS} options of at most {MAX_VALUES} finite numbers, words and flags each, "
                f"nested at most {MAX_OPTION_DEPTH} deep"
            )
            raise read.fail("options", expected)
        return cls(id=read.text("id", most=MAX_TEXT), options=options)

    def to_json(self) -> dict[str, Any]:
        """Return the environment as a JSON object; `from_json` is its inverse."""
        return {"id": self.id, "options": dict(self.options)}


@dataclass(frozen=True, kw_only=True)
class PolicyCard:
    """What a policy is and which environment it fits; the JSON half of an export."""

    role: str
    """Who it controls: ``supporter``, ``recipient`` or, as a single person, ``any``."""
    observation_layout: Mapping[str, tuple[int, int]]
    """Name of each block of the observation -> its start and stop, in order and without gaps."""
    observation_size: int
    """Width of an observation."""
    action_size: int
    """Width of an action."""
    activation: str
    """Name of the activation between the layers: silu, relu, elu or tanh."""
    hidden: tuple[int, ...]
    """Widths of the hidden layers."""
    normalizer_epsilon: float
    """Added to the variance before the square root."""
    normalizer_clip: float
    """Bound of a normalised observation."""
    actuation: Mapping[str, Any]
    """How the environment turns an action into a servo target."""
    body: str
    """Name of the body, e.g. ``smpl24``."""
    control_dt: float
    """Time between two actions [s]."""
    provenance: Mapping[str, Any]
    """Where it comes from: free, for people."""
    normalizer_count: float = 0.0
    """Number of samples behind the normaliser's statistics; 0 if unknown."""
    upright: bool = True
    """Whether it sees and acts in our body frames, in which a standing root has the identity rotation, or in SMPL's."""
    servo: Mapping[str, Any] | None = None
    """Gains, armature and torque limit it was trained with, for people: an environment may weaken one on purpose."""
    mixture: Mixture | None = None
    """The primitives, if its network is a composer."""
    layout_version: int | None = None
    """`layout.VERSION` of its observation, if it is known."""
    environment: TrainedIn | None = None
    """What it was trained in, if it is known."""

    @classmethod
    def from_json(cls, card: Mapping[str, Any], *, where: str = "card") -> PolicyCard:
        """Check a JSON object and turn it into a card.

        Args:
            card: The decoded JSON object.
            where: What to call it in messages.

        Returns:
            The card.

        Raises:
            PolicyError: A key is missing or its value is not what it must be.
        """
        read = _Reader(where, card)
        read.equal("format", FORMAT)
        read.equal("version", VERSION)
        normalizer = _Reader(f"{where}, normalizer", read.mapping("normalizer"))
        size = read.integer("observation_size", 1, 10**6)
        mixture, environment = read.optional("mixture"), read.optional("environment")
        known = card.get("layout_version") is not None
        return cls(
            role=read.choice("role", (*ROLES, ANY_ROLE)),
            observation_layout=read.layout("observation_layout", size),
            observation_size=size,
            action_size=read.integer("action_size", 1, 10**5),
            activation=read.choice("activation", ACTIVATIONS),
            hidden=read.widths("hidden"),
            normalizer_epsilon=normalizer.positive("epsilon"),
            normalizer_clip=normalizer.positive("clip"),
            actuation=read.mapping("actuation"),
            body=read.text("body"),
            control_dt=read.positive("control_dt"),
            provenance=read.mapping("provenance"),
            normalizer_count=normalizer.number("count", default=0.0),
            upright=read.boolean("upright", default=True),
            servo=read.optional("servo"),
            mixture=None if mixture is None else Mixture.from_json(mixture, where=f"{where}, mixture"),
            layout_version=read.integer("layout_version", 1, 10**6) if known else None,
            environment=None
            if environment is None
            else TrainedIn.from_json(environment, where=f"{where}, environment"),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the card as a JSON object; `from_json` is its inverse."""
        optional = {
            "servo": None if self.servo is None else dict(self.servo),
            "mixture": None if self.mixture is None else self.mixture.to_json(),
            "layout_version": self.layout_version,
            "environment": None if self.environment is None else self.environment.to_json(),
        }
        return {
            "format": FORMAT,
            "version": VERSION,
            "role": self.role,
            "observation_layout": {name: list(ends) for name, ends in self.observation_layout.items()},
            "observation_size": self.observation_size,
            "action_size": self.action_size,
            "activation": self.activation,
            "hidden": list(self.hidden),
            "normalizer": {
                "epsilon": self.normalizer_epsilon,
                "clip": self.normalizer_clip,
                "count": self.normalizer_count,
            },
            "actuation": dict(self.actuation),
            "body": self.body,
            "control_dt": self.control_dt,
            "upright": self.upright,
            "provenance": dict(self.provenance),
            **{key: value for key, value in optional.items() if value is not None},
        }

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of every tensor that belongs to this card."""
        outputs = self.action_size if self.mixture is None else self.mixture.primitives
        shapes = {
            **_normalizer_shapes("normalizer", self.observation_size),
            "log_std": (self.action_size,),
            **_layer_shapes("actor", (self.observation_size, *self.hidden, outputs)),
        }
        if self.mixture is not None:
            widths = (self.observation_size, *self.mixture.hidden, self.action_size)
            shapes |= _normalizer_shapes("primitive_normalizer", self.observation_size)
            for primitive in range(self.mixture.primitives):
                shapes |= _layer_shapes(f"primitive.{primitive}", widths)
        return shapes


def _normalizer_shapes(name: str, size: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.mean": (size,), f"{name}.variance": (size,)}


def _layer_shapes(name: str, widths: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        shapes[f"{name}.{layer}.weight"] = (outputs, inputs)
        shapes[f"{name}.{layer}.bias"] = (outputs,)
    return shapes


class _Reader:
    """Reads values of a JSON object and says precisely what is wrong with them."""

    def __init__(self, where: str, values: Mapping[str, Any]) -> None:
        self.where = where
        self.values = values

    def fail(self, key: str, expected: str) -> PolicyError:
        found = repr(self.values[key]) if key in self.values else "nothing"
        found = found if len(found) <= 80 else found[:77] + "..."
        return PolicyError(f"{self.where}: '{key}' must be {expected}, found {found}. Export the policy again.")

    def equal(self, key: str, expected: object) -> None:
        if self.values.get(key) != expected:
            raise self.fail(key, repr(expected))

    def choice(self, key: str, choices: Iterable[str]) -> str:
        value = self.values.get(key)
        if not isinstance(value, str) or value not in choices:
            raise self.fail(key, "one of " + ", ".join(choices))
        return value

    def text(self, key: str, *, most: int = 10**6) -> str:
        value = self.values.get(key)
        if not isinstance(value, str) or not 0 < len(value) <= most:
            raise self.fail(key, "a name")
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        value: Any = self.values.get(key)
        if not _is_integer(value) or not low <= value <= high:
            raise self.fail(key, f"an integer from {low} to {high}")
        return value

    def positive(self, key: str) -> float:
        value = self.values.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0.0 < value < 1e9:
            raise self.fail(key, "a positive number")
        return float(value)

    def number(self, key: str, *, default: float) -> float:
        value: Any = self.values.get(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0.0 <= value < math.inf:
            raise self.fail(key, "a number of at least 0")
        return float(value)

    def boolean(self, key: str, *, default: bool | None = None) -> bool:
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self.fail(key, "true or false")
        return value

    def optional(self, key: str) -> Mapping[str, Any] | None:
        return None if self.values.get(key) is None else self.mapping(key)

    def mapping(self, key: str) -> Mapping[str, Any]:
        value = self.values.get(key)
        if not isinstance(value, Mapping):
            raise self.fail(key, "an object")
        return value

    def widths(self, key: str) -> tuple[int, ...]:
        value: Any = self.values.get(key)
        sound = isinstance(value, list | tuple) and len(value) <= MAX_LAYERS
        if not sound or not all(_is_integer(width) and 1 <= width <= 65536 for width in value):
            raise self.fail(key, f"a list of at most {MAX_LAYERS} widths from 1 to 65536")
        return tuple(value)

    def layout(self, key: str, size: int) -> dict[str, tuple[int, int]]:
        layout: dict[str, tuple[int, int]] = {}
        stop = 0
        for name, ends in self.mapping(key).items():
            sound = isinstance(ends, list | tuple) and len(ends) == 2 and all(_is_integer(end) for end in ends)
            if not sound or ends[0] != stop or ends[1] < stop:
                raise self.fail(key, f"blocks [start, stop] without gaps; '{name}' has to start at {stop}")
            stop = ends[1]
            layout[name] = (ends[0], stop)
        if stop != size:
            raise self.fail(key, f"blocks that end at observation_size = {size}, they end at {stop}")
        return layout


def _is_plain_option(value: object) -> bool:
    return _is_plain(value, MAX_OPTION_DEPTH) and _count(value) <= MAX_VALUES


def _is_plain(value: object, depth: int) -> bool:
    """Whether a value is made of finite numbers, short words and flags, in lists and mappings at most so deep."""
    if isinstance(value, Mapping):
        inside = depth > 0 and all(isinstance(key, str) and len(key) <= MAX_TEXT for key in value)
        return inside and all(_is_plain(item, depth - 1) for item in value.values())
    if isinstance(value, list | tuple):
        return depth > 0 and all(_is_plain(item, depth - 1) for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, bool | int) or (isinstance(value, str) and len(value) <= MAX_TEXT)


def _count(value: object) -> int:
    """Number of leaves of nested lists and mappings."""
    if isinstance(value, Mapping):
        return sum(_count(item) for item in value.values())
    return sum(_count(item) for item in value) if isinstance(value, list | tuple) else 1


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)

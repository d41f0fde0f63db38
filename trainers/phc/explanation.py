"""`explain`: where every number of a checkpoint goes, what is assumed, and what the policy fits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from assistmimic_env.body import get_body
from assistmimic_env.errors import AssistMimicError
from assistmimic_env.layout import GROUPS, build_layout

from .architecture import KIND_NAMES, Layers, count_primitives, has_laterals
from .checkpoint import Checkpoint
from .conversion import observation_of, policy_card
from .observation import BODY_NAMES, Observation, differing_blocks
from .servo import servo, servo_differences
from .source import Source

Result = TypeVar("Result")

_IGNORED = {
    "critic_mlp": "critic: it values PHC's rewards; ours learns anew",
    "value": "critic: it values PHC's rewards; ours learns anew",
    "_disc_mlp": "style discriminator: has no part in actions",
    "_disc_logits": "style discriminator: has no part in actions",
    "zero_fc": "auxiliary network of a fork: has no part in PHC's actions",
    "reward_mean_std": "normaliser of the critic",
    "amp_input_mean_std": "normaliser of the style discriminator",
    "optimizer": "optimiser state",
    "kin_optimizer": "optimiser state",
    "last_mean_rewards": "training log",
    "env_state": "training log",
}


@dataclass(frozen=True, kw_only=True)
class KeyUse:
    """What becomes of one entry of a file."""

    file: str
    """Name of the file."""
    key: str
    """Name in the file."""
    shape: tuple[int, ...] | None
    """Its shape; None for what is not a tensor."""
    to: str | None
    """Where it goes; None if it is ignored."""
    why: str
    """Why it is ignored."""


@dataclass(frozen=True, kw_only=True)
class Assumption:
    """Something that a file does not store."""

    name: str
    """What."""
    value: str
    """What is assumed."""
    why: str
    """What this rests on, and how to change it."""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """All there is to say about importing a source."""

    summary: dict[str, Any]
    """Kind, widths, training progress."""
    keys: tuple[KeyUse, ...]
    """Every entry of the files."""
    assumptions: tuple[Assumption, ...]
    """Everything that the files do not store."""
    fits: tuple[str, ...]
    """For which body and observation it is, and how our environments differ."""
    problem: str | None
    """Why it cannot be imported as it is; None if it can."""

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def lines(self, *, entries: bool = True) -> Iterator[str]:
        """As text.

        Args:
            entries: Also list every entry of the files.
        """
        yield from (f"{name:<12} {value}" for name, value in self.summary.items())
        if entries:
            yield from self._entry_lines()
        yield "\nnot in the file, assumed"
        yield from (f"  {item.name:<20} {item.value:<10}  {item.why}" for item in self.assumptions)
        yield "\nfits"
        yield from (f"  {line}" for line in self.fits)

    def _entry_lines(self) -> Iterator[str]:
        width = max(len(use.key) for use in self.keys)
        for file in dict.fromkeys(use.file for use in self.keys):
            yield f"\nentries of {file}"
            for use in (use for use in self.keys if use.file == file):
                shape = "-" if use.shape is None else "x".join(map(str, use.shape)) or "number"
                fate = f"ignored: {use.why}" if use.to is None else f"-> {use.to}"
                yield f"  {use.key:<{width}}  {shape:<10}  {fate}"


def explain(source: Source) -> Explanation:
    """Explain a source; what cannot be imported is a `problem`, not an error."""
    problems: list[str] = []

    def attempt(part: Callable[[], Result]) -> Result | None:
        try:
            return part()
        except AssistMimicError as error:
            problems.append(str(error))
            return None

    observation = attempt(lambda: observation_of(source))
    chosen = (source.layers, *source.primitive_layers[:1])
    activations = attempt(lambda: [source.activation_of(layers) for layers in chosen]) or ["unknown"]
    if not problems:
        attempt(lambda: policy_card(source))
    return Explanation(
        summary=_summary(source, observation),
        keys=tuple(_all_keys(source)),
        assumptions=tuple(_assumptions(source, activations, observation)),
        fits=tuple(_fits(observation, source)) if observation else ("none of our bodies and observations",),
        problem=problems[0] if problems else None,
    )


def _summary(source: Source, observation: Observation | None) -> dict[str, Any]:
    sizes, controls = source.layers.sizes, source.controls
    summary = {
        "file": source.checkpoint.source,
        "kind": KIND_NAMES[source.kind],
        "network": "-".join(map(str, sizes)),
        "observation": f"{sizes[0]}: {observation or 'unknown'}",
        "action": f"{sizes[-1]} weights of primitives" if controls is None else f"{controls} controls",
        "trained": f"epoch {source.checkpoint.epoch}, frame {source.checkpoint.frame}",
    }
    if count := count_primitives(source.checkpoint):
        summary["primitives"] = f"{count}, with lateral connections" if has_laterals(source.checkpoint) else str(count)
    if source.primitives is not None:
        first = source.primitive_layers[0]
        summary["primitives"] = f"{len(source.primitive_layers)} of {'-'.join(map(str, first.sizes))}"
    return summary


def _all_keys(source: Source) -> Iterator[KeyUse]:
    yield from _keys(source.checkpoint, _destinations(source), "normalizer")
    if source.primitives is not None:
        destinations = {"sigma": "log_std"}
        for index, layers in enumerate(source.primitive_layers):
            destinations |= _sequence(f"pnn.actors.{index}", f"primitive.{index}", layers)
            destinations |= _laterals(source.primitives, index, f"primitive.{index}")
        yield from _keys(source.primitives, destinations, "primitive_normalizer")


def _keys(checkpoint: Checkpoint, destinations: dict[str, str], normalizer: str) -> Iterator[KeyUse]:
    """Entries of one file."""

    def use(key: str, shape: tuple[int, ...] | None, to: str | None, why: str = "") -> KeyUse:
        return KeyUse(file=checkpoint.source, key=key, shape=shape, to=to, why=why)

    for short, tensor in checkpoint.model.items():
        shape = tuple(getattr(tensor, "shape", ()))
        to = destinations.get(short)
        yield use(f"model.{checkpoint.full_names[short]}", shape, to, "" if to else _reason(short, checkpoint))
    yield use("running_mean_std.running_mean", tuple(checkpoint.mean.shape), f"{normalizer}.mean")
    yield use("running_mean_std.running_var", tuple(checkpoint.variance.shape), f"{normalizer}.variance")
    counted = normalizer == "normalizer"
    why = "" if counted else "the card has the composer's"
    yield use("running_mean_std.count", (), "card, normalizer.count" if counted else None, why)
    for key, shape in checkpoint.others.items():
        known = key in {"epoch", "frame"} and counted
        to = f"card, provenance.{key}" if known else None
        yield use(key, shape, to, "" if known else _reason(key, checkpoint))


def _destinations(source: Source) -> dict[str, str]:
    """Short name of each parameter of the first file that is used -> where it goes."""
    layers, last = source.layers, len(source.layers.hidden)
    if source.kind == "mcp":
        return _sequence("composer", "actor", layers)
    if source.kind == "pnn":
        column = _sequence(f"pnn.actors.{source.primitive}", "actor", layers)
        return {**column, **_laterals(source.checkpoint, source.primitive, "actor"), "sigma": "log_std"}
    head = {f"mu.{part}": f"actor.{last}.{part}" for part in ("weight", "bias")}
    return {**_sequence("actor_mlp", "actor", layers), **head, "sigma": "log_std"}


def _sequence(stem: str, name: str, layers: Layers) -> dict[str, str]:
    parts = ("weight", "bias")
    return {f"{stem}.{2 * i}.{part}": f"{name}.{i}.{part}" for i in range(len(layers.biases)) for part in parts}


def _laterals(checkpoint: Checkpoint, primitive: int, name: str) -> dict[str, str]:
    """What a primitive with lateral connections takes from earlier primitives."""
    if not has_laterals(checkpoint):
        return {}
    found = {f"pnn.u.{primitive - 1}.{j}.0.weight": f"{name}.1.weight, columns" for j in range(primitive)}
    parts = ("weight", "bias")
    return found | {f"pnn.actors.{j}.0.{part}": f"{name}.0.{part}, rows" for j in range(primitive) for part in parts}


def _reason(key: str, checkpoint: Checkpoint) -> str:
    """Why an entry is ignored."""
    stem = key.split(".")[0]
    if stem in _IGNORED:
        return _IGNORED[stem]
    if re.match(r"pnn\.(actors|u)\.", key):
        return "another primitive"
    composed = "composer.0.weight" in checkpoint.model
    if stem == "sigma":
        return "exploration noise of the weights" if composed else "another primitive's"
    if stem in {"mu", "actor_mlp"}:
        return f"not in use: the {'composer acts' if composed else 'primitives act'}"
    if stem in {"epoch", "frame"}:
        return "training log"
    return "unknown: no part of a policy of PHC"


def _assumptions(source: Source, activations: list[str], observation: Observation | None) -> Iterator[Assumption]:
    depth = len(source.layers.hidden)
    why = "as given" if source.activation else f"as in PHC's networks of {depth} hidden layers; change: --activation"
    yield Assumption(name="activation", value=", ".join(dict.fromkeys(activations)), why=why)
    if source.kind == "pnn":
        last = count_primitives(source.checkpoint) - 1
        yield Assumption(name="primitive", value=str(source.primitive), why=f"of 0 to {last}; change: --primitive")
    if source.kind == "mcp":
        ending, softmax = ("yes" if value else "no" for value in (source.ending_activation, source.softmax))
        why = "phc_comp_3 has it, phc_comp_kp_2 does not; change: --no-ending-activation"
        yield Assumption(name="trailing activation", value=ending, why=why)
        yield Assumption(name="softmax", value=softmax, why="off in PHC's configurations; change: --softmax")
        why = "the weights are, to [-1, 1]; PHC then uses actions beyond 1, our environments bound them"
        yield Assumption(name="mixture bounded", value="no", why=why)
    if observation is not None:
        ours, theirs = "a standing root has no rotation", "SMPL's body frames, y up, in which a standing root is turned"
        yield Assumption(
            name="upright",
            value="yes" if observation.upright else "no",
            why=f"{ours if observation.upright else theirs}; follows from the body",
        )
    yield Assumption(
        name="action", value="expmap", why="bounded to [-1, 1], times pi (knee y: 5) rad, as rotation vectors"
    )
    yield Assumption(name="control rate", value="30 Hz", why="as in all of PHC's configurations")
    yield Assumption(name="frozen hands", value="no", why="models of the ICCV paper hold the hands' targets at zero")
    yield Assumption(name="far references", value="kept", why="models that get up replace references beyond 0.25 m")


def _options(observation: Observation) -> str:
    """Options of an environment that a policy fits."""
    options = {"body": BODY_NAMES[observation.bodies], "actuation": "expmap"}
    options |= {} if observation.upright else {"frames": "smpl"}
    return ", ".join(f"{name}={value}" for name, value in options.items())


def _fits(observation: Observation, source: Source) -> Iterator[str]:
    name = BODY_NAMES[observation.bodies]
    yield f"body {name} ({observation.controls} controls), PHC's observation v{observation.version}"
    body = get_body(name)
    layout = build_layout(body)
    single = {block: layout.sizes[block] for group in ("self", "goal") for block in GROUPS[group]}
    if differing := differing_blocks(observation.blocks, single):
        yield (
            f"not our environments: first layer expects {observation.size} inputs, they provide {sum(single.values())} "
            f"about one person. Differing blocks: {', '.join(differing)}"
        )
    else:
        yield f"the first {observation.size} of our environments' {layout.size} observations, in this order"
    yield f"environments with the options {_options(observation)}"
    yield from servo_differences(servo(observation.bodies), body)
    if source.kind == "mcp" and source.primitives is None:
        yield "nothing by itself: give the file of its primitives with --primitives"

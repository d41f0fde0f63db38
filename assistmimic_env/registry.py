"""Environments by name."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .errors import ClipError, ConfigError, UnknownEnvironmentError, UnknownOptionError, did_you_mean
from .plugins import load_plugins

if TYPE_CHECKING:
    from .clip import PairClip
    from .config import EnvConfig
    from .parallel import PairEnv
    from .single import Partner, SingleAgentEnv
    from .vector import VectorEnv

Clips = "str | os.PathLike[str] | PairClip | Sequence[str | os.PathLike[str] | PairClip]"

_ID = re.compile(r"^(?:(?P<namespace>[\w-]+)/)?(?P<name>[\w-]+?)(?:-v(?P<version>\d+))?$")

_MAKE_OPTIONS = ("render_mode", "max_cycles", "clips", "config")
_MAKE_VEC_OPTIONS = ("num_envs", "threads", "clips", "config")


@dataclass(frozen=True, kw_only=True)
class EnvSpec:
    """What an environment's name stands for.

    Attributes:
        id: ``Namespace/Name-vN``.
        clips: Bundled clips (``clip.bundled_clips()``) or files; none where users bring the motion.
        data: Where users bring it: the format of the data set (``formats.format_names()``).
        held_out: Bundled clips of the same kind that training does not see.
        description: One sentence.
        options: Defaults that differ from ``EnvConfig``'s.
    """

    id: str
    description: str
    clips: tuple[str, ...] = ()
    data: str | None = None
    held_out: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        """Check that there is motion, or that it is said where it comes from."""
        if bool(self.clips) == (self.data is not None):
            raise ConfigError(f"environment '{self.id}' needs either clips or the format of its data.")

    def make(self, **options: Any) -> PairEnv:
        """The same as ``make(self.id, **options)``."""
        return make(self.id, **options)


_SPECS: dict[str, EnvSpec] = {}


def register(spec: EnvSpec) -> None:
    """Add an environment to this registry, to PettingZoo's and, as its single-agent view, to Gymnasium's.

    Raises:
        UnknownEnvironmentError: The id is malformed or taken.
    """
    import gymnasium
    import pettingzoo

    match = _ID.match(spec.id)
    if match is None or match["namespace"] is None or match["version"] is None:
        raise UnknownEnvironmentError(f"environment id '{spec.id}' is malformed, expected 'Namespace/Name-v0'.")
    if spec.id in _SPECS:
        raise UnknownEnvironmentError(f"environment '{spec.id}' is registered already.")
    _SPECS[spec.id] = spec
    pettingzoo.register("parallel", spec.id, entry_point="assistmimic_env.registry:make", kwargs={"id": spec.id})
    gymnasium.register(spec.id, entry_point="assistmimic_env.registry:_make_registered", kwargs={"env_id": spec.id})


def _register_plugin(name: str, found: Any) -> None:
    """Register what an entry point of the group ``assistmimic.envs`` holds (see ``plugins``)."""
    found = found() if callable(found) else found
    specs = (found,) if isinstance(found, EnvSpec) else tuple(found)
    for entry in specs:
        if not isinstance(entry, EnvSpec):
            raise ConfigError(f"'{name}' holds {entry!r}, expected an EnvSpec or several.")
    for entry in specs:
        register(entry)


def list_envs() -> list[EnvSpec]:
    """All environments, those of plug-ins included, sorted by id."""
    load_plugins("assistmimic.envs", _register_plugin)
    return [_SPECS[name] for name in sorted(_SPECS)]


def spec(id: str) -> EnvSpec:
    """What an id stands for; without a version the highest is meant.

    Raises:
        UnknownEnvironmentError: No such environment; names the closest and all that exist.
    """
    name = _find(id)
    if name is None:
        load_plugins("assistmimic.envs", _register_plugin)
        name = _find(id)
    if name is not None:
        return _SPECS[name]
    short = {name.rsplit("/", 1)[1] for name in _SPECS}
    hint = did_you_mean(str(id), _SPECS) or did_you_mean(str(id), short)
    raise UnknownEnvironmentError(f"there is no environment '{id}'.{hint} Environments: {', '.join(sorted(_SPECS))}.")


def _find(id: str) -> str | None:
    """The full id that is meant, if there is one; the namespace ``AssistMimic`` and the version may be left out."""
    match = _ID.match(id) if isinstance(id, str) else None
    if match is None:
        return None
    if match["version"] is not None:
        return next((name for name in (id, f"AssistMimic/{id}") if name in _SPECS), None)
    versions = [name for name in _SPECS if name.rsplit("-v", 1)[0] in (id, f"AssistMimic/{id}")]
    return max(versions, key=lambda name: int(name.rsplit("-v", 1)[1]), default=None)


def make(
    id: str,
    *,
    render_mode: str | None = None,
    max_cycles: int | None = None,
    clips: Any = None,
    config: EnvConfig | None = None,
    **options: Any,
) -> PairEnv:
    """One world as a PettingZoo ``ParallelEnv``.

    Args:
        id: Such as ``"AssistMimic/PullUp-v0"``; see ``list_envs()``.
        render_mode: ``None``, ``"rgb_array"`` or ``"human"``.
        max_cycles: Truncate episodes after this many steps.
        clips: Other motion: the name of a bundled clip or folder of clips, a file, a folder of files, a ``PairClip``,
            or several.
        config: All settings at once; ``options`` change single ones.
        **options: Fields of ``EnvConfig``, e.g. ``body="smpl24"``, ``actuation="expmap"``,
            ``start="first"``, ``physics="fast"``, ``termination_distance=0.5``.

    Raises:
        UnknownEnvironmentError: No such id.
        UnknownOptionError: No such option.
        ConfigError: A value that cannot work.
        ClipError: The clips cannot be used.
    """
    from .parallel import PairEnv

    settings = _config(id, config, options, extra=_MAKE_OPTIONS)
    motion = resolve_clips(id, clips)
    return PairEnv(motion, config=settings, render_mode=render_mode, max_cycles=max_cycles, name=spec(id).id)


def make_vec(
    id: str,
    *,
    num_envs: int,
    threads: int = 0,
    clips: Any = None,
    config: EnvConfig | None = None,
    **options: Any,
) -> VectorEnv:
    """N worlds, natively batched.

    Args:
        id: Such as ``"AssistMimic/PullUp-v0"``; see ``list_envs()``.
        num_envs: N.
        threads: C threads of the physics; 0 means all CPUs.
        clips: See ``make``.
        config: See ``make``.
        **options: See ``make``.
    """
    from .vector import VectorEnv

    settings = _config(id, config, options, extra=_MAKE_VEC_OPTIONS)
    return VectorEnv(resolve_clips(id, clips), num_envs, config=settings, threads=threads, name=spec(id).id)


def make_single(id: str, *, role: str = "recipient", partner: Partner = "replay", **options: Any) -> SingleAgentEnv:
    """One role of one world as a Gymnasium environment; also ``gymnasium.make(id, role=..., partner=...)``.

    Args:
        id: Such as ``"AssistMimic/PullUp-v0"``; see ``list_envs()``.
        role: Who is controlled, ``"supporter"`` or ``"recipient"``.
        partner: What the other person does: ``"hold"``, ``"replay"``, a policy, or the path of an exported one;
            see ``SingleAgentEnv``.
        **options: See ``make``.

    Raises:
        ConfigError: No such role or partner.
        PolicyError: The partner's policy cannot be read or does not fit.
        AssistMimicError: See ``make``.
    """
    from .single import SingleAgentEnv

    _check_names(id, options, ("role", "partner", *_MAKE_OPTIONS))
    return SingleAgentEnv(make(id, **options), role=role, partner=partner)


def _make_registered(env_id: str, **options: Any) -> SingleAgentEnv:
    """Gymnasium's entry point; its ``make_vec`` has an argument ``id`` of its own."""
    return make_single(env_id, **options)


def _config(id: str, config: EnvConfig | None, options: Mapping[str, Any], *, extra: tuple[str, ...]) -> EnvConfig:
    from .config import env_config

    _check_names(id, options, extra)
    base = env_config(**spec(id).options) if config is None else config
    return env_config(base, **options)


def _check_names(id: str, options: Mapping[str, Any], extra: tuple[str, ...]) -> None:
    """Refuse options that exist neither in ``EnvConfig`` nor among ``extra``."""
    from .config import EnvConfig

    known = (*EnvConfig.__dataclass_fields__, *extra)
    for name in options:
        if name not in known:
            raise UnknownOptionError(
                f"{spec(id).id} has no option '{name}'.{did_you_mean(name, known)} Options: {', '.join(sorted(known))}."
            )


def resolve_clips(id: str, clips: Any = None) -> tuple[PairClip, ...]:
    """The motion of an environment: its own, or what the user brings (see ``make``).

    Raises:
        ClipError: A name, file or folder holds no clip, or the environment has no motion of its own.
    """
    from .clip import PairClip, bundled_folder, load_clip

    if clips is None:
        return tuple(load_clip(name) for name in own_clips(spec(id)))
    items = [clips] if isinstance(clips, (str, os.PathLike, PairClip)) else list(clips)
    found: list[PairClip] = []
    for item in items:
        if isinstance(item, PairClip):
            found.append(item)
        elif Path(item).is_dir():
            found.extend(load_clip(path) for path in _clip_files(Path(item)))
        else:
            found.extend(load_clip(name) for name in bundled_folder(os.fspath(item)) or (item,))
    return tuple(found)


def own_clips(entry: EnvSpec) -> tuple[str, ...]:
    """Names of the clips that an environment plays if nobody brings others.

    Raises:
        ClipError: It has none; says how to obtain the data set and how to import it.
    """
    if entry.data is None:
        return entry.clips
    from .formats import Format, find_format

    reader = find_format(entry.data)
    obtain = f" {' '.join(reader.obtain.split())}" if isinstance(reader, Format) else ""
    raise ClipError(
        f"{entry.id} plays your data, it has no motion of its own.{obtain} "
        f"Then: assistmimic clips import {entry.data} PATH --out DIR, and give clips=DIR (--clips DIR)."
    )


def _clip_files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise ClipError(f"the folder {folder} holds no clip (*.npz).")
    return files


_GRIP: Mapping[str, Any] = MappingProxyType({"grip": "reference"})
"""Hands hold where the clip says so; without it nobody can be pulled or led."""


def _register_generated(
    id: str, folder: str, description: str, *, train: int, test: int, options: Mapping[str, Any] = _GRIP
) -> None:
    """Register an environment of bundled, generated clips."""
    register(
        EnvSpec(
            id=f"AssistMimic/{id}",
            clips=tuple(f"{folder}/train_{index:02d}" for index in range(train)),
            held_out=tuple(f"{folder}/test_{index:02d}" for index in range(test)),
            description=f"Generated motion: {description}",
            options=options,
        )
    )


def _register_bundled() -> None:
    register(
        EnvSpec(
            id="AssistMimic/PullUp-v0",
            clips=("pull_up",),
            description="Real motion: the recipient sits on a high stool, the supporter takes the right hand and "
            "pulls the recipient up (CMU 22_01 and 23_01, interpolated from real key poses).",
            options=_GRIP,
        )
    )
    _register_generated(
        "SitToStand-v0",
        "sit_to_stand",
        "the supporter stands in front, holds both upper arms and helps the recipient from a seat to standing; seat, "
        "statures, distance and speed vary. Ten other ways of holding: clips='assisted_rise'.",
        options=MappingProxyType({}),
        train=8,
        test=4,
    )
    _register_generated(
        "SitDown-v0",
        "sit_down",
        "the supporter holds the recipient in one of ten ways, from the front, the side or behind, and helps from "
        "standing to a seat.",
        train=10,
        test=2,
    )
    _register_generated(
        "HelpUp-v0",
        "help_up",
        "the supporter helps the recipient up from the floor: from one knee, both knees or sitting, from the front or "
        "the side.",
        train=6,
        test=2,
    )
    _register_generated(
        "LayToSit-v0",
        "lay_to_sit",
        "the supporter helps the recipient from lying on the side to sitting on the edge of a bed.",
        train=6,
        test=2,
    )
    _register_generated(
        "SupportedWalk-v0",
        "supported_walk",
        "both walk side by side, straight or along an arc; the supporter holds the recipient's near arm.",
        train=6,
        test=2,
    )
    register(
        EnvSpec(
            id="AssistMimic/InterX-v0",
            data="interx",
            description="Your data: pairs of Inter-X, such as help-up (A019) and support (A030), on bodies with "
            "fingers.",
            options=MappingProxyType({**_GRIP, "body": "smpl52"}),
        )
    )
    register(
        EnvSpec(
            id="AssistMimic/HHIAssist-v0",
            data="hhi",
            description="Your data: caregivers and care receivers of HHI-Assist, at beds and chairs.",
            options=_GRIP,
        )
    )


_register_bundled()

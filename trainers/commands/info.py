"""`assistmimic info`: what is installed. It must work on a broken installation, since that is when it is needed."""

from __future__ import annotations

import importlib
import json as json_module
import os
import platform
import re
from collections.abc import Callable
from importlib import metadata

CORE = ("numpy", "mujoco", "pettingzoo", "gymnasium", "safetensors", "tyro", "rich")
OPTIONAL = ("ray", "torch", "matplotlib", "imageio", "tensorboard")


def info(*, json: bool = False) -> int:
    """Show versions, environment ids, extras and clips. Never fails; what cannot be read says why.

    Args:
        json: Print one JSON object instead of text.
    """
    report = collect()
    print(json_module.dumps(report, indent=2) if json else "\n".join(_lines(report)))
    return 0


def collect() -> dict[str, object]:
    """Gather the report.

    Returns:
        Section name -> value; a section that fails is the string ``"error: ..."``.
    """
    sections: dict[str, Callable[[], object]] = {
        "assistmimic": lambda: metadata.version("assistmimic"),
        "python": platform.python_version,
        "platform": lambda: f"{platform.platform()}, {os.cpu_count()} CPUs",
        "versions": lambda: {name: _core_version(name) for name in CORE} | {name: _version(name) for name in OPTIONAL},
        "extras": _extras,
        "environments": _environments,
        "clips": _clips,
    }
    return {name: _guarded(section) for name, section in sections.items()}


def _guarded(section: Callable[[], object]) -> object:
    """Return a section's value or, whatever happens in there, the reason why it has none."""
    try:
        return section()
    except Exception as error:
        return f"error: {type(error).__name__}: {error}"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _core_version(name: str) -> str:
    """Return the version of a package that must be there, after trying to import it."""
    try:
        importlib.import_module(name)
    except Exception as error:
        return f"{_version(name)}, error: {type(error).__name__}: {error}"
    return _version(name)


def _extras() -> dict[str, str]:
    """Return extra -> "installed", or the packages that it lacks."""
    missing: dict[str, list[str]] = {}
    for requirement in metadata.requires("assistmimic") or ():
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", requirement)
        name = re.match(r"[\w.-]+", requirement)
        if extra and name:
            lacks = missing.setdefault(extra[1], [])
            if _version(name[0]) == "not installed":
                lacks.append(name[0])
    return {extra: f"lacks {', '.join(lacks)}" if lacks else "installed" for extra, lacks in missing.items()}


def _environments() -> dict[str, str]:
    """Return id -> how many clips it brings, or where its motion comes from."""
    import assistmimic_env

    return {
        spec.id: f"your data: assistmimic clips import {spec.data} PATH --out DIR"
        if spec.data is not None
        else f"clips to train on: {len(spec.clips)}, held out: {len(spec.held_out)}"
        for spec in assistmimic_env.list_envs()
    }


def _clips() -> list[str]:
    from assistmimic_env.clip import bundled_clips

    return list(bundled_clips())


def _lines(report: dict[str, object]) -> list[str]:
    lines = []
    for name, value in report.items():
        if isinstance(value, dict):
            width = max(map(len, value), default=0)
            lines += [f"{name}:", *(f"  {key:<{width}}  {entry}" for key, entry in value.items())]
        elif isinstance(value, list):
            lines += [f"{name}:", *(f"  {entry}" for entry in value or ["none"])]
        else:
            lines.append(f"{name:<14} {value}")
    return lines

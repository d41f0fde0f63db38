"""The `assistmimic` command: finds a command, runs it, and turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

OK, INTERNAL_ERROR, USER_ERROR, INTERRUPTED = 0, 1, 2, 130

EXTRA_OF_MODULE = {
    "imageio": "video",
    "imageio_ffmpeg": "video",
    "matplotlib": "train",
    "ray": "train",
    "smplx": "smpl",
    "tensorboard": "train",
    "torch": "train",
}


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command: a typed function elsewhere, imported only when it runs."""

    target: str
    """``"module:function"`` below `assistmimic_trainers.commands`."""
    summary: str
    """One line for the overview."""

    def load(self) -> Callable[..., int | None]:
        """Import and return the function."""
        module, function = self.target.split(":")
        return getattr(importlib.import_module(f"assistmimic_trainers.commands.{module}"), function)


@dataclass(frozen=True, kw_only=True)
class Group:
    """Several commands under one word."""

    summary: str
    """One line for the overview."""
    commands: Mapping[str, Command | Group]
    """The commands by name, in the order of the overview."""


COMMANDS = Group(
    summary="Two simulated people, one helping the other: train them, measure them, watch them.",
    commands={
        "demo": Command(target="demo:demo", summary="Play the policies that ship: figures and a film, within a minute"),
        "train": Command(target="train:train", summary="Train a supporter and a recipient. Start: train quickstart"),
        "distill": Command(target="distill:distill", summary="Make one pair of policies of several specialists"),
        "eval": Command(target="evaluate:evaluate", summary="Measure a pair of policies on fixed seeds"),
        "render": Command(target="render:render", summary="Make a video, or a film strip, of a pair of policies"),
        "study": Command(target="study:study", summary="Train in several ways with several seeds, and compare"),
        "reproduce": Group(
            summary="Make our results again",
            commands={
                "table": Command(target="reproduce:table", summary="Train and measure every arm of our results table"),
            },
        ),
        "demand": Command(target="demand:demand", summary="Which joints a clip asks for more than they can give"),
        "bench": Command(target="bench:bench", summary="Measure the speed of environments, or of training, here"),
        "import-phc": Command(target="import_phc:import_phc", summary="Convert a checkpoint of PHC, or explain it"),
        "prior": Group(
            summary="Train and measure the single-person tracker that both roles start from",
            commands={
                "train": Command(target="prior:train", summary="Train one on every person of the clips, each alone"),
                "eval": Command(target="prior:evaluate", summary="Measure one per clip and person"),
                "export-phc": Command(target="prior:export_phc", summary="Write one in PHC's checkpoint format"),
            },
        ),
        "info": Command(target="info:info", summary="Show versions, environments, extras and clips"),
        "clips": Group(
            summary="Import, generate, check and draw two-person motion clips",
            commands={
                "import": Command(target="clips_import:import_clips", summary="Turn other people's motion into clips"),
                "generate": Command(target="clips_generate:generate", summary="Generate clips of a family of motion"),
                "families": Command(target="clips_families:families", summary="Which families there are"),
                "formats": Command(target="clips_import:formats", summary="What can be imported, and how to obtain it"),
                "check": Command(target="clips_check:check", summary="Tell whether clips are fit for physics"),
                "show": Command(target="clips:show", summary="Describe clips, and draw them"),
                "build-pull-up": Command(target="clips:build_pull_up", summary="Retarget the CMU pull-up pair"),
                "build-generated": Command(
                    target="clips_families:build_generated", summary="Generate the clips that ship"
                ),
            },
        ),
    },
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Words after the program's name; by default those of this process.

    Returns:
        The exit code: 0 fine, 1 an error of ours, 2 an error of the user, 130 interrupted.
    """
    try:
        return _run(COMMANDS, "assistmimic", list(sys.argv[1:] if arguments is None else arguments))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader, such as `head`, has seen enough
        return OK
    except KeyboardInterrupt:
        return _fail("interrupted; everything saved so far is kept.", INTERRUPTED)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else OK
    except Exception as error:
        return _report(error)


def _run(group: Group, program: str, words: list[str]) -> int:
    if not words or words[0] in {"-h", "--help"}:
        print(_overview(group, program), file=sys.stdout if words else sys.stderr)
        return OK if words else USER_ERROR
    if words[0] == "--version":
        print(f"assistmimic {importlib.metadata.version('assistmimic')}")
        return OK
    name, *rest = words
    if name not in group.commands:
        return _fail(_unknown(name, group, program), USER_ERROR)
    command = group.commands[name]
    if isinstance(command, Group):
        return _run(command, f"{program} {name}", rest)
    return _call(command.load(), f"{program} {name}", rest)


def _call(function: Callable[..., int | None], program: str, words: list[str]) -> int:
    import tyro

    flags = (tyro.conf.FlagCreatePairsOff, tyro.conf.PositionalMetavarFromFieldName)
    code = tyro.cli(function, prog=program, args=words, config=flags)
    return OK if code is None else code


def _overview(group: Group, program: str) -> str:
    width = max(map(len, group.commands))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in group.commands.items()]
    return "\n".join(
        [
            f"usage: {program} COMMAND [options]",
            f"\n{group.summary}\n",
            "commands:",
            *lines,
            f"\n`{program} COMMAND --help` shows the options of a command.",
        ]
    )


def _unknown(name: str, group: Group, program: str) -> str:
    from assistmimic_env.errors import did_you_mean

    kind = "option" if name.startswith("-") else "command"
    return f"unknown {kind} '{name}'.{did_you_mean(name, group.commands)} See: {program} --help"


def _report(error: Exception) -> int:
    """Print an error; only those that are not the user's to fix carry a traceback."""
    if _is_user_error(error):
        return _fail(str(error), USER_ERROR)
    if isinstance(error, ModuleNotFoundError) and (extra := EXTRA_OF_MODULE.get((error.name or "").split(".")[0])):
        return _fail(
            f"this needs the package '{error.name}'. Install it with: pip install 'assistmimic[{extra}]'", USER_ERROR
        )
    if isinstance(error, OSError) and error.filename is not None:
        return _fail(f"cannot use '{error.filename}': {error.strerror}.", USER_ERROR)
    traceback.print_exception(error)
    return _fail("this is a bug in AssistMimic; please report it with the lines above.", INTERNAL_ERROR)


def _is_user_error(error: Exception) -> bool:
    """Tell whether this is an `AssistMimicError`, without importing a package that may be broken."""
    errors = sys.modules.get("assistmimic_env.errors")
    return errors is not None and isinstance(error, errors.AssistMimicError)


def _fail(message: str, code: int) -> int:
    print(f"assistmimic: {message}", file=sys.stderr)
    return code

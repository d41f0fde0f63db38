"""What a pickle would import, found without running it."""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import IO

ALLOWED = frozenset(
    {
        "_codecs.encode",
        "collections.OrderedDict",
        "numpy._core.multiarray.scalar",
        "numpy.core.multiarray.scalar",
        "numpy.dtype",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_tensor_v2",
        *(
            f"torch.{kind}Storage"
            for kind in ("BFloat16", "Bool", "Byte", "Char", "Double", "Float", "Half", "Int", "Long", "Short")
        ),
    }
)
"""Everything that a PHC checkpoint needs: dictionaries of tensors, numbers and NumPy scalars."""

MAX_PICKLES = 5

_STRINGS = frozenset(
    {"BINUNICODE", "BINUNICODE8", "SHORT_BINUNICODE", "UNICODE", "STRING", "BINSTRING", "SHORT_BINSTRING"}
)
_PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"})
_GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})


def foreign_names(data: IO[bytes]) -> list[str]:
    """List what a pickle would import beyond `ALLOWED`, sorted.

    Args:
        data: An open file at the start of a pickle. Up to `MAX_PICKLES` in a row are read (torch's old format has
            them), each until it ends or makes no sense.

    Returns:
        Dotted names; names of protocol 4 and later are best guesses, but none is left out.
    """
    names: set[str] = set()
    with suppress(ValueError, IndexError, OverflowError, struct.error):
        for _ in range(MAX_PICKLES):
            for name in _imports(data):
                names.add(name)
    return sorted(names - ALLOWED)


def _imports(data: IO[bytes]) -> Iterator[str]:
    """Yield the dotted name of every import instruction."""
    memo: dict[int, str] = {}
    strings = ["?", "?"]
    slots = 0
    fresh = False  # whether the last instruction pushed strings[-1]
    for code, argument, _ in pickletools.genops(data):
        if code.name in {"GLOBAL", "INST"}:
            yield str(argument).replace(" ", ".")
        elif code.name == "STACK_GLOBAL":
            yield ".".join(strings)
        elif code.name in _PUTS:
            if fresh:
                memo[slots if argument is None else _integer(argument)] = strings[-1]
            slots += 1
            continue
        pushed = argument if code.name in _STRINGS else memo.get(_integer(argument)) if code.name in _GETS else None
        fresh = pushed is not None
        if fresh:
            strings = [strings[-1], str(pushed)]


def _integer(argument: object) -> int:
    return int(str(argument))

"""MuJoCo's bindings are compiled and come without types; their names are taken as they are."""

from typing import Any

def __getattr__(name: str) -> Any: ...

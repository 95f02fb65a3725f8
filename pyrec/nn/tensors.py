"""The tensors of a dataclass, those of the dataclasses and mappings in it, too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from torch import Tensor

T = TypeVar("T")


def mapped(tree: T, change: Callable[[Tensor], Tensor]) -> T:
    """A copy with ``change`` of each tensor in its place; what is no tensor stays."""
    found: Any = tree
    if isinstance(tree, Tensor):
        found = change(tree)
    elif isinstance(tree, dict):
        found = {key: mapped(value, change) for key, value in tree.items()}
    elif is_dataclass(tree) and not isinstance(tree, type):
        parts = {part.name: mapped(getattr(tree, part.name), change) for part in fields(tree)}
        found = replace(tree, **parts)
    return found  # type: ignore[no-any-return]


def tensors_of(tree: Any) -> list[Tensor]:
    """The tensors, in a fixed order."""
    found: list[Tensor] = []

    def noted(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    mapped(tree, noted)
    return found

"""How functions become torch operators, with a fake for the compiler and a gradient.

As `torch.library.custom_op` does, but without what that imports at the first call: torch's compiler, more than a second
of a command that never compiles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

NAMESPACE = "pyrec"


class Operator:
    """An operator that changes none of its arguments and returns none of them.

    Attributes:
        overload: The operator as torch knows it, ``torch.ops.pyrec.NAME.default``.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        """Register the function under its name, without the underscores before it.

        Args:
            function: Of tensors on the CPU or on CUDA devices, with type hints that `torch.library.infer_schema` knows.
        """
        name = function.__name__.lstrip("_")
        self._name = f"{NAMESPACE}::{name}"
        torch.library.define(self._name, torch.library.infer_schema(function, mutates_args=()))
        torch.library.impl(self._name, ("cpu", "cuda"), function)
        self.overload: Any = getattr(getattr(torch.ops, NAMESPACE), name).default
        self.__doc__ = function.__doc__

    def __call__(self, *arguments: Any) -> Any:
        """Calls the operator."""
        return self.overload(*arguments)

    def register_fake(self, fake: Callable[..., Any]) -> Callable[..., Any]:
        """Says which tensors the function returns, without their values; a decorator."""
        torch.library.register_fake(self._name, fake)
        return fake

    def register_autograd(self, backward: Callable[..., Any], *, setup_context: Callable[..., None]) -> None:
        """Gives the operator a gradient, as `torch.library.register_autograd`."""
        torch.library.register_autograd(self._name, backward, setup_context=setup_context)

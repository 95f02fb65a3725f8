"""The state of the process that others may have changed: what is computed here is computed as in a fresh one.

Two rules keep it out. Every tensor is made with a dtype and a device, for the default dtype is the whole process's and
other threads' code may rely on it. And what a caller calls runs in `defaults`, which are its own thread's.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import numpy as np
import torch

_AUTOCAST: Final = ("cpu", "cuda")
_PRODUCTS: Final[tuple[Any, ...]] = (
    torch.backends.mkldnn.matmul,  # type: ignore[attr-defined]
    torch.backends.cuda.matmul,
)
_FULL: Final = ("none", "ieee")


@contextmanager
def defaults() -> Iterator[None]:
    """A block, or a function, that runs in the settings with which torch and NumPy start, in this thread alone.

    Gradients are on, and inference mode and autocast off; tensors that name no device are on the CPU; NumPy raises no
    floating-point errors. At the end the caller's settings are back.
    """
    with ExitStack() as settings:
        if torch.is_inference_mode_enabled():
            settings.enter_context(torch.inference_mode(False))
        settings.enter_context(torch.enable_grad())
        for device in _AUTOCAST:
            if torch.is_autocast_enabled(device):
                settings.enter_context(torch.autocast(device, enabled=False))
        if torch.get_default_device().type != "cpu":
            settings.enter_context(torch.device("cpu"))
        settings.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        yield


class _FullPrecision:
    """Products of float32 matrices in float32: a setting of the whole process, held while anybody needs it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._callers: dict[Any, str] = {}

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """A block, or a function, whose matrix products are as precise as their numbers are.

        Other threads' products are so, too, until it ends.
        """
        with self._lock:
            self._holders += 1
            for products in _PRODUCTS:
                if products.fp32_precision not in _FULL:
                    self._callers.setdefault(products, products.fp32_precision)
                    products.fp32_precision = "ieee"
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                while self._holders == 0 and self._callers:
                    products, precision = self._callers.popitem()
                    products.fp32_precision = precision


full_precision = _FullPrecision()

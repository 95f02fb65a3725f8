"""How tensors are made for the compiled kernels and reach them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.dlpack import to_dlpack  # type: ignore[attr-defined]

from pyrec import _core
from pyrec.errors import ConfigError, DataError

_MAPPED_BYTES = 1 << 25
"""From here on the C library maps memory anew for each array: a page fault every 4 kB, as slow as a kernel."""


def require_tensors(**arrays: object) -> None:
    """Refuses what the operators and the kernels behind them cannot take for an array.

    Raises:
        DataError: Not a tensor; a sparse one; one whose numbers are to be negated or conjugated when read.
    """
    for name, array in arrays.items():
        if not isinstance(array, Tensor):
            raise DataError(f"{name} is a {type(array).__name__}, but a tensor is needed")
        if array.device.type == "meta":
            raise DataError(f"{name} is on the meta device, where it has no numbers; make it on a real one")
        if array.layout != torch.strided:
            raise DataError(
                f"{name} has layout {array.layout}, but a dense tensor is needed; call .to_dense()"
            )
        if array.is_neg() or array.is_conj():
            raise DataError(
                f"{name} is a negated or conjugated view; call .resolve_neg().resolve_conj() first"
            )


def require_contiguous(**arrays: object) -> None:
    """`require_tensors` without strides: those that results are made in the size of, before the kernels look.

    Raises:
        DataError: As there, or not contiguous.
    """
    require_tensors(**arrays)
    for name, array in arrays.items():
        if isinstance(array, Tensor) and not array.is_contiguous():
            raise DataError(f"{name} is not contiguous; call .contiguous() first")


def optional_tensors(**arrays: object) -> None:
    """`require_tensors` of those that are not None."""
    require_tensors(**{name: array for name, array in arrays.items() if array is not None})


def require_whole(**numbers: object) -> None:
    """Refuses what is no whole number of 64 bits.

    Raises:
        ConfigError: Names the number.
    """
    for name, number in numbers.items():
        if isinstance(number, torch.SymInt):  # while torch.compile traces
            continue
        if not isinstance(number, int) or isinstance(number, bool) or not -(2**63) <= number < 2**63:
            raise ConfigError(f"{name} = {number!r}, but a whole number is needed")


def whole_numbers(name: str, numbers: object) -> list[int]:
    """The list of a sequence of whole numbers of 64 bits.

    Raises:
        ConfigError: Names the sequence.
    """
    if isinstance(numbers, str | bytes) or not isinstance(numbers, Sequence):
        raise ConfigError(f"{name} = {numbers!r}, but a list of whole numbers is needed")
    require_whole(**{f"{name}[{at}]": number for at, number in enumerate(numbers)})
    return list(numbers)


class _Writable:
    """The memory of an array that is flagged read-only, as that of one that is not."""

    def __init__(self, array: NDArray[Any]) -> None:
        description = array.__array_interface__
        self.__array_interface__ = description | {"data": (description["data"][0], False)}
        self._array = array


def tensor_of(array: NDArray[Any]) -> Tensor:
    """The tensor on an array's own memory, which nobody writes to.

    Torch knows no memory that is read-only, such as a file that is mapped, and warns of it; the kernels do not write
    to what they read.

    Args:
        array: Of any shape, with strides of at least 0.
    """
    return torch.from_numpy(array if array.flags.writeable else np.asarray(_Writable(array)))


def capsule(array: Tensor | None) -> Any:
    """A DLPack capsule for one call; the short way, which also takes tensors that require a gradient.

    Raises:
        DataError: The array has no memory to share (it is on the meta device, or of a kind that DLPack has not).
    """
    try:
        return None if array is None else to_dlpack(array)
    except (BufferError, RuntimeError) as error:
        raise DataError(f"an array cannot be handed to the kernels: {error}") from None


def empty_table(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device | None = None) -> Tensor:
    """An uninitialised array to be kept, on huge pages where it is large and the system has them.

    Finding such pages can take the system longer than usual ones, so results that come and go do without.
    """
    table = torch.empty(shape, dtype=dtype, device=device)
    if table.device.type == "cpu" and table.nbytes >= _MAPPED_BYTES:
        _core.use_huge_pages(table.data_ptr(), table.nbytes)
    return table


def noted(flag: Tensor) -> bool:
    """Whether a kernel has set the flag (1,); False while a CUDA graph is captured, when no one can know."""
    if flag.is_cuda and torch.cuda.is_current_stream_capturing():
        return False
    return bool(flag)


def stream_of(device: torch.device) -> int:
    """The stream that torch uses on that device at the moment, as the kernels take it."""
    return 0 if device.type == "cpu" else torch.cuda.current_stream(device).cuda_stream


def sigmoid(x: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return ``1 / (1 + exp(-x))``, float64, without overflow."""
    wide = np.asarray(x, dtype=np.float64)
    small = np.exp(-np.abs(wide))
    return np.asarray(np.where(wide >= 0, 1.0, small) / (1.0 + small))

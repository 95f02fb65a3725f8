"""The mean of a batch's losses, by the weights of its samples."""

from __future__ import annotations

from torch import Tensor

from pyrec._arrays import require_tensors
from pyrec.errors import DataError


def weighted_mean(losses: Tensor, weight: Tensor | None) -> Tensor:
    """The samples' mean loss sum_s w_s l_s / sum_s w_s, differentiable in both.

    Args:
        losses: (batch,) l.
        weight: (batch,) w, finite, at least 0, with a sum above 0; None for equal weights. Only the CPU's numbers
            are looked at: a CUDA device would have to be waited for. There a sum of 0 gives NaN.

    Raises:
        DataError: Wrong shape, dtype or device, or numbers that are no weights.
    """
    if weight is None:
        return losses.mean()
    _check_weight(weight, losses)
    return (weight * losses).sum() / weight.sum()


def _check_weight(weight: Tensor, losses: Tensor) -> None:
    """The checks of `weighted_mean`, and their errors."""
    require_tensors(weight=weight)
    for have, needed in zip(_described(weight), _described(losses), strict=True):
        if have != needed:
            raise DataError(f"weight has {have}, but {needed} is needed, as the losses have")
    if weight.device.type != "cpu":
        return
    unsound = (~(weight >= 0) | weight.isinf()).nonzero()
    if len(unsound) > 0:
        at = int(unsound[0])
        raise DataError(f"weight[{at}] = {weight[at].item()}, but a weight is a finite number of at least 0")
    if not weight.any():
        raise DataError("weight has the sum 0, but a weighted mean divides by it; one must be above 0")


def _described(array: Tensor) -> tuple[str, str, str]:
    return f"shape {tuple(array.shape)}", f"dtype {array.dtype}", f"device {array.device}"

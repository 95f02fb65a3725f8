"""Checks of scalar arguments and hyperparameters, shared by every model and by evaluation."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Integral, Real


def check_count(
    name: str, value: object, low: int, high: int | None, error: type[Exception], bound: str = ""
) -> int:
    """Return ``value`` as an int inside ``[low, high]``.

    Args:
        name: The argument's name, for the message.
        value: What the caller passed.
        low: Smallest value allowed.
        high: Largest value allowed, or None for no upper bound.
        error: What to raise: `ConfigError` for a setting, `DataError` where the data sets the bound.
        bound: What the upper bound is, in words (``"the number of items"``).

    Raises:
        error: If it is not an integer, or outside its range.
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise error(f"{name} = {value!r} must be a whole number of at least {low}")
    count = int(value)
    if count < low:
        raise error(f"{name} = {count} must be at least {low}")
    if high is not None and count > high:
        explained = f", {bound}" if bound else ""
        raise error(f"{name} = {count} must be at most {high}{explained}; ask for fewer")
    return count


def check_finite(name: str, value: object, error: type[Exception]) -> float:
    """Return ``value`` as a finite float.

    Raises:
        error: If it is not a finite number.
    """
    if not isinstance(value, Real) or isinstance(value, bool) or not _is_finite(value):
        raise error(f"{name} = {value!r} must be a finite number")
    return float(value)


def check_real(name: str, value: object, error: type[Exception], *, positive: bool) -> float:
    """Return ``value`` as a finite float that is above zero (``positive``) or at least zero.

    Raises:
        error: If it is not a finite number in that range.
    """
    number = check_finite(name, value, error)
    if number < 0 or (positive and number == 0):
        raise error(f"{name} = {number} must be {'above' if positive else 'at least'} 0")
    return number


def check_share(name: str, value: object, of: str, error: type[Exception], *, positive: bool) -> float:
    """Return ``value`` as `check_real` does if it is below one, too: a share of ``of``, such as ``the edges``.

    Raises:
        error: If it is not a finite number in that range.
    """
    share = check_real(name, value, error, positive=positive)
    if share >= 1:
        raise error(f"{name} = {share} is a share of {of}; it must be below 1")
    return share


def _is_finite(value: Real) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return ``; did you mean X?`` with the known name that is most like the given one, or nothing."""
    close = get_close_matches(given, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def warn_caller(message: str, category: type[Warning]) -> None:
    """Warn at the line outside this package that led here; Python shows a line's warning once."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_within(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    warnings.warn_explicit(
        message,
        category,
        frame.f_code.co_filename,
        frame.f_lineno,
        frame.f_globals.get("__name__"),
        frame.f_globals.setdefault("__warningregistry__", {}),
    )


def _is_within(module: str) -> bool:
    return module.partition(".")[0] == "pyrec" or module in ("contextlib", "functools")

"""Times of news as seconds since 1970 UTC."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from pyrec.data.read.fields import NUMBER
from pyrec.data.time_text import NANOSECONDS, Bad, text_times

Seconds = npt.NDArray[np.float64]

_MIND: Final = re.compile(r"\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d{2}:\d{2} [AP]M", re.ASCII)
_DAY: Final = 86_400
_PARTS: Final = str.maketrans({"/": " ", ":": " ", "A": "0", "P": "1", "M": None})
_ABSENT: Final = "is no date of the calendar, or no time of a day"


def seconds_of(texts: Sequence[str], time_format: str | None = None) -> tuple[Seconds, Bad | None]:
    """Reads times as MIND writes them (``11/15/2019 8:55:22 AM``), ISO 8601, or numbers of seconds since 1970.

    A time without a zone is taken as UTC. All texts are of one kind, that of the first.

    Args:
        texts: (n,) texts.
        time_format: how they are written, by the directives of ``datetime.strptime``; None to find out.

    Returns:
        float64 (n,) seconds, and the first text that is no time, or None. Where one is not, the numbers mean nothing.

    Raises:
        ConfigError: ``time_format`` is no format that ``strptime`` knows.
    """
    if time_format is None and texts and _MIND.fullmatch(texts[0]):
        return _mind_seconds(texts)
    if time_format is None and texts and NUMBER.fullmatch(texts[0]):
        return _numbers(texts)
    nanoseconds, bad = text_times(texts, time_format)
    return nanoseconds / NANOSECONDS, bad


def _mind_seconds(texts: Sequence[str]) -> tuple[Seconds, Bad | None]:
    odd = next((at for at, text in enumerate(texts) if not _MIND.fullmatch(text)), None)
    if odd is not None:
        return np.zeros(len(texts)), Bad(odd, "is not written as '11/15/2019 8:55:22 AM', as the first is")
    numbers = np.array(" ".join(texts).translate(_PARTS).split(), dtype=np.int64).reshape(-1, 7)
    month, day, year, hour, minute, second, is_afternoon = numbers.T
    months = (year - 1970) * 12 + month - 1
    first = months.view("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    length = (months + 1).view("datetime64[M]").astype("datetime64[D]").astype(np.int64) - first
    absent = (month < 1) | (month > 12) | (day < 1) | (day > length)
    absent |= (hour < 1) | (hour > 12) | (minute > 59) | (second > 59)
    if absent.any():
        return np.zeros(len(texts)), Bad(int(absent.argmax()), _ABSENT)
    hours = hour % 12 + 12 * is_afternoon
    return (first + day - 1) * float(_DAY) + hours * 3600 + minute * 60 + second, None


def _numbers(texts: Sequence[str]) -> tuple[Seconds, Bad | None]:
    odd = next((at for at, text in enumerate(texts) if not NUMBER.fullmatch(text)), None)
    if odd is not None:
        return np.zeros(len(texts)), Bad(odd, "is no number of seconds, as the first is")
    seconds = np.array(texts, dtype=np.float64)
    wild = ~(np.abs(seconds) < 1e11)
    if wild.any():
        return seconds, Bad(int(wild.argmax()), "is no number of seconds since 1970; divide it first")
    return seconds, None

"""Files of ranks, as MIND's leaderboard takes them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final, TextIO

import numpy as np
import numpy.typing as npt
import torch
from numpy.typing import NDArray

from pyrec._atomic import replacing
from pyrec._checks import check_count
from pyrec.data.impressions import Impressions
from pyrec.data.news import News
from pyrec.errors import ConfigError, DataError
from pyrec.evaluate.impressions import checked_scores, impressions_of

MEMBER: Final = "prediction.txt"
"""The file in an archive."""

_IMPRESSIONS_AT_A_TIME: Final = 65_536
_DATE: Final = (1980, 1, 1, 0, 0, 0)  # the same bytes whenever they are written


def candidate_ranks(
    scores: npt.ArrayLike | torch.Tensor, impressions: News | Impressions, seed: int = 0
) -> NDArray[np.int32]:
    """Return each candidate's rank in its impression, int32 (n,), 1 for the largest score.

    Args:
        scores: Finite numbers (n,), one for each of ``candidates.indices``.
        impressions: Whose candidates they are.
        seed: Of the order of equal scores, which is random: their order in the list says nothing.

    Raises:
        DataError: If scores are no finite numbers, or not one a candidate.
        ConfigError: If ``seed`` is no whole number of at least 0.
    """
    shown = impressions_of(impressions, "impressions")
    values = checked_scores(scores, shown)
    draws = np.random.default_rng(check_count("seed", seed, 0, None, ConfigError)).random(len(values))
    order = np.lexsort((draws, -values, shown.candidates.rows))
    ranks = np.empty(len(values), dtype=np.int32)
    ranks[order] = shown.candidates.places + 1
    return ranks


def write_submission(
    scores: npt.ArrayLike | torch.Tensor,
    impressions: News | Impressions,
    path: str | PathLike[str],
    ids: Sequence[Any] | NDArray[Any] | None = None,
    seed: int = 0,
) -> Path:
    """Write the ranks of all candidates: a line ``ImpressionID [rank,rank,...]`` for each impression.

    Ranks are in the order in which the candidates were shown. The file is there whole or not at all.

    Args:
        scores: As `candidate_ranks` takes them.
        impressions: In the order of the test file.
        path: A file; one that ends in ``.zip`` is an archive with ``prediction.txt``, as the leaderboard takes it.
        ids: The impressions' ids (num_impressions,); None for 1, 2, 3, ... as MIND numbers its own.
        seed: As there.

    Returns:
        The path.

    Raises:
        DataError: As there; or there are not as many ids as impressions, an id has a blank, or the file cannot be
            written.
        ConfigError: As there.
    """
    shown = impressions_of(impressions, "impressions")
    ranks = candidate_ranks(scores, shown, seed)
    names = _checked_ids(ids, len(shown))
    target = Path(path)
    with replacing(target) as temporary:
        if target.suffix.lower() == ".zip":
            with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
                member = zipfile.ZipInfo(MEMBER, _DATE)
                member.compress_type = zipfile.ZIP_DEFLATED
                with io.TextIOWrapper(archive.open(member, "w", force_zip64=True), "utf-8") as text:
                    _write(text, names, ranks, shown)
        else:
            with temporary.open("w", encoding="utf-8", newline="\n") as text:
                _write(text, names, ranks, shown)
    return target


def _checked_ids(ids: Sequence[Any] | NDArray[Any] | None, n: int) -> list[str]:
    if ids is None:
        return [str(number) for number in range(1, n + 1)]
    names = [str(one) for one in (ids.tolist() if isinstance(ids, np.ndarray) else ids)]
    if len(names) != n:
        raise DataError(f"ids has {len(names)} entries, but there are {n} impressions; give one each")
    odd = next((at for at, name in enumerate(names) if not name or name.split() != [name]), None)
    if odd is not None:
        raise DataError(f"ids[{odd}] = {names[odd]!r}; an id is text without blanks")
    return names


def _write(text: TextIO, names: list[str], ranks: NDArray[np.int32], impressions: Impressions) -> None:
    for lines in _lines(names, ranks, impressions.candidates.indptr):
        text.write(lines)


def _lines(names: list[str], ranks: NDArray[np.int32], indptr: NDArray[np.int64]) -> Iterator[str]:
    for first in range(0, len(names), _IMPRESSIONS_AT_A_TIME):
        ends = indptr[first : first + _IMPRESSIONS_AT_A_TIME + 1]
        some = [str(rank) for rank in ranks[ends[0] : ends[-1]].tolist()]
        starts = (ends - ends[0]).tolist()
        yield "".join(
            f"{names[first + at]} [{','.join(some[starts[at] : starts[at + 1]])}]\n"
            for at in range(len(starts) - 1)
        )

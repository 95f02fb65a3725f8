"""Reads news from a folder, whatever its format."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pyrec._checks import check_count, check_share
from pyrec.data.articles import Articles
from pyrec.data.ids import TEXT, IdArray, Int32Array, factorise, is_text
from pyrec.data.impressions import Impressions
from pyrec.data.news import News, NewsSplit
from pyrec.data.ragged import Ragged
from pyrec.data.read.files import opened
from pyrec.data.read.news.columns import NAMES, check_roles, read_articles, read_impressions
from pyrec.data.read.news.mind import read_mind_articles, read_mind_behaviors
from pyrec.data.read.news.parts import Part, find_parts
from pyrec.data.read.news.raw import ArticleIndex, RawArticles, Shown, Unknown
from pyrec.data.read.parquet import MAGIC
from pyrec.data.text import Tokenizer
from pyrec.errors import ConfigError, DataError

DEFAULT_HISTORY: Final = 50
_NEEDED: Final = (("article", "title"), ("user", "candidates"))
"""The columns of articles, and of impressions, that a header names at least."""


def read_news(
    path: str | Path,
    test: str | Path | None = None,
    *,
    split: float | None = None,
    max_history: int = DEFAULT_HISTORY,
    unknown: Unknown | None = None,
    min_count: int = 2,
    max_title: int = 30,
    max_abstract: int = 50,
    tokenizer: Tokenizer | str | Path | None = None,
    vocabulary: Sequence[str] | IdArray | None = None,
    columns: Mapping[str, str] | None = None,
    time_format: str | None = None,
) -> NewsSplit:
    """Reads articles and impressions from a folder.

    The format is found from the contents:

    * MIND's ``news.tsv`` and ``behaviors.tsv``, in which quotes are text.
    * EB-NeRD's ``behaviors.parquet`` and ``history.parquet``, with ``articles.parquet`` or ``articles.tsv``.
    * CSV, TSV or Parquet with named columns: `pyrec.data.read.news.columns.NAMES`.

    A folder holds one part, or the folders ``train`` and ``dev``, ``valid``, ``validation`` or ``test``; names that end
    so, such as ``MINDsmall_train``, are as good. Articles lie beside the impressions or a folder above.

    Both parts get the same articles, those of the training part first, and the same user ids. Words, categories and
    entities are those of the training part's articles: those of its own file, or, where both parts have one file, those
    that its impressions show or its histories hold. An article without a time of publication gets the time at which it
    is first seen.

    Args:
        path: the folder, or that of the training part.
        test: the folder of the test part; None for the one that is found, if there is one.
        split: the share of the impressions that stay in the training part, the earliest ones, where there is no test
            part; None to split nothing.
        max_history: so many of the latest clicks of a history count. Unknown articles in it are left out and counted.
        unknown: what is done about candidates that no file of articles has: "error", "drop" to leave them out, "empty"
            to make articles without text of them. None is "error", but "empty" for EB-NeRD, which lacks a few.
        min_count: a word that occurs less often in the training articles is left out.
        max_title: so many words of a title count.
        max_abstract: so many words of an abstract count.
        tokenizer: how texts become words, or a ``tokenizer.json``, or the folder of one; None for words in lower case
            and punctuation marks.
        vocabulary: the words, in place of those of the training articles.
        columns: names of columns by role, where they are not well known.
        time_format: how times are written, by the directives of ``datetime.strptime``; None for MIND's, ISO 8601, or
            seconds since 1970.

    Returns:
        The name of the folder, the training part, and the test part or None. A test part without clicks, such as
        MIND's ``test``, has ``impressions.clicks`` None.

    Raises:
        ConfigError: an option is out of range, or a library is needed that is not installed.
        DataError: a file is absent or malformed; the message names file and line.
    """
    folder, other = Path(path), None if test is None else Path(test)
    options = _Options(split, max_history, unknown, min_count, max_title, max_abstract)
    options.check()
    asked = check_roles(columns)
    splitter = tokenizer if isinstance(tokenizer, Tokenizer) else _tokenizer(tokenizer)
    train, held_out = find_parts(folder, other)
    if split is not None and held_out is not None:
        raise ConfigError(
            f"split is {split}, but {held_out.folder} is the test part and nothing is split; leave it out"
        )
    parts = [train] if held_out is None else [train, held_out]
    with _no_search_for_cycles():
        raw, num_first = _read_articles(parts, asked, time_format)
        index = ArticleIndex(raw.ids, options.unknown or _default_unknown(train))
        shown = [_read_impressions(part, index, options, asked, time_format) for part in parts]
        is_shared = held_out is None or held_out.articles == train.articles
        texts = _Texts(raw, None if is_shared else num_first, splitter, vocabulary)
        return _assemble(folder, texts, index, shown, options)


@contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """Leaves Python's search for cycles of garbage out meanwhile: reading makes millions of strings, and no cycle."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@dataclass(frozen=True)
class _Options:
    """See `read_news`."""

    split: float | None
    max_history: int
    unknown: Unknown | None
    min_count: int
    max_title: int
    max_abstract: int

    def check(self) -> None:
        """Refuses what is out of range."""
        for name in ("max_history", "min_count", "max_title"):
            check_count(name, getattr(self, name), 1, None, ConfigError)
        check_count("max_abstract", self.max_abstract, 0, None, ConfigError)
        if self.split is not None:
            check_share("split", self.split, "the impressions", ConfigError, positive=True)


def _tokenizer(path: str | Path | None) -> Tokenizer:
    return Tokenizer() if path is None else Tokenizer.from_file(path)


def _default_unknown(train: Part) -> Unknown:
    return "empty" if train.impressions.suffix == ".parquet" and train.history is not None else "error"


# Files


def _is_mind(path: Path, name: str) -> bool:
    """Tells whether a file is MIND's of that name: its first line does not name the columns that are needed."""
    if path.name != name:
        return False
    with opened(path) as content:
        if content.head.startswith(MAGIC):
            return False
        first = content.lines(1)[0][1].rstrip("\r\n").split("\t")
    names = {field.strip().lower() for field in first}
    return not any(all(names & set(NAMES[role]) for role in roles) for roles in _NEEDED)


def _read_articles(
    parts: list[Part], columns: Mapping[str, str], time_format: str | None
) -> tuple[RawArticles, int]:
    """Returns the articles of all parts, and how many are in the file of the first one."""
    paths = list(dict.fromkeys(part.articles for part in parts))
    found = [
        read_mind_articles(path) if _is_mind(path, "news.tsv") else read_articles(path, columns, time_format)
        for path in paths
    ]
    whole = found[0]
    for other in found[1:]:
        whole = whole.joined(other)
    return whole, found[0].ids.size


def _read_impressions(
    part: Part, index: ArticleIndex, options: _Options, columns: Mapping[str, str], time_format: str | None
) -> Shown:
    if _is_mind(part.impressions, "behaviors.tsv"):
        return read_mind_behaviors(part.impressions, index, options.max_history, time_format)
    return read_impressions(part.impressions, part.history, index, options.max_history, columns, time_format)


# News of files


class _Texts(NamedTuple):
    """Articles as written, and what makes words of them.

    Attributes:
        raw: the articles of the files.
        num_first: so many are the training part's own; None where those count that it mentions.
        tokenizer: splits texts.
        vocabulary: the words, or None.
    """

    raw: RawArticles
    num_first: int | None
    tokenizer: Tokenizer
    vocabulary: Sequence[str] | IdArray | None


def _assemble(
    folder: Path, texts: _Texts, index: ArticleIndex, shown: list[Shown], options: _Options
) -> NewsSplit:
    ids, raw = index.all_ids(), texts.raw
    user_ids, users = _number_users([part.users for part in shown])
    made = [_impressions(part, at, user_ids, ids) for part, at in zip(shown, users, strict=True)]
    parts, notes = [part for part, _ in made], [*raw.notes]
    for part, (_, told) in zip(shown, made, strict=True):
        notes += [*part.notes, *told]
    if options.split is not None:
        parts = list(_split(parts[0], options.split, folder))
    if index.added:
        notes.append(f"{len(index.added):,} articles are shown whose text no file has")
    published, told = _published(raw.published, ids.size, shown)
    if len(parts) == 1:
        counted = np.ones(ids.size, bool)
    else:
        counted = _mentioned(parts[0]) if texts.num_first is None else np.arange(ids.size) < texts.num_first
    lacking = [""] * len(index.added)
    nothing: list[list[str]] = [[] for _ in lacking]
    articles = Articles.from_texts(
        ids,
        raw.titles + lacking,
        raw.abstracts + lacking,
        None if raw.categories is None else raw.categories + lacking,
        None if raw.subcategories is None else raw.subcategories + nothing,
        None if raw.entities is None else raw.entities + nothing,
        published,
        tokenizer=texts.tokenizer,
        vocabulary=texts.vocabulary,
        counted=counted,
        min_count=options.min_count,
        max_title=options.max_title,
        max_abstract=options.max_abstract,
    )
    news = [News(articles, part, (*notes, *told, *articles.notes)) for part in parts]
    return NewsSplit(folder.resolve().name, news[0], news[1] if len(news) > 1 else None)


def _number_users(raw: list[IdArray]) -> tuple[IdArray, list[Int32Array]]:
    """Returns the users of all parts, ascending, and their numbers in each part."""
    if len({is_text(ids) for ids in raw}) > 1:
        raw = [ids if is_text(ids) else ids.astype(str).astype(TEXT) for ids in raw]
    codes, ids = factorise(np.concatenate(raw), "users")
    return ids, np.split(codes, np.cumsum([part.size for part in raw[:-1]]))


def _impressions(
    part: Shown, users: Int32Array, user_ids: IdArray, ids: IdArray
) -> tuple[Impressions, tuple[str, ...]]:
    """Returns impressions in the numbers of all articles; those that show nothing that is known are left out."""
    whole = Impressions(
        users,
        Ragged(part.candidates.indptr, part.candidates.indices, ids.size),
        user_ids,
        ids,
        part.clicks,
        part.times,
        Ragged(part.histories.indptr, part.histories.indices, ids.size),
        part.history_rows,
    )
    empty = whole.candidates.lengths == 0
    if not empty.any():
        return whole, ()
    count = int(np.count_nonzero(empty))
    return whole.select(~empty), (
        f"{count:,} impressions show nothing but unknown articles and are left out",
    )


def _split(whole: Impressions, share: float, folder: Path) -> tuple[Impressions, Impressions]:
    """Returns the earlier and the later impressions; those of one time stay together, in the later part."""
    if whole.times is None:
        raise DataError(
            f"{folder}: impressions have no times, so they cannot be split by time; leave split out"
        )
    begin = np.sort(whole.times)[int(share * len(whole))]
    is_early = whole.times < begin
    if not is_early.any():
        raise DataError(
            f"{folder}: split = {share} of {len(whole)} impressions leaves none before the test part; choose more"
        )
    return whole.select(is_early), whole.select(~is_early)


def _mentioned(part: Impressions) -> npt.NDArray[np.bool_]:
    """Returns which articles the impressions show or their histories hold, bool (num_items,)."""
    found = np.zeros(part.num_items, dtype=bool)
    found[part.candidates.indices] = True
    if part.histories is not None:
        found[part.histories.indices] = True
    return found


def _published(
    given: npt.NDArray[np.float64] | None, count: int, shown: list[Shown]
) -> tuple[npt.NDArray[np.float64] | None, tuple[str, ...]]:
    """Returns when articles were published, or else first seen, and notes."""
    if given is None and all(part.times is None for part in shown):
        return None, ()
    published = np.full(count, np.nan)
    if given is not None:
        published[: given.size] = given
    unknown = np.isnan(published)
    first = np.full(count, np.inf)
    for part in shown:
        if part.times is not None:
            np.minimum.at(first, part.candidates.indices, part.times[part.candidates.rows])
        if part.first_clicks is not None:
            first[: part.first_clicks.size] = np.minimum(first[: part.first_clicks.size], part.first_clicks)
    published[unknown] = np.where(np.isinf(first), np.nan, first)[unknown]
    told = int(np.count_nonzero(unknown & ~np.isinf(first)))
    return published, (
        (f"{told:,} articles have no time of publication, and get that at which they are first seen",)
        * (told > 0)
    )

"""Finds the files of a folder of news: articles, impressions and histories of each part."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

from pyrec.errors import DataError

ARTICLES: Final = ("news.tsv", "articles.tsv", "articles.csv", "articles.parquet", "news.csv", "news.parquet")
IMPRESSIONS: Final = (
    "behaviors.tsv",
    "behaviors.parquet",
    "behaviors.csv",
    "impressions.tsv",
    "impressions.csv",
    "impressions.parquet",
)
HISTORIES: Final = ("history.parquet", "history.csv", "history.tsv")

_TRAIN: Final = re.compile(r"(.*[_-])?(train|training)", re.IGNORECASE)
_TEST: Final = tuple(
    re.compile(rf"(.*[_-])?{name}", re.IGNORECASE) for name in ("dev", "valid|val", "validation", "test")
)


class Part(NamedTuple):
    """The files of a training or a test part.

    Attributes:
        folder: where its impressions are.
        articles: its articles.
        impressions: what was shown.
        history: the history of each user, where it is a file of its own.
    """

    folder: Path
    articles: Path
    impressions: Path
    history: Path | None


def find_parts(path: Path, test: Path | None) -> tuple[Part, Part | None]:
    """Returns the training part of a folder, and its test part, or that of another folder.

    Raises:
        DataError: a folder or a file is not there, or several folders may be a part.
    """
    _check_folder(path)
    if _first(path, IMPRESSIONS) is not None:
        train = _part(path, None)
    else:
        folder = _subfolder(path, (_TRAIN,))
        if folder is None:
            raise DataError(
                f"{path} holds no news: neither impressions ({', '.join(IMPRESSIONS)}) nor a folder train; MIND's "
                "archives are to be unpacked first"
            )
        train = _part(folder, path)
        if test is None and (found := _subfolder(path, _TEST)) is not None:
            return train, _part(found, path)
    if test is None:
        return train, None
    _check_folder(test)
    return train, _part(test, test.parent, train.articles)


def is_news_folder(path: str | Path) -> bool:
    """Tells whether a folder holds impressions and articles, or a training part of them."""
    folder = Path(path)
    try:
        return folder.is_dir() and bool(find_parts(folder, None))
    except (DataError, OSError):
        return False


def _check_folder(path: Path) -> None:
    if not path.exists():
        raise DataError(f"{path} does not exist; check the path")
    if not path.is_dir():
        raise DataError(f"{path} is a file; give the folder with articles and impressions")


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _subfolder(path: Path, patterns: tuple[re.Pattern[str], ...]) -> Path | None:
    """Returns the folder with impressions whose name fits the first pattern that one fits."""
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir() and _first(folder, IMPRESSIONS))
    for pattern in patterns:
        found = [folder for folder in folders if pattern.fullmatch(folder.name)]
        if len(found) > 1:
            names = " and ".join(repr(folder.name) for folder in found[:2])
            raise DataError(
                f"{path} has the folders {names}, which may both be the part; give the folders themselves: "
                "read_news(train, test)"
            )
        if found:
            return found[0]
    return None


def _part(folder: Path, parent: Path | None, otherwise: Path | None = None) -> Part:
    impressions = _first(folder, IMPRESSIONS)
    if impressions is None:
        raise DataError(f"{folder} holds no impressions; they are {', '.join(IMPRESSIONS)}")
    articles = _first(folder, ARTICLES) or (parent and _first(parent, ARTICLES)) or otherwise
    if articles is None:
        raise DataError(
            f"{folder} holds no articles, nor does the folder above; they are {', '.join(ARTICLES)}"
        )
    return Part(folder, articles, impressions, _first(folder, HISTORIES))

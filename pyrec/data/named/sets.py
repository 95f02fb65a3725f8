"""Named public data sets: where they are, under what terms, and by what hash their files are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pyrec.data.named.fetch import RemoteFile, cache_folder, fetch_file
from pyrec.errors import ConfigError


@dataclass(frozen=True)
class NamedDataset:
    """A named data set.

    Attributes:
        name: what it is called, and its folder in the cache.
        description: one line.
        terms: source, terms of use and what to cite.
        files: what to fetch.
        entry: the path in its folder that `pyrec.data.load_data` takes; empty for the folder itself.
    """

    name: str
    description: str
    terms: str
    files: tuple[RemoteFile, ...]
    entry: str = ""

    @property
    def checked_by(self) -> str:
        """What its files are known by."""
        return " and ".join(dict.fromkeys(file.pin_name for file in self.files))


_GROUPLENS = "https://files.grouplens.org/datasets"
_LIGHTGCN = "https://raw.githubusercontent.com/gusye1234/LightGCN-PyTorch/947ca2b3b1d2d3545b114145710cb06c4e57b3d2/data"

_MOVIELENS_PAPER = "Cite Harper and Konstan, The MovieLens Datasets, TiiS 5(4), 2015."
_NOT_SOLD = (
    "From GroupLens, University of Minnesota: for research; not to be redistributed, nor used commercially without "
    f"permission; see its README. {_MOVIELENS_PAPER}"
)
_SHARED_ALIKE = (
    "From GroupLens, University of Minnesota: for research; to be redistributed under the same terms only, not used "
    f"commercially without permission; see its README. {_MOVIELENS_PAPER}"
)
_LIGHTGCN_TERMS = (
    "From the LightGCN-PyTorch repository, which states no licence for the data; use them for research. Cite He et "
    "al., LightGCN, SIGIR 2020"
)


def _movielens(name: str, sha256: str, most_bytes: int) -> tuple[RemoteFile, ...]:
    return (
        RemoteFile(
            f"{_GROUPLENS}/movielens/{name}.zip", f"sha256:{sha256}", is_zip=True, most_bytes=most_bytes
        ),
    )


def _lightgcn(name: str, train: str, test: str) -> tuple[RemoteFile, ...]:
    return (
        RemoteFile(f"{_LIGHTGCN}/{name}/train.txt", train),
        RemoteFile(f"{_LIGHTGCN}/{name}/test.txt", test),
    )


_DATASETS = (
    NamedDataset(
        name="ml-100k",
        description="MovieLens 100K: 943 users, 1,682 films, 100,000 ratings; splits u1 to u5 beside u.data",
        terms=_NOT_SOLD,
        files=_movielens(
            "ml-100k", "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229", 2**25
        ),
        entry="ml-100k/u.data",
    ),
    NamedDataset(
        name="ml-1m",
        description="MovieLens 1M: 6,040 users, 3,706 rated films, 1,000,209 ratings",
        terms=_NOT_SOLD,
        files=_movielens("ml-1m", "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20", 2**26),
        entry="ml-1m/ratings.dat",
    ),
    NamedDataset(
        name="ml-20m",
        description="MovieLens 20M: 138,493 users, 26,744 rated films, 20,000,263 ratings; a download of 190 MB",
        terms=_SHARED_ALIKE,
        files=_movielens("ml-20m", "96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3", 2**31),
        entry="ml-20m/ratings.csv",
    ),
    NamedDataset(
        name="ml-25m",
        description="MovieLens 25M: 162,541 users, 59,047 rated films, 25,000,095 ratings; a download of 250 MB",
        terms=_SHARED_ALIKE,
        files=_movielens("ml-25m", "8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa", 2**31),
        entry="ml-25m/ratings.csv",
    ),
    NamedDataset(
        name="ml-latest-small",
        description="MovieLens, a small selection of 2018: 610 users, 9,724 rated films, 100,836 ratings",
        terms=_SHARED_ALIKE,
        files=_movielens(
            "ml-latest-small", "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436", 2**25
        ),
        entry="ml-latest-small/ratings.csv",
    ),
    NamedDataset(
        name="hetrec2011-lastfm",
        description="Last.fm, HetRec 2011: 1,892 users, 17,632 artists, 92,834 listening counts",
        terms=(
            "From GroupLens, for non-commercial use; see its readme. Cite Cantador, Brusilovsky and Kuflik, HetRec "
            "2011, RecSys 2011, and http://www.lastfm.com."
        ),
        files=(
            RemoteFile(
                f"{_GROUPLENS}/hetrec2011/hetrec2011-lastfm-2k.zip",
                "sha256:6738f48195667ff03caaab4d32ca9a3133d8cc026b7c3cdaf6ce1010e913c59c",
                is_zip=True,
                most_bytes=2**25,
            ),
        ),
        entry="user_artists.dat",
    ),
    NamedDataset(
        name="gowalla",
        description="Gowalla check-ins, split for LightGCN: 29,858 users, 40,981 places, 1,027,370 pairs",
        terms=(
            f"{_LIGHTGCN_TERMS}, and for the check-ins Cho, Myers and Leskovec, Friendship and Mobility, KDD 2011."
        ),
        files=_lightgcn(
            "gowalla",
            "sha256:7244696fdeb23911319cf7b689f2e15a3c4c92549c873a5677b44e3f13cc3e62",
            "sha256:099a2a73924e4b754dc6efd730d764f492321b53c38eb93298850c83acf57be3",
        ),
    ),
    NamedDataset(
        name="yelp2018",
        description="Yelp, split for LightGCN: 31,668 users, 38,048 businesses, 1,561,406 pairs",
        terms=f"{_LIGHTGCN_TERMS}; Yelp's own terms allow academic use.",
        files=_lightgcn(
            "yelp2018",
            "git:cda12361055ba448ae4bd1070f6000c16dea8f22",
            "sha256:9cd9b37926cd1447a06625ffa7914527573fb097c10cb0bbdb1d1b8ded3742fe",
        ),
    ),
    NamedDataset(
        name="amazon-book",
        description="Amazon books, split for LightGCN: 52,643 users, 91,599 books, 2,984,108 pairs",
        terms=f"{_LIGHTGCN_TERMS}, and for the reviews He and McAuley, Ups and Downs, WWW 2016.",
        files=_lightgcn(
            "amazon-book",
            "git:6ef55159c5f1fd7f6d86eb9ff290d0cc2854ac99",
            "sha256:6250754994dd953b91b48dccdd77a73f318e0634b4757c2abfcc9d33a54ab0f5",
        ),
    ),
    NamedDataset(
        name="lastfm",
        description="Last.fm, split for LightGCN: 1,880 users, 4,489 artists, 42,135 + 10,533 listening counts",
        terms=f"{_LIGHTGCN_TERMS}.",
        files=(
            RemoteFile(
                f"{_LIGHTGCN}/lastfm/data1.txt",
                "sha256:c82af3228cbbda2f55a39244de09ed93292894f1d0d9f1908ebb57e27598fded",
                name="train.txt",
            ),
            RemoteFile(
                f"{_LIGHTGCN}/lastfm/test1.txt",
                "sha256:de4417c0e6123284ce59a0934bcf5288ec1ec8774a18a1eef453c9952dfa48f9",
                name="test.txt",
            ),
        ),
    ),
)


def list_datasets() -> tuple[NamedDataset, ...]:
    """Returns the data sets that `get_dataset` knows."""
    return _DATASETS


def find_dataset(name: str) -> NamedDataset:
    """Returns the data set of that name.

    Raises:
        ConfigError: there is none.
    """
    dataset = next((known for known in _DATASETS if known.name == name), None)
    if dataset is None:
        names = ", ".join(known.name for known in _DATASETS)
        raise ConfigError(f"no data set is named {name!r}; known: {names}")
    return dataset


def get_dataset(name: str, cache_dir: str | Path | None = None) -> Path:
    """Fetches a named data set, or finds it in the cache.

    Args:
        name: one of `list_datasets`'s.
        cache_dir: where data sets are kept; by default what `PYREC_CACHE` names, else the user's cache folder.

    Returns:
        The folder or file that `pyrec.data.load_data` takes.

    Raises:
        ConfigError: no such data set, or pooch is not installed.
        DataError: see `fetch`.
    """
    return fetch(find_dataset(name), cache_dir)


def fetch(dataset: NamedDataset, cache_dir: str | Path | None = None) -> Path:
    """Fetches a data set, or finds it in the cache.

    Args:
        dataset: which.
        cache_dir: see `get_dataset`.

    Returns:
        The folder or file that `pyrec.data.load_data` takes.

    Raises:
        ConfigError: pooch is not installed.
        DataError: the download fails or is too large, the hash differs, or an archive is unsafe or damaged.
    """
    folder = cache_folder(cache_dir) / dataset.name
    for file in dataset.files:
        fetch_file(file, folder)
    return folder / dataset.entry

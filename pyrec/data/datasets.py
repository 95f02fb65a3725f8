"""Named public data sets, fetched through pooch (extra ``data``) and checked against pinned hashes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any
from zipfile import BadZipFile, ZipFile

from pyrec.errors import ConfigError, DataError


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch.

    Attributes:
        url: where it is.
        known_hash: ``sha256:...`` or ``md5:...`` of its contents.
        is_zip: whether to unpack it beside itself.
    """

    url: str
    known_hash: str
    is_zip: bool = False


@dataclass(frozen=True)
class Dataset:
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


_LIGHTGCN = "https://raw.githubusercontent.com/gusye1234/LightGCN-PyTorch/947ca2b3b1d2d3545b114145710cb06c4e57b3d2/data"

_DATASETS = (
    Dataset(
        name="gowalla",
        description="Gowalla check-ins, split for LightGCN: 29,858 users, 40,981 places, 1,027,370 pairs",
        terms=(
            "From the LightGCN-PyTorch repository, which states no licence for the data; use them for "
            "research. Cite He et al., LightGCN, SIGIR 2020, and for the check-ins Cho, Myers and Leskovec, "
            "Friendship and Mobility, KDD 2011."
        ),
        files=(
            RemoteFile(
                f"{_LIGHTGCN}/gowalla/train.txt",
                "sha256:7244696fdeb23911319cf7b689f2e15a3c4c92549c873a5677b44e3f13cc3e62",
            ),
            RemoteFile(
                f"{_LIGHTGCN}/gowalla/test.txt",
                "sha256:099a2a73924e4b754dc6efd730d764f492321b53c38eb93298850c83acf57be3",
            ),
        ),
    ),
    Dataset(
        name="ml-100k",
        description="MovieLens 100K: 943 users, 1,682 films, 100,000 ratings; splits u1 to u5 beside u.data",
        terms=(
            "From GroupLens, University of Minnesota: for research; not to be redistributed, nor used "
            "commercially without permission; see its README. Cite Harper and Konstan, The MovieLens "
            "Datasets, TiiS 5(4), 2015."
        ),
        files=(
            RemoteFile(
                "https://files.grouplens.org/datasets/movielens/ml-100k.zip",
                "md5:0e33842e24a9c977be4e0107933c0723",
                is_zip=True,
            ),
        ),
        entry="ml-100k/u.data",
    ),
)


def list_datasets() -> tuple[Dataset, ...]:
    """Returns the data sets that `get_dataset` knows."""
    return _DATASETS


def get_dataset(name: str, cache_dir: str | Path | None = None) -> Path:
    """Fetches a named data set, or finds it in the cache.

    Args:
        name: one of `list_datasets`'s.
        cache_dir: where data sets are kept; by default the user's cache folder for pyrec.

    Returns:
        The folder or file that `pyrec.data.load_data` takes.

    Raises:
        ConfigError: no such data set, or pooch is not installed.
        DataError: the download fails, or the file is not the one whose hash is pinned.
    """
    dataset = next((known for known in _DATASETS if known.name == name), None)
    if dataset is None:
        names = ", ".join(known.name for known in _DATASETS)
        raise ConfigError(f"no data set is named {name!r}; known: {names}")
    return fetch(dataset, cache_dir)


def fetch(dataset: Dataset, cache_dir: str | Path | None = None) -> Path:
    """Fetches a data set, or finds it in the cache.

    Args:
        dataset: which.
        cache_dir: where data sets are kept; by default the user's cache folder for pyrec.

    Returns:
        The folder or file that `pyrec.data.load_data` takes.

    Raises:
        ConfigError: pooch is not installed.
        DataError: the download fails, the hash differs, or an archive is unsafe or damaged.
    """
    pooch = _import_pooch()
    folder = Path(pooch.os_cache("pyrec") if cache_dir is None else cache_dir) / dataset.name
    for file in dataset.files:
        _retrieve(pooch, file, folder)
    return folder / dataset.entry


def _import_pooch() -> ModuleType:
    try:
        import pooch  # type: ignore[import-untyped]
    except ImportError:
        raise ConfigError("pooch, which fetches data sets, is not installed; pip install pooch") from None
    module: ModuleType = pooch
    return module


def _retrieve(pooch: ModuleType, file: RemoteFile, folder: Path) -> None:
    from requests.exceptions import RequestException

    name = PurePosixPath(file.url).name
    processor = _safe_unzip(pooch) if file.is_zip else None
    try:
        pooch.retrieve(file.url, file.known_hash, name, folder, processor, pooch.HTTPDownloader(timeout=30))
    except RequestException as error:
        raise DataError(
            f"{file.url} cannot be fetched ({type(error).__name__}); check the network, or put the file at "
            f"{folder / name}"
        ) from None
    except (OSError, BadZipFile) as error:
        raise DataError(
            f"{folder / name} cannot be written or unpacked: {error}; free it, or give another folder"
        ) from None
    except DataError:
        raise
    except ValueError as error:
        raise DataError(
            f"{file.url} is not the file that is expected: its hash is not {file.known_hash}. It was changed "
            f"or damaged on the way, and was not kept; try again later ({str(error).splitlines()[0]})"
        ) from None


def _safe_unzip(pooch: ModuleType) -> Callable[..., Any]:
    """Returns a processor that unpacks an archive beside itself, after a look at its members' paths."""
    unzip = pooch.Unzip(extract_dir=".")

    def process(archive: str, action: str, registry: Any) -> Any:
        with ZipFile(archive) as members:
            for member in members.namelist():
                path = PurePosixPath(member.replace("\\", "/"))
                if path.is_absolute() or ".." in path.parts or ":" in member:
                    raise DataError(f"{archive} has the member {member!r}, outside its folder; do not use it")
        return unzip(archive, action, registry)

    return process

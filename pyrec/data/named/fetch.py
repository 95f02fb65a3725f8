"""Fetches files into the user's cache, through pooch (extra ``data``), and checks them by a pinned hash."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from tqdm import tqdm  # type: ignore[import-untyped]

from pyrec._atomic import hash_file
from pyrec._optional import need
from pyrec.data.named.unzip import unzip
from pyrec.errors import DataError

TIMEOUT_SECONDS = 30
_PIN_NAMES = {"sha256": "SHA-256", "git": "git's object id (SHA-1)"}


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch.

    Attributes:
        url: where it is.
        pin: ``sha256:...`` of its contents, or ``git:...``, git's object id of a file with these contents:
            the SHA-1 of the text ``blob``, the size, a NUL and the contents.
        is_zip: whether to unpack it beside itself.
        name: what it is called in the cache; empty for its name in the URL.
        most_bytes: bound on the download, and on what an archive unpacks to, in bytes.
    """

    url: str
    pin: str
    is_zip: bool = False
    name: str = ""
    most_bytes: int = 2**27

    @property
    def pin_name(self) -> str:
        """What the file is known by, in words."""
        return _PIN_NAMES[self.pin.partition(":")[0]]

    @property
    def host(self) -> str:
        """The server."""
        return urlsplit(self.url).netloc

    @property
    def file_name(self) -> str:
        """What the file is called in the cache."""
        return self.name or PurePosixPath(self.url).name


def cache_folder(cache_dir: str | Path | None = None) -> Path:
    """Returns where data sets are kept: `cache_dir`, else `PYREC_CACHE`, else the user's cache folder for pyrec.

    Raises:
        ConfigError: pooch, which knows that folder, is not installed.
    """
    named = cache_dir or os.environ.get("PYREC_CACHE")
    return Path(named if named else _pooch().os_cache("pyrec"))


def matches(path: Path, pin: str) -> bool:
    """Tells whether a file has the contents that `RemoteFile.pin` stands for."""
    kind, _, expected = pin.partition(":")
    if kind == "git":
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    else:
        digest = hashlib.sha256()
    return hash_file(path, digest) == expected


def fetch_file(file: RemoteFile, folder: Path) -> Path:
    """Fetches a file into `folder` unless it is there with the right contents, and unpacks it if it is a zip.

    Args:
        file: what to fetch.
        folder: where to; it is made if need be.

    Returns:
        Where the file lies.

    Raises:
        ConfigError: pooch is not installed.
        DataError: the download fails or is too large, the hash differs, or an archive is unsafe or damaged.
    """
    pooch = _pooch()
    path = folder / file.file_name
    try:
        if not (path.is_file() and matches(path, file.pin)):
            path.unlink(missing_ok=True)
            _download(pooch, file, path)
        if file.is_zip:
            unzip(path, folder, file.most_bytes)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written or unpacked: {error.strerror or error}; free it, or give another folder"
        ) from None
    return path


def _pooch() -> ModuleType:
    return need("pooch", "fetching data sets", "data")


def _download(pooch: ModuleType, file: RemoteFile, path: Path) -> None:
    from requests import HTTPError, RequestException

    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(file.url, None, path.name, path.parent, downloader=_Downloader(pooch, file))
    except HTTPError as error:
        status = error.response.status_code if error.response is not None else "?"
        raise _unreachable(file, path, f"the server answers {status}") from None
    except RequestException as error:
        raise _unreachable(file, path, type(error).__name__) from None


def _unreachable(file: RemoteFile, path: Path, why: str) -> DataError:
    return DataError(
        f"{file.url} cannot be fetched ({why}); check the network, or put the file at {path} yourself"
    )


class _Downloader:
    """Downloads to a temporary file of pooch's, which takes its name only if this returns."""

    def __init__(self, pooch: ModuleType, file: RemoteFile) -> None:
        self.file = file
        self.download = pooch.HTTPDownloader(timeout=TIMEOUT_SECONDS, progressbar=_Progress(file))

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        self.download(url, output_file, pooch)
        if not matches(Path(output_file), self.file.pin):
            raise DataError(
                f"{url} is not the file that is expected: its hash is not {self.file.pin}. It was changed or damaged "
                "on the way, and was not kept; try again later"
            )


class _Progress:
    """What pooch tells of a download: a bar on a terminal, and an error when more comes than the file may have."""

    total = 0

    def __init__(self, file: RemoteFile) -> None:
        self.file = file
        self.received = 0
        hidden = True if sys.stderr is None else None  # None: unless stderr is a terminal
        self.bar = tqdm(desc=file.file_name, unit="B", unit_scale=True, leave=False, disable=hidden)

    def update(self, count: int) -> None:
        """Counts so many bytes more."""
        self.received += count
        if self.received > self.file.most_bytes:
            raise DataError(
                f"{self.file.url} sends more than the {self.file.most_bytes} bytes that are expected; it was not kept"
            )
        self.bar.total = self.total
        self.bar.update(count)

    def reset(self) -> None:
        """Starts again from no bytes."""
        self.received = 0
        self.bar.reset()

    def close(self) -> None:
        """Removes the bar."""
        self.bar.close()

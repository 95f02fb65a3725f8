import builtins
import hashlib
import io
import socket
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from pyrec.data import Dataset, get_dataset, list_datasets, load_data
from pyrec.data.datasets import RemoteFile, fetch
from pyrec.errors import ConfigError, DataError


class Served:
    """Files served over HTTP on the loopback, and how often they were asked for."""

    def __init__(self):
        self.files = {}
        self.requests = 0
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                served.requests += 1
                content = served.files.get(self.path)
                self.send_response(404 if content is None else 200)
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *args):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)

    def dataset(self, name, entry="", **contents):
        """Serves contents as files and returns the data set that they make."""
        files = []
        for key, content in contents.items():
            path = "/" + key.replace("_", ".")
            self.files[path] = content
            url = f"http://127.0.0.1:{self.server.server_port}{path}"
            digest = hashlib.sha256(content).hexdigest()
            files.append(RemoteFile(url, f"sha256:{digest}", is_zip=path.endswith(".zip")))
        return Dataset(name, "a test", "none", tuple(files), entry)


@pytest.fixture
def served():
    served = Served()
    thread = Thread(target=served.server.serve_forever)
    thread.start()
    yield served
    served.server.shutdown()
    thread.join()
    served.server.server_close()


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_files_are_fetched_once_and_load(served, tmp_path):
    dataset = served.dataset("small", train_txt=b"0 1 2\n1 2\n", test_txt=b"0 3\n")
    folder = fetch(dataset, tmp_path)
    assert fetch(dataset, tmp_path) == folder == tmp_path / "small"
    assert served.requests == 2
    assert [len(part) for part in load_data(folder)[1:]] == [3, 1]


def test_archives_are_unpacked(served, tmp_path):
    dataset = served.dataset("packed", "inner/u.data", a_zip=zipped(**{"inner/u.data": b"1\t2\t3\n"}))
    path = fetch(dataset, tmp_path)
    assert path.read_bytes() == b"1\t2\t3\n"
    path.unlink()
    assert fetch(dataset, tmp_path).exists()
    assert served.requests == 1


@pytest.mark.parametrize("member", ["../outside", "/outside", "a/../../outside", "..\\outside", "C:/outside"])
def test_members_outside_the_folder_are_refused(served, tmp_path, member):
    dataset = served.dataset("unsafe", a_zip=zipped(**{"good": b"1", member: b"2"}))
    with pytest.raises(DataError, match="outside its folder"):
        fetch(dataset, tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.zip", "unsafe"]


def test_a_changed_file_is_refused_and_not_kept(served, tmp_path):
    dataset = served.dataset("changed", train_txt=b"0 1\n")
    served.files["/train.txt"] = b"0 2\n"
    with pytest.raises(
        DataError, match=r"train\.txt is not the file that is expected: its hash is not sha256"
    ):
        fetch(dataset, tmp_path)
    assert list((tmp_path / "changed").iterdir()) == []


def test_a_spoiled_cache_is_fetched_again(served, tmp_path):
    dataset = served.dataset("spoiled", train_txt=b"0 1\n")
    path = fetch(dataset, tmp_path) / "train.txt"
    path.write_bytes(b"0 7\n")
    fetch(dataset, tmp_path)
    assert path.read_bytes() == b"0 1\n"


def test_what_is_no_archive_is_refused(served, tmp_path):
    with pytest.raises(DataError, match=r"a\.zip cannot be written or unpacked"):
        fetch(served.dataset("damaged", a_zip=b"not a zip"), tmp_path)


def test_a_missing_file_and_a_refused_connection(served, tmp_path):
    dataset = served.dataset("missing", train_txt=b"0 1\n")
    served.files.clear()
    with pytest.raises(DataError, match=r"cannot be fetched \(HTTPError\); check the network"):
        fetch(dataset, tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x"
    with pytest.raises(DataError, match=r"cannot be fetched \(ConnectionError\); check the network"):
        fetch(Dataset("offline", "", "", (RemoteFile(url, "sha256:0"),)), tmp_path)


def test_a_cache_folder_that_is_a_file(served, tmp_path):
    (tmp_path / "small").write_text("in the way")
    with pytest.raises(DataError, match="give another folder"):
        fetch(served.dataset("small", train_txt=b"0 1\n"), tmp_path)


def test_unknown_names_and_missing_pooch(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="no data set is named 'netflix'; known: gowalla, ml-100k"):
        get_dataset("netflix", tmp_path)
    genuine = builtins.__import__

    def without_pooch(name, *args, **kwargs):
        if name == "pooch":
            raise ImportError(name)
        return genuine(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_pooch)
    with pytest.raises(ConfigError, match=r"pooch.*pip install pooch"):
        get_dataset("gowalla", tmp_path)


def test_listed_data_sets_are_pinned():
    for dataset in list_datasets():
        assert dataset.description
        assert dataset.terms
        for file in dataset.files:
            algorithm, _, digest = file.known_hash.partition(":")
            assert file.url.startswith("https://")
            assert len(digest) == {"sha256": 64, "md5": 32}[algorithm]


def test_gowalla_is_the_pinned_file(data_dir):
    gowalla = next(dataset for dataset in list_datasets() if dataset.name == "gowalla")
    for file in gowalla.files:
        content = (data_dir / "gowalla" / file.url.rpartition("/")[2]).read_bytes()
        assert file.known_hash == f"sha256:{hashlib.sha256(content).hexdigest()}"

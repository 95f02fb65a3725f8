import gzip
import hashlib
import io
import socket
import stat
import struct
import subprocess
import sys
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import children
import pytest

import pyrec.data.named.fetch
from pyrec.data import NamedDataset, get_dataset, list_datasets, load_data
from pyrec.data.named.fetch import RemoteFile, cache_folder, matches
from pyrec.data.named.sets import fetch
from pyrec.data.named.unzip import MOST_MEMBERS
from pyrec.errors import ConfigError, DataError


class Served:
    """Files served over HTTP on the loopback, and how often they were asked for."""

    def __init__(self):
        self.files = {}
        self.headers = {}
        self.requests = 0
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                served.requests += 1
                content = served.files.get(self.path)
                self.send_response(404 if content is None else 200)
                for name, value in served.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # a client that hangs up

    def url(self, path):
        return f"http://127.0.0.1:{self.server.server_port}{path}"

    def dataset(self, name, entry="", most_bytes=2**20, **contents):
        """Serves contents as files and returns the data set that they make."""
        files = []
        for key, content in contents.items():
            path = "/" + key.replace("_", ".")
            self.files[path] = content
            pin = f"sha256:{hashlib.sha256(content).hexdigest()}"
            files.append(RemoteFile(self.url(path), pin, is_zip=path.endswith(".zip"), most_bytes=most_bytes))
        return NamedDataset(name, "a test", "none", tuple(files), entry)


@pytest.fixture
def served():
    served = Served()
    thread = Thread(target=served.server.serve_forever, args=(0.01,))
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


def linked(target):
    """An archive with a symbolic link, and a member that would be written through it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.create_system = 3
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, target)
        archive.writestr("link/written", b"2")
    return buffer.getvalue()


def doubled():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", b"1")
        archive.writestr("A", b"2")
    return buffer.getvalue()


def bomb():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(2**21))
    return buffer.getvalue()


def lying_bomb():
    """The same with a directory that says 5 bytes: as many are read, and their checksum is not the one said."""
    packed = bytearray(bomb())
    at = packed.index(b"PK\x01\x02")
    packed[at + 24 : at + 28] = struct.pack("<I", 5)
    return bytes(packed)


def encrypted():
    packed = bytearray(zipped(a=b"secret"))
    packed[6] |= 1
    packed[packed.index(b"PK\x01\x02") + 8] |= 1
    return bytes(packed)


def unknown_method():
    packed = bytearray(zipped(a=b"1"))
    packed[8:10] = packed[(at := packed.index(b"PK\x01\x02") + 10) : at + 2] = struct.pack("<H", 77)
    return bytes(packed)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (linked("../.."), "'link', which is a link or a device; do not use it"),
        (doubled(), "'A', twice; do not use it"),
        (bomb(), "would unpack to 2097152 bytes, but at most 1048576 are expected"),
        (lying_bomb(), "cannot be unpacked: Bad CRC-32"),
        (encrypted(), "'a', which is encrypted"),
        (unknown_method(), "cannot be unpacked: .*compression"),
        (zipped(**{str(k): b"" for k in range(MOST_MEMBERS + 1)}), "has 1001 members, more than 1000"),
        (b"not a zip", r"cannot be unpacked: File is not a zip file"),
        (zipped(a=b"1" * 100)[:-30], r"cannot be unpacked: File is not a zip file"),
    ],
    ids=["link", "twice", "bomb", "lying", "encrypted", "method", "members", "no zip", "truncated"],
)
def test_evil_and_damaged_archives_are_refused(served, tmp_path, content, message):
    dataset = served.dataset("evil", a_zip=content)
    with pytest.raises(DataError, match=message):
        fetch(dataset, tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.zip", "evil"]


def test_spoiled_unpacked_files_are_unpacked_again(served, tmp_path):
    dataset = served.dataset("packed", a_zip=zipped(**{"u.data": b"1\t2\t3\n", "other": b"4"}))
    folder = fetch(dataset, tmp_path)
    untouched = (folder / "other").stat().st_mtime_ns
    (folder / "u.data").write_bytes(b"1\t2\t5\n")
    fetch(dataset, tmp_path)
    assert (folder / "u.data").read_bytes() == b"1\t2\t3\n"
    assert (folder / "other").stat().st_mtime_ns == untouched
    assert served.requests == 1


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


def test_git_object_ids(served, tmp_path):
    served.files["/x"] = b"0 1\n"
    told = subprocess.run(["git", "hash-object", "--stdin"], input=b"0 1\n", capture_output=True, check=True)
    file = RemoteFile(served.url("/x"), f"git:{told.stdout.decode().strip()}", name="train.txt")
    dataset = NamedDataset("git", "", "", (file,))
    assert (fetch(dataset, tmp_path) / "train.txt").read_bytes() == b"0 1\n"
    assert dataset.checked_by == "git's object id (SHA-1)"
    served.files["/x"] = b"0 2\n"
    assert fetch(dataset, tmp_path).exists()
    (tmp_path / "git" / "train.txt").unlink()
    with pytest.raises(DataError, match="its hash is not git:"):
        fetch(dataset, tmp_path)


def test_truncated_downloads_are_refused(served, tmp_path):
    dataset = served.dataset("truncated", train_txt=b"0 1 2 3\n")
    served.files["/train.txt"] = b"0 1 2"
    served.headers["Content-Length"] = "8"
    with pytest.raises(DataError, match=r"cannot be fetched \(ChunkedEncodingError\); check the network"):
        fetch(dataset, tmp_path)
    assert list((tmp_path / "truncated").iterdir()) == []


@pytest.mark.parametrize("packed", [False, True])
def test_endless_downloads_are_cut_off(served, tmp_path, packed):
    dataset = served.dataset("endless", most_bytes=10_000, train_txt=b"0 1\n")
    served.files["/train.txt"] = gzip.compress(bytes(2**22)) if packed else bytes(2**22)
    if packed:
        served.headers["Content-Encoding"] = "gzip"
    with pytest.raises(DataError, match="sends more than the 10000 bytes that are expected"):
        fetch(dataset, tmp_path)
    assert list((tmp_path / "endless").iterdir()) == []


def test_a_silent_server(served, tmp_path, monkeypatch):
    monkeypatch.setattr(pyrec.data.named.fetch, "TIMEOUT_SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        with pytest.raises(DataError, match=r"cannot be fetched \(ReadTimeout\)"):
            fetch(NamedDataset("silent", "", "", (RemoteFile(url, "sha256:0"),)), tmp_path)


def test_a_missing_file_and_a_refused_connection(served, tmp_path):
    dataset = served.dataset("missing", train_txt=b"0 1\n")
    served.files.clear()
    with pytest.raises(DataError, match=r"cannot be fetched \(the server answers 404\); check the network"):
        fetch(dataset, tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x"
    offline = NamedDataset("offline", "", "", (RemoteFile(url, f"sha256:{hashlib.sha256(b'').hexdigest()}"),))
    with pytest.raises(DataError, match=r"cannot be fetched \(ConnectionError\); check the network"):
        fetch(offline, tmp_path)
    (tmp_path / "offline" / "x").write_bytes(b"")  # put there by hand, as the message says
    assert fetch(offline, tmp_path) == tmp_path / "offline"


def test_a_cache_folder_that_is_a_file(served, tmp_path):
    (tmp_path / "small").write_text("in the way")
    with pytest.raises(DataError, match="give another folder"):
        fetch(served.dataset("small", train_txt=b"0 1\n"), tmp_path)


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.delenv("PYREC_CACHE", raising=False)
    assert cache_folder().name == "pyrec"
    monkeypatch.setenv("PYREC_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    assert cache_folder(tmp_path / "given") == tmp_path / "given"


def test_unknown_names_and_missing_pooch(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="no data set is named 'netflix'; known: ml-100k, ml-1m"):
        get_dataset("netflix", tmp_path)
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ConfigError, match=r"needs pooch: pip install '\.\[data\]'"):
        get_dataset("gowalla", tmp_path)


def test_extras_are_imported_late():
    late = ("pooch", "requests", "fastapi", "uvicorn", "faiss", "usearch")
    code = "import sys, pyrec.cli.data, pyrec.cli.export, pyrec.cli.serve; "
    code += f"sys.exit(any(name in sys.modules for name in {late}))"
    assert children.run("-c", code).returncode == 0


def test_listed_data_sets_are_pinned():
    names = [dataset.name for dataset in list_datasets()]
    assert len(set(names)) == len(names)
    for dataset in list_datasets():
        assert dataset.description
        assert dataset.terms
        for file in dataset.files:
            kind, _, digest = file.pin.partition(":")
            assert file.url.startswith("https://")
            assert len(bytes.fromhex(digest)) == {"sha256": 32, "git": 20}[kind]


@pytest.mark.parametrize("name", ["gowalla/train.txt", "gowalla/test.txt"])
def test_gowalla_is_the_pinned_file(data_dir, name):
    gowalla = next(dataset for dataset in list_datasets() if dataset.name == "gowalla")
    (pin,) = (file.pin for file in gowalla.files if file.file_name == Path(name).name)
    assert matches(data_dir / name, pin)

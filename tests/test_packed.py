"""Files that are packed, come through a pipe, or are folders of parts."""

import bz2
import gzip
import io
import lzma
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from contextlib import contextmanager

import children
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pyrec.cli import main
from pyrec.data import load_data, load_training, read_interactions
from pyrec.data.read import files
from pyrec.data.read import unpack as unpacking
from pyrec.errors import ConfigError, DataError

ROWS = b"user,item,rating\n1,10,5\n1,11,4\n2,10,3\n3,12,5\n"
EXPECTED = [(1, 10, 5), (1, 11, 4), (2, 10, 3), (3, 12, 5)]


def zipped(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return content.getvalue()


def tarred(content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("log.csv")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


PACKED = {
    "gzip": lambda content: gzip.compress(content, mtime=0),
    "zip": lambda content: zipped(log=content),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda content: pa.compress(content, "zstd", asbytes=True),
}


def triples(x):
    columns = x.user_ids[x.users], x.item_ids[x.items], x.ratings
    return list(zip(*(column.tolist() for column in columns), strict=True))


@pytest.fixture
def write(tmp_path):
    def write(content, name="log"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize("kind", PACKED)
def test_packed_files_are_read(write, kind):
    x = read_interactions(write(PACKED[kind](ROWS)))
    assert triples(x) == EXPECTED
    assert x.notes[0].startswith(f"packed with {kind}")
    lists = read_interactions(write(PACKED[kind](b"0 1 2\n1 2\n")))
    assert (lists.num_users, lists.num_items, len(lists)) == (2, 2, 3)


@pytest.mark.parametrize("kind", PACKED)
def test_large_packed_files_are_read_block_by_block(write, kind):
    rows = b"".join(b"%d,%d,%d\n" % (k % 1000, k, k % 5) for k in range(100_000))
    x = read_interactions(write(PACKED[kind](rows)))
    assert (len(x), x.num_users, x.num_items) == (100_000, 1000, 100_000)


@pytest.mark.parametrize("kind", PACKED)
def test_packed_files_that_are_cut_off_or_damaged(write, kind):
    rows = b"".join(b"%d,%d,%d\n" % (k * k % 1009, k * k * k % 7919, k % 5) for k in range(30_000))
    whole = PACKED[kind](rows)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    for content in (whole[: len(whole) // 2], whole[:-9], bytes(flipped)):
        if kind == "zstd" and content == bytes(flipped):
            continue  # the frame that Arrow writes has no checksum
        with pytest.raises(
            DataError, match=r"log (cannot be read beyond byte|cannot be unpacked|, line)"
        ) as caught:
            read_interactions(write(content))
        assert "\n" not in str(caught.value)


def test_archives(write, tmp_path):
    both = write(zipped(**{"ml/ratings.csv": ROWS, "ml/links.csv": b"1,2\n", "__MACOSX/x": b"x"}), "ml.zip")
    with pytest.raises(
        DataError, match=r"holds 2 files: ml/ratings.csv, ml/links.csv; say which, as .*ml\.zip/ml/ratings"
    ):
        read_interactions(both)
    assert triples(read_interactions(both / "ml" / "ratings.csv")) == EXPECTED
    with pytest.raises(DataError, match=r"has no ml/x\.csv; it holds ml/ratings\.csv"):
        read_interactions(both / "ml" / "x.csv")
    with pytest.raises(DataError, match=r"log/x does not exist"):
        read_interactions(write(ROWS) / "x")
    with pytest.raises(DataError, match="holds 0 files; give a file"):
        read_interactions(write(zipped()))
    workbook = {"[Content_Types].xml": b"<a/>", "xl/workbook.xml": b"<a/>"}
    with pytest.raises(DataError, match="office document, such as an Excel workbook; save its sheet as CSV"):
        read_interactions(write(zipped(**workbook)))
    for content in (tarred(ROWS), gzip.compress(tarred(ROWS))):
        with pytest.raises(DataError, match="tar"):
            read_interactions(write(content))
    with pytest.raises(DataError, match="holds what is packed with gzip in turn"):
        read_interactions(write(gzip.compress(gzip.compress(ROWS))))
    for pack in (gzip.compress, bz2.compress, lzma.compress):
        with pytest.raises(DataError, match="is empty"):
            read_interactions(write(pack(b"")))


def test_an_archive_with_a_password(write):
    content = bytearray(zipped(log=ROWS))
    content[6] |= 1  # the flag of encryption, in the local header and in the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(DataError, match=r"cannot be unpacked: .*(password|encrypted)"):
        read_interactions(write(bytes(content)))


def test_a_bomb_takes_no_more_than_there_is(write, monkeypatch):
    monkeypatch.setattr(files, "available_memory", lambda: 3 << 20)
    bomb = gzip.compress(b"1,2\n" * (1 << 20))
    assert len(bomb) < 1 << 20
    with pytest.raises(DataError, match=r"holds more than the .* of memory that are free"):
        read_interactions(write(bomb))
    monkeypatch.setattr(files, "LONGEST_LINE", 1 << 21)
    monkeypatch.setattr(files, "available_memory", lambda: None)
    with pytest.raises(DataError, match="line 1: a line of more than 2,097,152 bytes"):
        read_interactions(write(gzip.compress(b"1" * (1 << 23))))


def test_zstd_without_a_library(write, monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(unpacking, "import_module", absent)
    with pytest.raises(ConfigError, match="zstd, which needs zstandard or PyArrow: pip install zstandard"):
        read_interactions(write(PACKED["zstd"](ROWS)))


def through_fifo(path, content):
    os.mkfifo(path)

    def fill():
        with path.open("wb") as pipe:
            pipe.write(content)

    writer = threading.Thread(target=fill)
    writer.start()
    return writer


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_read_once(tmp_path):
    big = b"".join(b"%d,%d\n" % (k % 1000, k) for k in range(300_000))
    parquet = io.BytesIO()
    pq.write_table(pa.table({"user": [1, 2], "item": [3, 4]}), parquet)
    for number, (content, expected) in enumerate(
        ((ROWS, 4), (gzip.compress(ROWS), 4), (zipped(a=ROWS), 4), (big, 300_000), (parquet.getvalue(), 2))
    ):
        path = tmp_path / f"pipe{number}"
        writer = through_fifo(path, content)
        assert len(read_interactions(path)) == expected
        writer.join()
    writer = through_fifo(tmp_path / "split", big)
    assert [len(part) for part in load_data(tmp_path / "split", split=0.5)[1:]] == [150_000, 150_000]
    writer.join()


@contextmanager
def standard_input(content: bytes):
    """Gives a process's standard input these bytes, through a pipe."""
    kept = os.dup(0)
    out, into = os.pipe()
    os.dup2(out, 0)
    os.close(out)

    def fill():
        with os.fdopen(into, "wb") as pipe:
            pipe.write(content)

    writer = threading.Thread(target=fill)
    writer.start()
    try:
        yield
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        writer.join()


LOG = b"user,item,rating\n" + b"".join(b"%d,%d,%d\n" % (k % 20, k % 31, k % 5) for k in range(300))


def test_the_standard_input(tmp_path, capsys):
    run = str(tmp_path / "run")
    for path in ("-", "/dev/stdin"):
        with standard_input(gzip.compress(LOG)):
            assert main(["data", "stats", path, "--json"]) == 0
        assert '"num_interactions": 300' in capsys.readouterr().out
    with standard_input(LOG):
        assert (
            main(["train", "-", "--min-rating", "1", "--model", "popularity", "--k", "3", "--out", run]) == 0
        )
    assert "pipe: 16 users x 31 items" in capsys.readouterr().err
    assert main(["evaluate", run, "--k", "3"]) == 2
    assert "came through a pipe; name the data again: DATA, or - for" in capsys.readouterr().err
    with standard_input(LOG):
        assert main(["evaluate", run, "-", "--k", "3", "--json"]) == 0
    assert '"recall@3"' in capsys.readouterr().out


def test_what_a_shell_substitutes(write, tmp_path):
    write(gzip.compress(LOG), "log.csv.gz")
    script = f'"{sys.executable}" -m pyrec.cli data stats <(zcat log.csv.gz) --json'
    done = subprocess.run(
        ["bash", "-c", script],
        env=children.environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.stdout.count('"num_interactions": 300') == 1, done.stderr


def test_parts_of_a_folder_are_read_as_one(tmp_path, capsys):
    folder = tmp_path / "log.parquet"
    folder.mkdir()
    for name, users in (("part-00000.parquet", [1, 2]), ("part-00001.parquet", [2, 3])):
        pq.write_table(pa.table({"user_id": users, "item_id": [7, 8], "rating": [1.0, 2.0]}), folder / name)
    (folder / "_SUCCESS").touch()
    (folder / ".part-00000.parquet.crc").write_bytes(b"crc")
    x = read_interactions(folder)
    assert triples(x) == [(1, 7, 1), (2, 7, 1), (2, 8, 2), (3, 8, 2)]
    assert x.notes == ("2 Parquet files are read as one",)
    assert load_training(folder, split=0.5)[0] == "log"
    assert main(["data", "stats", str(folder)]) == 0
    assert "2 Parquet files are read as one" in capsys.readouterr().out
    run = str(tmp_path / "run")
    assert (
        main(["train", str(folder), "--split", "0.5", "--model", "popularity", "--k", "1", "--out", run]) == 0
    )
    assert main(["evaluate", run, "--k", "1"]) == 0
    with pytest.raises(ConfigError, match=r"header is True, but .* is a Parquet file"):
        read_interactions(folder, header=True)
    pq.write_table(pa.table({"user_id": ["x"], "item_id": [7], "rating": [1.0]}), folder / "part-2.parquet")
    with pytest.raises(DataError, match="its parts have different columns"):
        read_interactions(folder)
    (folder / "part-2.parquet").write_bytes(b"1,2\n")
    with pytest.raises(DataError, match=r"part-2\.parquet is no Parquet file"):
        read_interactions(folder)

"""Output in whatever encoding, to pipes that close and streams that are not there."""

import io
import json
import subprocess
import sys
from pathlib import Path

import children
import pytest

from pyrec.cli import main

USER, ITEMS = "Łódź", ["日本", "naïve", "𝄞"]
"""Of two Latin alphabets, Chinese characters and one beyond 16 bits."""


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encodings")
    rows = [f"{user},{item}" for user in (USER, "ana", "bob") for item in (*ITEMS, "plain")]
    (folder / "r.csv").write_text("user,item\n" + "\n".join(rows) + "\n", encoding="utf-8")
    words = [
        "train",
        folder / "r.csv",
        "--model",
        "popularity",
        "--split",
        "0.7",
        "--k",
        "1",
        "--out",
        folder / "run",
    ]
    assert main([str(word) for word in words]) == 0
    return folder / "run"


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch):
    """Runs a command whose streams have an encoding: its status and what it wrote, as bytes."""

    def run(encoding: str, *words: object) -> tuple[int, bytes, bytes]:
        buffers = io.BytesIO(), io.BytesIO()
        for name, buffer in zip(("stdout", "stderr"), buffers, strict=True):
            monkeypatch.setattr(sys, name, io.TextIOWrapper(buffer, encoding=encoding, errors="strict"))
        status = main([str(word) for word in words])
        for stream in (sys.stdout, sys.stderr):
            assert (stream.encoding, stream.errors) == (encoding, "strict")  # as before
            stream.flush()
        return status, *(buffer.getvalue() for buffer in buffers)

    return run


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "cp437", "ascii", "utf-8"])
@pytest.mark.parametrize("layout", ["table", "csv", "json", "jsonl"])
def test_ids_are_found_again_in_any_encoding(run_dir: Path, command, encoding: str, layout: str) -> None:
    words = ("recommend", run_dir, "--users", USER, "--n", "4", "--include-seen", "--format", layout)
    status, out, err = command(encoding, *words)
    assert status == 0
    text = out.decode("utf-8" if encoding == "ascii" else encoding)
    if layout in ("json", "jsonl"):
        found = json.loads(text)
        found = found[0] if layout == "json" else found
        assert found["user"] == USER
        assert set(found["items"]) == {*ITEMS, "plain"}
    else:
        escaped = text.replace("\n", r"\n")
        names = json.loads(f'"{escaped}"')
        assert all(name in names for name in (USER, *ITEMS))
    told = err.decode("utf-8").count(f"standard output is {encoding}; what that lacks is written as \\uXXXX")
    assert told == (0 if encoding in ("ascii", "utf-8") else 1)


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("train", "--help"),
        ("data", "list"),
        ("data", "stats", "RUN/../r.csv"),
        ("evaluate", "RUN", "--k", "1"),
        ("doctor",),
        ("train", "日本.csv"),
        ("recommend", "RUN", "--users", "日本"),
    ],
)
def test_commands_and_their_errors_in_a_narrow_encoding(
    run_dir: Path, command, words: tuple[str, ...]
) -> None:
    status, _, err = command("cp1252", *(word.replace("RUN", str(run_dir)) for word in words))
    assert status == (2 if "日本" in words[-1] else 0), err
    assert err.count(b"pyrec: error") == (1 if status else 0)
    assert (rb"\u65e5\u672c" in err) == bool(status)


def test_a_locale_that_says_nothing_is_utf8(run_dir: Path) -> None:
    variables = children.environment(LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    words = ("-m", "pyrec.cli", "recommend", run_dir, "--users", "ana", "--n", "4", "--include-seen")
    listed = children.run(*words, env=variables, encoding="utf-8")
    assert listed.returncode == 0
    assert all(item in listed.stdout for item in ITEMS)
    missing = children.run("-m", "pyrec.cli", "train", "fehlt-日本.csv", env=variables, encoding="utf-8")
    assert missing.returncode == 2
    assert missing.stderr.count("\n") == 1
    assert "fehlt-日本.csv does not exist" in missing.stderr


@pytest.mark.parametrize(
    ("words", "streams", "status"),
    [
        ("data list", ">&-", 0),
        ("train --dim 8 --epochs 1", ">&- 2>&-", 0),
        ("train none.csv", "2>&-", 2),
        ("recommend RUN --all --include-seen --n 4", "2>&1 | true", None),
    ],
)
def test_streams_that_are_closed(run_dir: Path, words: str, streams: str, status: int | None) -> None:
    done = subprocess.run(
        f"{sys.executable} -m pyrec.cli {words.replace('RUN', str(run_dir))} {streams}",
        shell=True,
        capture_output=True,
        text=True,
        env=children.environment(),
        cwd=run_dir,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert status in (None, done.returncode)


def test_the_interpreters_flags_do_not_matter(run_dir: Path) -> None:
    variables = children.environment(HOME="/nonexistent", XDG_CACHE_HOME="/nonexistent")
    words = ("-m", "pyrec.cli", "recommend", run_dir, "--users", "ana", "--n", "2", "--include-seen")
    flags = ("-OO", "-bb", "-X", "dev", "-W", "error")
    plain, flagged = (children.run(*before, *words, env=variables) for before in ((), flags))
    assert flagged.returncode == 0, flagged.stderr
    assert (flagged.stdout, flagged.stderr) == (plain.stdout, plain.stderr)

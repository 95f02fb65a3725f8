"""Every block of `python` and `sh` in the README and the documentation runs, a page's in order and in one folder.

A line `<!-- not run: REASON -->` right above a block leaves it out. A block of `text` behind one shows lines that it
prints, numbers aside; `…` stands for others. Commands take two epochs or trials at most, and the files that pages name
are generated (`write_inputs`), or real ones where a page says so: `<!-- real data: FOLDER/FILE ... -->`.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import children
import numpy as np
import pytest
import torch
from _pytest.mark import ParameterSet
from news_folder import write_folder

from pyrec.cli import main
from pyrec.data import split_random, synthetic
from pyrec.models import estimator
from pyrec.params import Component

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"(?:^ *<!-- not run: (?P<reason>.+?) -->\n)?^(?P<indent> *)```(?P<language>[\w-]+)[^\n]*\n(?P<text>.*?)^ *```$"
    r"(?:\n+ *```text\n(?P<shown>.*?)^ *```$)?",
    re.DOTALL | re.MULTILINE,
)
REAL = re.compile(r"^<!-- real data: (.+?) -->$", re.MULTILINE)
NUMBER = re.compile(r"[-+]?\d[\d,.]*(?:e[-+]?\d+)?")
MOST = 2  # epochs, and trials of a search
SHELL = re.compile(r"[|&;<>$`*]")


class Block(NamedTuple):
    """Code of a page that runs, where it starts, and the lines that it is said to print."""

    language: str
    text: str
    line: int
    shown: list[str]


def blocks_of(page: Path) -> list[Block]:
    """The page's blocks that run."""
    content = page.read_text()
    return [
        Block(
            found["language"],
            re.sub(f"^{found['indent']}", "", found["text"], flags=re.MULTILINE),
            content.count("\n", 0, found.start("text")) + 1,
            (found["shown"] or "").splitlines(),
        )
        for found in BLOCK.finditer(content)
        if found["language"] in ("python", "sh") and not found["reason"]
    ]


SLOW = {"docs/first-hour.md"}
"""Pages that take most of a minute, and whose commands other pages run, too."""


def page_of(page: Path) -> ParameterSet:
    name = str(page.relative_to(ROOT))
    return pytest.param(page, id=name, marks=[pytest.mark.slow] if name in SLOW else [])


@pytest.mark.parametrize("page", [page_of(page) for page in PAGES if blocks_of(page)])
def test_blocks_run(page: Path, tmp_path: Path, monkeypatch, capfd) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pyrec.cli.tune.EPOCHS", MOST)
    monkeypatch.setattr("pyrec.cli.baselines.EASE_ITEMS", 0)  # the pages' own files have too many for EASE
    forget_classes_of_pages(monkeypatch)
    torch.manual_seed(0)  # a page that compares random numbers is not to fail once in a thousand runs
    link_inputs(page, tmp_path) if REAL.search(page.read_text()) else write_inputs(tmp_path)
    names: dict[str, object] = {"__name__": page.stem}
    for block in blocks_of(page):
        if block.language == "python":
            exec(compile("\n" * (block.line - 1) + block.text, page, "exec", dont_inherit=True), names)
        else:
            for command in commands(block.text):
                run(command, f"{page.name}, line {block.line}")
        printed = {plain(line) for text in capfd.readouterr() for line in text.splitlines()}
        missing = [line for line in block.shown if plain(line) not in {*printed, "", "…"}]
        assert not missing, f"{page.name}, line {block.line} does not print {missing}"


def forget_classes_of_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses, models and other parts that a page defines are known while it runs, not to the tests after it."""
    for family in Component.__subclasses__():
        monkeypatch.setattr(family, "kinds", dict(family.kinds))
    monkeypatch.setattr(estimator, "_KNOWN", dict(estimator._KNOWN))


def commands(text: str) -> list[str]:
    """The lines of a script, those that a backslash ends joined with the next, without comments."""
    joined = text.replace("\\\n", " ").splitlines()
    return [line for line in joined if line.strip() and not line.startswith("#")]


def run(command: str, where: str) -> None:
    """Runs one line: a `pyrec` command in this process, anything else by bash."""
    words = shlex.split(command, comments=True)
    assert words[0] != "pip", f"{where}: nothing is installed here; mark the block as not run"
    if words[0] == "pyrec" and not SHELL.search(" ".join(words)):
        assert run_here(shortened(words[1:])) == 0, f"{where}: {command}"
        return
    python = shlex.quote(sys.executable)
    script = f'set -euo pipefail\npyrec() {{ {python} -m pyrec.cli "$@"; }}\n{command}\n'
    subprocess.run(["bash", "-c", script], env=children.environment(), check=True, timeout=60)


def shortened(words: list[str]) -> list[str]:
    """The arguments of a `pyrec` command with a few epochs and trials, also where it names none."""
    if words[0] == "train" and "--model" not in words and "--epochs" not in words and "--help" not in words:
        words = [*words, "--epochs", str(MOST)]
    if words[0] == "compare" and "--trials" not in words:
        words = [*words, "--trials", "1"]
    return [
        str(min(int(word), MOST)) if before in ("--epochs", "--trials") else word
        for before, word in pairwise(["", *words])
    ]


def run_here(words: list[str]) -> int:
    """The status of a `pyrec` command; `--help` leaves by an exception."""
    try:
        return main(words)
    except SystemExit as left:
        return int(left.code or 0)


def plain(line: str) -> str:
    """The line without its numbers and its spacing."""
    return " ".join(NUMBER.sub("#", line).split())


def link_inputs(page: Path, folder: Path) -> None:
    """The real files that a page asks for."""
    if "PYREC_DATA" not in os.environ:
        pytest.skip(f"{page.name} is about real data; set PYREC_DATA")
    for name in REAL.findall(page.read_text())[0].split():
        (folder / Path(name).name).symlink_to(Path(os.environ["PYREC_DATA"]) / name)


def write_inputs(folder: Path) -> None:
    """The files that pages name: ratings of MovieLens' form, and interactions as lists."""
    data = synthetic(num_users=120, num_items=80, interactions_per_user=24, num_groups=8, seed=1)
    rng = np.random.default_rng(0)
    lines = [
        f"{user + 1},{item + 1},{rating},{time}"
        for user, item, rating, time in zip(
            data.users, data.items, rng.integers(3, 6, len(data)), rng.permutation(len(data)), strict=True
        )
    ]
    (folder / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *lines]) + "\n")
    films = [f'{item + 1},"Film {item + 1}, the (1995)",Drama|War' for item in range(data.num_items)]
    (folder / "movies.csv").write_text("\n".join(["movieId,title,genres", *films]) + "\n")
    tabs = [line.replace(",", "\t") for line in lines]
    (folder / "u1.base").write_text("\n".join(tabs[::2] + tabs[1::4]) + "\n")
    (folder / "u1.test").write_text("\n".join(tabs[3::4]) + "\n")
    pairs = [line.rsplit(",", 1)[0] for line in lines]
    (folder / "user.txt").write_text("\n".join(pairs[::2]) + "\n")
    (folder / "random.txt").write_text("\n".join(pairs[1::2]) + "\n")
    write_mind(folder / "MIND")
    for name in ("gowalla", "DATA"):
        (folder / name).mkdir()
        for part, interactions in zip(("train", "test"), split_random(data), strict=True):
            rows = interactions.to_csr()
            text = "".join(f"{u} {' '.join(map(str, rows[[u]].indices))}\n" for u in range(rows.shape[0]))
            (folder / name / f"{part}.txt").write_text(text)


def write_mind(folder: Path) -> None:
    """News with ids as MIND has them: N and U with numbers."""
    write_folder(folder)
    for part in ("train", "test"):
        news, behaviors = (folder / part / name for name in ("news.tsv", "behaviors.tsv"))
        news.write_text("".join(f"N{line}" for line in news.read_text().splitlines(keepends=True)))
        rows = [line.split("\t") for line in behaviors.read_text().splitlines()]
        lists = [[" ".join(f"N{one}" for one in words.split()) for words in row[3:]] for row in rows]
        text = [
            "\t".join([row[0], f"U{row[1]}", row[2], *named]) for row, named in zip(rows, lists, strict=True)
        ]
        behaviors.write_text("\n".join(text) + "\n")


def test_a_block_that_does_not_run_says_why() -> None:
    """A marker that is not right above its block would leave out nothing, or the wrong one."""
    for page in PAGES:
        marked = page.read_text().count("<!-- not run:")
        found = [block for block in BLOCK.finditer(page.read_text()) if block["reason"]]
        assert marked == len(found), f"{page.name}: a marker is not right above a block"


def test_parts_that_pages_define_are_forgotten() -> None:
    pages = "\n".join(page.read_text() for page in PAGES)
    defined = set(re.findall(r'^    (?:model_)?name: ClassVar\[str\] = "(.+?)"', pages, re.MULTILINE))
    assert {"cosine-contrast", "decay", "compositional", "low-pass"} <= defined
    known = {name for family in Component.__subclasses__() for name in family.kinds} | set(estimator._KNOWN)
    assert not defined & known


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().split()) <= 1000


def test_files_that_pages_name_are_there() -> None:
    """Paths in backticks below the folders of the repository; `K`, `NAME` and `COMMAND` stand for any."""
    named = re.compile(r"`((?:pyrec|csrc|tests|docs)/[\w./-]+)`")
    gone = [
        f"{page.relative_to(ROOT)}: {path}"
        for page in [*PAGES, ROOT / "CONTRIBUTING.md"]
        for path in named.findall(page.read_text())
        if not re.search(r"(\b|_)(K|NAME|COMMAND)\b", path) and not (ROOT / path).exists()
    ]
    assert not gone, "\n".join(gone)


def test_shown_lines_and_markers_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```sh\npyrec a \\\n  b  # c\n```\n\n```text\nx 1.5\n…\n```\n\n<!-- not run: a GPU -->\n```python\n1 / 0\n```\n"
        "- in a list:\n\n  ```python\n  y = 1\n  ```\n"
    )
    first, second = blocks_of(page)
    assert first == Block("sh", "pyrec a \\\n  b  # c\n", 2, ["x 1.5", "…"])
    assert commands(first.text) == ["pyrec a    b  # c"]
    assert second == Block("python", "y = 1\n", 18, [])
    assert plain("| 1,234.5  users |") == plain("| 7 users |")

"""What MkDocs does to pages besides its plugins: figures from their page, and formulas as MathML."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "figures.md"
PICTURES = re.compile(r"\(\.\./((?:\.\./)*)bench/results/(\w+\.png)\)")
FIGURES = re.compile(r"<!-- figures: (.+?) -->")
FORMULA = re.compile(r'(<(span|div) class="arithmatex">)\\[(\[](.*?)\\[)\]](</\2>)', re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Take the pictures of the benchmarks' results into the site."""
    for picture in sorted((ROOT / "bench" / "results").glob("*.png")):
        files.append(File.generated(config, f"pictures/{picture.name}", abs_src_path=str(picture)))


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the figures' rows of a kernel's figures where a page asks for them, and find the benchmarks' pictures."""
    pictures = PICTURES.sub(lambda found: f"({found[1]}pictures/{found[2]})", markdown)
    return FIGURES.sub(lambda found: figures(found[1]), pictures)


def on_page_content(content: str, **_: Any) -> str:
    """Make MathML of LaTeX, which browsers show without a script, a font or a network."""
    return FORMULA.sub(_formula, content)


def figures(work: str) -> str:
    """The page's table, those rows whose work starts so, and the line that names machine and versions.

    Raises:
        ValueError: There is no such row.
    """
    part = PAGE.read_text().split("<!-- figures -->")[1].split("<!-- /figures -->")[0]
    table = [line for line in part.splitlines() if line.startswith("|")]
    rows = [line for line in table[2:] if line.split("|")[2].strip().startswith(work)]
    if not rows:
        raise ValueError(f"no row of the figures starts with {work!r}")
    machine = next(line for line in part.splitlines() if ", commit " in line)
    return "\n".join([*table[:2], *rows, "", machine])


def _formula(found: re.Match[str]) -> str:
    start, kind, latex, end = found.groups()
    return start + convert(html.unescape(latex), display="block" if kind == "div" else "inline") + end

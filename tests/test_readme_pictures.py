"""The README's pictures are drawn from the figures' page, and are those that the README shows."""

import re
from pathlib import Path

import pytest
from readme_pictures import FOLDER, PAGE, SHOWN, draw_flow, draw_speed, races

ROOT = Path(__file__).parents[1]


def test_figures_are_those_of_the_page(tmp_path) -> None:
    page = PAGE.read_text()
    rows = races(page)
    assert len(rows) == len(SHOWN)
    for work, row in zip(SHOWN, rows, strict=True):
        line = next(line for line in page.splitlines() if f"| {work} |" in line)
        ratio, rival = line.split("|")[1].strip(" *x"), line.split("|")[4].strip()
        assert row.ratio == float(ratio)
        assert rival.startswith(f"{row.rival}, ")
    draw_speed(rows, tmp_path / "speed.svg")
    draw_flow(tmp_path / "flow.svg")
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in FOLDER.glob("*.svg")}


def test_a_row_that_is_gone_is_named() -> None:
    page = PAGE.read_text().replace("topk, 2,048 users of gowalla, K 20, d 64 |", "topk |")
    with pytest.raises(ValueError, match="topk, 2,048 users of gowalla"):
        races(page)


def test_the_readme_shows_both() -> None:
    shown = re.findall(r"!\[[^]]+\]\((.+?)\)", (ROOT / "README.md").read_text())
    assert [ROOT / path for path in shown] == [FOLDER / "flow.svg", FOLDER / "speed.svg"]

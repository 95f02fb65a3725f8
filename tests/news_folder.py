"""A small folder of news in MIND's format, and options of a model that trains on it in no time, for tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from small_news import small_news

from pyrec.data import write_news

OPTIONS = (
    *("--word-size", 8, "--tag-size", 4, "--batch-size", 64, "--epochs", 2),
    *(
        "--text-heads",
        2,
        "--text-head-size",
        4,
        "--text-hidden",
        8,
        "--reader-heads",
        2,
        "--reader-hidden",
        8,
    ),
)


def write_folder(folder: Path, clicked: bool = True) -> Path:
    """Write a training and a test part; without clicks in the test part if asked to."""
    made = small_news()
    write_news(made.train, folder / "train")
    write_test(folder / "test", clicked)
    return folder


def write_test(folder: Path, clicked: bool = True) -> None:
    """Write the test part, without clicks if asked to."""
    test = small_news().test
    write_news(test if clicked else replace(test, impressions=replace(test.impressions, clicks=None)), folder)

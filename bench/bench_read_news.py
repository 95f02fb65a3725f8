"""Reading MIND-small's training files: 51,282 articles, 41 MB, and 156,965 impressions, 92 MB.

The files are made of the real ones' marginals: 50,000 users with a history each, of a median of 18 clicks; a median
of 24 candidates an impression; titles of 12 words and abstracts of 35. Floor: 133 MB are read, checked for UTF-8 and
cut at tabs, some 0.1 s; then 6 million candidates and 1.6 million clicks are looked up among the articles, some 20 ns
each.
The rival reads as the known code does: pandas, quotes taken as text, a Python loop over the rows; it makes no words.
"""

import atexit
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from race import Race, row

from pyrec.data import read_news

ARTICLES, USERS, IMPRESSIONS = 51_282, 50_000, 156_965


def words(generator, lengths, vocabulary):
    """Texts of so many words, of which the first are frequent."""
    flat = (len(vocabulary) * generator.random(lengths.sum()) ** 4).astype(np.int64)
    ends = lengths.cumsum()
    return [" ".join(vocabulary[part]) for part in np.split(flat, ends[:-1])]


def lists(generator, lengths, tokens):
    """Lists of tokens apart by blanks."""
    flat = np.asarray(tokens, dtype=object)[generator.integers(len(tokens), size=lengths.sum())]
    return [" ".join(part) for part in np.split(flat, lengths.cumsum()[:-1])]


def folder(scale=1.0):
    """A folder with both files; ``scale`` of the articles, users and impressions."""
    generator = np.random.default_rng(0)
    articles, users, impressions = (int(scale * count) for count in (ARTICLES, USERS, IMPRESSIONS))
    path = Path(tempfile.mkdtemp(prefix="pyrec-bench-news-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    ids = [f"N{number}" for number in generator.permutation(65_238)[:articles]]
    vocabulary = np.array([f"word{number}" for number in range(40_000)], dtype=object)
    titles = words(generator, generator.poisson(11.8, articles), vocabulary)
    abstracts = words(generator, generator.poisson(35, articles), vocabulary)
    entity = (
        '[{"Label": "A name", "Type": "P", "WikidataId": "Q%d", "Confidence": 1.0, "OccurrenceOffsets": [0]}]'
    )
    with (path / "news.tsv").open("w") as file:
        for at, raw in enumerate(ids):
            about = entity % (at % 5000)
            file.write(
                f"{raw}\tnews\tworld\t{titles[at]}\t{abstracts[at]}\thttps://x/{raw}\t{about}\t{about}\n"
            )
    long = generator.lognormal(np.log(18), 1.05, users).astype(np.int64).clip(0, 558)
    histories = lists(generator, long, ids)
    shown = generator.lognormal(np.log(24), 0.95, impressions).astype(np.int64).clip(2, 283)
    candidates = lists(generator, shown, [f"{raw}-{click}" for raw in ids for click in (0, 0, 0, 1)])
    whose = generator.integers(users, size=impressions)
    with (path / "behaviors.tsv").open("w") as file:
        for at, user in enumerate(whose.tolist()):
            when = f"11/{9 + at % 6}/2019 {1 + at % 12}:{at % 60:02d}:{at % 60:02d} {'AP'[at % 2]}M"
            file.write(f"{at + 1}\tU{user}\t{when}\t{histories[user]}\t{candidates[at]}\n")
    return path


def ours(path):
    def run():
        shown = read_news(path).train.impressions
        return shown.candidates.indices, shown.clicks, shown.history_rows

    return run


def with_pandas(path):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")

    def run():
        read = {"sep": "\t", "header": None, "quoting": 3}
        news = pandas.read_csv(path / "news.tsv", **read, usecols=[0, 1, 2, 3, 4])
        number = {raw: at for at, raw in enumerate(news[0])}
        behaviors = pandas.read_csv(path / "behaviors.tsv", **read)
        candidates, clicks, histories = [], [], []
        for _, past, shown in behaviors[[3, 4]].itertuples():
            histories.append([number[raw] for raw in past.split()] if isinstance(past, str) else [])
            for token in shown.split():
                raw, click = token.split("-")
                candidates.append(number[raw])
                clicks.append(click == "1")
        return np.array(candidates), np.array(clicks), histories

    return run


def same_rows(theirs, found):
    """The same candidates and clicks; histories are stored otherwise."""
    for one, other in zip(theirs[:2], found[:2], strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(theirs[2]) == len(found[2])


def races(scale_max):  # noqa: ARG001
    return [
        Race(
            group="files of MIND-small's training part",
            problem=folder,
            contenders={"pyrec": ours, "pandas and a loop": with_pandas},
            check=same_rows,
            rounds=3,
            seconds=30.0,
            info={"work": "read_news", "impressions": IMPRESSIONS},
        )
    ]


def bench_read_news(benchmark, race, contender):
    row(benchmark, race, contender)

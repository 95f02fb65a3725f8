import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tokenizers

from pyrec.data import (
    Articles,
    Impressions,
    News,
    NewsSplit,
    Tokenizer,
    generate_news,
    is_news_folder,
    read_news,
    write_news,
)
from pyrec.errors import ConfigError, DataError
from pyrec.store.arrays import State
from pyrec.store.news import article_arrays, articles_of

NEWS = [
    'N1\tsports\tfootball_nfl\t"Cup final" won\tThe cup is won.\thttps://x\t[{"Label": "Cup", "WikidataId": "Q1"}]\t[]',
    "N2\tnews\tworld\tRain, rain\t\thttps://x\t[]\t[]",
    "N3\tsports\tgolf\t\"Open quote\tIt's the cup\thttps://x\t[]\t"
    '[{"WikidataId": "Q2"}, {"WikidataId": "Q1"}, {"WikidataId": "Q2"}]',
]
BEHAVIORS = [
    "1\tU1\t11/15/2019 8:55:22 AM\tN1 N2 N3\tN2-0 N1-1",
    "2\tU1\t11/15/2019 12:00:00 AM\tN1 N2 N3\tN3-1",
    "3\tU2\t11/15/2019 12:30:05 PM\t\tN1-0 N2-0",
]


def write(folder: Path, news: list[str] | None = None, behaviors: list[str] | None = None) -> Path:
    """A part in MIND's files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in (("news.tsv", news or NEWS), ("behaviors.tsv", behaviors or BEHAVIORS)):
        (folder / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return folder


def read(folder: Path, **options: object) -> NewsSplit:
    return read_news(folder, **{"min_count": 1, **options})  # type: ignore[arg-type]


def test_minds_files_become_news(tmp_path: Path) -> None:
    name, train, test = read(write(tmp_path / "MIND"))
    assert name == "MIND"
    assert test is None
    articles, shown = train.articles, train.impressions
    assert articles.ids.tolist() == ["N1", "N2", "N3"]
    assert articles.titles == ('"Cup final" won', "Rain, rain", '"Open quote')
    assert articles.title_of(0) == '" cup final " won'
    assert articles.abstracts == ("The cup is won.", "", "It's the cup")
    assert articles.category is not None
    assert articles.category.vocabulary.tolist() == ["news", "sports"]
    assert articles.category.codes.tolist() == [1, 0, 1]
    assert articles.subcategories is not None
    assert articles.subcategories.rows.to_lists() == [[0], [2], [1]]
    assert articles.entities is not None
    assert articles.entities.vocabulary.tolist() == ["Q1", "Q2"]
    assert articles.entities.rows.to_lists() == [[0], [], [1, 0]]
    assert shown.user_ids.tolist() == ["U1", "U2"]
    assert shown.users.tolist() == [0, 0, 1]
    assert shown.candidates.to_lists() == [[1, 0], [2], [0, 1]]
    assert shown.clicks is not None
    assert shown.clicks.tolist() == [False, True, True, False, False]
    assert shown.histories is not None
    assert shown.histories.to_lists() == [[0, 1, 2], []]
    assert shown.history_rows is not None
    assert shown.history_rows.tolist() == [0, 0, 1]
    assert shown.times is not None
    day = 18_215 * 86_400.0
    assert (shown.times - day).tolist() == [8 * 3600 + 55 * 60 + 22, 0, 12 * 3600 + 30 * 60 + 5]
    assert articles.published is not None
    assert (articles.published - day).tolist() == [8 * 3600 + 55 * 60 + 22, 8 * 3600 + 55 * 60 + 22, 0]
    assert shown.num_one_class == 2


def test_a_folder_of_news_is_known(tmp_path: Path) -> None:
    assert not is_news_folder(tmp_path)
    assert not is_news_folder(tmp_path / "absent")
    write(tmp_path / "one" / "train")
    assert is_news_folder(tmp_path / "one")
    assert is_news_folder(tmp_path / "one" / "train")
    assert not is_news_folder(tmp_path / "one" / "train" / "news.tsv")
    (tmp_path / "one" / "train" / "news.tsv").unlink()
    assert not is_news_folder(tmp_path / "one")
    with pytest.raises(DataError, match="holds no articles"):
        read(tmp_path / "one")


def test_unknown_candidates_are_an_error_or_a_choice(tmp_path: Path) -> None:
    folder = write(tmp_path, behaviors=[*BEHAVIORS, "4\tU3\t11/15/2019 1:00:00 PM\tN9 N1 N9\tN1-0 N7-1 N8-0"])
    with pytest.raises(
        DataError, match=r"behaviors.tsv, line 4: the candidate 'N7' is none of the 3 articles"
    ):
        read(folder)
    dropped = read(folder, unknown="drop").train
    assert dropped.impressions.candidates.to_lists()[3] == [0]
    assert dropped.notes[:2] == (
        f"{folder}/behaviors.tsv: 2 clicks of distinct histories are of unknown articles and are left out",
        f"{folder}/behaviors.tsv: 2 candidates are unknown articles and are left out",
    )
    empty = read(folder, unknown="empty").train
    assert empty.articles.ids.tolist() == ["N1", "N2", "N3", "N7", "N8"]
    assert empty.articles.titles[3:] == ("", "")
    assert empty.impressions.candidates.to_lists()[3] == [0, 3, 4]
    assert empty.impressions.history_of(np.array([3])).to_lists() == [[0]]
    with pytest.raises(ConfigError, match="unknown is 'zero'"):
        read(folder, unknown="zero")


# What other readers get wrong


def test_the_latest_clicks_count(tmp_path: Path) -> None:
    """Not the oldest ones, as where a history is cut at its end."""
    behaviors = ["1\tU1\t11/15/2019 8:55:22 AM\tN3 N3 N9 N1 N2\tN2-0 N1-1"]
    for most, expected in ((3, [2, 0, 1]), (2, [0, 1]), (50, [2, 2, 0, 1])):
        shown = read(write(tmp_path, behaviors=behaviors), max_history=most).train.impressions
        assert shown.histories is not None
        assert shown.histories.to_lists() == [expected]


def test_each_part_has_its_own_histories_and_users_without_any_stay(tmp_path: Path) -> None:
    """A user of both parts does not get the history of training, and no impression is lost."""
    write(tmp_path / "train")
    write(
        tmp_path / "dev",
        behaviors=[
            "1\tU1\t11/16/2019 8:00:00 AM\tN2\tN2-0 N1-1",
            "2\tU9\t11/16/2019 8:00:00 AM\t\tN2-0 N1-1",
        ],
    )
    _, train, test = read(tmp_path)
    assert test is not None
    assert train.impressions.history_of(np.array([0])).to_lists() == [[0, 1, 2]]
    assert test.impressions.history_of(slice(None)).to_lists() == [[1], []]
    assert test.impressions.user_ids.tolist() == train.impressions.user_ids.tolist() == ["U1", "U2", "U9"]
    assert test.impressions.users.tolist() == [0, 2]
    assert len(test) == 2


def test_labels_stay_with_their_candidates_where_some_are_left_out(tmp_path: Path) -> None:
    behaviors = [
        "1\tU1\t11/15/2019 8:55:22 AM\t\tN7-1 N2-0 N8-0 N1-1",
        "2\tU1\t11/15/2019 8:55:23 AM\t\tN9-1",
    ]
    _, train, _ = read(write(tmp_path, behaviors=behaviors), unknown="drop")
    assert train.impressions.candidates.to_lists() == [[1, 0]]
    assert train.impressions.clicks is not None
    assert train.impressions.clicks.tolist() == [False, True]
    assert "1 impressions show nothing but unknown articles and are left out" in train.notes


def test_a_quote_at_the_start_of_a_title_is_text(tmp_path: Path) -> None:
    news = ['N1\ta\tb\t"Open\tx"\tu\t[]\t[]', 'N2\ta\tb\tplain\t"\tu\t[]\t[]', 'N3\ta\tb\t""\t\tu\t[]\t[]']
    articles = read(write(tmp_path, news=news)).train.articles
    assert articles.titles == ('"Open', "plain", '""')
    assert articles.abstracts == ('x"', '"', "")


# Where the files are


def test_parts_are_found_by_the_names_of_their_folders(tmp_path: Path) -> None:
    for train, test in (
        ("train", "dev"),
        ("MINDsmall_train", "MINDsmall_dev"),
        ("Train", "validation"),
        ("train", "test"),
    ):
        folder = tmp_path / (train + test)
        write(folder / train)
        write(folder / test, behaviors=BEHAVIORS[:1])
        name, one, other = read(folder)
        assert name == train + test
        assert len(one) == 3
        assert other is not None
        assert len(other) == 1
        assert other.articles is one.articles
    write(folder / "dev", behaviors=BEHAVIORS[:2])
    found = read(folder).test
    assert found is not None
    assert len(found) == 2
    given = read_news(folder / "train", folder / "test", min_count=1).test
    assert given is not None
    assert len(given) == 1
    write(folder / "other_train")
    with pytest.raises(DataError, match="'other_train' and 'train', which may both be the part"):
        read(folder)


def test_articles_may_lie_above_and_new_ones_come_last(tmp_path: Path) -> None:
    write(tmp_path / "train")
    write(tmp_path / "dev", news=[NEWS[1], "N4\tweather\tstorm\tNew storm\tRain\tu\t[]\t[]"])
    _, train, test = read(tmp_path)
    assert train.articles.ids.tolist() == ["N1", "N2", "N3", "N4"]
    assert test is not None
    assert train.articles.title_of(3) == ""  # neither word is among those of training's titles
    assert train.articles.words[train.articles.abstract.row(3)].tolist() == ["rain"]
    assert train.articles.category is not None
    assert train.articles.category.codes.tolist() == [1, 0, 1, -1]
    (tmp_path / "train" / "news.tsv").rename(tmp_path / "news.tsv")
    (tmp_path / "dev" / "news.tsv").unlink()
    _, train, test = read(tmp_path)
    assert train.articles.ids.tolist() == ["N1", "N2", "N3"]


def test_words_are_those_of_training_where_both_parts_share_a_file(tmp_path: Path) -> None:
    write(tmp_path)
    for name, shown in (("train", "N1-1 N2-0"), ("dev", "N3-1")):
        folder = write(tmp_path / name, behaviors=[f"1\tU1\t11/15/2019 8:55:22 AM\t\t{shown}"])
        (folder / "news.tsv").unlink()
    (tmp_path / "behaviors.tsv").unlink()
    articles = read(tmp_path).train.articles
    assert "open" not in articles.words.tolist()
    assert articles.title_of(2) == '"'


def test_an_unlabelled_part_has_no_clicks(tmp_path: Path) -> None:
    write(tmp_path / "train")
    write(
        tmp_path / "test",
        behaviors=["1\tU1\t11/16/2019 8:00:00 AM\tN2\tN2 N1", "2\tU1\t11/16/2019 8:00:00 AM\tN2\tN1"],
    )
    test = read(tmp_path).test
    assert test is not None
    assert test.impressions.clicks is None
    assert test.impressions.candidates.to_lists() == [[1, 0], [0]]


def test_a_single_part_is_split_by_time(tmp_path: Path) -> None:
    times = [
        "11/15/2019 1:00:00 AM",
        "11/15/2019 2:00:00 AM",
        "11/15/2019 2:00:00 AM",
        "11/15/2019 1:30:00 AM",
    ]
    behaviors = [f"{k}\tU{k}\t{time}\t\tN1-1 N2-0" for k, time in enumerate(times)]
    folder = write(tmp_path / "one", behaviors=behaviors)
    _, train, test = read(folder, split=0.75)
    assert test is not None
    assert train.impressions.users.tolist() == [0, 3]
    assert test.impressions.users.tolist() == [1, 2]
    with pytest.raises(ConfigError, match="split = 1"):
        read(folder, split=1.0)
    with pytest.raises(DataError, match="leaves none before"):
        read(folder, split=0.1)
    write(tmp_path / "two" / "train")
    write(tmp_path / "two" / "dev")
    with pytest.raises(ConfigError, match="is the test part and nothing is split"):
        read(tmp_path / "two", split=0.5)


# Options


def test_words_are_counted_cut_and_chosen(tmp_path: Path) -> None:
    folder = write(tmp_path)
    found = read(folder).train.articles.words.tolist()
    assert found == [
        '"',
        "cup",
        "rain",
        "the",
        "won",
        "'",
        ",",
        ".",
        "final",
        "is",
        "it",
        "open",
        "quote",
        "s",
    ]
    often = read(folder, min_count=3).train
    assert often.articles.words.tolist() == ['"', "cup"]
    assert often.articles.title.to_lists() == [[0, 1, 0], [], [0]]
    assert "15 of 21 words are not in the vocabulary and are left out" in often.notes
    short = read(folder, max_title=1, max_abstract=0).train
    assert short.articles.title.lengths.tolist() == [1, 1, 1]
    assert short.articles.abstract.lengths.tolist() == [0, 0, 0]
    assert "3 titles have more than 1 words and are cut" in short.notes
    chosen = read(folder, vocabulary=["cup", "golf", "won"]).train.articles
    assert chosen.words.tolist() == ["cup", "golf", "won"]
    assert chosen.title.to_lists() == [[0, 2], [], []]
    for name in ("max_history", "min_count", "max_title"):
        with pytest.raises(ConfigError, match=f"{name} = 0"):
            read(folder, **{name: 0})


def test_times_may_be_written_otherwise(tmp_path: Path) -> None:
    for time, time_format in (
        ("2019-11-15T08:55:22Z", None),
        ("1573808122", None),
        ("15.11.2019 08:55:22", "%d.%m.%Y %H:%M:%S"),
    ):
        folder = write(tmp_path, behaviors=[f"1\tU1\t{time}\t\tN1-1"])
        times = read(folder, time_format=time_format).train.impressions.times
        assert times is not None
        assert times.tolist() == [1_573_808_122.0]


def test_noon_and_midnight(tmp_path: Path) -> None:
    hours = [
        "12:00:00 AM",
        "12:59:59 AM",
        "1:00:00 AM",
        "11:59:59 AM",
        "12:00:00 PM",
        "1:00:00 PM",
        "11:59:59 PM",
    ]
    behaviors = [f"{k}\tU\t2/29/2020 {hour}\t\tN1-1" for k, hour in enumerate(hours)]
    times = read(write(tmp_path, behaviors=behaviors)).train.impressions.times
    assert times is not None
    assert (times - 18_321 * 86_400).tolist() == [0, 3599, 3600, 43199, 43200, 46800, 86399]


def test_lines_may_end_as_windows_ends_them_and_blank_ones_are_passed_over(tmp_path: Path) -> None:
    folder = write(tmp_path / "a")
    same = tmp_path / "b"
    same.mkdir()
    for name in ("news.tsv", "behaviors.tsv"):
        text = (folder / name).read_text(encoding="utf-8")
        (same / name).write_bytes(("\n" + text.replace("\n", "\r\n") + "\r\n").encode())
    one, other = read(folder).train, read(same).train
    assert other.articles.titles == one.articles.titles
    assert other.impressions.candidates.to_lists() == one.impressions.candidates.to_lists()
    assert other.impressions.times is not None
    assert other.impressions.times.tolist() == one.impressions.times.tolist()


def test_ids_of_any_length_are_found(tmp_path: Path) -> None:
    """Short ones by a hash table, some of whose slots two ids share; long ones and those in other letters, too."""
    ids = (
        [f"N{k}" for k in range(3000)]
        + [f"a-much-longer-id-{k}" for k in range(20)]
        + ["Ü", "新聞", "新聞報道"]
    )
    news = [f"{raw}\tc\ts\tTitle\t\tu\t[]\t[]" for raw in ids]
    order = np.random.default_rng(0).permutation(len(ids))
    shown = " ".join(f"{ids[k]}-{k % 2}" for k in order)
    found = read(
        write(tmp_path, news, [f"1\tU\t11/15/2019 8:55:22 AM\t{ids[-1]} {ids[3001]}\t{shown}"])
    ).train
    assert found.impressions.candidates.indices.tolist() == order.tolist()
    assert found.impressions.clicks is not None
    assert found.impressions.clicks.tolist() == (order % 2 == 1).tolist()
    assert found.impressions.history_of(slice(None)).to_lists() == [[len(ids) - 1, 3001]]


# What is refused


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("4\tU1\t11/15/2019 8:55:22 AM\tN1", "line 4: 4 fields apart by tabs, but 5"),
        ("4\tU1\t11/15/2019 8:55:22 AM\tN1\tN1-1\tx", "line 4: 6 fields"),
        ("4\t\t11/15/2019 8:55:22 AM\tN1\tN1-1", "line 4: the user id '' is empty"),
        (
            "4\t" + "U" * 2000 + "\t11/15/2019 8:55:22 AM\tN1\tN1-1",
            "line 4: the user id 'UUU.* longer than 1024",
        ),
        ("4\tU1\t13/15/2019 8:55:22 AM\tN1\tN1-1", "line 4: the time '13/15/2019 8:55:22 AM' is no date"),
        ("4\tU1\t2/29/2019 8:55:22 AM\tN1\tN1-1", "line 4: the time '2/29/2019"),
        ("4\tU1\t11/15/2019 13:55:22 AM\tN1\tN1-1", "line 4: the time .* is no date"),
        ("4\tU1\t2019-11-15\tN1\tN1-1", "line 4: the time '2019-11-15' is not written as"),
        ("4\tU1\t\tN1\tN1-1", "line 4: the time ''"),
        ("4\tU1\t11/15/2019 8:55:22 AM\tN1\t", "line 4: the impression shows no article"),
        ("4\tU1\t11/15/2019 8:55:22 AM\tN1\t  ", "line 4: the impression shows no article"),
        ("4\tU1\t11/15/2019 8:55:22 AM\tN1\tN1-0 N2-2", "line 4: the candidate 'N2-2' has the label '2'"),
        ("4\tU1\t11/15/2019 8:55:22 AM\tN1\tN1-0 N2--1", "line 4: the candidate 'N2-' is none"),
        ("4\tU1\t11/15/2019 8:55:22 AM\tN1\tN1-0 N2", "line 4: the candidate 'N2' has no label"),
        ("4\tU1\t11/15/2019 8:55:22 AM\tN1\tN1-0 -1", "line 4: the candidate '-1' has no label"),
        ("4\tU1\t11/15/2019 8:55:22 AM\tN1\tN1-0 N10-1", "line 4: the candidate 'N10' is none of the 3"),
        ("4\tU1\t11/15/2019 8:55:22 AM\tN\0\tN1-0", "line 4: a NUL byte"),
    ],
)
def test_malformed_impressions_are_named(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(DataError, match=r"behaviors\.tsv, " + says):
        read(write(tmp_path, behaviors=[*BEHAVIORS, line]))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("N4\ta\tb\ttitle", "line 4: 4 fields apart by tabs, but 8"),
        ("\ta\tb\ttitle\t\tu\t[]\t[]", "line 4: the article id '' is empty"),
        ("N 4\ta\tb\ttitle\t\tu\t[]\t[]", "line 4: the article id 'N 4' holds a blank"),
        ("N1\ta\tb\ttitle\t\tu\t[]\t[]", "line 4: the article 'N1' is there again, first in line 1"),
        ("N4\ta\tb\ttitle\t\tu\t[{\t[]", r"line 4: the entities '\[\{' are no list"),
        ("N4\ta\tb\tti\0tle\t\tu\t[]\t[]", "line 4: a NUL byte"),
    ],
)
def test_malformed_articles_are_named(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(DataError, match=r"news\.tsv, " + says):
        read(write(tmp_path, news=[*NEWS, line]))


def test_files_that_are_none(tmp_path: Path) -> None:
    folder = write(tmp_path / "a")
    for name, what in (("news.tsv", "article"), ("behaviors.tsv", "impression")):
        before = (folder / name).read_bytes()
        for content, says in (
            (b"", f"{name} is empty"),
            (b"\n \n", f"{name} holds no {what}"),
            (before + b"\xff\t\xfe\n", f"{name}, line 4: not UTF-8"),
        ):
            (folder / name).write_bytes(content)
            with pytest.raises(DataError, match=says):
                read(folder)
        (folder / name).write_bytes(before)
    labelled = [*BEHAVIORS[:1], BEHAVIORS[2].replace("-0", "")]
    with pytest.raises(
        DataError, match=r"line 2: the candidate 'N1' has no label, but the first one has a label"
    ):
        read(write(tmp_path / "b", behaviors=labelled))
    with pytest.raises(
        DataError, match=r"line 2: the candidate 'N2-0' has a label, but the first one has none"
    ):
        read(write(tmp_path / "b", behaviors=labelled[::-1]))
    with pytest.raises(DataError, match="is a file; give the folder"):
        read(folder / "news.tsv")
    with pytest.raises(DataError, match="does not exist"):
        read(tmp_path / "nowhere")
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    with pytest.raises(DataError, match="holds no news"):
        read(nothing)
    with pytest.raises(DataError, match="holds no impressions"):
        read_news(folder, nothing)


# Named columns


def write_csv(
    folder: Path, articles: str, shown: str, names: tuple[str, str] = ("articles.csv", "impressions.csv")
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in zip(names, (articles, shown), strict=True):
        (folder / name).write_text(text, encoding="utf-8")
    return folder


CSV_ARTICLES = """id,headline,summary,section,tags,published
7,"Cup, won",The cup,sport,"cup, final",2024-03-01T00:00:00Z
8,"A ""quote"" here",,news,,
9,Rain,,,rain,2024-03-02T00:00:00Z
"""
CSV_SHOWN = """user,time,history,candidates,clicked
ann,2024-03-02T01:00:00Z,7 8,8 9,9
bob,2024-03-02T02:00:00Z,,7 9,
ann,2024-03-02T03:00:00Z,7 8,"[7, 8, 9]","[8, 7]"
"""


def test_columns_are_told_by_their_names(tmp_path: Path) -> None:
    train = read(write_csv(tmp_path, CSV_ARTICLES, CSV_SHOWN)).train
    articles, shown = train.articles, train.impressions
    assert articles.ids.tolist() == [7, 8, 9]
    assert articles.titles == ("Cup, won", 'A "quote" here', "Rain")
    assert articles.abstracts == ("The cup", "", "")
    assert articles.category is not None
    assert articles.category.codes.tolist() == [1, 0, -1]
    assert articles.subcategories is not None
    assert articles.subcategories.vocabulary.tolist() == ["cup", "final", "rain"]
    assert articles.subcategories.rows.to_lists() == [[0, 1], [], [2]]
    first = 19_783 * 86_400.0
    assert articles.published is not None
    assert (articles.published - first).tolist() == [0, 86_400 + 3600, 86_400]
    assert shown.user_ids.tolist() == ["ann", "bob"]
    assert shown.candidates.to_lists() == [[1, 2], [0, 2], [0, 1, 2]]
    assert shown.clicks is not None
    assert shown.clicks.tolist() == [False, True, False, False, True, True, False]
    assert shown.histories is not None
    assert shown.histories.to_lists() == [[0, 1], []]
    assert shown.history_rows is not None
    assert shown.history_rows.tolist() == [0, 1, 0]


def test_columns_may_be_named(tmp_path: Path) -> None:
    shown = "who;seen;marks\n1;a b;0 1\n2;c;1\n"
    articles = "key\twhat\na\tIt's \"so\nb\tx\nc\ty\n"
    folder = write_csv(tmp_path, articles, shown, ("articles.tsv", "behaviors.csv"))
    columns = {"article": "key", "title": "what", "user": "who", "candidates": "seen", "clicks": "marks"}
    train = read(folder, columns=columns).train
    assert train.articles.titles[0] == "It's \"so"
    assert train.articles.published is None
    assert train.impressions.user_ids.tolist() == [1, 2]
    assert train.impressions.clicks is not None
    assert train.impressions.clicks.tolist() == [False, True, True]
    assert train.impressions.times is None
    with pytest.raises(DataError, match=r"articles.tsv has no column for 'article': article, article_id"):
        read(folder)
    with pytest.raises(ConfigError, match="names the role 'when'"):
        read(folder, columns={"when": "x"})
    with pytest.raises(DataError, match=r"columns\['title'\] = 'text', but the columns are 'key', 'what'"):
        read(folder, columns={**columns, "title": "text"})


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("8 9,9", "8 5,9", "impressions.csv, line 2: the candidate '5' is none of the 3 articles"),
        ("8 9,9", ",9", "impressions.csv, line 2: the candidate|shows no article|fields"),
        ("8 9,9", "8 9,9,9", "line 2: 6 fields, but the first line has 5"),
        ("2024-03-02T02:00:00Z", "noon", "line 3: the time 'noon' is no time"),
        ("2024-03-02T02:00:00Z", "", "row|line 3: the time is missing"),
        ("bob", "", "user.* is empty text"),
        ('"[8, 7]"', '"[8, 7', "line 4: .*correct its quotes|unexpected end"),
        ("candidates", "offered", "has no column for 'candidates'"),
    ],
)
def test_malformed_columns_are_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    folder = write_csv(tmp_path, CSV_ARTICLES, CSV_SHOWN.replace(old, new))
    with pytest.raises(DataError, match=says):
        read(folder)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("8,", "7,", r"articles\.csv, line 3: the article 7 is there again"),
        ("headline", "words", "has no column for 'title'"),
        ("2024-03-02", "2024-13-02", "line 4: the time '2024-13-02"),
        ("headline,summary", "headline,headline", "two columns are called 'headline'"),
    ],
)
def test_malformed_article_columns_are_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        read(write_csv(tmp_path, CSV_ARTICLES.replace(old, new, 1), CSV_SHOWN))


def test_clicks_are_one_for_each_candidate(tmp_path: Path) -> None:
    articles = "id,title\n1,a\n2,b\n"
    for marks, says in (
        ("0", "line 2: 1 clicks for 2 candidates"),
        ("0 2", "line 2: the click '2' is neither"),
    ):
        folder = write_csv(tmp_path, articles, f"user,candidates,clicks\n5,1 2,{marks}\n")
        with pytest.raises(DataError, match=says):
            read(folder)


# EB-NeRD


def write_ebnerd(folder: Path, is_labelled: bool = True) -> Path:
    """A set of one article file and two parts, as EB-NeRD's are."""
    folder.mkdir(parents=True, exist_ok=True)
    text = (
        "11\t5\t1 2\tPokalen er vundet\tMålet faldt sent\n12\t6\t\tRegn\t\n13\t5\t2\tPokalen igen\tSent mål\n"
    )
    (folder / "articles.tsv").write_text(text, encoding="utf-8")
    begin = dt.datetime(2023, 5, 18, 7)
    for part, day in (("train", 0), ("validation", 7)):
        (folder / part).mkdir(exist_ok=True)
        times = [begin + dt.timedelta(days=day, seconds=k) for k in range(3)]
        shown: dict[str, Any] = {
            "impression_time": pa.array(times, pa.timestamp("us")),
            "article_ids_inview": pa.array([[11, 12], [12, 14, 13], [13]], pa.large_list(pa.int32())),
            "user_id": pa.array([1, 2, 1 if day == 0 else 3], pa.uint32()),
        }
        if is_labelled or day == 0:
            clicked = [[11], [14, 99], [13]]
            shown["article_ids_clicked"] = pa.array(clicked, pa.large_list(pa.int32()))
        pq.write_table(pa.table(shown), folder / part / "behaviors.parquet")
        past = [[begin - dt.timedelta(days=2)] * 3, [begin - dt.timedelta(days=1)]]
        history = {
            "user_id": pa.array([2, 1], pa.uint32()),
            "article_id_fixed": pa.array([[13, 77, 11], [12]], pa.large_list(pa.int32())),
            "impression_time_fixed": pa.array(past, pa.large_list(pa.timestamp("us"))),
        }
        pq.write_table(pa.table(history), folder / part / "history.parquet")
    return folder


def test_ebnerds_files_become_news(tmp_path: Path) -> None:
    _, train, test = read(write_ebnerd(tmp_path))
    assert test is not None
    articles = train.articles
    assert articles.ids.tolist() == [11, 12, 13, 14]
    assert articles.titles == ("Pokalen er vundet", "Regn", "Pokalen igen", "")
    assert articles.abstracts[0] == "Målet faldt sent"
    assert "målet" in articles.words.tolist()
    assert articles.category is not None
    assert articles.category.vocabulary.tolist() == ["5", "6"]
    assert articles.subcategories is not None
    assert articles.subcategories.rows.to_lists() == [[0, 1], [], [1], []]
    shown = train.impressions
    assert shown.user_ids.tolist() == [1, 2, 3]
    assert shown.candidates.to_lists() == [[0, 1], [1, 3, 2], [2]]
    assert shown.clicks is not None
    assert shown.clicks.tolist() == [True, False, False, True, False, True]
    assert shown.history_of(slice(None)).to_lists() == [[1], [2, 0], [1]]
    assert shown.histories is not None
    assert len(shown.histories) == 2
    assert test.impressions.history_of(slice(None)).to_lists() == [[1], [2, 0], []]
    begin = dt.datetime(2023, 5, 18, 7, tzinfo=dt.timezone.utc).timestamp()
    assert shown.times is not None
    assert (shown.times - begin).tolist() == [0, 1, 2]
    assert articles.published is not None
    assert (articles.published - begin).tolist() == [-2 * 86_400, -86_400, -2 * 86_400, 1]
    where = tmp_path / "train" / "behaviors.parquet"
    assert f"{where}: 1 clicks are of articles that the impression does not show" in train.notes
    assert f"{where}: 1 clicks of distinct histories are of unknown articles and are left out" in train.notes
    with pytest.raises(DataError, match=r"behaviors.parquet, row 1: the candidate 14 is none of the 3"):
        read(tmp_path, unknown="error")


def test_ebnerds_test_part_has_no_clicks(tmp_path: Path) -> None:
    test = read(write_ebnerd(tmp_path, is_labelled=False)).test
    assert test is not None
    assert test.impressions.clicks is None


def test_ebnerds_released_articles(tmp_path: Path) -> None:
    folder = write_ebnerd(tmp_path)
    (folder / "articles.tsv").unlink()
    times = [dt.datetime(2023, 5, 1), None, dt.datetime(2023, 5, 2)]
    table = {
        "article_id": pa.array([11, 12, 13], pa.int32()),
        "title": ["Pokalen", "Regn", None],
        "subtitle": ["x", None, "y"],
        "published_time": pa.array(times, pa.timestamp("us")),
        "category": pa.array([5, 6, 5], pa.int16()),
        "category_str": ["sport", "vejr", "sport"],
        "subcategory": pa.array([[1, 2], [], [2]], pa.large_list(pa.int16())),
        "ner_clusters": pa.array([["Bo", "Ib"], [], ["Bo"]], pa.large_list(pa.string())),
    }
    pq.write_table(pa.table(table), folder / "articles.parquet")
    articles = read(folder).train.articles
    assert articles.titles == ("Pokalen", "Regn", "", "")
    assert articles.category is not None
    assert articles.category.vocabulary.tolist() == ["sport", "vejr"]
    assert articles.entities is not None
    assert articles.entities.rows.to_lists() == [[0, 1], [], [0], []]
    assert articles.published is not None
    assert articles.published[0] == dt.datetime(2023, 5, 1, tzinfo=dt.timezone.utc).timestamp()
    assert not np.isnan(articles.published).any()


def test_malformed_parquet_is_named(tmp_path: Path) -> None:
    folder = write_ebnerd(tmp_path)
    path = folder / "train" / "behaviors.parquet"
    sound = pq.read_table(path)
    for column, values, says in (
        ("user_id", pa.array([1, None, 2]), "row 1 is missing"),
        ("article_ids_inview", pa.array([[11], [], [12]]), "row 1: the impression shows no article"),
        ("article_ids_inview", pa.array([[11], None, [12]]), "row 1: the impression shows no article"),
        ("article_ids_inview", pa.array([[11], [None], [12]]), "in its lists row 1 is missing"),
        ("article_ids_inview", pa.array([1, 2, 3]), "holds int64, but lists"),
        ("impression_time", pa.array(["a", "b", "c"]), "row 0: the time 'a'"),
        ("impression_time", pa.array([1, None, 2]), "row 1: the time is missing"),
    ):
        at = sound.schema.get_field_index(column)
        pq.write_table(sound.set_column(at, column, values), path)
        with pytest.raises(DataError, match=says):
            read(folder)
    path.write_bytes(b"PAR1" + b"x" * 50)
    with pytest.raises(DataError, match="not a sound Parquet"):
        read(folder)


# Real sets


def news_dir(data_dir: Path, name: str) -> Path:
    folder = data_dir / "news" / name
    if not folder.is_dir():
        pytest.skip(f"no news/{name} there")
    return folder


def test_ebnerd_demo(data_dir: Path) -> None:
    name, train, test = read_news(news_dir(data_dir, "ebnerd-demo"))
    assert name == "ebnerd-demo"
    assert test is not None
    assert len(train) == 24_724
    assert np.count_nonzero(train.impressions.clicks) == 24_829  # 59 of 24,888 are there twice
    assert len(test) == 14_635
    assert len(train.articles) == 15_582
    assert train.impressions.num_one_class == 0
    assert train.impressions.histories is not None
    assert len(train.impressions.histories) == 1590
    assert train.impressions.histories.lengths.max() == 50
    assert train.impressions.times is not None
    assert train.impressions.times.max() < test.impressions.times.min() + 86_400  # type: ignore[union-attr]
    seen = np.isin(test.impressions.candidates.indices, train.impressions.candidates.indices)
    assert 0.8 < 1 - seen.mean() < 0.86


def test_mind_sample(data_dir: Path) -> None:
    folder = news_dir(data_dir, "mind-sample")
    train = read_news(folder, unknown="empty").train
    assert len(train) == 5000
    assert train.impressions.candidates.indices.size == 189_359
    assert np.count_nonzero(train.impressions.clicks) == 7542
    assert train.impressions.num_one_class == 0
    assert train.impressions.num_users == 4637
    raw = [line.split("\t") for line in (folder / "news.tsv").read_text(encoding="utf-8").split("\n")[:-1]]
    assert train.articles.titles[:2000] == tuple(row[3] for row in raw)
    histories = read_news(folder, unknown="empty", max_history=10**6).train.impressions.histories
    assert histories is not None
    known = {row[0] for row in raw}
    lines = (folder / "behaviors.tsv").read_text(encoding="utf-8").split("\n")[:-1]
    texts = dict.fromkeys(line.split("\t")[3] for line in lines)
    expected = [[raw for raw in text.split() if raw in known] for text in texts]
    assert [train.articles.ids[row].tolist() for row in map(histories.row, range(len(histories)))] == expected


# Tokenizers


def test_words_are_those_of_a_well_kept_tokenizer() -> None:
    texts = [
        'It\'s the "Cup"... in Ålesund, 3.5% (ÅR)',
        "e\u0301t\u00e9 Straße\u00a0SØR-ØST",
        "",
        " \t ",
        "a_b c--d",
    ]
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    model.normalizer = tokenizers.normalizers.Sequence(
        [tokenizers.normalizers.NFC(), tokenizers.normalizers.Lowercase()]
    )
    model.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    found = Tokenizer().split(texts)
    for at, text in enumerate(texts):
        expected = [
            word for word, _ in model.pre_tokenizer.pre_tokenize_str(model.normalizer.normalize_str(text))
        ]
        assert [found.words[word] for word in found.rows.row(at)] == expected
    cased = Tokenizer(lower=False).split(["The Cup"])
    assert cased.words == ("The", "Cup")


def test_a_tokenizer_json_splits_instead(tmp_path: Path) -> None:
    vocabulary = {"[UNK]": 0, "cup": 1, "rain": 2, "##s": 3, "the": 4, "[PAD]": 5}
    model = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))
    model.normalizer = tokenizers.normalizers.Lowercase()
    model.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    model.add_special_tokens(["[UNK]", "[PAD]"])
    model.enable_padding(pad_id=5, pad_token="[PAD]", length=16)
    model.enable_truncation(2)
    folder = tmp_path / "model"
    folder.mkdir()
    model.save(str(folder / "tokenizer.json"))
    news = ["N1\ta\tb\tThe cups of rains\t\tu\t[]\t[]", "N2\ta\tb\tsnow\t\tu\t[]\t[]"]
    behaviors = ["1\tU1\t11/15/2019 8:55:22 AM\t\tN1-1 N2-0"]
    data = write(tmp_path / "data", news, behaviors)
    for given in (folder, folder / "tokenizer.json", Tokenizer.from_file(folder)):
        articles = read(data, tokenizer=given).train.articles
        assert articles.words.tolist() == ["##s", "cup", "rain", "the"]
        assert articles.title.to_lists() == [[3, 1, 0, 2, 0], []]
        assert articles.tokenizer is not None
        assert articles.tokenizer.json is not None
    with pytest.raises(DataError, match=r"nowhere.json cannot be read"):
        read(data, tokenizer=tmp_path / "nowhere.json")
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match=r"tokenizer.json: no sound tokenizer.json"):
        read(data, tokenizer=folder)


def test_a_saved_tokenizer_is_the_same() -> None:
    for tokenizer in (None, Tokenizer(), Tokenizer(lower=False), Tokenizer('{"version": "1.0"}')):
        articles = replace(Articles.from_texts([1], ["One two"]), tokenizer=tokenizer)
        arrays = article_arrays(articles)
        assert articles_of(State("a test", arrays)).tokenizer == tokenizer


def test_further_articles_are_split_as_the_first_were(tmp_path: Path) -> None:
    articles = read(write(tmp_path)).train.articles
    later = Articles.from_texts(["N9"], ["Rain won: snow"], tokenizer=articles.tokenizer, categories=["news"])
    both = articles.joined(later)
    assert both.title_of(3) == "rain won"
    assert both.category is not None
    assert both.category.codes.tolist() == [1, 0, 1, 0]
    assert "2 words of 1 further articles are unknown and were left out" in both.notes


# Writing


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    made = generate_news(60, 400, 300, seed=4)
    write_news(made.train, tmp_path / "train")
    write_news(made.test, tmp_path / "dev")
    _, train, test = read(tmp_path, max_history=10**6)
    assert test is not None
    for ours, theirs in ((train, made.train), (test, made.test)):
        assert ours.articles.ids.tolist() == list(map(str, theirs.articles.ids.tolist()))
        assert ours.articles.titles == theirs.articles.titles
        assert ours.articles.abstracts == theirs.articles.abstracts
        assert ours.impressions.candidates.to_lists() == theirs.impressions.candidates.to_lists()
        np.testing.assert_array_equal(ours.impressions.clicks, theirs.impressions.clicks)
        np.testing.assert_array_equal(ours.impressions.times, np.floor(theirs.impressions.times))
        of_all = slice(None)
        assert (
            ours.impressions.history_of(of_all).to_lists() == theirs.impressions.history_of(of_all).to_lists()
        )
    names = [made.train.articles.category, train.articles.category]
    assert names[0] is not None
    assert names[1] is not None
    assert names[1].vocabulary[names[1].codes].tolist() == names[0].vocabulary[names[0].codes].tolist()


def test_what_minds_files_cannot_hold(tmp_path: Path) -> None:
    shown = Impressions.from_lists([None, 5], [["a"], ["b", "a"]], times=[0.0, 86_399.0])
    articles = Articles.from_texts(["a", "b"], ["A\ttab", "B\nline"], entities=[["Q1"], []])
    write_news(News(articles, shown), tmp_path)
    found = read(tmp_path).train
    assert found.articles.titles == ("A tab", "B line")
    assert found.articles.entities is not None
    assert found.articles.entities.rows.to_lists() == [[0], []]
    assert found.impressions.user_ids.tolist() == ["5", "unknown"]
    assert found.impressions.clicks is None
    assert found.impressions.times is not None
    assert found.impressions.times.tolist() == [0, 86_399]
    for times, says in ((None, "no times"), ([1.0, 1e12], r"times\[1\] = 1e\+12|times\[1\] = 10000")):
        with pytest.raises(DataError, match=says):
            write_news(
                News(articles, replace(shown, times=None if times is None else np.array(times))), tmp_path
            )
    with pytest.raises(DataError, match="'a b' holds a blank"):
        write_news(
            News(
                Articles.from_texts(["a b"], ["x"]),
                Impressions.from_lists([1], [["a b"]], times=[0.0]),
            ),
            tmp_path,
        )

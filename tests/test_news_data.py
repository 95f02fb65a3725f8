import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pyrec.cli import main
from pyrec.data import Articles, Dataset, Features, Impressions, Interactions, News, Ragged, as_news
from pyrec.data.ids import TEXT
from pyrec.data.news_stats import describe_news
from pyrec.errors import DataError


def impressions() -> Impressions:
    """Three impressions, the first two with the same history."""
    return Impressions(
        np.array([0, 0, 1], np.int32),
        Ragged.from_lists([[0, 1], [2], [0, 1, 2]], 3),
        np.array([1, 2]),
        np.array([10, 20, 30]),
        np.array([True, False, True, False, False, False]),
        np.array([1.0, 2.0, 3.0]),
        Ragged.from_lists([[0, 2], [], [1]], 3),
        np.array([2, 2, 0], np.int32),
    )


def articles(ids: tuple[int, ...] = (10, 20, 30)) -> Articles:
    title = Ragged.from_lists([[0]] * len(ids), 1)
    return Articles(
        np.array(ids),
        title,
        title[np.zeros(len(ids), np.int64)],
        np.array(["a"], TEXT),
        ("A",) * len(ids),
        ("a",) * len(ids),
    )


def test_distinct_histories_are_stored_once() -> None:
    shown = impressions()
    assert shown.history_of(slice(None)).to_lists() == [[1], [1], [0, 2]]
    assert shown.history_of(np.array([2, 0])).to_lists() == [[0, 2], [1]]
    alone = Impressions(
        shown.users, shown.candidates, shown.user_ids, shown.item_ids, histories=shown.history_of(slice(None))
    )
    assert alone.history_of(np.array([True, False, True])).to_lists() == [[1], [0, 2]]
    with pytest.raises(DataError, match="no histories"):
        Impressions(shown.users, shown.candidates, shown.user_ids, shown.item_ids).history_of(slice(None))


def test_a_selection_keeps_the_histories_it_needs() -> None:
    some = impressions().select(np.array([True, True, False]))
    assert some.histories is not None
    assert some.histories.to_lists() == [[1]]
    assert some.history_rows is not None
    assert some.history_rows.tolist() == [0, 0]
    whole = some.select(np.array([False, True]))
    assert whole.histories is some.histories
    both = impressions().select(np.array([True, False, True]))
    assert both.histories is not None
    assert both.histories.to_lists() == [[0, 2], [1]]
    assert both.history_rows is not None
    assert both.history_rows.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (np.array([0, 1], np.int32), "history_rows has 2 rows"),
        (np.array([0, 3, 0], np.int32), r"history_rows\[1\] = \[3\]"),
        (np.array([0, -1, 0], np.int32), r"history_rows\[1\] = \[-1\]"),
        (np.array([0, 0, 0], np.int64), "int32 numbers"),
        ([0, 0, 0], "one-dimensional array"),
    ],
)
def test_history_rows_are_checked(rows: object, says: str) -> None:
    shown = impressions()
    with pytest.raises(DataError, match=says):
        Impressions(
            shown.users,
            shown.candidates,
            shown.user_ids,
            shown.item_ids,
            histories=shown.histories,
            history_rows=rows,  # type: ignore[arg-type]
        )
    with pytest.raises(DataError, match="no histories"):
        Impressions(
            shown.users,
            shown.candidates,
            shown.user_ids,
            shown.item_ids,
            history_rows=np.zeros(3, np.int32),
        )
    with pytest.raises(DataError, match="histories has 2 rows"):
        Impressions(
            shown.users,
            shown.candidates,
            shown.user_ids,
            shown.item_ids,
            histories=Ragged.from_lists([[0], [1]], 3),
        )


def test_news_are_articles_and_their_impressions() -> None:
    news = News(articles(), impressions())
    assert len(news) == 3
    assert repr(news).startswith("News(Articles(3, 1 words), Impressions(3 of 2 users")
    assert len(news.select(np.array([True, False, False]))) == 1
    assert as_news(news) is news
    with pytest.raises(DataError, match=r"articles.ids\[1\] is 30, but impressions.item_ids\[1\] is 20"):
        News(articles((10, 30, 20)), impressions())
    with pytest.raises(DataError, match="2 articles, but the impressions have 3"):
        News(articles((10, 20)), impressions())
    with pytest.raises(DataError, match="articles is a str"):
        News("articles", impressions())  # type: ignore[arg-type]


def dataset(**columns: object) -> Dataset:
    shown = impressions()
    clicked = Interactions.from_arrays([1, 2], [10, 20], user_ids=shown.user_ids, item_ids=shown.item_ids)
    return Dataset(clicked, items=Features.from_columns(shown.item_ids, columns), impressions=shown)


def test_a_data_set_with_titles_is_news() -> None:
    news = as_news(
        dataset(
            title=[["cup", "final"], ["rain"], ["final"]],
            abstract=[["won"], [], ["rain", "rain"]],
            category=["sport", "weather", "sport"],
            entities=[[7], [], [8, 7]],
            published=[0.0, 64.0, 128.0],
        )
    )
    found = news.articles
    assert found.words.tolist() == ["cup", "final", "rain", "won"]
    assert found.title.to_lists() == [[0, 1], [2], [1]]
    assert found.abstract.to_lists() == [[3], [], [2, 2]]
    assert found.titles == ("cup final", "rain", "final")
    assert found.abstracts == ("won", "", "rain rain")
    assert found.category is not None
    assert found.category.codes.tolist() == [0, 1, 0]
    assert found.entities is not None
    assert found.entities.rows.to_lists() == [[0], [], [1, 0]]
    assert found.subcategories is None
    assert found.published is not None
    assert found.published.tolist() == [0.0, 64.0, 128.0]


def test_what_is_no_news_is_refused() -> None:
    with pytest.raises(DataError, match="no column 'title', only 'year'"):
        as_news(dataset(year=[1.0, 2.0, 3.0]))
    with pytest.raises(DataError, match="the column 'title' is Codes, but Tokens"):
        as_news(dataset(title=["a", "b", "c"]))
    whole = dataset(title=[["a"], ["b"], ["c"]])
    with pytest.raises(DataError, match="no impressions"):
        as_news(Dataset(whole.interactions, items=whole.items))
    with pytest.raises(DataError, match="no items"):
        as_news(Dataset(whole.interactions, impressions=whole.impressions))
    with pytest.raises(DataError, match="read_news"):
        as_news([1])


# Statistics


def test_statistics_of_a_part() -> None:
    news = News(articles(), impressions())
    told = describe_news(news)
    assert told.num_shown == 3
    assert told.num_one_class == 2
    assert told.num_clicks == 2
    assert told.num_histories == 3
    assert told.num_without_history == 0
    assert told.unseen is None
    assert told.candidates["mean"] == 2
    assert told.clicks is not None
    assert told.clicks["max"] == 1
    assert told.histories is not None
    assert told.histories["mean"] == pytest.approx(4 / 3)
    part = news.select(np.array([True, False, False]))
    later = describe_news(news.select(np.array([False, True, True])), part)
    assert later.unseen == 0.5
    assert later.unseen_clicked == 1
    assert re.search(r"candidates new since training +50\.0%\n", str(later))
    assert json.loads(json.dumps(later.as_dict()))["num_impressions"] == 2


def test_statistics_of_news_without_clicks_times_and_histories() -> None:
    shown = impressions()
    bare = Impressions(shown.users, shown.candidates, shown.user_ids, shown.item_ids)
    told = describe_news(News(articles(), bare))
    assert told.num_clicks is None
    assert told.clicks is None
    assert told.histories is None
    assert told.times is None
    assert "clicks" not in str(told)
    nothing = describe_news(News(articles(), shown.select(np.zeros(3, bool))))
    assert nothing.num_impressions == 0
    assert nothing.candidates["max"] == 0


def test_the_command_line_tells_what_a_folder_of_news_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("train", "dev"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "news.tsv").write_text("N1\ta\tb\tOne one\t\tu\t[]\t[]\n")
        (tmp_path / part / "behaviors.tsv").write_text("1\tU1\t11/15/2019 8:55:22 AM\tN1 N9\tN1-1 N2-0\n")
    assert main(["data", "stats", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == [f"{tmp_path.name}, training", f"{tmp_path.name}, test"]
    assert told[f"{tmp_path.name}, test"]["num_articles"] == 2
    assert told[f"{tmp_path.name}, test"]["unseen"] == 0
    assert main(["data", "stats", str(tmp_path)]) == 0
    assert "note: 1 articles are shown whose text no file has" in capsys.readouterr().out
    assert main(["data", "stats", str(tmp_path), "--sep", ","]) != 0
    assert "is a folder of news" in capsys.readouterr().err


def test_news_go_on_with_others_of_the_same_articles() -> None:
    both = News(articles(), impressions()).joined(News(articles(), impressions().select([False, True, True])))
    found = both.impressions
    assert found.candidates.to_lists() == [[0, 1], [2], [0, 1, 2], [2], [0, 1, 2]]
    assert found.history_of(slice(None)).to_lists() == [[1], [1], [0, 2], [1], [0, 2]]
    assert found.times is not None
    assert found.times.tolist() == [1.0, 2.0, 3.0, 2.0, 3.0]
    assert found.clicks is not None
    assert found.clicks.tolist() == [True, False, True, *[False] * 3, True, *[False] * 3]
    other = News(articles((10, 20, 40)), replace(impressions(), item_ids=np.array([10, 20, 40])))
    with pytest.raises(DataError, match="the item_ids of these impressions and of the others differ"):
        both.joined(other)
    unknown = both.joined(News(articles(), replace(impressions(), clicks=None)))
    assert unknown.impressions.clicks is None

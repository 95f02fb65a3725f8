from dataclasses import replace

import numpy as np
import pytest

from pyrec.data import Articles, Ragged
from pyrec.data.feature_columns import Codes, Tokens
from pyrec.data.ids import TEXT
from pyrec.errors import DataError, UnknownIdError


def text(*words: str) -> np.ndarray:
    return np.array(words, dtype=TEXT)


def codes(values: list[int], *vocabulary: str) -> Codes:
    return Codes(np.array(values, np.int32), text(*vocabulary))


def tokens(rows: list[list[int]], *vocabulary: str) -> Tokens:
    return Tokens(Ragged.from_lists(rows, len(vocabulary)), text(*vocabulary))


@pytest.fixture
def articles() -> Articles:
    return Articles(
        text("N1", "N2", "N3"),
        Ragged.from_lists([[0, 1], [2, 2], []], 3),
        Ragged.from_lists([[2], [], [0]], 3),
        text("cup", "final", "won"),
        ("Cup final!", "Won, won", ""),
        ("Won.", "", "Cup"),
        codes([0, -1, 1], "news", "sport"),
        tokens([[0], [], [1, 0]], "cups", "world"),
        None,
        np.array([0.0, np.nan, 86400.0]),
    )


def test_parts_have_a_row_an_article(articles: Articles) -> None:
    assert len(articles) == 3
    assert repr(articles) == "Articles(3, 3 words, 2 categories, 2 subcategories, published)"
    assert articles.title_of(0) == "cup final"
    assert articles.encode(["N3", "N1"]).tolist() == [2, 0]
    with pytest.raises(UnknownIdError, match="known article ids"):
        articles.encode(["N9"])


def test_takes_some_in_any_order(articles: Articles) -> None:
    some = articles.take([2, 0])
    assert some.ids.tolist() == ["N3", "N1"]
    assert some.title.to_lists() == [[], [0, 1]]
    assert some.abstract.to_lists() == [[0], [2]]
    assert some.titles == ("", "Cup final!")
    assert some.abstracts == ("Cup", "Won.")
    assert some.category is not None
    assert some.category.codes.tolist() == [1, 0]
    assert some.subcategories is not None
    assert some.subcategories.rows.to_lists() == [[1, 0], [0]]
    assert some.published is not None
    assert some.published.tolist() == [86400.0, 0.0]
    assert articles.take(np.array([False, True, False])).ids.tolist() == ["N2"]
    for rows in ([3], [-1], [True], [0.5]):
        with pytest.raises(DataError, match="positions"):
            articles.take(rows)
    with pytest.raises(DataError, match="more than once"):
        articles.take([1, 1])


def test_further_articles_come_in_the_vocabulary_of_the_first(articles: Articles) -> None:
    other = Articles(
        text("N7", "N8"),
        Ragged.from_lists([[0, 1, 2], [1]], 3),
        Ragged.from_lists([[], [2]], 3),
        text("won", "again", "cup"),
        ("Won again: cup", "Again"),
        ("", "Cup"),
        codes([0, 1], "sport", "weather"),
        tokens([[0], [0, 1]], "world", "rain"),
        tokens([[0], []], "Q1"),
    )
    both = articles.joined(other)
    assert both.ids.tolist() == ["N1", "N2", "N3", "N7", "N8"]
    assert both.words is articles.words
    assert both.title.to_lists() == [[0, 1], [2, 2], [], [2, 0], []]
    assert both.abstract.to_lists() == [[2], [], [0], [], [0]]
    assert both.titles[3:] == other.titles
    assert both.category is not None
    assert both.category.codes.tolist() == [0, -1, 1, 1, -1]
    assert both.subcategories is not None
    assert both.subcategories.rows.to_lists()[3:] == [[1], [1]]
    assert both.entities is None
    assert both.published is not None
    assert np.isnan(both.published[3:]).all()
    assert both.notes == (
        "2 words of 2 further articles are unknown and were left out",
        "1 categories of 2 further articles are unknown and were left out",
        "1 subcategories of 2 further articles are unknown and were left out",
        "1 entities of 2 further articles are unknown and were left out",
    )
    plain = replace(other, category=None, subcategories=None, entities=None)
    later = articles.joined(plain)
    assert later.category is not None
    assert later.category.codes.tolist() == [0, -1, 1, -1, -1]
    assert later.subcategories is not None
    assert later.subcategories.rows.lengths.tolist() == [1, 0, 2, 0, 0]


def test_an_article_is_joined_once(articles: Articles) -> None:
    with pytest.raises(
        DataError, match=r"the others' ids\[0\] = 'N1' is one of these articles, too \(3 are\)"
    ):
        articles.joined(articles)
    with pytest.raises(DataError, match="convert them"):
        articles.joined(replace(articles, ids=np.arange(3)))
    with pytest.raises(DataError, match="Articles are needed"):
        articles.joined("N1")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ids", text("N1", "N1", "N2"), "listed more than once"),
        ("ids", text("N1", "N2"), "title has 3 rows, but there are 2 ids"),
        ("words", np.arange(3), "text is needed"),
        ("words", text("a", "b"), "title counts 3 words, but there are 2"),
        ("title", [[0]], "title is a list, but Ragged"),
        ("abstract", Ragged.from_lists([[0]], 3), "abstract has 1 rows"),
        ("titles", ["a", "b", "c"], "titles is a list, but a tuple"),
        ("abstracts", ("a", None, ""), r"abstracts\[1\] is None"),
        ("abstracts", ("a",), "abstracts has 1 rows"),
        ("category", tokens([[], [], []]), "category is a Tokens, but Codes"),
        ("category", codes([0, 2, 0], "a", "b"), "category has the code 2 at 1"),
        ("entities", codes([0, 0, 0], "a"), "entities is a Codes, but Tokens"),
        ("entities", tokens([[]]), "entities has 1 rows"),
        ("published", np.zeros(3, np.float32), r"published is float32 \(3,\)"),
        ("published", np.array([0, np.inf, 0]), r"published\[1\] = inf"),
        ("published", np.zeros(2), "published has 2 rows"),
        ("published", np.ma.array(np.zeros(3), mask=[True, False, False]), "masked"),
    ],
)
def test_what_does_not_fit_is_named(articles: Articles, name: str, value: object, says: str) -> None:
    with pytest.raises(DataError, match=says):
        replace(articles, **{name: value})


def test_no_articles_at_all() -> None:
    none = Ragged.from_lists([], 0)
    empty = Articles(np.empty(0, np.int64), none, none, text(), (), ())
    assert len(empty) == 0
    assert repr(empty) == "Articles(0, 0 words)"
    assert len(empty.take(np.empty(0, np.int64))) == 0


def test_a_part_of_which_the_counted_articles_have_nothing_is_none() -> None:
    made = Articles.from_texts(
        [1, 2],
        ["One", "Two two"],
        categories=["", "a"],
        subcategories=[[], ["b"]],
        entities=[["Q1"], ["Q2"]],
        counted=[True, False],
    )
    assert made.category is None
    assert made.subcategories is None
    assert made.entities is not None
    assert made.entities.rows.to_lists() == [[0], []]
    assert made.words.tolist() == ["one"]
    assert made.notes == ("2 of 3 words are not in the vocabulary and are left out",)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"titles": ["a"]}, "titles has 1 rows, but there are 2 ids"),
        ({"abstracts": ["a"]}, "abstracts has 1 rows"),
        ({"titles": ["a", 1]}, r"texts\[1\] is 1"),
        ({"counted": [True]}, "mask has dtype"),
        ({"titles": ["a", "b\ud800"]}, r"titles\[1\] holds half a surrogate pair"),
        ({"vocabulary": [1, 2]}, "words are text"),
        ({"vocabulary": ["a", "a"]}, "listed more than once"),
        ({"published": ["a", "b"]}, "numbers are needed"),
        ({"published": [1.0]}, "published has 1 rows"),
        ({"categories": ["a"]}, "categories has 1 rows"),
    ],
)
def test_texts_are_checked(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(DataError, match=says):
        Articles.from_texts(**{"ids": [1, 2], "titles": ["a", "b"], **arguments})  # type: ignore[arg-type]

from pathlib import Path

import numpy as np
import pytest

from pyrec.data import NewsSplit, is_news_folder, read_news
from pyrec.errors import ConfigError, DataError

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

"""The report on a model of news: whole HTML without scripts, everything escaped, and what it has to show."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import refuse, run
from news_folder import OPTIONS, write_folder
from small_news import SMALL, small_news

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from pyrec.data import News
from pyrec.evaluate import evaluate_impressions
from pyrec.look.report.news import write_news_report
from pyrec.models import NRMS
from pyrec.models.news.decayed_clicks import DecayedClicks

EVIL = '<script>alert("x")</script>'


def named(news: News) -> News:
    """The same, every title a script."""
    return replace(news, articles=replace(news.articles, titles=(EVIL,) * len(news.articles)))


def test_the_page_shows_what_it_has_to(tmp_path: Path) -> None:
    made = small_news()
    train, test = named(made.train), named(made.test)
    model = NRMS(**SMALL).fit(train)
    found = evaluate_impressions(model, test, train=train)
    base = evaluate_impressions(DecayedClicks.of(train), test, train=train)
    about = {"baseline": base, "data_name": "small", "history": model.history_, "seconds_train": 1.5}
    for name in ("one", "two"):
        write_news_report(tmp_path / name, model, test, found, **about)
    text = (tmp_path / "one").read_text()
    assert text == (tmp_path / "two").read_text()
    assert EVIL not in text
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert not re.search(r'(?:src|href)="(?!data:)', text)
    for title in (
        "Metrics beside popularity",
        "By the clicks in the reader",
        "By the age of",
        "By whether training",
    ):
        assert title in text
    assert f"{found.metrics['auc']:.4f}" in text
    assert f"popularity {base.metrics['auc']:.4f}" in text
    assert text.count("<h3>Reader ") == 3
    weights = [float(one) for one in re.findall(r'title="weight ([\d.]+)"', text)]
    assert weights
    assert all(0 <= weight <= 1 for weight in weights)
    assert re.search(r"--weight: 70%", text)


def test_a_report_without_popularity(tmp_path: Path) -> None:
    made = small_news()
    model = NRMS(**SMALL, popularity=None).fit(made.train)
    found = evaluate_impressions(model, made.test)
    reader = made.train.impressions.user_ids.tolist()[0]
    write_news_report(tmp_path / "page.html", model, made.test, found, users=[reader])
    text = (tmp_path / "page.html").read_text()
    assert "popularity alone" not in text
    assert "Metrics beside popularity" not in text
    assert text.count("<h3>Reader ") == 1


def test_the_commands_write_it(capsys, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "mind")
    page, again = tmp_path / "page.html", tmp_path / "again.html"
    run(capsys, "train", folder, *OPTIONS, "--out", tmp_path / "run", "--report", page)
    reader = small_news().test.impressions.user_ids.tolist()[0]
    run(capsys, "evaluate", tmp_path / "run", "--report", again, "--users", reader)
    assert "nrms" in page.read_text()
    assert f"<h3>Reader {reader}</h3>" in again.read_text()
    told = refuse(capsys, "evaluate", tmp_path / "run", "--report", again, "--users", "nobody")
    assert "nobody" in told
    assert "nothing is; leave it out" in refuse(capsys, "train", folder, *OPTIONS, "--all", "--report", page)

"""The report: whole HTML, nothing loaded, everything escaped, and a page that a browser shows without a scroll bar."""

import base64
import html
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import pyrec.look.report.data
from pyrec import EASE, LightGCN, Popularity, evaluate
from pyrec.data import Interactions, split_random
from pyrec.data.synthetic import synthetic
from pyrec.errors import ConfigError, DataError, NotFittedError, UnknownIdError

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")
from matplotlib.image import imread

from pyrec.look.report import write_report
from pyrec.look.report.data import measure
from pyrec.look.report.examples import examples
from pyrec.look.report.named_users import named_users

VOID = {"meta", "source", "img"}
EVIL = '<script>alert("x")</script>&amp;\'"'
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Page(HTMLParser):
    """Elements and text of a page; fails where one is closed that is not the last opened."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parts(evil: bool = False) -> tuple[Interactions, Interactions]:
    x = synthetic(60, 40, interactions_per_user=10, num_groups=4)
    if evil:
        x = Interactions.from_arrays([f"{EVIL}{u}" for u in x.users], [f"{EVIL}{i}" for i in x.items])
    return split_random(x, 0.7)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with every part, whose ids and names hold markup."""
    train, test = parts(evil=True)
    history: list[dict[str, Any]] = []

    def callback(model: Any, record: dict[str, Any]) -> None:
        record["test_recall@5"] = 0.1 * record["epoch"]
        history.append(record)

    model = LightGCN(embedding_size=8, epochs=3, batch_size=64).fit(train, callback=callback)
    path = tmp_path_factory.mktemp("report") / "report.html"
    names = {raw: f"{EVIL} named {raw}\t東" for raw in train.item_ids[::2].tolist()}
    settings = {"file": EVIL, "none": None}
    about = {"data_name": EVIL, "settings": settings, "item_names": names, "users": train.user_ids[[0, 9]]}
    write_report(path, model, test, k=(2, 5), **about)
    return path


@pytest.fixture(scope="module")
def page(report: Path) -> Page:
    return Page(report.read_text())


def test_every_part_is_there(page: Page) -> None:
    headings = {"Metrics beside popularity", "Learning", "Layers", "Who is served how well", "Some users"}
    assert headings | {"Which items are recommended", "Data", "Hyperparameters"} <= set(page.text)
    assert "Users that were asked for" in page.text
    assert sum(tag == "img" for tag, _ in page.tags) == 2 + 3 + 2 + 1 + 2 * 2
    assert sum(tag == "article" for tag, _ in page.tags) == 5 + 2


def test_nothing_is_loaded_and_nothing_runs(report: Path, page: Page) -> None:
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "iframe", "object", "embed", "base", "a", "form", "svg"}
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "srcset"):
            assert (attributes.get(name) or "data:").startswith("data:")
    style = re.search(r"<style>(.*?)</style>", report.read_text(), re.S)
    assert style is not None
    assert not re.search(r"url\(|@import|expression", style[1])
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in (policy or "")


def test_pictures_are_whole_svg_without_links(page: Page) -> None:
    pictures = [a.get("src") or a.get("srcset") for tag, a in page.tags if tag in ("img", "source")]
    assert len(set(pictures)) == len(pictures) == 24
    for uri in pictures:
        head, _, body = (uri or "").partition(",")
        assert head == "data:image/svg+xml;base64"
        for element in ElementTree.fromstring(base64.b64decode(body)).iter():
            assert not element.tag.endswith(("}script", "}image"))
            for name, value in element.attrib.items():
                assert not name.endswith("href") or value.startswith("#")
    assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")


def test_ids_and_names_are_text(report: Path, page: Page) -> None:
    assert "<script" not in report.read_text()
    text = "".join(page.text)
    assert f"User {EVIL}" in text
    assert f"{EVIL} named {EVIL}" in text
    assert text.count(EVIL) > 20
    assert "none" not in {line.strip() for line in page.text}


def test_examples_mark_what_is_in_the_test_set() -> None:
    train, test = parts()
    model = EASE(5.0).fit(train)
    about = {
        "data_name": "x",
        "history": None,
        "seconds_train": None,
        "settings": {},
        "item_names": {3: "three"},
    }
    subject = measure(model, test, (2, 5), **about)
    shown = examples(subject)
    scores = [float(one.score.partition("= ")[2]) for one in shown]
    ndcg = np.sort(subject.evaluation.per_user["ndcg@5"])
    assert scores == pytest.approx(
        [ndcg[round(q * (len(ndcg) - 1))] for q in (0.1, 0.3, 0.5, 0.7, 0.9)], abs=6e-4
    )
    assert ndcg[len(ndcg) // 4] == 0  # many have nothing, and none less
    assert shown[0].place == "0% of the users have less"
    for one in shown:
        user = int(one.user)
        tested, had = (set(x.items[x.users == user].tolist()) for x in (test, train))
        best, _ = model.recommend([user], n=5)
        assert [int(item.id) for item in one.recommended] == best[0].tolist()
        assert [item.hit for item in one.recommended] == [item in tested for item in best[0].tolist()]
        assert (one.hits, one.num_test) == (len(tested & set(best[0].tolist())), len(tested))
        own = subject.evaluation.per_user["ndcg@5"][test.user_ids[subject.users].tolist().index(user)]
        assert one.place == f"{np.mean(ndcg < own):.0%} of the users have less"
        assert {int(item.id) for item in one.history} == had
        for item in (*one.recommended, *one.history):
            assert item.label == ("three" if item.id == "3" else item.id)
            assert int(item.num_users) == (train.items == int(item.id)).sum()


def test_named_users_have_their_reasons() -> None:
    train, test = parts()
    train = Interactions.from_arrays(
        train.users, train.items, user_ids=[*train.user_ids.tolist(), 99], item_ids=train.item_ids
    )
    test = Interactions.from_arrays(test.users, test.items, user_ids=train.user_ids, item_ids=train.item_ids)
    model = EASE(5.0).fit(train)
    about = {
        "data_name": "x",
        "history": None,
        "seconds_train": None,
        "settings": {},
        "item_names": {3: "three"},
    }
    with_history, cold = named_users(measure(model, test, (2, 5), **about, named=[7, 99]))
    assert (with_history.example.user, cold.example.user) == ("7", "99")
    ids, scores = model.recommend([7], 10)
    for item, score, shown in zip(ids[0].tolist(), scores[0], with_history.recommended, strict=True):
        assert (shown.item.id, shown.score) == (str(item), f"{score:.4f}")
        parts_for = sorted(model.explain(7, item).parts, key=lambda part: -part.value)
        told = [f"{'three' if part.item == 3 else part.item} {part.value:+.4f}" for part in parts_for]
        assert shown.parts == [text for text, part in zip(told, parts_for, strict=True) if part.value > 0][:3]
    assert with_history.meaning.startswith("exact: ")
    assert len(with_history.pictures) == 1
    assert [one.item.id for one in cold.recommended] == list(map(str, model.recommend([99], 10)[0][0]))
    assert (cold.pictures, cold.example.place, cold.example.score) == ([], "", "no test items")
    assert "no history" in cold.notes[0]
    assert cold.recommended[0].score.endswith(" users")


def test_unknown_named_users_are_refused(tmp_path: Path) -> None:
    train, test = parts()
    with pytest.raises(UnknownIdError, match="users"):
        write_report(tmp_path / "r.html", EASE(5.0).fit(train), test, k=3, users=[1234])


def test_the_same_model_gives_the_same_bytes_and_no_empty_parts(tmp_path: Path) -> None:
    train, test = parts()
    for name in ("a.html", "b.html"):
        write_report(tmp_path / name, Popularity().fit(train), test, k=3)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    text = Page((tmp_path / "a.html").read_text()).text
    assert "Learning" not in text
    assert "Layers" not in text


def test_what_was_measured_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = parts()
    model, popularity = EASE(5.0).fit(train), Popularity().fit(train)
    write_report(tmp_path / "a.html", model, test, k=(2, 5))
    evaluation, baseline = (evaluate(one, test, k=[2, 5]) for one in (model, popularity))
    few = evaluate(popularity, test, k=5)
    monkeypatch.setattr(pyrec.look.report.data, "evaluate", None)
    write_report(tmp_path / "b.html", model, test, evaluation=evaluation, baseline=baseline)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    with pytest.raises(ConfigError, match=r"baseline lacks precision@2"):
        write_report(tmp_path / "b.html", model, test, evaluation=evaluation, baseline=few)
    fewer = test.select(test.users != test.users[0])
    with pytest.raises(DataError, match=r"evaluation is of \d+ users, but \d+ have items in test"):
        write_report(tmp_path / "b.html", model, fewer, evaluation=evaluation, baseline=baseline)


def test_what_cannot_be_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = parts()
    path = tmp_path / "r.html"
    with pytest.raises(NotFittedError):
        write_report(path, Popularity(), test)
    with pytest.raises(DataError, match="k = 41 must be at most"):
        write_report(path, Popularity().fit(train), test, k=41)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        write_report(tmp_path / "file" / "r.html", Popularity().fit(train), test, k=3)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ConfigError, match=r"pip install '\.\[report\]'"):
        write_report(path, Popularity().fit(train), test, k=3)
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match=r"pip install '\.\[report\]'"):
        write_report(path, Popularity().fit(train), test, k=3)
    assert not path.exists()


def browse(tmp_path: Path, page: Path, width: int, *options: str) -> str:
    """The document after a wide page has measured the report in a frame of that width, which writes into its title."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    measured = (
        "document.title=[d.scrollWidth,d.clientWidth,pictures.length,pictures.every(p=>p.naturalWidth>0)]"
    )
    wrapper = tmp_path / "frame.html"
    wrapper.write_text(
        f'<body style="margin:0"><iframe srcdoc="{html.escape(page.read_text())}" '
        f'style="border:0;width:{width}px;height:2000px" onload="'
        "const d=this.contentDocument.documentElement;const pictures=[...d.querySelectorAll('img')];"
        f'{measured}"></iframe>'
    )
    done = subprocess.run(
        [
            CHROMIUM,
            *("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"),
            *(f"--window-size={width},2000", *options, wrapper.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("width", [390, 1200])
def test_a_browser_shows_it_all_without_scrolling_sideways(report: Path, tmp_path: Path, width: int) -> None:
    title = re.search(r"<title>(.*?)</title>", browse(tmp_path, report, width, "--dump-dom"))
    assert title is not None
    needed, has, pictures, drawn = title[1].split(",")
    assert int(needed) <= int(has)
    assert (pictures, drawn) == ("12", "true")


def test_a_screenshot_is_light_or_dark_and_not_empty(report: Path, tmp_path: Path) -> None:
    means = []
    for scheme in ("1", "0"):
        path = tmp_path / f"{scheme}.png"
        browse(
            tmp_path, report, 1200, f"--screenshot={path}", f"--blink-settings=preferredColorScheme={scheme}"
        )
        pixels = imread(path)[..., :3]
        assert pixels.shape[:2] == (2000, 1200)
        assert pixels.std() > 0.03
        means.append(pixels.mean())
    assert means[0] > 0.8
    assert means[1] < 0.3

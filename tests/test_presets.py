"""Presets: what they choose, in Python and on the command line."""

from pathlib import Path

import numpy as np
import pytest
from command_line import refuse, run

import pyrec
from pyrec import EASE, Fusion, GraphFilter, LightGCN, Recommender
from pyrec.data import Interactions, split_random, synthetic
from pyrec.errors import ConfigError
from pyrec.models.graph_filter import vectors_for
from pyrec.presets import FEW_ITEMS, MANY_ITEMS, MOST_ITEMS_OF_EASE, PRESETS, preset


def many_items() -> Interactions:
    return Interactions.from_arrays(
        np.arange(50) % 7, np.arange(50), item_ids=np.arange(MOST_ITEMS_OF_EASE + 1)
    )


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lists")
    parts = split_random(synthetic(80, 40, interactions_per_user=8, num_groups=4), 0.8)
    for name, part in zip(("train", "test"), parts, strict=True):
        rows = [f"{user} {' '.join(map(str, part.items[part.users == user]))}\n" for user in range(80)]
        (folder / f"{name}.txt").write_text("".join(row for row in rows if len(row.split()) > 1))
    return folder


def test_the_number_of_items_decides() -> None:
    few, many = synthetic(30, 20), many_items()
    assert set(FEW_ITEMS) == set(MANY_ITEMS) == set(PRESETS)
    for name in PRESETS:
        for data, rules, told in (
            (few, FEW_ITEMS, "few enough for EASE"),
            (many, MANY_ITEMS, "more than the 8,000"),
        ):
            chosen = preset(name, data)
            assert repr(chosen.model) == repr(rules[name].make())
            assert told in chosen.why
            assert str(chosen).startswith(f"preset {name}: {chosen.model.label}. ")
            chosen.model.check_params()
    assert isinstance(preset("quick", many).model, GraphFilter)


def test_each_call_makes_a_model_of_its_own() -> None:
    data = synthetic(30, 20)
    one, other = (preset("quick", data).model for _ in range(2))
    one.set_params(second__reg=3.0)
    one.first.set_params(alpha=1.0)
    assert other.get_params()["second__reg"] == 200.0
    assert other.first.alpha == 0.2


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_chosen_learns(name: str) -> None:
    train, test = split_random(synthetic(120, 60, interactions_per_user=10, num_groups=4), 0.8)
    model = pyrec.preset(name, train).model
    if name != "quick":
        assert isinstance(model, Fusion)
        model.set_params(second__epochs=2, second__embedding_size=8)
    assert isinstance(model.fit(train), Recommender)
    best = pyrec.evaluate(model, test, 10, ["ndcg"])["ndcg@10"]
    assert best > 1.2 * pyrec.evaluate(pyrec.Popularity().fit(train), test, 10, ["ndcg"])["ndcg@10"]


def test_vectors_go_by_the_interactions() -> None:
    assert vectors_for(synthetic(30, 20)) == 0
    data = synthetic(400, 300, interactions_per_user=20)
    assert vectors_for(data) == len(data) // 800
    assert GraphFilter(vectors=None).fit(data).vectors_.shape == (300, len(data) // 800)
    few_items = Interactions.from_arrays(np.arange(4000) // 4, np.arange(4000) % 4)
    assert vectors_for(few_items) == 3


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="preset 'quik' is none of quick, balanced, best; did you mean quick"
    ):
        preset("quik", synthetic(30, 20))


def test_the_command_says_what_it_chose(lists: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "run"
    _, told = run(capsys, "train", lists, "--preset", "quick", "--out", out)
    assert "preset quick: fusion (graph-filter, ease). A graph filter and EASE" in told
    loaded = Recommender.load(out)
    assert isinstance(loaded, Fusion)
    assert loaded.second_.reg == 200


def test_options_beside_a_preset_hold(lists: Path, tmp_path: Path, capsys) -> None:
    words = ["--preset", "balanced", "--model", "fusion", "--reg", "7", "--epochs", "1", "--dim", "4"]
    run(capsys, "train", lists, *words, "--fusion-weight", ".5", "--out", tmp_path / "run")
    model = Recommender.load(tmp_path / "run")
    assert isinstance(model, Fusion)
    assert isinstance(model.first, Fusion)
    assert isinstance(model.second, LightGCN)
    assert (model.weight, model.first.weight) == (0.5, None)
    assert (model.first.second.reg, model.second.reg, model.second.epochs) == (7, 7, 1)
    assert isinstance(model.first.second, EASE)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--preset quick --model ease", "--preset quick chooses fusion here, and --model ease is another"),
        ("--preset quick --vectrs 3", "--vectors"),
        ("--preset quick --layers 3", "--layers is not for fusion, which takes --reg"),
        ("--preset fast", "'fast' is not one of 'quick', 'balanced', 'best'"),
        ("--preset quick --model nrms", "--model nrms learns from news"),
    ],
)
def test_what_does_not_go_together_is_refused(lists: Path, capsys, words: str, message: str) -> None:
    assert message in refuse(capsys, "train", str(lists), *words.split())

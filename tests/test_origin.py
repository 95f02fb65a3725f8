"""Where interactions come from: kept with a model that Python saves, for ``pyrec evaluate`` to read the data again."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import refuse, run

import pyrec
from pyrec.cli.sources import Source
from pyrec.data import (
    Interactions,
    load_data,
    load_everything,
    read_folder,
    read_interactions,
    read_pair,
    split_random,
    split_time,
    synthetic,
    transform_weights,
    union,
)
from pyrec.models import EASE, Recommender
from pyrec.store import saved_model


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A file with ratings, times and weights."""
    data = synthetic(40, 30, interactions_per_user=8, num_groups=4)
    pairs = zip(data.users.tolist(), data.items.tolist(), strict=True)
    rows = (
        f"{user},{item},{at % 5 + 1},{at * 7 % 400},{at % 9 + 1}\n" for at, (user, item) in enumerate(pairs)
    )
    path = tmp_path / "log.csv"
    path.write_text("user,item,rating,time,weight\n" + "".join(rows))
    return path


def files(log: Path) -> dict[str, Path]:
    """The log in two files, and a folder of two lists."""
    header, *rows = log.read_text().splitlines()
    folder = log.parent / "folder"
    folder.mkdir()
    for name, part in (("train", rows[::2]), ("test", rows[1::2])):
        (log.parent / f"{name}.csv").write_text("\n".join([header, *part]) + "\n")
    (folder / "train.txt").write_text("0 1 2 3\n1 2 4\n2 1\n")
    (folder / "test.txt").write_text("0 4 5\n1 1 3\n")
    return {"train": log.parent / "train.csv", "test": log.parent / "test.csv", "folder": folder}


def ways(log: Path) -> dict[str, tuple[Interactions, Interactions]]:
    """Training and test parts by how they were made."""
    names = files(log)
    pair, whole = (names["train"], names["test"]), read_interactions(log, min_rating=2)
    return {
        "load_data": load_data(log, split=0.7, seed=3, columns={"rating": None})[1:],
        "by time": load_data(log, split="time", weights="bm25")[1:],
        "two files": load_data(train=pair[0], test=pair[1], min_rating=3, weights="none")[1:],
        "generated": load_data(split=0.5)[1:],
        "read_folder": read_folder(names["folder"]),
        "read_pair": read_pair(*pair),
        "split_random": split_random(whole, 0.75, 2),
        "split_time": split_time(whole),
    }


def test_a_saved_model_is_measured_on_its_own_data(capsys, log: Path, tmp_path: Path) -> None:
    for name, (train, test) in ways(log).items():
        model = EASE(5.0).fit(train)
        model.save(tmp_path / name)
        out, _ = run(capsys, "evaluate", tmp_path / name, "--k", "3", "--json")
        expected = pyrec.evaluate(model, test, 3)
        assert {key: json.loads(out)[key] for key in expected.metrics} == pytest.approx(expected.metrics), (
            name
        )


def test_a_model_of_everything_says_so(capsys, log: Path, tmp_path: Path) -> None:
    for name, train in (("read", read_interactions(log)), ("loaded", load_everything(log)[1])):
        EASE().fit(train).save(tmp_path / name)
        message = refuse(capsys, "evaluate", tmp_path / name)
        assert f"{tmp_path / name} learned from every interaction of its data (--all)" in message


def test_an_origin_is_what_the_command_line_keeps(log: Path) -> None:
    told = load_data(log, split=0.7, seed=3, columns={"rating": None}).train.origin
    source = Source(data=str(log), split=0.7, split_seed=3, columns={"rating": None})
    assert told == source.as_json()
    assert Source.from_json(told, "here") == source
    assert load_everything(log)[1].origin == Source(data=str(log), everything=True).as_json()
    assert load_data().train.origin == Source().as_json()


def test_a_loaded_model_keeps_its_origin_and_what_the_caller_says_counts(log: Path, tmp_path: Path) -> None:
    EASE().fit(load_data(log).train).save(tmp_path / "one")
    loaded = Recommender.load(tmp_path / "one")
    loaded.save(tmp_path / "two", run={"note": "again"})
    kept = saved_model.read_config(tmp_path / "two")["run"]
    assert kept == {"data": Source(data=str(log)).as_json(), "note": "again"}
    loaded.save(tmp_path / "two", run={"data": "mine"})
    assert saved_model.read_config(tmp_path / "two")["run"] == {"data": "mine"}
    assert Recommender.load(tmp_path / "two").train_.origin is None


def test_other_interactions_have_no_origin(log: Path) -> None:
    whole = read_interactions(log)
    train, test = split_random(whole)
    assert test.origin is None
    for other in (
        whole.select(whole.ratings > 2),
        whole.compact(),
        whole.with_ids(whole.user_ids, whole.item_ids),
        union(train, test),
        split_random(transform_weights(whole, "log1p"))[0],
        split_time(whole, 0.5)[0],
        split_random(train)[0],
        split_random(replace(whole, origin=None))[0],
        synthetic(),
    ):
        assert other.origin is None
    assert transform_weights(whole, "log1p").origin == {**whole.origin, "weights": "log1p"}
    folder = files(log)["folder"]
    assert split_random(load_everything(folder)[1])[0].origin is None

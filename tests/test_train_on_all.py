"""``pyrec train --all``: a model that learns from every interaction, and what can be measured of it."""

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import refuse, run

from pyrec.cli.sources import Source
from pyrec.data import Interactions, load_everything, read_folder, read_interactions, synthetic, union
from pyrec.errors import ConfigError, DataError
from pyrec.models import LightGCN, Recommender
from pyrec.store import saved_model

EPOCHS = ("--model", "lightgcn", "--dim", "8", "--epochs", "3", "--batch-size", "256")


def write(path: Path, interactions: Interactions, first: int, last: int) -> Path:
    """A file of some of the interactions by user."""
    pairs = zip(interactions.users.tolist(), interactions.items.tolist(), strict=True)
    lines = [f"{user},{item}\n" for at, (user, item) in enumerate(pairs) if first <= at % 10 < last]
    path.write_text("user,item\n" + "".join(lines))
    return path


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, Path]:
    """Files with all, with most and with the rest of the interactions, and one with pairs of none of them."""
    whole = synthetic(40, 30, interactions_per_user=8, num_groups=4)
    files = {
        name: write(tmp_path / f"{name}.csv", whole, *span)
        for name, span in {"whole": (0, 10), "most": (0, 8), "rest": (8, 10)}.items()
    }
    unseen = np.argwhere(whole.to_csr().toarray() == 0)[::20].tolist()
    files["later"] = tmp_path / "later.csv"
    files["later"].write_text("user,item\n" + "".join(f"{user},{item}\n" for user, item in unseen))
    return files


def pairs_of(interactions: Interactions) -> set[tuple[int, int]]:
    raw = interactions.user_ids[interactions.users], interactions.item_ids[interactions.items]
    return set(zip(*(ids.tolist() for ids in raw), strict=True))


def test_every_interaction_is_learned_from(capsys, parts, tmp_path: Path) -> None:
    whole = read_interactions(parts["whole"])
    sources = {"one": [parts["whole"]], "two": ["--train", parts["most"], "--test", parts["rest"]]}
    for name, words in sources.items():
        out, err = run(capsys, "train", *words, "--all", *EPOCHS, "--out", tmp_path / name)
        assert f"{len(whole):,} interactions, all to learn from; nothing is left to measure on" in err
        assert "nothing was measured" in out
        assert "test" not in out
        model = Recommender.load(tmp_path / name)
        assert pairs_of(model.train_) == pairs_of(whole)
    same = LightGCN(embedding_size=8, epochs=3, batch_size=256).fit(whole)
    assert np.array_equal(model.user_vectors_, same.user_vectors_)


def test_the_run_says_that_nothing_was_measured(capsys, parts, tmp_path: Path) -> None:
    folder = tmp_path / "final"
    out, _ = run(capsys, "train", parts["whole"], "--all", *EPOCHS, "--out", folder, "--json")
    kept = json.loads((folder / "metrics.json").read_text())
    assert json.loads(out) == kept
    assert kept["measured"] is False
    assert kept["num_test"] == 0
    assert not any("@" in name for name in kept)
    records = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert not any("test" in name for record in records for name in record)
    card = (folder / "README.md").read_text()
    assert "Nothing was measured: the model learned from every interaction" in card
    assert "| test interactions | none |" in card
    assert 'pyrec evaluate "this folder" OTHER_DATA' in card
    assert saved_model.read_config(folder)["run"]["data"]["everything"] is True


def test_what_can_be_measured_of_it(capsys, parts, tmp_path: Path) -> None:
    folder = tmp_path / "final"
    run(capsys, "train", parts["whole"], "--all", *EPOCHS, "--out", folder)
    message = refuse(capsys, "evaluate", folder)
    assert f"{folder} learned from every interaction of its data (--all)" in message
    assert f"pyrec train {parts['whole']}" in message
    assert "learned from every interaction" in refuse(capsys, "evaluate", "--compare", folder, folder)
    out, err = run(
        capsys, "evaluate", folder, "--test", parts["later"], "--unknown", "skip", "--k", "5", "--json"
    )
    assert json.loads(out)["num_test_users"] > 20
    assert "training set too" not in err
    assert run(capsys, "recommend", folder, "--users", "1", "--n", "3")[0]


def test_an_epoch_is_chosen_on_a_share(capsys, parts, tmp_path: Path) -> None:
    folder = tmp_path / "final"
    words = ("train", parts["whole"], "--all", *EPOCHS, "--validation", "0.2", "--k", "5")
    _, err = run(capsys, *words, "--out", folder)
    kept = json.loads((folder / "metrics.json").read_text())
    assert f"kept epoch {kept['best_epoch']} of 3" in err
    assert kept["validation"]["ndcg@5"] > 0
    assert not any("@" in name for name in kept)  # which are of a test set
    again = next(line for line in err.splitlines() if "the share that chose the epoch" in line)
    assert f"pyrec train {parts['whole']} --all" in again
    assert f"--epochs {kept['best_epoch']}" in again
    assert "--validation" not in again
    assert "| ndcg@5 |" in (folder / "README.md").read_text()


def test_what_means_nothing_without_a_test_set(capsys, parts, tmp_path: Path) -> None:
    words = ("train", parts["whole"], "--all", *EPOCHS)
    assert "split is 0.5, but every interaction is loaded" in refuse(capsys, *words, "--split", "0.5")
    report = ("--report", tmp_path / "report.html")
    assert "--all measures nothing" in refuse(capsys, *words, *report)
    assert "--eval-every records test metrics" in refuse(capsys, *words, "--eval-every", "1")


def test_descriptions_of_such_data(tmp_path: Path) -> None:
    source = Source(data="log.csv", everything=True)
    assert Source.from_json(source.as_json(), "here") == source
    assert source.arguments() == ["log.csv", "--all"]
    assert "everything" not in Source(data="log.csv").as_json()
    assert not Source(data=str(tmp_path / "other.csv")).or_as(source).everything


def test_parts_are_put_together(parts, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "train.txt").write_text("0 1 2\n1 3\n")
    (folder / "test.txt").write_text("0 2 5\n2 1\n")
    name, whole = load_everything(folder)
    assert name == "folder"
    assert pairs_of(whole) == {(0, 1), (0, 2), (0, 5), (1, 3), (2, 1)}
    assert any("repeat" in note for note in whole.notes)
    train, test = read_folder(folder)
    assert len(union(train, test)) == 5
    with pytest.raises(DataError, match="the user ids of the two parts differ from position 2"):
        union(train, train.compact())
    with pytest.raises(ConfigError, match="split is 'time', but every interaction is loaded"):
        load_everything(parts["whole"], split="time")
    assert len(load_everything()[1]) == len(synthetic())


def test_the_later_of_two_parts_counts() -> None:
    first, second = (
        Interactions.from_arrays(
            [1, 2], [7, 8], [rating, 5], times=[time, 0], user_ids=[1, 2], item_ids=[7, 8]
        )
        for rating, time in ((3, 10), (4, 9))
    )
    assert union(first, second).ratings.tolist() == [3, 5]
    bare = Interactions.from_arrays([1], [7], user_ids=[1, 2], item_ids=[7, 8])
    assert union(first, bare).ratings is None

"""The commands on news: train, evaluate, recommend and similar on a small folder in MIND's format."""

import datetime
import json
import os
import signal
import zipfile
from pathlib import Path

import pytest
from command_line import refuse, run
from news_folder import OPTIONS, write_folder, write_test
from small_news import small_news

from pyrec import EASE
from pyrec.cli import main
from pyrec.cli.progress import EpochProgress
from pyrec.data import synthetic
from pyrec.models import NewsRecommender

NRMS = ("--model", "nrms", *OPTIONS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("news") / "mind")


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main([str(word) for word in ("train", folder, *OPTIONS, "--out", out, "--quiet")]) == 0
    return out


def test_a_folder_of_news_is_learned_from_by_a_model_of_news(capsys, folder: Path) -> None:
    out, err = run(capsys, "train", folder, *OPTIONS, "--json")
    found = json.loads(out)
    assert {"auc", "mrr", "ndcg@5", "ndcg@10", "impressions", "left_out", "seconds"} <= found.keys()
    assert found["impressions"] + found["left_out"] == len(small_news().test)
    assert found["baseline_popularity"].keys() == {
        "auc",
        "mrr",
        "mrr_first",
        "ndcg@5",
        "ndcg@10",
        "hit@5",
        "hit@10",
    }
    lines = err.splitlines()
    assert lines[0].startswith("mind: 120 articles, ")
    assert [line for line in lines if line.startswith("epoch ")]


def test_the_table_has_popularity_beside_the_model(capsys, folder: Path) -> None:
    out, err = run(capsys, "train", folder, *NRMS, "--k", "3", "--validation", ".2")
    header, *rows = out.splitlines()
    assert header.split("  ")[-1].strip() == "popularity alone"
    assert [row.split()[0] for row in rows[:3]] == ["auc", "mrr", "ndcg@3"]
    assert "impressions are left out" in rows[-1] or "impressions" in rows[-1]
    assert "the best by validation auc" in err


def test_a_run_is_measured_again_to_the_same_numbers(capsys, folder: Path, trained: Path) -> None:
    before = json.loads((trained / "metrics.json").read_text())
    found = json.loads(run(capsys, "evaluate", trained, "--json")[0])
    assert {name: found[name] for name in ("auc", "mrr", "ndcg@5")} == pytest.approx(
        {name: before[name] for name in ("auc", "mrr", "ndcg@5")}, rel=1e-12
    )
    other = json.loads(run(capsys, "evaluate", trained, folder / "test", "--json")[0])
    assert other["auc"] == pytest.approx(
        found["auc"], abs=0.02
    )  # with words that only the test articles have
    assert found["slices"]["history"]


def test_news_that_changed_are_told(capsys, tmp_path: Path) -> None:
    here = write_folder(tmp_path / "mind")
    run(capsys, "train", here, *OPTIONS, "--out", tmp_path / "run")
    rows = (here / "train" / "behaviors.tsv").read_text().splitlines()
    (here / "train" / "behaviors.tsv").write_text("\n".join(rows[1:]) + "\n")
    assert "are not those that it learned from" in refuse(capsys, "evaluate", tmp_path / "run")


def test_ranks_to_be_sent_in(capsys, trained: Path, tmp_path: Path) -> None:
    unlabelled = tmp_path / "test"
    write_test(unlabelled, clicked=False)
    out, err = run(capsys, "evaluate", trained, unlabelled, "--submission", tmp_path / "prediction.zip")
    assert out == ""
    assert f"are in {tmp_path / 'prediction.zip'}" in err
    with zipfile.ZipFile(tmp_path / "prediction.zip") as archive:
        lines = archive.read("prediction.txt").decode().splitlines()
    assert len(lines) == len(small_news().test)
    number, ranks = lines[0].split(" ")
    assert number == "1"
    assert sorted(json.loads(ranks)) == list(range(1, 1 + len(json.loads(ranks))))
    assert "have no clicks" in refuse(capsys, "evaluate", trained, unlabelled)


def test_a_test_part_without_clicks_is_not_measured(capsys, tmp_path: Path) -> None:
    here = write_folder(tmp_path / "mind", clicked=False)
    out, err = run(capsys, "train", here, *OPTIONS)
    assert "nothing was measured" in out
    assert "nobody knows the clicks" in err


def test_two_runs_side_by_side(capsys, folder: Path, trained: Path, tmp_path: Path) -> None:
    run(capsys, "train", folder, *OPTIONS, "--seed", "1", "--out", tmp_path / "other")
    out, _ = run(capsys, "evaluate", "--compare", trained, tmp_path / "other")
    assert out.splitlines()[0].split()[-1] == "(Wilcoxon)"
    assert "tests are over readers" in out
    found = json.loads(run(capsys, "evaluate", "--compare", trained, tmp_path / "other", "--json")[0])
    assert found["metrics"][0]["metric"] == "auc"


def test_lists_for_readers_and_histories(capsys, trained: Path, tmp_path: Path) -> None:
    model = NewsRecommender.load(trained)
    readers, articles = model.known_.reader_ids.tolist(), model.known_.articles.ids.tolist()
    out, _ = run(capsys, "recommend", trained, "--users", readers[0], "--n", "3", "--format", "json")
    (found,) = json.loads(out)
    ids, scores = model.recommend([readers[0]], 3)
    assert found["items"] == ids[0].tolist()
    assert found["scores"] == pytest.approx(scores[0].tolist())
    titles = dict(zip(articles, model.known_.articles.titles, strict=True))
    assert found["names"] == [titles[one] for one in found["items"]]
    chosen = tmp_path / "today.txt"
    chosen.write_text("\n".join(map(str, articles[:4])) + "\n")
    words = ("--history", ",".join(map(str, articles[:2])), "--candidates", chosen, "--format", "json")
    (new,) = json.loads(run(capsys, "recommend", trained, *words)[0])
    assert set(new["items"]) == set(articles[2:4])  # those clicked are left out
    everybody = run(capsys, "recommend", trained, "--all", "--n", "2", "--format", "csv")[0].splitlines()
    assert len(everybody) == 1 + 2 * len(readers)


def test_the_time_of_asking(capsys, trained: Path) -> None:
    known = NewsRecommender.load(trained).known_
    assert known.counters is not None
    time = datetime.datetime.fromtimestamp(60 * (known.counters.latest // 60 + 1), datetime.timezone.utc)
    east = time.astimezone(datetime.timezone(datetime.timedelta(hours=1)))
    words = ("recommend", trained, "--users", known.reader_ids.tolist()[0], "--n", "1", "--at")
    texts = (time.timestamp(), time.isoformat()[:16], east.isoformat())
    assert len({run(capsys, *words, text)[0] for text in texts}) == 1
    assert "neither seconds since 1970 nor a time" in refuse(capsys, *words, "tomorrow")
    assert "no article is alive at that time" in refuse(capsys, *words, "2050-01-01")


def test_articles_that_are_alike(capsys, trained: Path) -> None:
    model = NewsRecommender.load(trained)
    first = model.known_.articles.ids.tolist()[0]
    (found,) = json.loads(
        run(capsys, "similar", trained, "--items", first, "--n", "2", "--format", "json")[0]
    )
    assert found["items"] == model.similar_articles([first], 2).ids[0].tolist()


def test_a_run_learns_from_all_impressions(capsys, folder: Path, tmp_path: Path) -> None:
    out, _ = run(capsys, "train", folder, *OPTIONS, "--all", "--out", tmp_path / "run")
    assert f"on {len(small_news().train) + len(small_news().test):,} impressions" in out
    assert "none are left to measure on" in refuse(capsys, "evaluate", tmp_path / "run")


def test_one_part_is_split_by_time(capsys, folder: Path) -> None:
    _, err = run(capsys, "train", folder / "train", *OPTIONS, "--split", ".75")
    n = len(small_news().train)
    assert f"{round(0.75 * n):,} training impressions" in err
    assert "--split is for one folder" in refuse(capsys, "train", folder, "--test", folder, "--split", ".75")


def test_a_stopped_run_goes_on_to_the_same_bits(capsys, folder: Path, tmp_path: Path, monkeypatch) -> None:
    run(capsys, "train", folder, *OPTIONS, "--out", tmp_path / "whole")
    calls = EpochProgress.__call__

    def stop(self, model, record):
        calls(self, model, record)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(EpochProgress, "__call__", stop)
    assert main([str(word) for word in ("train", folder, *OPTIONS, "--out", tmp_path / "run")]) == 130
    assert f"pyrec train --resume {tmp_path / 'run'} goes on from there" in capsys.readouterr().err
    monkeypatch.undo()
    assert "--lr 0.5: the run in" in refuse(capsys, "train", "--resume", tmp_path / "run", "--lr", "0.5")
    run(capsys, "train", "--resume", tmp_path / "run")
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "run"))
    assert one == two


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--model", "ease"), "--model ease learns from interactions, and"),
        (("--min-rating", "4"), "--min-rating is for interactions and says nothing about news"),
        (("--eval-every", "1"), "--eval-every is for interactions"),
        (("--dim", "8"), "--dim is not for nrms"),
        (("--checkpoint-every", "1"), "--checkpoint-every needs --out RUN_DIR"),
        (("--columns", "title=3"), "columns of news have names"),
    ],
)
def test_what_says_nothing_about_news(capsys, folder: Path, words, says: str) -> None:
    assert says in refuse(capsys, "train", folder, *words)


def test_a_model_of_news_needs_news(capsys, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user,item\n1,2\n")
    told = refuse(capsys, "train", path, "--model", "nrms")
    assert "--model nrms learns from news" in told
    assert "a folder with news.tsv and behaviors.tsv" in told


def test_commands_for_interactions_say_so(capsys, folder: Path, trained: Path, tmp_path: Path) -> None:
    assert "holds a model of news, and pyrec explain" in refuse(capsys, "explain", trained, "--user", "U1")
    assert "holds a model of news" in refuse(capsys, "export", trained, "--to", tmp_path / "x")
    EASE().fit(synthetic(20, 30)).save(tmp_path / "ease")
    assert "holds news, and pyrec compare is for interactions" in refuse(capsys, "compare", folder)
    assert "nrms is a model of news" in refuse(capsys, "compare", "--models", "ease,nrms")
    told = refuse(capsys, "evaluate", "--compare", trained, tmp_path / "ease")
    assert "two runs on news, or two on interactions" in told
    told = refuse(capsys, "recommend", tmp_path / "ease", "--users", "1", "--at", "0")
    assert "--candidates and --at are of news" in told


def test_hyperparameters_are_searched_on_the_latest_impressions(capsys, folder: Path, tmp_path: Path) -> None:
    words = ("tune", folder, *OPTIONS, "--epochs", 1, "--range", "lr=1e-3:1e-2", "--trials", 2)
    out, err = run(capsys, *words, "--storage", tmp_path / "trials.db")
    header, first = out.splitlines()[:2]
    assert header.split() == ["trial", "auc", "mrr", "ndcg@5", "ndcg@10", "lr", "epoch", "seconds"]
    assert "The best trial, on held-out training impressions:" in out
    command = next(line for line in out.splitlines() if line.startswith("pyrec train"))
    assert {"--model", "nrms", "--validation", "0.1", "--patience", "2"} <= set(command.split())
    assert "test impressions" not in err
    _, score, *_ = first.split()
    again, notes = run(capsys, *command.split()[1:], "--json")
    assert f"validation auc {score}" in notes
    assert json.loads(again)["best_epoch"] == 1
    assert "holds another search" in refuse(
        capsys, *words, "--metric", "mrr", "--storage", tmp_path / "trials.db"
    )
    assert "--metric recall is not of impressions" in refuse(capsys, *words, "--metric", "recall")

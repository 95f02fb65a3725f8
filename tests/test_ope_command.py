"""``pyrec ope``: a saved model judged by a log that is a file."""

import json

import numpy as np
import pandas as pd
import pytest

import pyrec
from pyrec.cli import main
from pyrec.data import generate_bandit

OPTIONS = {"num_rounds": 4000, "num_users": 60, "num_items": 15, "exploration": 0.6}


@pytest.fixture(scope="module")
def made():
    return generate_bandit(**OPTIONS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, made):
    folder = tmp_path_factory.mktemp("ope")
    pyrec.EASE().fit(generate_bandit(**OPTIONS, draw=1).log.rewarded()).save(folder / "run")
    log = made.log
    frame = pd.DataFrame({"user": log.users, "item": log.items, "position": log.positions + 1})
    frame["click"], frame["propensity"] = log.rewards, log.propensities
    frame.to_csv(folder / "log.csv", index=False)
    renamed = {"user": "who", "item": "what", "click": "came", "propensity": "p"}
    frame.drop(columns="position").rename(columns=renamed).to_parquet(folder / "other.parquet")
    return folder


def run(capsys, *words):
    assert main(["ope", *map(str, words)]) == 0
    return capsys.readouterr()


def failed(capsys, *words):
    assert main(["ope", *map(str, words)]) == 2
    return capsys.readouterr().err


def same(printed, found):
    for name, estimate in found.estimates.items():
        told = printed["estimates"][name]
        assert told == pytest.approx(
            {
                "value": estimate.value,
                "standard_error": estimate.standard_error,
                "low": estimate.low,
                "high": estimate.high,
            }
        )


def test_a_saved_model_is_judged_by_a_file(capsys, folder, made):
    out, err = run(capsys, folder / "log.csv", "--model", folder / "run", "--json")
    same(json.loads(out), pyrec.ope(made.log, pyrec.EASE.load(folder / "run")))
    assert "position 1 is the top, which is 0 here" in err
    out, _ = run(capsys, folder / "log.csv", "--model", folder / "run", "--quiet")
    for word in ("estimator", "snips", "switch-dr", "logged", "4,000 rounds"):
        assert word in out


def test_policies_and_options_are_those_of_the_function(capsys, folder, made):
    model = pyrec.EASE.load(folder / "run")
    for words, policy in (
        (["--epsilon", 0.3], pyrec.EpsilonGreedyPolicy(model, epsilon=0.3)),
        (["--temperature", 0.2], pyrec.SoftmaxPolicy(model, temperature=0.2)),
        (["--filter-seen"], pyrec.TopKPolicy(model, filter_seen=True)),
    ):
        out, _ = run(capsys, folder / "log.csv", "--model", folder / "run", "--json", *words)
        same(json.loads(out), pyrec.ope(made.log, policy))
    words = [
        "--k",
        2,
        "--estimators",
        "dr,ips",
        "--reward-model",
        "score",
        "--interval",
        "bootstrap",
        "--seed",
        3,
    ]
    out, _ = run(capsys, folder / "log.csv", "--model", folder / "run", "--json", *words)
    found = pyrec.ope(made.log, model, ["dr", "ips"], k=2, reward_model="score", interval="bootstrap", seed=3)
    same(json.loads(out), found)
    assert json.loads(out)["threshold"] is None


def test_columns_are_chosen(capsys, folder, made):
    words = ["--columns", "user=who,item=2,reward=came,propensity=p,position=", "--k", 3]
    out, _ = run(capsys, folder / "other.parquet", "--model", folder / "run", "--json", *words)
    log = made.log
    plain = pyrec.data.BanditLog(
        log.users, log.items, log.rewards, log.propensities, log.user_ids, log.item_ids
    )
    same(json.loads(out), pyrec.ope(plain, pyrec.EASE.load(folder / "run"), k=3))


def test_what_matches_nowhere_is_null(capsys, folder, made, tmp_path):
    lists = pyrec.EASE.load(folder / "run").topk(np.arange(60), 1, filter_seen=False).ids.numpy()[:, 0]
    log = made.log
    keep = (log.items != lists[log.users]) & (log.positions == 0)
    some = pd.DataFrame({"user": log.users[keep], "item": log.items[keep], "click": 1, "propensity": 0.5})
    some.to_csv(tmp_path / "none.csv", index=False)
    out, _ = run(capsys, tmp_path / "none.csv", "--model", folder / "run", "--json")
    printed = json.loads(out, parse_constant=pytest.fail)
    assert printed["estimates"]["snips"]["value"] is None
    assert printed["notes"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--epsilon", "0.1", "--temperature", "1"], "--epsilon and --temperature are two policies"),
        (["--estimators", "drs"], "give a list of some of ips"),
        (["--columns", "item"], "is no list such as item=product,reward=3"),
        (["--columns", "rating=1"], "columns names the role 'rating'"),
        (["--columns", "item=sku"], "is the name of 0 columns"),
        (["--k", "9"], "k = 9 must be at most 3, the log's number of positions"),
        (["--top", "2"], "is above the top, 2"),
    ],
)
def test_options_that_do_not_fit(capsys, folder, words, message):
    assert message in failed(capsys, folder / "log.csv", "--model", folder / "run", *words)


def test_unknown_ids_are_an_error_or_left_out(capsys, folder, tmp_path):
    text = (folder / "log.csv").read_text() + "999,3,1,0,0.5\n"
    (tmp_path / "log.csv").write_text(text)
    told = failed(capsys, tmp_path / "log.csv", "--model", folder / "run")
    assert "999 is not one of the 60 known user ids" in told
    out, _ = run(capsys, tmp_path / "log.csv", "--model", folder / "run", "--unknown", "skip", "--json")
    assert json.loads(out)["num_rounds"] == 4000

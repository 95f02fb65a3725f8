"""A fusion beside its members: what the plan says is built, and what a row holds."""

from pathlib import Path

import pytest
import yaml

pytest.importorskip("matplotlib")
from accuracy import datasets, fusion

from pyrec import Fusion, evaluate
from pyrec.data import split_random, synthetic

PLAN = Path(__file__).parent.parent / "bench/accuracy/fusion.yaml"
SMALL = {"first": {"model": "ease", "reg": 20}, "second": {"model": "mf", "epochs": 2, "embedding_size": 8}}


def test_members_have_the_plans_parameters():
    plan = yaml.safe_load(PLAN.read_text())
    for told in plan["data"].values():
        for name in ("first", "second"):
            params = fusion.member(told[name], 7).get_params()
            given = {key: value for key, value in told[name].items() if key != "model"}
            assert {
                key: params[key] for key in given if "__" not in key and key not in ("loss", "combine")
            } == {
                key: value
                for key, value in given.items()
                if "__" not in key and key not in ("loss", "combine")
            }
            assert params.get("seed", 7) == 7
            assert params.get("loss__temperature", 0.3) == 0.3


def test_a_row_has_the_metrics_of_a_fusion_that_was_fitted_alike(monkeypatch):
    train, test = split_random(synthetic(60, 50, interactions_per_user=10), 0.8)
    monkeypatch.setattr(datasets, "read", lambda *_: (train, test))
    row = fusion.run("gowalla", SMALL, 0.4, 3)
    model = Fusion(fusion.member(SMALL["first"], 3), fusion.member(SMALL["second"], 3), weight=0.4).fit(train)
    found = evaluate(model, test, 20, ["recall"]).metrics["recall@20"]
    assert row["metrics"]["fusion"]["recall@20"] == pytest.approx(found, abs=1e-5)
    gain = row["tests"]["fusion against second"]["recall@20"]
    both = row["metrics"]["fusion"]["recall@20"] - row["metrics"]["second"]["recall@20"]
    assert gain["difference"] == pytest.approx(both, abs=2e-5)
    assert 0 <= gain["p"] <= 1

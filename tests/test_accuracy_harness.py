"""The accuracy harness: what a grid means, that runs are kept and resumed, and the report's numbers."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

pytest.importorskip("matplotlib")
from accuracy import datasets, flat, grid, paired, pairs, report, run, tables, worker
from accuracy.results import Store

from pyrec import evaluate
from pyrec.data import synthetic
from pyrec.errors import ConfigError, DataError
from pyrec.models import EASE, LightGCN
from pyrec.train.early_stopping import EarlyStopping
from pyrec.train.loss.ccl import CCL

MEAN = {
    "model": "lightgcn",
    "combine": "mean",
    "loss": "bpr",
    "n_layers": 3,
    "embedding_size": 8,
    "epochs": 2,
    "validation": 0.2,
    "learning_rate": 0.01,
}
GRID: dict[str, Any] = {
    "seeds": [0, 1],
    "cutoffs": [5, 10],
    "data": {"synthetic": [0, 1]},
    "models": {
        "mean": MEAN,
        "attention": {**MEAN, "combine": "attention"},
        "ease": {"model": "ease", "reg": 10, "for": {"synthetic": {"reg": 20}, "synthetic/1": {"reg": 30}}},
    },
    "compare": [["attention", "mean"]],
}
KEYS = {
    "gowalla.jsonl": ["3c17830419af79d0", "c00caf7bad8c39df", "8d98c7957dad77a7"],
    "items.jsonl": ["803725c24f38dfe6", "5bd3399766724581", "9ec5c3957149c370"],
    "ml-100k.jsonl": ["6e0fbdae5e1de968", "1406e0c102a8a6af", "fcb987857497b3fa"],
    "others.jsonl": ["6e271c8338c5cd6e", "97b994575dee6532", "aed1ad3fbd9c9313"],
}
"""Of the first two rows and the last one of each file."""


def small_grid(**changes: Any) -> grid.Grid:
    return grid.parse({**GRID, **changes})


# The grid


def test_a_grid_is_every_model_on_every_split_with_every_seed() -> None:
    runs = small_grid().runs
    assert [(run.split, run.label, run.seed) for run in runs] == [
        (split, label, seed)
        for split in ("0", "1")
        for label, seeds in (("mean", (0, 1)), ("attention", (0, 1)), ("ease", (None,)))
        for seed in seeds
    ]
    assert [run.params["reg"] for run in runs if run.label == "ease"] == [20, 30]
    given = {name: value for name, value in MEAN.items() if name != "model"}
    usual = {name: value for name, value in flat.DEFAULTS["lightgcn"].items() if name != "seed"}
    assert runs[0].params == usual | given
    assert len({run.key for run in runs}) == len(runs)
    assert runs[1].build(100).seed == 1
    expected = LightGCN(8, 3, "mean", "bpr", epochs=2, learning_rate=0.01, stopping=EarlyStopping(0.2))
    assert runs[0].build(100).flat_params() == expected.flat_params()
    assert (
        small_grid().runs[2].build(100).flat_params()
        == expected.set_params(combine="attention").flat_params()
    )


def test_what_has_no_flat_name_is_named_by_its_path() -> None:
    models = {"ccl": {"model": "lightgcn", "loss": "ccl", "loss__margin": 0.3}}
    run = small_grid(models=models, compare=[]).runs[0]
    assert run.build(100).loss == CCL(margin=0.3)
    plain = small_grid(models={"ccl": {"model": "lightgcn", "loss": "ccl"}}, compare=[]).runs[0]
    assert plain.build(100).loss == "ccl"
    assert (
        len({run.key, plain.key, small_grid(models={"a": {"model": "lightgcn"}}, compare=[]).runs[0].key})
        == 3
    )


def test_rows_that_are_kept_keep_their_keys() -> None:
    """Keys of runs of the results that are shipped, as the flat hyperparameters gave them."""
    folder = Path(grid.__file__).parent / "results"
    for name, keys in KEYS.items():
        rows = [json.loads(line) for line in (folder / name).read_text().splitlines()]
        assert [grid.key_of(row) for row in rows[:2] + rows[-1:]] == keys


def test_the_key_is_the_run_and_not_its_name() -> None:
    first = small_grid().runs[0]
    renamed = small_grid(models={"renamed": MEAN}, compare=[]).runs[0]
    assert renamed.key == first.key == grid.key_of(json.loads(json.dumps(vars(first))))
    changed = small_grid(models={"mean": {**MEAN, "reg": 0.5}}, compare=[]).runs[0]
    assert changed.key != first.key
    whole, real = (small_grid(models={"ease": {"model": "ease", "reg": reg}}, compare=[]) for reg in (7, 7.0))
    assert whole.runs[0].key == real.runs[0].key


def test_a_parameter_at_its_default_does_not_count() -> None:
    """Rows from before a model had a parameter stay its runs', as long as the default is what was done before."""
    row = vars(small_grid().runs[0])
    before = {name: value for name, value in row["params"].items() if name != "user_from"}
    assert row["params"]["user_from"] == grid.defaults("lightgcn")["user_from"]
    assert grid.key_of(row | {"params": before}) == grid.key_of(row)
    assert grid.key_of(row | {"params": before | {"user_from": "items"}}) != grid.key_of(row)


def test_skipped_data_sets_have_no_runs() -> None:
    models = {"ease": {"model": "ease", "skip": ["gowalla"]}}
    runs = small_grid(models=models, data={"synthetic": [0], "gowalla": ["given"]}, compare=[]).runs
    assert [run.data for run in runs] == ["synthetic"]


def test_yaml_files(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    path = tmp_path / "grid.yaml"
    path.write_text("data: {synthetic: [3]}\nmodels: {a: {model: mf, learning_rate: 1e-3, reg: 1.5E-4}}\n")
    (only,) = grid.read(path).runs
    assert (only.split, only.seed, only.params["learning_rate"], only.params["reg"]) == ("3", 0, 1e-3, 1.5e-4)
    path.write_text("data: [")
    with pytest.raises(ConfigError, match=r"grid\.yaml is no YAML"):
        grid.read(path)
    with pytest.raises(DataError, match="cannot read"):
        grid.read(tmp_path / "absent.yaml")


def test_the_grid_that_is_shipped_is_one() -> None:
    pytest.importorskip("yaml")
    shipped = grid.read(Path(grid.__file__).with_name("grid.yaml"))
    assert {run.split for run in shipped.runs} == {"u1", "u2", "u3", "u4", "u5"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nosuch": 1}, "a grid is a mapping with the keys"),
        ({"data": {}}, "data must be a mapping"),
        ({"data": {"nosuch": [0]}}, "data names 'nosuch'; known are ml-100k"),
        ({"data": {"ml-100k": ["u6"]}}, "the split 'u6'; it has u1"),
        ({"data": {"synthetic": ["first"]}}, "name the seed of a random one"),
        ({"data": {"synthetic": 0}}, "must be a list of splits"),
        ({"seeds": [-1]}, r"seeds = \[-1\] must be whole numbers of at least 0"),
        ({"cutoffs": 20}, "cutoffs = 20 must be whole numbers"),
        ({"metrics": ["recall@20"]}, "measured are precision@5"),
        ({"models": {"a": {"model": "nosuch"}}}, "must name its model, one of lightgcn"),
        (
            {"models": {"a": {"model": "ease", "lambda": 3}}},
            "ease has no parameter 'lambda' to set; it takes reg",
        ),
        (
            {"models": {"a": {**MEAN, "loss__heat": 3}}},
            "models a: BPR has no hyperparameter 'heat'; it takes score",
        ),
        ({"models": {"a": {**MEAN, "loss": "ccl", "score": "inner"}}}, "score is not of loss = 'ccl'"),
        ({"models": {"a": {**MEAN, "seed": 3}}}, "no parameter 'seed' to set"),
        ({"models": {"a": {**MEAN, "for": {"gowala": {}}}}}, "no data set is named 'gowala'"),
        ({"models": {"a": {**MEAN, "for": {"gowalla": 1}}}}, "must map data sets to parameters"),
        ({"models": {"a": {**MEAN, "skip": "gowalla"}}}, "must be a list of data sets"),
        ({"compare": [["mean", "medium"]]}, "must be two of the models"),
        ({"compare": "mean"}, "must be a list of pairs"),
    ],
)
def test_bad_grids_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small_grid(**changes)


def test_data_need_their_folder(monkeypatch) -> None:
    monkeypatch.delenv("PYREC_DATA", raising=False)
    with pytest.raises(ConfigError, match="PYREC_DATA, which is not set"):
        datasets.read("gowalla", "given")


@pytest.mark.parametrize(
    ("name", "split", "users"),
    [
        ("ml-100k", "u1", 943),
        ("ml-100k-halves", "u2", 943),
        ("amazon-electronics", "given", 1435),
        ("ml-latest-small", "0", 609),
    ],
)
def test_real_data_sets(data_dir, name, split, users) -> None:
    train, test = datasets.read(name, split)
    assert train.num_users == test.num_users
    assert train.num_users <= users
    assert len(train) > len(test) > 0


def test_halves_are_of_half_of_the_users() -> None:
    whole = synthetic(60, 40, interactions_per_user=8, num_groups=4)
    train, held_out = datasets.halves(whole)
    before, left, out = (np.diff(part.indptr) for part in (whole, train, held_out))
    assert np.array_equal(before, left + out)
    some = out > 0
    assert some.sum() == (before >= datasets.MIN_HISTORY).sum() // 2
    assert np.array_equal(out[some], before[some] // 2)
    again = datasets.halves(whole)[1]
    assert np.array_equal(again.items, held_out.items)
    assert not np.array_equal(datasets.halves(whole, seed=1)[1].items, held_out.items)


# Runs


def test_a_run_measures_what_evaluate_does(tmp_path: Path) -> None:
    one = small_grid().runs[2]
    out = tmp_path / "results.jsonl"
    row = worker.execute(worker.Job(one, [5, 10], 2, out))
    train, test = datasets.read("synthetic", "0")
    model = one.build(train.num_items).fit(train)
    expected = evaluate(model, test, [5, 10])
    assert row["metrics"]["ndcg@10"] == pytest.approx(expected["ndcg@10"], abs=1e-6)
    assert (row["epochs"], row["best_epoch"]) == (2, model.best_epoch_)
    arrays = Store(out).arrays(one.key)
    assert arrays is not None
    np.testing.assert_array_equal(arrays["users"], expected.users)
    np.testing.assert_allclose(arrays["recall@5"], expected.per_user["recall@5"], rtol=1e-6)
    owned = [int((train.users == train.encode_users([user])[0]).sum()) for user in expected.users[:9]]
    assert arrays["user_degree"][:9].tolist() == owned
    assert arrays["layer_weights"].shape == (train.num_users + train.num_items, 4)
    history = json.loads(str(arrays["history"]))
    assert [("test_recall@10" in record, "validation_ndcg@20" in record) for record in history] == [
        (False, True),
        (True, True),
    ]
    assert model.best_epoch_ == 2  # so that the model kept is the one measured then
    assert history[1]["test_ndcg@10"] == pytest.approx(expected["ndcg@10"], abs=1e-6)


def test_runs_are_kept_and_resumed_and_failures_recorded(tmp_path: Path, capfd) -> None:
    out = tmp_path / "kept" / "results.jsonl"
    models = {"ease": {"model": "ease", "reg": 20}, "bad": {"model": "svd", "embedding_size": 10**6}}
    small = small_grid(data={"synthetic": [0]}, models=models, compare=[])
    first = run.run_grid(small, out, jobs=2)
    assert len(first) == len(out.read_text().splitlines()) == 2
    rows = {row["label"]: row for row in Store(out).rows().values()}
    assert rows["bad"]["error"].startswith("ConfigError: embedding_size = 1000000 must be at most")
    train, test = datasets.read("synthetic", "0")
    expected = evaluate(EASE(20).fit(train), test, [5, 10])
    assert rows["ease"]["metrics"]["recall@10"] == pytest.approx(expected["recall@10"], abs=1e-6)
    assert rows["ease"]["threads"] == 1
    assert rows["ease"].keys() >= {"commit", "date", "versions", "seconds_train", "epochs", "best_epoch"}
    assert run.run_grid(small, out) == []
    assert [one.label for one in run.missing(small, Store(out), retry=True)] == ["bad"]
    assert "ndcg@10" in capfd.readouterr().err


def test_a_process_that_dies_is_recorded(monkeypatch) -> None:
    monkeypatch.setattr(
        worker, "_child", os._exit
    )  # it takes one argument, so the process ends with status 1
    row = worker.run_apart(worker.Job(small_grid().runs[0], [5], 0, Path("unused")))
    assert row["error"] == "the process ended with status 1"
    assert row["label"] == "mean"


def test_a_row_cut_short_is_dropped(tmp_path: Path) -> None:
    store = Store(tmp_path / "results.jsonl")
    runs = small_grid().runs
    store.append({**vars(runs[0]), "error": "x"})
    with store.path.open("a") as file:
        file.write('{"data": "syn')
    assert list(store.rows()) == [runs[0].key]
    store.append({**vars(runs[1]), "error": "y"})
    assert list(store.rows()) == [runs[0].key, runs[1].key]
    with store.path.open("a") as file:
        file.write("nonsense\n")
    with pytest.raises(DataError, match="line 3, is no row"):
        store.rows()


def test_the_command_line(tmp_path: Path, capsys, monkeypatch) -> None:
    pytest.importorskip("yaml")
    path, out = tmp_path / "grid.yaml", tmp_path / "results.jsonl"
    path.write_text(json.dumps({**GRID, "data": {"synthetic": [0]}}))
    assert run.main([str(path), "--out", str(out), "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "synthetic/0  mean  seed 0"
    monkeypatch.setattr(run, "run_apart", lambda job: {**vars(job.run), "error": "E: no"})
    assert run.main([str(path), "--out", str(out)]) == 1
    assert "5 runs, 5 failed" in capsys.readouterr().err
    assert run.main([str(tmp_path / "absent.yaml"), "--out", str(out)]) == 2
    assert report.main([str(out), "--grid", str(path), "--folder", str(tmp_path)]) == 0
    assert "- ease, split 0, seed None: E: no" in capsys.readouterr().out


# The report


@pytest.fixture
def made(tmp_path: Path) -> tuple[report.Report, dict[tuple[str, str, int | None], np.ndarray]]:
    """A report on made-up values, and the users' values of recall@10 by label, split and seed.

    Split 0 tests users 0 to 39, split 1 users 20 to 59.
    """
    rng = np.random.default_rng(0)
    store, values = Store(tmp_path / "made.jsonl"), {}
    small = small_grid(curve_every=1)
    for one in small.runs:
        users = np.arange(40) + (20 if one.split == "1" else 0)
        arrays: dict[str, Any] = {"users": users, "user_degree": 1 + users // 5}
        for name in (f"{metric}@{k}" for metric in grid.USER_METRICS for k in (5, 10)):
            arrays[name] = rng.random(40).astype(np.float32) + (0.2 if one.label == "attention" else 0)
        arrays["history"] = np.array(json.dumps([{"epoch": 1, "seconds": 2.0, "test_recall@10": 0.1}]))
        store.write_arrays(one.key, arrays)
        values[one.label, one.split, one.seed] = arrays["recall@10"].astype(np.float64)
        means = {name: float(own.mean()) for name, own in arrays.items() if "@" in name}
        row = {"metrics": means, "num_users": 40, "seconds_train": 1.0, "epochs": 1, "best_epoch": 1}
        store.append({**vars(one), **row})
    return report.Report(small, [store], tmp_path), values


def test_comparisons_are_those_of_scipy(made) -> None:
    told, values = made
    by_user: dict[str, list[list[float]]] = {
        label: [[] for _ in range(60)] for label in ("attention", "mean")
    }
    for (label, split, seed), own in values.items():
        if label in by_user and seed == 0:
            mean = (own + values[label, split, 1]) / 2
            for at, value in enumerate(mean):
                by_user[label][at + (20 if split == "1" else 0)].append(value)
    ours, base = (np.array([np.mean(own) for own in by_user[label]]) for label in by_user)
    found = {one.metric: one for one in told.compare("synthetic", "attention", "mean")}["recall@10"]
    raw = paired.compare(
        "recall@10",
        pairs.pair_users(*(told.rows["synthetic"][label] for label in by_user), "recall@10", told.arrays),
        pairs.pair_runs(*(told.rows["synthetic"][label] for label in by_user), "recall@10"),
    )
    assert (found.ours, found.base) == (pytest.approx(ours.mean()), pytest.approx(base.mean()))
    assert (found.num_users, found.num_runs) == (60, 4)
    assert raw.p_users == pytest.approx(stats.ttest_rel(ours, base).pvalue)
    assert raw.p_wilcoxon == pytest.approx(stats.wilcoxon(ours, base).pvalue)
    runs = {
        label: [values[label, split, seed].mean() for split in ("0", "1") for seed in (0, 1)]
        for label in by_user
    }
    assert raw.p_runs == pytest.approx(stats.ttest_rel(runs["attention"], runs["mean"]).pvalue)
    assert raw.p_users <= found.p_users <= 3 * raw.p_users


def test_a_model_without_seeds_meets_the_mean_over_seeds(made) -> None:
    told, values = made
    rows = told.rows["synthetic"]
    ours, base = pairs.pair_runs(rows["mean"], rows["ease"], "recall@10")
    expected = [np.mean([values["mean", split, seed] for seed in (0, 1)]) for split in ("0", "1")]
    np.testing.assert_allclose(ours, expected)
    np.testing.assert_allclose(base, [values["ease", split, None].mean() for split in ("0", "1")])


def test_the_report_is_written_with_its_pictures(made) -> None:
    told, values = made
    text = told.markdown()
    of_mean = [values["mean", split, seed].mean() for split in ("0", "1") for seed in (0, 1)]
    assert f"{np.mean(of_mean):.4f} ± {np.std(of_mean, ddof=1):.4f}" in text
    assert "### synthetic: attention against mean" in text
    assert "p, t over 60 users" in text
    for name in ("curves-synthetic.png", "gain-synthetic-attention-mean.png"):
        assert f"({name})" in text
        assert (told.folder / name).read_bytes().startswith(b"\x89PNG")
    assert "layer-weights" not in text


def test_a_report_without_arrays_says_so(made) -> None:
    told, _ = made
    for path in told.folder.glob("*.arrays/*.npz"):
        path.unlink()
    assert "No test over users" in told.markdown()


def test_rows_of_other_parameters_do_not_count(made) -> None:
    told, _ = made
    other = small_grid(models={"mean": {**MEAN, "reg": 0.5}, "again": MEAN}, compare=[])
    selected = pairs.select(other, Store(told.folder / "made.jsonl").rows())
    assert list(selected["synthetic"]) == ["again"]


def test_means_and_deviations() -> None:
    assert tables.mean_sd([1.0, 2.0, 3.0], 2) == "2.00 ± 1.00"
    assert tables.mean_sd([0.25], 1) == "0.2"
    assert tables.p_value(float("nan")) == ""

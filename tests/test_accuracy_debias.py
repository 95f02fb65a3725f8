"""The harness of debiasing methods: what a protocol lets a method see, what chooses settings, and the tables."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("yaml")
from accuracy.debias import __main__ as command
from accuracy.debias import (
    attention,
    authors,
    choose,
    fits,
    jobs,
    methods,
    plan,
    protocols,
    report,
    runs,
    tables,
)
from accuracy.debias.scores import Constant, Dense, Mean, standardised
from scipy import stats

from pyrec.data import Interactions
from pyrec.errors import ConfigError, DataError
from pyrec.evaluate.significance import corrected_t, holm

HERE = Path(command.__file__).parent.parent
USERS, ITEMS = 20, 15
SMALL = {
    "protocols": {
        "small": {"data": "small", "positive": "rating>=4", "splits": 2, "starts": 2, "reference": "EASE"},
        "apart": {
            "data": "small",
            "positive": "rating>=4",
            "kind": "held apart",
            "criterion": "order",
            "metrics": ["auc", "ndcg_all@5"],
            "reference": "EASE",
        },
    },
    "methods": {
        "constant": {"fit": "constant", "draws": False},
        "EASE": {"fit": "ease", "grid": {"reg": [1, 10]}, "draws": False},
        "MF, combined": {
            "fit": "whole_mf",
            "fixed": {
                "embedding_size": 2,
                "epochs": 2,
                "unobserved": 0,
                "prior": 0,
                "reg": 5,
                "reg_exponent": 0,
            },
        },
        "two settings": {"mean_of": "EASE", "best": 2, "draws": False},
        "both": {"blend": ["EASE", "MF, combined"]},
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with a small set: ratings of a user's taste for an item, chosen pairs and random ones."""
    rng = np.random.default_rng(0)
    taste = rng.normal(size=(USERS, 2)) @ rng.normal(size=(2, ITEMS))
    own = tmp_path / "small"
    own.mkdir()
    for name, count in (("user.txt", 150), ("random.txt", 200)):
        pairs = rng.permutation(USERS * ITEMS)[:count]
        rating = np.clip(np.round(3 + taste.ravel()[pairs]), 1, 5).astype(int)
        lines = [f"{p // ITEMS},{p % ITEMS},{r}" for p, r in zip(pairs, rating, strict=True)]
        (own / name).write_text("\n".join(lines) + "\n")
    return tmp_path


def task(folder: Path, **changes: Any) -> protocols.Task:
    return next(protocols.Protocol("small", "small", "rating>=4", **changes).tasks(folder))


def pairs_of(x: Interactions) -> set[tuple[int, int]]:
    return set(zip(x.users.tolist(), x.items.tolist(), strict=True))


# Protocols


def test_the_parts_of_a_split_share_no_pair_and_are_those_of_the_seed(folder: Path) -> None:
    own = list(protocols.Protocol("small", "small", "rating>=4", splits=2).tasks(folder))
    for one in own:
        learned, chosen, test = one.part.uniform, one.part.validation, one.test
        assert [len(x) for x in (learned, chosen, test)] == [10, 10, 180]
        assert not pairs_of(learned) & pairs_of(test)
        assert not pairs_of(chosen) & pairs_of(test)
    assert pairs_of(own[0].test) != pairs_of(own[1].test)
    assert own[0].part.biased.labels is not None


@pytest.mark.parametrize("share", [0.0125, 0.2, 0.5])
def test_other_shares_have_the_same_test_part(folder: Path, share: float) -> None:
    one, other = task(folder, share=share), task(folder, share=0.4)
    assert pairs_of(one.test) == pairs_of(other.test)
    assert len(one.test) == 90
    assert len(one.part.uniform) == round(share * 200)
    assert len(one.part.validation) == 10
    assert not (pairs_of(one.part.uniform) | pairs_of(one.part.validation)) & pairs_of(one.test)


def test_a_share_that_leaves_nothing_to_choose_with_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"share = 0\.52 leaves less than 5 %"):
        task(folder, share=0.52)


def test_held_apart_every_uniform_pair_is_tested_and_none_is_seen(folder: Path) -> None:
    kept, dropped = task(folder, kind="held apart"), task(folder, kind="held apart", shared="drop")
    assert (kept.part.uniform, kept.part.validation) == (None, None)
    assert len(kept.test) == 200
    both = pairs_of(kept.part.biased) & pairs_of(kept.test)
    assert both
    assert pairs_of(dropped.test) == pairs_of(kept.test) - both


@pytest.mark.parametrize(("given", "told"), [({"kind": "apart"}, "kind"), ({"shared": "error"}, "shared")])
def test_a_protocol_of_another_kind_is_refused(given: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=f"small: {told} = "):
        protocols.Protocol("small", "small", "rating>=4", **given)


def test_what_is_held_out_is_a_share_of_the_pairs(folder: Path) -> None:
    biased = task(folder).part.biased
    kept, held = protocols.without(biased, seed=3)
    assert len(held) == 30
    assert pairs_of(kept) | pairs_of(held) == pairs_of(biased)
    assert not pairs_of(kept) & pairs_of(held)
    assert pairs_of(protocols.without(biased, seed=4)[1]) != pairs_of(held)


# What chooses


def test_the_order_of_three_groups() -> None:
    two, one, none = np.array([3.0, 4]), np.array([2.0]), np.array([0.0, 1])
    assert choose.order_auc(two, one, none) == 1
    assert choose.order_auc(none, one, two) == 0
    assert choose.order_auc(two, two, two) == 0.5
    assert choose.order_auc(two, none, one) == pytest.approx(2 / 3)  # unobserved ones are below the negatives


def test_uniform_chooses_by_both_uniform_parts_and_held_out_labels(folder: Path) -> None:
    part = task(folder).part
    seen = []

    def fit(own: protocols.Part, params: choose.Params, seed: int) -> Constant:
        seen.append((own, seed))
        return Constant()

    assert choose.by_uniform(fit, part, {}, 0) == 0.5
    first, other, third = (own for own, _ in seen)
    assert (first.uniform, first.validation) == (part.uniform, part.validation)
    assert (other.uniform, other.validation) == (part.validation, part.uniform)
    assert len(third.biased) == 120
    assert third.uniform is part.uniform
    assert {seed for _, seed in seen} == {0}


@pytest.mark.parametrize("criterion", ["order", "labels"])
def test_held_apart_nothing_uniform_is_shown(folder: Path, criterion: str) -> None:
    part = task(folder).part  # with uniform parts, which a fit must not get

    def fit(own: protocols.Part, params: choose.Params, seed: int) -> Constant:
        assert own.uniform is None
        assert own.validation is None
        return Constant()

    assert choose.CRITERIA[criterion](fit, part, {}, 0) == 0.5


def test_settings_are_ranked_by_their_figure_and_ties_by_their_place(folder: Path) -> None:
    part = task(folder).part
    truth = np.zeros((USERS, ITEMS))
    for x in (part.biased, part.validation, part.uniform):
        truth[x.users, x.items] = x.signs

    def fit(own: protocols.Part, params: choose.Params, seed: int) -> Dense:
        return Dense(params["times"] * truth)

    settings = [{"times": times} for times in (0, -1, 1, 2)]
    order, figures = choose.ranked(fit, part, settings, "uniform", 0)
    assert order == [2, 3, 0, 1]
    assert figures == [0.5, 0, 1, 1]
    assert choose.ranked(fit, part, settings[:1], "uniform", 0)[0] == [0]
    with pytest.raises(ConfigError, match=r"criterion = 'test' is none of uniform, thirds, order, labels"):
        choose.ranked(fit, part, settings, "test", 0)


def test_the_criterion_of_uniform_pairs_needs_some(folder: Path) -> None:
    part = task(folder, kind="held apart").part
    with pytest.raises(ConfigError, match="needs a protocol with uniform pairs"):
        choose.by_uniform(lambda *_: Constant(), part, {}, 0)


# Methods


def test_a_methods_settings_are_every_combination() -> None:
    own = methods.parse("x", {"fit": "ease", "fixed": {"a": 1}, "grid": {"b": [2, 3], "c": [4, 5]}})
    assert own.settings() == [
        {"a": 1, "b": 2, "c": 4},
        {"a": 1, "b": 2, "c": 5},
        {"a": 1, "b": 3, "c": 4},
        {"a": 1, "b": 3, "c": 5},
    ]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"fit": "ease", "mean_of": "x"}, "exactly one of fit, mean_of and blend"),
        ({}, "exactly one of fit, mean_of and blend"),
        ({"fit": "nothing"}, "fit = 'nothing' is none of constant, "),
        ({"fit": "ease", True: ["coat"]}, "True is none of fit, fixed"),
    ],
)
def test_an_entry_that_is_no_method_is_refused(entry: dict[Any, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=f"label: {told}"):
        methods.parse("label", entry)


def test_weights_by_position_raise_late_positives_and_lower_late_negatives() -> None:
    lists = Interactions.from_arrays([0, 0, 1, 1], [0, 1, 0, 1], labels=[1, 1, 0, 0], positions=[0, 3, 0, 3])
    assert fits.by_position(lists, 0.5, 1).tolist() == [1, 2, 1, 0.25]
    with pytest.raises(ConfigError, match="go by the position"):
        fits.by_position(Interactions.from_arrays([0], [0], labels=[1]), 1, 1)


def test_what_autodebias_learned_weighs_the_pairs_of_wholemf(folder: Path) -> None:
    part, few = task(folder).part, {"epochs": 3, "weights_from": 0, "least_epochs": 0, "pair_rate": 0.3}
    own = {"embedding_size": 2, "epochs": 2, "reg": 5, "reg_exponent": 0}
    learned = fits.taught(part, {**own, "autodebias": few}, 0)
    teacher = fits.model(part, {"model": "autodebias", **few}, 0)
    assert learned.prior == pytest.approx(float(teacher.imputed_[0]))
    biased = part.biased
    weights = teacher.user_weights_[biased.users] * teacher.item_weights_[biased.items]
    weights = weights * teacher.label_weights_[(biased.signs > 0).astype(int)]
    assert learned.train_.weights == pytest.approx(weights / weights.mean(), rel=1e-5)
    assert weights.std() > 0.01


def test_rates_are_the_shrunk_means_of_users_and_items() -> None:
    pairs = Interactions.from_arrays([0, 0, 1, 1], [0, 1, 0, 1], labels=[1, 1, 0, 1])
    scorer = fits.rates(protocols.Part(pairs), {"prior": 2}, 0)
    users, items = np.array([0, 1]), np.array([1, 0])
    # The mean is .5; users differ from it by +1 and -1 over 2 pairs, shrunk by 2; so do items, by -1 and +1.
    assert scorer.pair_scores(users, items) == pytest.approx([0.5 + 0.25 + 0.25, 0.5 - 0.25 - 0.25])


def test_a_blend_is_the_mean_of_standardised_scores(folder: Path) -> None:
    part = task(folder).part
    rng = np.random.default_rng(0)
    one, other = (Dense(rng.normal(3, sd, (USERS, ITEMS))) for sd in (1, 100))
    users, items = np.divmod(np.arange(USERS * ITEMS), ITEMS)
    scaled = [standardised(own, part).pair_scores(users, items) for own in (one, other)]
    for values in scaled:
        assert values.mean() == pytest.approx(0, abs=0.05)
        assert values.std() == pytest.approx(1, abs=0.05)
    blend = Mean([standardised(one, part), standardised(other, part)])
    assert blend.pair_scores(users, items) == pytest.approx((scaled[0] + scaled[1]) / 2)


# Attention


def test_attention_leaves_a_pair_out_of_its_own_residual() -> None:
    generator = torch.Generator().manual_seed(0)
    side = attention.Side(3, seed=0)
    vectors = torch.randn(5, 3, generator=generator)
    known = (torch.rand(4, 5, generator=generator) < 0.5).float()
    known[0] = 0
    missed = torch.randn(4, 5, generator=generator) * known
    added = side(vectors, known, missed, own=False)
    assert (added[0] == 0).all()  # a row without pairs keeps the base's scores
    row, column = 1, int(known[1].nonzero()[0])
    other = missed.clone()
    other[row, column] += 5
    moved = side(vectors, known, other, own=False) - added
    assert moved[row, column] == 0
    assert (moved[row, torch.arange(5) != column] != 0).all()
    assert (moved[torch.arange(4) != row] == 0).all()
    assert side(vectors, known, missed, own=True)[row, column] != added[row, column]


# Runs and tables


def test_rows_are_made_once_and_those_of_methods_made_of_others_as_well(folder: Path) -> None:
    own, out = plan.plan_of(SMALL), folder / "rows.jsonl"
    asked = list(own.jobs(None, None))
    assert asked == [("small", 0), ("small", 1), ("apart", 0)]
    with pytest.warns(match="are training pairs, too"):
        lines = [line for name, split in asked for line in jobs.job(own, folder, name, split, set(), out)]
    assert len(lines) == 3 * len(own.methods)
    assert not any(is_error for _, is_error in lines)
    rows = {row["run"]: row for row in runs.Kept(out).rows()}
    ease = rows["small, EASE, 1"]
    assert ease["settings"] == 2
    assert ease["options"]["reg"] in (1, 10)
    assert len(ease["metrics"]["auc"]) == 1
    assert len(rows["small, MF, combined, 0"]["metrics"]["auc"]) == 2
    assert ease["grid"]["median"]["auc"] <= ease["grid"]["best"]["auc"]
    assert ease["test_to_train"] == pytest.approx(180 / 160)
    assert {"threads", "processor", "versions", "commit", "date", "seconds", "criterion"} <= ease.keys()
    values = runs.Kept(out).users("small, EASE, 1")
    assert np.nanmean(values["ndcg@5"]) == pytest.approx(ease["metrics"]["ndcg@5"][0], abs=1e-5)
    assert rows["small, two settings, 0"]["metrics"]["auc"] != rows["small, EASE, 0"]["metrics"]["auc"]
    assert jobs.job(own, folder, "small", 1, set(rows), out) == []
    # One row is missing: what it is made of is fitted once more, and that row alone is kept.
    with pytest.warns(match="are training pairs, too"):
        [(line, _)] = jobs.job(own, folder, "small", 1, set(rows) - {"small, both, 1"}, out)
    assert line.startswith("small, both, 1: auc ")


def test_a_method_that_fails_leaves_its_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = {**SMALL, "methods": {**SMALL["methods"], "wrong": {"fit": "whole_mf", "fixed": {"reg": -1}}}}
    out = folder / "rows.jsonl"
    with pytest.warns(match="are training pairs, too"):
        lines = jobs.job(plan.plan_of(told), folder, "small", 0, set(), out)
    capsys.readouterr()
    assert [is_error for _, is_error in lines] == [False] * 5 + [True]
    assert "reg" in runs.Kept(out).rows()[-1]["error"]
    assert "wrong" not in tables.of_methods(runs.Kept(out).rows())


def row(method: str, split: int, auc: float, ndcg: float, **more: Any) -> runs.Row:
    metrics = {"auc": [auc - 0.01, auc + 0.01], "ndcg@5": [ndcg]}
    told = {"run": f"p, {method}, {split}", "protocol": "p", "method": method, "split": split}
    return {
        **told,
        "metrics": metrics,
        "settings": 3,
        "seconds": 0.5,
        "test_share": 0.9,
        "test_to_train": 2.0,
        "grid": {},
        **more,
    }


def test_a_method_below_ease_or_the_plain_factorisation_is_said_to_be() -> None:
    rows = [row("EASE", 0, 0.6, 0.5), row("MF, combined", 0, 0.7, 0.4), row("IPS", 0, 0.65, 0.45)]
    own = tables.of_methods([*rows, row("best", 0, 0.8, 0.6), {**row("bad", 0, 1, 1), "error": "it failed"}])
    assert tables.below(own, "IPS", ("auc", "ndcg@5")) == "EASE (ndcg@5); MF, combined (auc)"
    assert tables.below(own, "best", ("auc", "ndcg@5")) == "none"
    assert tables.below(own, "EASE", ("auc", "ndcg@5")) == ""
    lines = tables.accuracy(own, ("auc", "ndcg@5")).splitlines()
    assert len(lines) == 2 + 4
    assert "| IPS | 0.6500 | 0.4500 |" in lines[4]
    assert "**0.8000** | **0.6000**" in lines[5]
    more = tables.of_methods([*rows, row("IPS", 1, 0.65, 0.45)])
    assert [
        line[: line.index(" |", 2)] for line in tables.accuracy(more, ("auc", "ndcg@5")).splitlines()[2:]
    ] == [
        "| EASE (1 of 2 splits)",
        "| MF, combined (1 of 2 splits)",
        "| IPS",
    ]


def test_tests_are_paired_over_users_and_over_splits(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kept = runs.Kept(tmp_path / "rows.jsonl")
    values: dict[str, list[np.ndarray]] = {"ours": [], "base": []}
    for split in range(3):
        users = rng.random(40)
        for label, gain in (("ours", 0.05), ("base", 0.0)):
            own = users + gain * rng.random(40)
            own[split] = np.nan  # a user without a positive
            values[label].append(own)
            kept.append(row(label, split, 0, float(np.nanmean(own))), {"ndcg@5": own, "users": np.arange(40)})
    own = tables.of_methods(kept.rows())
    found = tables.tested(own["ours"], own["base"], "ndcg@5", kept)
    within = [
        stats.ttest_rel(a, b, nan_policy="omit").pvalue
        for a, b in zip(values["ours"], values["base"], strict=True)
    ]
    assert found.users_t == pytest.approx(min(1, 2 * np.median(within)), rel=1e-4)
    means = [np.array([np.nanmean(x) for x in values[label]]) for label in ("ours", "base")]
    assert found.splits == pytest.approx(corrected_t(means[0], means[1], 2).p)
    assert found.strict == pytest.approx(corrected_t(means[0], means[1], 9).p)
    table = tables.comparisons({**own, "same": own["base"]}, "base", ("ndcg@5",), kept).splitlines()
    p = holm([found.users_t, 1.0])
    assert f"| {p[0]:.2g} |" in table[2]
    assert table[3].startswith("| same | ndcg@5 | +0.0000 | 1 | 1 | 1 | 1 |")


def test_shares_are_columns_and_what_differs_over_splits_has_a_star(tmp_path: Path) -> None:
    kept = runs.Kept(tmp_path / "rows.jsonl")
    for share, gain in ((0.05, 0.0), (0.5, 0.05)):
        for split in range(4):
            noise = 0.001 * split
            kept.append(
                {**row("base", split, 0.6 + noise, 0.5), "run": f"{share}, base, {split}", "share": share}
            )
            ours = row("ours", split, 0.6 + gain + noise**2, 0.5 + gain)
            kept.append({**ours, "run": f"{share}, ours, {split}", "share": share})
    found = {
        share: tables.of_methods([one for one in kept.rows() if one["share"] == share])
        for share in (0.5, 0.05)
    }
    lines = tables.by_share(found, ["base", "ours"], "base", kept).splitlines()
    assert lines[0] == "| method | 5 % | 50 % |"
    assert lines[2] == "| base | 0.6015 / 0.5000 | 0.6015 / 0.5000 |"
    assert lines[3] == "| ours | 0.6000 / 0.5000 | 0.6500 / 0.5500* |"


def test_scores_of_other_code_become_rows_and_those_that_diverged_are_counted(tmp_path: Path) -> None:
    users, labels = np.array([0, 0, 0, 1, 1]), np.array([1, -1, -1, -1, 1])
    for seed, scores in enumerate(([0.9, 0.1, 0.2, 0.3, 0.8], [np.nan] * 5)):
        np.savez(tmp_path / f"train_list.{seed}.npz", users=users, items=users, scores=scores, labels=labels)
        (tmp_path / f"train_list.{seed}.log").write_text("real\t2m0.5s\nuser\t1m2.5s\nsys\t0m0.1s\n")
    np.savez(tmp_path / "DLA.0.npz", users=users, items=users, scores=labels, labels=labels)  # has not ended
    authors.main(tmp_path, tmp_path / "rows.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [row["seed"] for row in rows] == [0, 1]
    assert {name: rows[0][name] for name in ("method", "auc", "user_auc", "ndcg@5", "seconds")} == {
        "method": "AutoDebias",
        "auc": 1,
        "user_auc": 1,
        "ndcg@5": 1,
        "seconds": 62.5,
    }
    assert rows[1]["error"] == "the scores are not finite"
    assert "| AutoDebias | 1.0000 |" in report.of_authors(rows)
    assert "| 62 | 1, 1 diverged |" in report.of_authors(rows)


def test_twice_the_median_is_at_most_one() -> None:
    assert tables.twice_median([0.01, 0.02, 0.9]) == 0.04
    assert tables.twice_median([0.7, 0.8]) == 1
    assert tables.twice_median([0.03]) == 0.03
    assert np.isnan(tables.twice_median([float("nan")]))


def test_the_command_writes_rows_and_tables(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = folder / "plan.yaml"
    told.write_text(json.dumps({**SMALL, "protocols": {"apart": SMALL["protocols"]["apart"]}}))
    out, page = folder / "rows.jsonl", folder / "rows.md"
    words = ["--plan", str(told), "--out", str(out), "--tables", str(page)]
    assert command.main(["table", *words]) == 0
    assert page.read_text() == "\n"  # no rows yet
    with pytest.warns(match="are training pairs, too"):
        jobs.job(plan.read(told), folder, "apart", 0, set(), out)
    assert command.main(["table", *words]) == 0
    assert page.read_text().startswith("### apart\n\n1 split, 3 starts; settings chosen by `order`.")
    assert "| both | ndcg_all@5 |" in page.read_text()
    assert command.main(["run", str(folder), "--only", "nowhere", *words]) == 2
    assert command.main(["table", *words[:1], str(folder / "none.yaml")]) == 2
    assert "cannot read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"protocols": {"p": {"data": "x", "positive": 4, "criterion": "test"}}}, "criterion = 'test'"),
        ({"protocols": {"p": {"data": "x", "positive": 4, "metrics": ["mse"]}}}, "'mse' is none of auc"),
        ({"protocols": {"p": {"data": "x", "positive": 4, "reference": "y"}}}, "no method is named 'y'"),
        ({"protocols": {"p": {"data": "x", "positive": 4, "size": 1}}}, "size"),
        ({"methods": {"m": {"mean_of": "later"}}}, "m: 'later' is no method before it"),
        ({"seeds": 1}, "a plan is a mapping"),
    ],
)
def test_a_file_that_is_no_plan_is_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        plan.plan_of({**SMALL, **change})


def test_rows_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"run": "a"}\n{"method": 1}\n')
    with pytest.raises(DataError, match="line 2, is no row of results"):
        runs.Kept(path).rows()


def test_the_committed_plan_is_one() -> None:
    own = plan.read(HERE / "debias.yaml")
    labels = [method.label for method in own.methods]
    assert [label for label in tables.PLAIN if label not in labels] == []
    assert [bar for bar in tables.BARS if bar not in labels] == []
    for method in own.methods:
        for name in method.protocols:
            own.protocol(name)
        assert (
            method.mean_of
            or method.blend
            or len(method.settings())
            == len({json.dumps(setting, sort_keys=True) for setting in method.settings()})
        )

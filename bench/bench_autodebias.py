"""An epoch of AutoDebias, all weights learning, by the closed form and by the authors' code: same start, same blocks.

AUTODEBIAS names a copy of the authors' repository (DongHande/AutoDebias, commit 39101ad5); without it that contender is
skipped. Its step runs as it is, on the CPU, from what it imports: the orders of the blocks are ours, the weights learn
from the first epoch on, and the run ends where its first evaluation would begin. Use one thread: --threads has no
meaning here, so set OMP_NUM_THREADS=1.

Floor, one core: an observed pair takes part in some 14 (d + 2) operations, a row of a block in some 14 (d + 2)^2.
coat has 25 blocks of 64 x 64, d 10: 6,960 pairs, 1.2 M operations, and 2,950 rows, 6 M, some .3 ms. The generated set
of 15,400 x 1,000 has 6 blocks: 311,704 pairs, 52 M, and 33,800 rows, 68 M, some 10 ms. 10^7 pairs of 500,000 x 50,000
at d 64 are one block: 9 G of pairs, 34 G of rows, and 21 GB of rows read, some 2 s on one core.
"""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from race import Race, row

from pyrec.data import read_with_uniform, split_uniform
from pyrec.ops.debias import PARTS, Debias, Pairs, Rates, Rows, Weights

FOUND = 1e-3
"""Relative difference of the answers, by the norm of each array, at most.

On the generated set the authors' float32 sums over three million pairs of a block leave 4e-4 against either's float64,
ours 6e-6. In float64 the two differ by 5e-15.
"""


@dataclass(frozen=True)
class Problem:
    """Pairs, where all starts, how it learns, and who is in which block."""

    pairs: Pairs
    theta: list[torch.Tensor]
    parts: dict[str, torch.Tensor]
    rates: Rates
    sizes: tuple[int, int]
    orders: tuple[torch.Tensor, torch.Tensor]


def problem(pairs: Pairs, dim: int, rates: Rates, sizes: tuple[int, int]) -> Problem:
    generator = torch.Generator().manual_seed(0)

    def normal(count: int, *columns: int) -> torch.Tensor:
        return torch.randn(count, *columns, generator=generator) * (2 / max(1, count)) ** 0.5

    users, items = pairs.num_users, pairs.num_items
    theta = [normal(users, dim), normal(items, dim), normal(users), normal(items)]
    counts = (users, items, 2, 0, users, items, 2, 3)
    parts = {name: normal(count) for name, count in zip(PARTS, counts, strict=True)}
    for name in ("pair_label", "whole_observed", "imputed"):
        parts[name] *= 1e-3
    blocks = -(-users // sizes[0])
    orders = torch.stack([torch.randperm(items, generator=generator).int() for _ in range(blocks)])
    return Problem(
        pairs, theta, parts, rates, sizes, (torch.randperm(users, generator=generator).int(), orders)
    )


def rates_of(eta: float, lam: float, pair: tuple[float, float], whole: tuple[float, float]) -> Rates:
    by_part = [*[pair] * 4, *[whole] * 3, (1e-1, 1e-4)]
    rate, decay = ({name: one[at] for name, one in zip(PARTS, by_part, strict=True)} for at in range(2))
    return Rates(eta=eta, lam=lam, reg=1.0, rates=rate, decays=decay, bound=1e9)


@cache
def coat() -> Problem:
    folder = os.environ.get("PYREC_DATA")
    if not folder:
        pytest.skip("PYREC_DATA is not set to the folder with the real data sets")
    where = Path(folder) / "coat"
    train, uniform = read_with_uniform(where / "user.txt", where / "random.txt", positive="rating>=4")
    known = split_uniform(uniform).train
    pairs = Pairs(
        torch.from_numpy(train.indptr),
        torch.from_numpy(train.items),
        torch.from_numpy(train.signs > 0),
        None,
        train.num_items,
        torch.from_numpy(known.users),
        torch.from_numpy(known.items),
        torch.from_numpy(known.signs > 0),
    )
    return problem(pairs, 10, rates_of(1e-3, 0.05, (1e-3, 1e-4), (1e-3, 1e-3)), (64, 64))


@cache
def generated(
    users: int, items: int, count: int, uniform: int, dim: int, sizes: tuple[int, int], eta: float
) -> Problem:
    """Pairs drawn at random, two fifths of them positives; of the uniform ones a tenth."""
    draw = np.random.default_rng(0)
    cells = np.unique(draw.integers(users * items, size=round(1.1 * count)))
    cells = np.sort(draw.choice(cells, count, replace=False))
    known = draw.choice(users * items, uniform, replace=False)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(cells // items, minlength=users))])
    pairs = Pairs(
        torch.from_numpy(indptr),
        torch.from_numpy((cells % items).astype(np.int32)),
        torch.from_numpy(draw.random(count) < 0.4),
        None,
        items,
        torch.from_numpy((known // items).astype(np.int32)),
        torch.from_numpy((known % items).astype(np.int32)),
        torch.from_numpy(draw.random(uniform) < 0.1),
    )
    return problem(pairs, dim, rates_of(eta, 1.0, (1e-2, 1e-2), (1e-3, 1e-2)), sizes)


def ours(p: Problem) -> Callable[[], dict[str, torch.Tensor]]:
    """An epoch: the pairs are cut into blocks, and each takes its steps. One block is cut once, as the model has it."""
    steps = Debias(p.pairs, Rows(*p.theta), Weights(p.parts))
    start = Weights(p.parts)
    steps.arrange(*p.orders, *p.sizes)

    def run() -> dict[str, torch.Tensor]:
        weights = steps.weights
        steps.rows.put(*p.theta)
        for name in ("parameter", "factor", "moment", "square"):
            getattr(weights, name).copy_(getattr(start, name))
        weights.steps = dict.fromkeys(PARTS, 0)
        if steps.num_blocks > 1:
            steps.arrange(*p.orders, *p.sizes)
        steps.steps(0, steps.num_blocks, p.rates)
        found = {name: weights.part(name) for name in PARTS if name != "pair_position"}
        return found | dict(zip(("p", "q", "b_u", "b_i"), steps.rows.get(), strict=True))

    return run


class EndOfEpochError(Exception):
    """Raised where the authors' code would evaluate."""


def authors(p: Problem) -> Callable[[], dict[str, torch.Tensor]]:
    """The authors' loop over the same blocks."""
    folder = os.environ.get("AUTODEBIAS")
    if not folder:
        pytest.skip("AUTODEBIAS is not set to a copy of DongHande/AutoDebias")

    def run() -> dict[str, torch.Tensor]:
        with authors_code(Path(folder), p) as (train, made):
            try:
                train()
            except EndOfEpochError:
                return answer(made)
        raise AssertionError("the authors' code ended without an evaluation")

    return run


@contextmanager
def authors_code(folder: Path, p: Problem) -> Iterator[tuple[Callable[[], None], list[Any]]]:
    """Their training function with our start and blocks, and the models that it makes, in their order."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        module = types.ModuleType("authors_train_explicit")
        text = (folder / "train_explicit.py").read_text()
        sys.modules["utils.metrics"] = types.ModuleType(
            "utils.metrics"
        )  # compiles C++, for evaluations alone
        exec(compile(text.replace("epo >= 20", "epo >= 0"), "train_explicit.py", "exec"), module.__dict__)
        made: list[Any] = []
        start_models(module, p, made)
        yield (lambda: train_authors(module, p)), made
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if getattr(sys.modules[name], "__file__", None) and str(folder) in str(
                sys.modules[name].__file__
            ):
                del sys.modules[name]


def start_models(module: Any, p: Problem, made: list[Any]) -> None:
    """Their classes, whose first objects start where ours do."""
    base, three, one = module.MetaMF, module.ThreeLinear, module.OneLinear
    starts = {
        "base": dict(
            zip(
                ("user_latent.weight", "item_latent.weight", "user_bias.weight", "item_bias.weight"),
                (p.theta[0], p.theta[1], p.theta[2][:, None], p.theta[3][:, None]),
                strict=True,
            )
        ),
        **{
            kind: {
                "user_bias.weight": p.parts[f"{kind}_user"][:, None],
                "item_bias.weight": p.parts[f"{kind}_item"][:, None],
                "data_bias.weight": p.parts["pair_label" if kind == "pair" else "whole_observed"][:, None],
            }
            for kind in ("pair", "whole")
        },
        # Theirs are by label + 1: negatives, pairs that are not observed, positives.
        "imputed": {"data_bias.weight": p.parts["imputed"][torch.tensor([1, 0, 2])][:, None]},
    }

    def started(kind: Any, names: list[str]) -> Callable[..., Any]:
        def make(*sizes: Any, **options: Any) -> Any:
            model = kind(*sizes, **options)
            if names:
                model.load_state_dict({**model.state_dict(), **starts[names[0]]})
                if names.pop(0) == "base":
                    model.eval = ends
                made.append(model)
            return model

        return make

    def ends() -> None:
        raise EndOfEpochError

    module.MetaMF = started(base, ["base"])
    module.ThreeLinear = started(three, ["pair", "whole"])
    module.OneLinear = started(one, ["imputed"])
    block = module.utils.data_loader.Block
    users = p.orders[0].long().split(p.sizes[0])
    items = [order.long().split(p.sizes[1]) for order in p.orders[1]]

    class Blocks(block):
        """Their blocks, in our order."""

        def __init__(self, mat: Any, **_: Any) -> None:
            self.mat = mat
            self.User_loader = users
            self.Item_loader = EachTime(items)

        def get_batch(self, batch_user: Any, batch_item: Any) -> Any:
            """Theirs, on the CPU."""
            return super().get_batch(batch_user, batch_item, device="cpu")

    module.utils.data_loader.Block = Blocks


class EachTime:
    """Another list at each iteration."""

    def __init__(self, lists: list[Any]) -> None:
        self._lists = iter(lists)

    def __iter__(self) -> Iterator[Any]:
        return iter(next(self._lists))


def train_authors(module: Any, p: Problem) -> None:
    size = (p.pairs.num_users, p.pairs.num_items)
    rows = torch.repeat_interleave(torch.arange(size[0]), p.pairs.indptr.diff())

    def matrix(users: torch.Tensor, items: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
        ends = torch.stack([users.long(), items.long()])
        return torch.sparse_coo_tensor(ends, positive * 2.0 - 1.0, size, check_invariants=True).coalesce()

    train = matrix(rows, p.pairs.items, p.pairs.positive)
    uniform = matrix(p.pairs.uniform_users, p.pairs.uniform_items, p.pairs.uniform_positive)
    rates = p.rates

    def adam(name: str) -> dict[str, float]:
        return {"learning_rate": rates.rates[name], "weight_decay": rates.decays[name]}

    module.train_and_eval(
        train,
        uniform,
        uniform,
        uniform,
        "cpu",
        base_model_args={
            "emb_dim": p.theta[0].shape[1],
            "learning_rate": rates.eta,
            "imputaion_lambda": rates.lam,
            "weight_decay": rates.reg,
        },
        weight1_model_args=adam("pair_user"),
        weight2_model_args=adam("whole_user"),
        imputation_model_args=adam("imputed"),
        training_args={"batch_size": 1024, "epochs": 1, "patience": 60, "block_batch": list(p.sizes)},
    )


def answer(made: list[Any]) -> dict[str, torch.Tensor]:
    base, pair, whole, imputed = ({k: v.detach() for k, v in one.state_dict().items()} for one in made)
    return {
        "p": base["user_latent.weight"],
        "q": base["item_latent.weight"],
        "b_u": base["user_bias.weight"][:, 0],
        "b_i": base["item_bias.weight"][:, 0],
        "pair_user": pair["user_bias.weight"][:, 0],
        "pair_item": pair["item_bias.weight"][:, 0],
        "pair_label": pair["data_bias.weight"][:, 0],
        "whole_user": whole["user_bias.weight"][:, 0],
        "whole_item": whole["item_bias.weight"][:, 0],
        "whole_observed": whole["data_bias.weight"][:, 0],
        "imputed": imputed["data_bias.weight"][torch.tensor([1, 0, 2]), 0],
    }


def alike(theirs: dict[str, torch.Tensor], mine: dict[str, torch.Tensor]) -> None:
    for name, right in theirs.items():
        error = float((mine[name] - right).norm() / right.norm())
        assert error <= FOUND, f"{name} differs by {error:.1e}"


def race(group: str, make: Callable[[], Problem], with_authors: bool, quick: bool) -> Race:
    return Race(
        group=group,
        problem=make,
        contenders={"pyrec": ours, "the authors' code": authors} if with_authors else {"pyrec": ours},
        check=alike,
        rounds=15,
        quick=quick,
        info={"work": "autodebias"},
    )


def races(scale_max: float) -> list[Race]:
    published = (15_400, 1_000, 311_704, 2_700, 10, (6_000, 500), 1e-4)
    found = [
        race("autodebias, coat, an epoch of 25 blocks, d 10", coat, with_authors=True, quick=True),
        race(
            "autodebias, 15,400 x 1,000, 311,704 + 2,700 pairs, an epoch of 6 blocks, d 10",
            lambda: generated(*published),
            with_authors=True,
            quick=False,
        ),
    ]
    if scale_max >= 1e7:
        large = (500_000, 50_000, 10**7, 100_000, 64, (500_000, 50_000), 1e-7)
        name = "autodebias, 500,000 x 50,000, 10^7 + 10^5 pairs, a step of all, d 64"
        found.append(race(name, lambda: generated(*large), with_authors=False, quick=False))
    return found


def bench_autodebias(benchmark: Any, race: Race, contender: str) -> None:
    row(benchmark, race, contender)

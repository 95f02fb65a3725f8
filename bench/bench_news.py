"""A training step of NRMS on news of MIND-small's shape, batches of 128 and 512 clicks, each beside four others shown.

20 heads of 20 columns over words of 300 numbers and over clicks, additive attention of width 200, 50 clicks a history.
Ours draws the batch within the step; the rivals are given theirs ready made. Answers are the losses of the first two
steps, so that the first one's gradients are compared, too.

Floor: at 512 clicks some 5,900 distinct titles with 12,000 distinct words are 8.6 GFLOP of queries, keys and values, 11
of additive attention, and 6 of the clicks: 77 GFLOP with the backward pass, .4 s at 200 GFLOP/s.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from news_shapes import LONGEST_TITLE, mind_shaped
from news_torch import bucketed_step, explicit, fused, padded_step
from race import CLOCK, Race, growth, row
from torch import Tensor

from pyrec.models.news import NRMS
from pyrec.nn.reader import ClickAttention
from pyrec.nn.text import WordAttention
from pyrec.train.loss import Softmax
from pyrec.train.negatives import Shown
from pyrec.train.news.batches import TrainingBatch
from pyrec.train.news.trainer import NewsTrainer

HEADS, HEAD_SIZE, HIDDEN, WORD_SIZE, LATEST, NEGATIVES = 20, 20, 200, 300, 50, 4
IMPRESSIONS = 20_000

Problem = tuple[Callable[[], NewsTrainer], TrainingBatch]


def model(batch_size: int) -> NRMS:
    return NRMS(
        text=WordAttention(heads=HEADS, head_size=HEAD_SIZE, hidden=HIDDEN),
        reader=ClickAttention(heads=HEADS, hidden=HIDDEN),
        views="title",
        popularity=None,
        auxiliary=(),
        loss=Softmax(temperature=1.0, score="inner", negatives=Shown(NEGATIVES)),
        word_size=WORD_SIZE,
        latest=LATEST,
        dropout=0.0,
        batch_size=batch_size,
        learning_rate=1e-3,
        weight_decay=0.0,
    )


def problem(batch_size: int) -> Problem:
    """What makes a trainer, always the same one, and its first batch."""

    def trainer() -> NewsTrainer:
        made = model(batch_size)
        return made._begin(made._prepare(mind_shaped(IMPRESSIONS), torch.device("cpu")), None, None)

    return trainer, trainer().batches.at(0, 0)


def ours(given: Problem) -> Callable[[], Tensor]:
    trainer = given[0]()
    return lambda: trainer.step(trainer.batches.at(0, 0))


def padded(given: Problem) -> Callable[[], Tensor]:
    return padded_step(given[0](), given[1], LATEST, LONGEST_TITLE)


def bucketed(given: Problem, attention: Any) -> Callable[[], Tensor]:
    return bucketed_step(given[0](), given[1], attention)


CONTENDERS: dict[str, Callable[[Problem], Callable[[], Tensor]]] = {
    "pyrec": ours,
    "torch, distinct articles in length buckets": partial(bucketed, attention=explicit),
    "torch, the same, fused attention": partial(bucketed, attention=fused),
    "torch, padded": padded,
}


def same_loss(theirs: Tensor, mine: Tensor) -> None:
    torch.testing.assert_close(theirs, mine, rtol=1e-5, atol=0)


def races(scale_max: float) -> list[Race]:  # noqa: ARG001
    return [
        Race(
            group=f"step of NRMS, MIND-small's shape, batch {batch_size}",
            problem=partial(problem, batch_size),
            contenders=CONTENDERS,
            check=same_loss,
            proofs=2,
            rounds=5,
            seconds=20.0,
            info={"work": "news step", "batch": batch_size},
        )
        for batch_size in (128, 512)
    ]


def bench_news(benchmark: Any, race: Race, contender: str) -> None:
    row(benchmark, race, contender)


def measure(name: str, batch_size: int) -> int:
    """The peak above the data, in bytes, of making a contender and taking two steps."""
    CONTENDERS[name](problem(8))()  # the code that a step loads is not its memory
    given = problem(batch_size)

    def train() -> None:
        step = CONTENDERS[name](given)
        step(), step()

    grown = growth(train)
    assert grown is not None
    return grown


def measure_apart(name: str, batch_size: int) -> int:
    """`measure` in a process of its own, which finds the modules where this one does."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, __file__, name, str(batch_size)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
@pytest.mark.parametrize("contender", list(CONTENDERS), ids=str)
@pytest.mark.benchmark(group="peak memory of a step of NRMS, batch 128", timer=CLOCK)
def bench_news_memory(benchmark: Any, contender: str) -> None:
    peak = measure_apart(contender, 128)
    parameters = sum(part.numel() for part in problem(8)[0]().network.parameters())
    floor = 4 * 4 * parameters  # each has a gradient and two moments of Adam
    benchmark.extra_info |= {"memory": contender, "bytes": peak, "floor": floor}
    benchmark.pedantic(lambda: CLOCK.advance(1e-9 * peak), rounds=1)


if __name__ == "__main__":
    print(measure(sys.argv[1], int(sys.argv[2])))

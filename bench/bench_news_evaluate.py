"""Evaluating NRMS on impressions of the shape of MIND-small's dev part: encode, score, and measure by impression.

The rival is the usual way: each article and each history is encoded once, padded and in batches, and kept; then a loop
over the impressions takes dot products, and scikit-learn and NumPy measure each. All are an eighth of dev: impressions,
articles and readers; ours runs at the whole size, too.

Floor at the whole size: 42,416 titles of 11.8 words (.26 MFLOP a word) and 50,000 histories of 23 clicks (1.4 MFLOP a
click) are 1.7 TFLOP: 9 s at 200 GFLOP/s.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from bench_news import LATEST, model
from news_shapes import LONGEST_TITLE, mind_shaped
from news_torch import Network, Padded, fused
from numpy.typing import NDArray
from race import Race, row
from torch import Tensor

from pyrec import evaluate_impressions
from pyrec.nn.segments import Segments

IMPRESSIONS, ARTICLES, READERS, SHARE = 73_152, 42_416, 50_000, 8
AT_ONCE = 512


def problem(share: int) -> SimpleNamespace:
    """A model before its first step, and impressions."""
    news = mind_shaped(IMPRESSIONS // share, articles=ARTICLES // share, readers=READERS // share)
    made = model(128)
    trainer = made._begin(made._prepare(news, torch.device("cpu")), None, None)
    made._encode(trainer.store)
    return SimpleNamespace(news=news, model=made, trainer=trainer)


def pyrec(p: SimpleNamespace) -> Callable[[], Tensor]:
    """The articles are encoded within, too."""

    def run() -> Tensor:
        p.model._encode(p.trainer.store)
        return torch.tensor(
            [evaluate_impressions(p.model, p.news).metrics[name] for name in ("auc", "ndcg@10")]
        )

    return run


def cached_and_looped(p: SimpleNamespace) -> Callable[[], Tensor]:
    pytest.importorskip("sklearn")
    network = Network(p.trainer, fused)
    impressions = p.news.impressions
    titles = Padded.of(Segments.of(p.news.articles.title, torch.device("cpu")), LONGEST_TITLE)
    clicks = Padded.of(Segments.of(impressions.histories.last(LATEST), torch.device("cpu")), LATEST)

    @torch.no_grad()
    def run() -> Tensor:
        vectors = torch.cat([network.encode(Padded(*part)) for part in _parts(titles)])
        readers = torch.cat([network.readers(vectors[rows], there) for rows, there in _parts(clicks)])
        found = []
        bounds = zip(impressions.candidates.indptr[:-1], impressions.candidates.indptr[1:], strict=True)
        for at, (first, last) in enumerate(bounds):
            candidates = torch.from_numpy(impressions.candidates.indices[first:last])
            scores = vectors[candidates] @ readers[impressions.history_rows[at]]
            labels = impressions.clicks[first:last]
            if labels.any() and not labels.all():
                found.append(_measure(labels, scores.numpy()))
        return torch.tensor(np.mean(found, axis=0))

    return run


def _parts(padded: Padded) -> list[tuple[Tensor, Tensor]]:
    return list(zip(padded.rows.split(AT_ONCE), padded.there.split(AT_ONCE), strict=True))


def _measure(labels: NDArray[np.bool_], scores: NDArray[np.float32]) -> tuple[float, float]:
    """AUC by scikit-learn and nDCG@10 by NumPy, as the known evaluations have them."""
    from sklearn.metrics import roc_auc_score

    order = np.argsort(-scores)[:10]
    discounts = np.log2(np.arange(2, len(order) + 2))
    best = np.sort(labels)[::-1][: len(order)]
    return float(roc_auc_score(labels, scores)), float(
        (labels[order] / discounts).sum() / (best / discounts).sum()
    )


def near(theirs: Any, mine: Any) -> None:
    """AUC is the same. An article that is shown twice ties with itself: one breaks ties, the other averages."""
    torch.testing.assert_close(theirs[0].double(), mine[0].double(), rtol=1e-5, atol=0)
    torch.testing.assert_close(theirs[1].double(), mine[1].double(), rtol=5e-3, atol=0)


def races(scale_max: float) -> list[Race]:  # noqa: ARG001
    eighth = Race(
        group="evaluating NRMS, an eighth of MIND-small's dev",
        problem=lambda: problem(SHARE),
        contenders={"pyrec": pyrec, "vectors kept, a loop over impressions": cached_and_looped},
        check=near,
        rounds=3,
        seconds=30.0,
        quick=True,
        info={"work": "news evaluation", "impressions": IMPRESSIONS // SHARE},
    )
    whole = Race(
        group="evaluating NRMS, MIND-small's dev",
        problem=lambda: problem(1),
        contenders={"pyrec": pyrec},
        rounds=3,
        seconds=60.0,
        info={"work": "news evaluation", "impressions": IMPRESSIONS},
    )
    return [eighth, whole]


def bench_news_evaluate(benchmark: Any, race: Race, contender: str) -> None:
    row(benchmark, race, contender)

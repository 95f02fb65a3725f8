"""What an entry of the plan fits: a model of news, or a baseline that sees popularity alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from pyrec._arrays import tensor_of
from pyrec.data.news import News
from pyrec.models.news import NEWS_MODELS
from pyrec.models.news.decayed_clicks import DecayedClicks
from pyrec.nn.counters import Counters, count_together
from pyrec.train.loss import Softmax
from pyrec.train.negatives import Shown
from pyrec.train.news.counted import CountedCandidates
from pyrec.train.news.terms import NewsAuxiliary


class Scorer(Protocol):
    """See `pyrec.evaluate.impressions.ImpressionScorer`."""

    def score_impressions(self, news: News) -> NDArray[Any]:
        """A score for each candidate."""


def model(train: News, seed: int, name: str, **params: Any) -> Scorer:
    """A model of the library; parameters have its names, ``text__heads`` with its parts'.

    ``shown`` is how many candidates that were shown a click is compared with, None for all.
    """
    made = NEWS_MODELS[name](seed=seed)
    if "shown" in params:
        made.set_params(loss=Softmax(temperature=1.0, score="inner", negatives=Shown(params.pop("shown"))))
    return made.set_params(**{key: _plain(value) for key, value in params.items()}).fit(train)


def _plain(value: Any) -> Any:
    """A value of the YAML file; a mapping in a list is an auxiliary loss, by its name."""
    if isinstance(value, Mapping):
        ((kind, given),) = value.items()
        return NewsAuxiliary.kinds[kind](**given)
    return tuple(map(_plain, value)) if isinstance(value, list) else value


def decayed_clicks(train: News, seed: int) -> Scorer:  # noqa: ARG001
    """Clicks on the article before, of which each decays by half in six hours."""
    return DecayedClicks.of(train)


@dataclass
class Rate:
    """(c + prior * mean) / (s + prior), with c clicks and s shows of the last hours, decayed alike."""

    train: News
    column: int
    prior: float

    def score_impressions(self, news: News) -> NDArray[np.float32]:
        """See `Scorer`."""
        counters = np.expm1(_counters(self.train, news))
        clicks, shows = counters[:, self.column], counters[:, HALF_LIVES + self.column]
        assert self.train.impressions.clicks is not None
        mean = float(self.train.impressions.clicks.mean())
        return (clicks + self.prior * mean) / (shows + self.prior)


def click_rate(train: News, seed: int, prior: float = 10.0) -> Scorer:  # noqa: ARG001
    """The share of an article's shows that were clicked, each of which decays by half in six hours."""
    return Rate(train, SIX_HOURS, prior)


HALF_LIVES: Final = 5
SIX_HOURS: Final = 2


def _counters(train: News, news: News) -> NDArray[np.float32]:
    (_, found), _ = count_together(Counters.of(train.articles), [train.impressions, news.impressions])
    return found


class Head:
    """The popularity network of news models alone: v . gelu(W z + b), z the standardised inputs, and nothing of texts.

    Args:
        columns: Of the counters; all where None.
        hidden: Its width.
        epochs: Over the impressions.
        rate: Adam's first learning rate, which falls to nothing.
    """

    def __init__(
        self, train: News, seed: int, columns: list[int] | None, hidden: int, epochs: int, rate: float
    ) -> None:
        self.train, self.columns = train, columns
        (found,), _ = count_together(Counters.of(train.articles), [train.impressions])
        inputs = self._inputs(found, train)
        self.mean, self.deviation = inputs.mean(0), inputs.std(0) + 1e-6
        torch.manual_seed(seed)
        self.network = torch.nn.Sequential(
            torch.nn.Linear(inputs.shape[1], hidden), torch.nn.GELU(), torch.nn.Linear(hidden, 1)
        )
        self._fit(tensor_of((inputs - self.mean) / self.deviation), epochs, rate)

    def _inputs(self, counters: NDArray[np.float32], news: News) -> NDArray[np.float32]:
        """All inputs, or the counters alone of some."""
        if self.columns is not None:
            return counters[:, self.columns]
        return CountedCandidates.of(counters, news.impressions).inputs

    def _fit(self, inputs: torch.Tensor, epochs: int, rate: float, batch: int = 256) -> None:
        impressions = self.train.impressions
        starts, lengths = map(
            tensor_of, (impressions.candidates.indptr[:-1].copy(), impressions.candidates.lengths)
        )
        clicks = tensor_of(impressions.clicks.astype(np.float32))
        optimizer = torch.optim.AdamW(self.network.parameters(), rate, weight_decay=1e-4)
        steps = epochs * (len(starts) // batch)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
        for _ in range(epochs):
            for chosen in torch.randperm(len(starts)).split(batch)[: len(starts) // batch]:
                owner = torch.repeat_interleave(torch.arange(len(chosen)), lengths[chosen])
                first = lengths[chosen].cumsum(0) - lengths[chosen]
                rows = starts[chosen][owner] + torch.arange(len(owner)) - first[owner]
                lists = torch.full((len(chosen), int(lengths[chosen].max())), -torch.inf)
                place = (owner, torch.arange(len(owner)) - first[owner])
                scores = torch.log_softmax(lists.index_put(place, self.network(inputs[rows])[:, 0]), 1)
                loss = -(scores[place] * clicks[rows]).sum() / len(chosen)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()

    @torch.no_grad()
    def score_impressions(self, news: News) -> NDArray[np.float32]:
        """See `Scorer`."""
        inputs = (self._inputs(_counters(self.train, news), news) - self.mean) / self.deviation
        return self.network(tensor_of(inputs.astype(np.float32)))[:, 0].numpy()


def head(
    train: News,
    seed: int,
    columns: list[int] | None = None,
    hidden: int = 32,
    epochs: int = 8,
    rate: float = 1e-2,
) -> Scorer:
    """Popularity alone, learned."""
    return Head(train, seed, columns, hidden, epochs, rate)


FITS: Final[Mapping[str, Callable[..., Scorer]]] = {
    "model": model,
    "decayed clicks": decayed_clicks,
    "click rate": click_rate,
    "head": head,
}

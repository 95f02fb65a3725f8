"""How a news model is put together and trained, from its hyperparameters and its data."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from pyrec._ambient import defaults
from pyrec._arrays import tensor_of
from pyrec.data.articles import Articles
from pyrec.data.impressions import Impressions
from pyrec.data.news import News, as_news
from pyrec.data.word_vectors import word_vectors
from pyrec.device import find_device
from pyrec.errors import ConfigError, DataError
from pyrec.models.news.asking import NewsAsking
from pyrec.models.news.known import Known
from pyrec.models.news.memory import training_bytes
from pyrec.models.news.options import OPTIONS
from pyrec.nn.articles import ArticleInputs, ArticleModule, ArticleStore
from pyrec.nn.counters import NUM_INPUTS, Counters, count_together
from pyrec.nn.news import NewsNetwork
from pyrec.nn.popularity import PopularityModule, PopularityTerm
from pyrec.nn.reader import ReaderEncoder, ReaderInputs, ReaderModule
from pyrec.nn.text import TextEncoder
from pyrec.nn.text_vectors import TEXTS, word_vectors_from_texts
from pyrec.options import Options
from pyrec.store.arrays import State
from pyrec.train.loss import Loss
from pyrec.train.negatives import Negatives, Shown
from pyrec.train.news.batches import Histories, NewsBatches
from pyrec.train.news.counted import CountedCandidates
from pyrec.train.news.reweighting import ClickWeights
from pyrec.train.news.samples import ClickSamples
from pyrec.train.news.stopping import LatestImpressions
from pyrec.train.news.terms import NewsAuxiliary
from pyrec.train.news.trainer import NewsTrainer
from pyrec.train.optimisation import Optimisation
from pyrec.train.reweight import Reweight


class NewsTraining(NewsAsking):
    """A news model's parts, made of its hyperparameters."""

    options: ClassVar[Options] = OPTIONS

    text: TextEncoder | str
    reader: ReaderEncoder | str
    views: Sequence[str] | str
    merge: str
    popularity: PopularityTerm | str | None
    loss: Loss | str
    auxiliary: Sequence[NewsAuxiliary | str] | NewsAuxiliary | str
    word_size: int
    word_vectors: str | None
    tag_size: int
    latest: int
    dropout: float
    stopping: LatestImpressions | str | None
    epochs: int
    batch_size: int
    learning_rate: float
    schedule: str
    weight_decay: float
    reweight: Reweight | str | None
    seed: int
    device: str

    network_: NewsNetwork
    _store: ArticleStore

    def _negatives(self, prefix: str = "") -> Shown:
        """What a click is compared with.

        Raises:
            ConfigError: Negatives that are not of impressions.
        """
        loss: Loss = Loss.of(self.loss)
        negatives = loss.options["negatives"].component(loss.negatives)  # type: ignore[attr-defined]
        if negatives is None:
            return Shown()
        if not isinstance(negatives, Shown):
            raise ConfigError(
                f"{prefix}loss__negatives = {Negatives.of(negatives).name!r} are of interactions; news models take "
                "'shown': what was shown beside a click"
            )
        return negatives

    def _begin(
        self,
        news: News,
        weight: NDArray[np.float32] | None,
        random: Impressions | None,
        device: torch.device,
    ) -> NewsTrainer:
        """Set what a fit knows at its start, and return what trains."""
        logs = [news.impressions, *([] if random is None else [random])]
        counted, counters = self._counted(news.articles, logs)
        self.known_ = Known.of(news, counters)
        self._store = ArticleStore(news.articles, device)
        self.network_ = self._make_network(news, counted[0]).to(device)
        batches = [self._batches(log, part, device) for log, part in zip(logs, counted, strict=True)]
        batches[0].weight = weight
        if weight is not None and not weight[batches[0].samples.slots].any():
            raise DataError(
                "the weights of all clicks are 0: there is nothing to learn from; one has to be above 0"
            )
        rates = Optimisation(self.learning_rate, self.epochs, self.schedule, float(self.weight_decay))
        terms = [one.make(self.network_.articles.dim, self.seed).to(device) for one in self._auxiliaries()]
        trainer = NewsTrainer(
            self.network_, self._store, batches[0], Loss.of(self.loss), rates, float(self.dropout), terms
        )
        if self.reweight is not None:
            trainer.weighing = ClickWeights(
                news.impressions, batches[1], Reweight.of(self.reweight), self.seed
            )
        return trainer

    def _batches(
        self, impressions: Impressions, counted: CountedCandidates | None, device: torch.device
    ) -> NewsBatches:
        return NewsBatches(
            impressions,
            ClickSamples.of(impressions),
            Histories(impressions, self.latest),
            self._negatives(),
            self.batch_size,
            self.seed,
            counted,
            None,
            device,
        )

    def _auxiliaries(self) -> tuple[NewsAuxiliary, ...]:
        return self.options["auxiliary"].components(self.auxiliary)  # type: ignore[attr-defined,no-any-return]

    def _counted(
        self, articles: Articles, logs: list[Impressions]
    ) -> tuple[list[CountedCandidates | None], Counters | None]:
        """What was known of the candidates of each log, and the counters after all of them."""
        if self.popularity is None:
            return [None] * len(logs), None
        values, counters = count_together(Counters.of(articles), logs)
        return [CountedCandidates.of(*both) for both in zip(values, logs, strict=True)], counters

    def _counters_after(self, news: News) -> Counters | None:
        """The counters after all of the impressions."""
        if self.popularity is None:
            return None
        return count_together(Counters.of(news.articles), [news.impressions])[1]

    def _make_network(self, news: News, counted: CountedCandidates | None) -> NewsNetwork:
        generator = torch.Generator("cpu").manual_seed(self.seed)
        vectors = None
        if self.word_vectors == TEXTS:
            vectors = tensor_of(word_vectors_from_texts(news.articles, self.word_size))
        elif self.word_vectors is not None:
            words = news.articles.words
            vectors = tensor_of(word_vectors(self.word_vectors, words, self.word_size, self.seed % 2**31))
        articles = self._make_articles(news.articles, vectors, generator)
        reader = self._make_reader(articles.dim, news.articles, news.impressions.num_users, generator)
        return NewsNetwork(articles, reader, self._make_popularity(articles.dim, counted, generator))

    def _make_articles(
        self,
        articles: Articles,
        vectors: torch.Tensor | None,
        generator: torch.Generator,
        saved: State | None = None,
    ) -> ArticleModule:
        views = self.options["views"].chosen(self.views)  # type: ignore[attr-defined]
        sizes = (self.merge, vectors, self.word_size, self.tag_size)
        return ArticleModule(
            TextEncoder.of(self.text), ArticleInputs(articles, views, *sizes, generator, saved)
        )

    def _make_reader(
        self, dim: int, articles: Articles, num_readers: int, generator: torch.Generator
    ) -> ReaderModule:
        categories = 0 if articles.category is None else len(articles.category.vocabulary)
        encoder: ReaderEncoder = ReaderEncoder.of(self.reader)
        return encoder.make(ReaderInputs(dim, num_readers, categories, generator))

    def _make_popularity(
        self, dim: int, counted: CountedCandidates | None, generator: torch.Generator
    ) -> PopularityModule | None:
        if self.popularity is None:
            return None
        if counted is None:  # of a saved model, whose parameters hold both
            moments = np.zeros(NUM_INPUTS, np.float32), np.ones(NUM_INPUTS, np.float32)
        else:
            moments = counted.moments()
        mean, deviation = (tensor_of(part) for part in moments)
        term: PopularityTerm = PopularityTerm.of(self.popularity)
        return term.make(dim, mean, deviation, generator)

    # Memory and time.

    def training_bytes(self, news: Any, validated: bool = False) -> int:
        """Memory that `fit` takes at its peak, above the data, in bytes.

        Args:
            news: As for `fit`.
            validated: Whether `fit` chooses an epoch.
        """
        trial, news = self.clone(), as_news(news)
        trial.popularity = trial.reweight = None  # what it takes is known without counting
        trainer = trial._begin(news, None, None, torch.device("cpu"))
        chosen = validated or self.stopping is not None
        return training_bytes(trainer, news, self.popularity is not None, chosen)

    @defaults()
    def training_seconds(self, news: Any, limit: float = 1.0) -> float:
        """About how many seconds `fit` will take here: some steps are timed on the data themselves.

        Args:
            news: As for `fit`.
            limit: About how many seconds the estimate may take.
        """
        self.check_params()
        trial = self.clone()
        news = as_news(news)
        random = None if self.reweight is None else news.impressions
        trainer = trial._begin(news, None, random, find_device(self.device))
        size, steps = min(self.batch_size, trainer.batches.num_samples), 0
        started = last = time.perf_counter()
        seconds = 0.0
        while steps < 2 or (last - started < limit and steps < 8):
            trainer.step(trainer.batches.at(0, 0))
            now = time.perf_counter()
            seconds, last, steps = (now - last if steps else 0.0), now, steps + 1
        return seconds * trainer.batches.num_samples / size * self.epochs

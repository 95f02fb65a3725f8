"""How a news model is put together and trained, from its hyperparameters and its data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
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
from pyrec.errors import ConfigError
from pyrec.models.news.asking import NewsAsking
from pyrec.models.news.known import Known
from pyrec.models.news.memory import Prepared, training_bytes
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
from pyrec.train.news.terms import NewsAuxiliary, SampleWeighing
from pyrec.train.news.trainer import NewsTrainer
from pyrec.train.optimisation import Optimisation
from pyrec.train.reweight import Reweight
from pyrec.train.timing import epoch_seconds


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

    def _prepare(self, news: News, device: torch.device) -> Prepared:
        """Make what a fit has before it counts popularity."""
        generator = torch.Generator("cpu").manual_seed(self.seed)
        network = self._make_network(news, generator)
        store = ArticleStore(news.articles, device)
        batches = self._batches(news.impressions, store.on(torch.device("cpu")), device)
        return Prepared(news, network, generator, store, batches, self._auxiliaries())

    def _begin(
        self, prepared: Prepared, weight: NDArray[np.float32] | None, random: Impressions | None
    ) -> NewsTrainer:
        """Set what a fit knows at its start, and return what trains."""
        news, network, batches = prepared.news, prepared.network, prepared.batches
        if weight is not None:
            batches = replace(batches, weight=weight, samples=batches.samples.weighed(weight))
        logs = [news.impressions, *([] if random is None else [random])]
        counted, counters = self._counted(news.articles, logs)
        network.popularity = self._make_popularity(network.articles.dim, counted[0], prepared.generator)
        batches.counters = counted[0]
        self.known_, self._store = Known.of(news, counters), prepared.store
        self.network_ = network.to(batches.device)
        rates = Optimisation(self.learning_rate, self.epochs, self.schedule, float(self.weight_decay))
        terms = [one.make(network.articles.dim, self.seed).to(batches.device) for one in prepared.auxiliaries]
        weighing = self._weighing(batches, random, counted[-1])
        loss, dropout = Loss.of(self.loss), float(self.dropout)
        recordable = prepared.recordable and weighing.recordable
        return NewsTrainer(
            self.network_, self._store, batches, loss, rates, dropout, terms, weighing, recordable
        )

    def _weighing(
        self, batches: NewsBatches, random: Impressions | None, counted: CountedCandidates | None
    ) -> SampleWeighing:
        if random is None or self.reweight is None:
            return SampleWeighing()
        second = replace(self._batches(random, batches.store, batches.device), counters=counted, log=1)
        return ClickWeights(batches.impressions, second, Reweight.of(self.reweight), self.seed)

    def _batches(self, impressions: Impressions, store: ArticleStore, device: torch.device) -> NewsBatches:
        return NewsBatches(
            impressions,
            ClickSamples.of(impressions),
            Histories(impressions, self.latest),
            self._negatives(),
            self.batch_size,
            self.seed,
            store,
            self._views(),
            device,
        )

    def _views(self) -> Sequence[str]:
        return self.options["views"].chosen(self.views)  # type: ignore[attr-defined,no-any-return]

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

    def _make_network(self, news: News, generator: torch.Generator) -> NewsNetwork:
        """Make the network without its term of popularity."""
        vectors = None
        if self.word_vectors == TEXTS:
            vectors = tensor_of(word_vectors_from_texts(news.articles, self.word_size))
        elif self.word_vectors is not None:
            words = news.articles.words
            vectors = tensor_of(word_vectors(self.word_vectors, words, self.word_size, self.seed % 2**31))
        articles = self._make_articles(news.articles, vectors, generator)
        reader = self._make_reader(articles.dim, news.articles, news.impressions.num_users, generator)
        return NewsNetwork(articles, reader, None)

    def _make_articles(
        self,
        articles: Articles,
        vectors: torch.Tensor | None,
        generator: torch.Generator,
        saved: State | None = None,
    ) -> ArticleModule:
        sizes = (self.merge, vectors, self.word_size, self.tag_size)
        return ArticleModule(
            TextEncoder.of(self.text), ArticleInputs(articles, self._views(), *sizes, generator, saved)
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
        news = as_news(news)
        prepared = self._prepare(news, torch.device("cpu"))
        chosen = validated or self.stopping is not None
        return training_bytes(prepared, news, self.popularity is not None, chosen, self.device)

    @defaults()
    def training_seconds(self, news: Any, limit: float = 1.0) -> float:
        """About how many seconds `fit` will take here: some steps are timed on the data themselves.

        Args:
            news: As for `fit`.
            limit: About how many seconds the estimate may take.
        """
        self.check_params()
        trial, news = self.clone(), as_news(news)
        random = None if self.reweight is None else news.impressions
        trainer = trial._begin(trial._prepare(news, find_device(self.device)), None, random)
        return self.epochs * epoch_seconds(trainer, limit)

"""What news models share: fit on impressions, score and rank candidates, recommend, save and load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from pyrec._ambient import full_precision
from pyrec.data.ids import first_difference
from pyrec.data.impressions import Impressions
from pyrec.data.news import News, as_news
from pyrec.device import check_fits, find_device
from pyrec.errors import ConfigError, DataError
from pyrec.models.news.kept import known_arrays, known_of
from pyrec.models.news.known import Known
from pyrec.models.news.memory import SMALLER, training_bytes
from pyrec.models.news.presets import preset
from pyrec.models.news.scoring import Scorer
from pyrec.models.news.training import NewsTraining
from pyrec.models.news.validation import validation_by
from pyrec.models.stopping import check_held_out
from pyrec.nn.articles import ArticleStore
from pyrec.nn.news import NewsNetwork
from pyrec.nn.popularity import PopularityTerm
from pyrec.nn.reader import ReaderEncoder
from pyrec.nn.text import TextEncoder
from pyrec.ops.drop import MOST_DROPPED
from pyrec.store.arrays import State
from pyrec.store.news import impression_arrays, news_fingerprint
from pyrec.store.resumable import restore_tensors, tensor_arrays, under
from pyrec.store.saved_model import Saved
from pyrec.store.training_checkpoint import Checkpoints, TrainingIdentity
from pyrec.train.epochs import Journal
from pyrec.train.loss import Loss, Softmax
from pyrec.train.news.reweighting import ClickWeights
from pyrec.train.news.stopping import LatestImpressions, NewsStopping, latest_of
from pyrec.train.news.terms import NewsAuxiliary
from pyrec.train.news.trainer import NewsTrainer
from pyrec.train.reweight import Bridge, LabelWeights, Reweight
from pyrec.train.validated import Record, Validation, best_of_epochs

if TYPE_CHECKING:
    from typing_extensions import Self

Callback = Callable[["NewsRecommender", dict[str, Any]], None]


LOSS: Final = Softmax(temperature=1.0, score="inner")
"""Cross-entropy of the click among what was shown."""


class NewsRecommender(NewsTraining):
    """A model of articles with text, which learns from impressions: what was shown, and what of it was clicked.

    An article's vector comes from its text and tags, a reader's from the articles clicked; so both may be new. A
    subclass gives the parts their defaults: a model's name is a choice of parts.

    Attributes:
        known_: Articles, readers and what is counted of them.
        network_: The trained parameters.
        history_: One record an epoch: ``epoch``, ``loss``, ``seconds`` and what callbacks added.
        best_epoch_: The epoch whose parameters were kept. This is of `fit`; a loaded model does not have it.
    """

    learns_from: ClassVar[str] = "news"
    data_name: ClassVar[str] = "known_"
    READERS: ClassVar[tuple[str, ...]] = (
        "save",
        "score_impressions",
        "rank",
        "recommend",
        "recommend_for_clicks",
        "similar_articles",
        "word_attention",
        "click_attention",
    )
    known_: Known
    network_: NewsNetwork
    history_: list[dict[str, Any]]
    best_epoch_: int
    _scorer: Scorer

    def __init__(
        self,
        text: TextEncoder | str = "attention",
        reader: ReaderEncoder | str = "attention",
        views: Sequence[str] | str = "title,category,subcategory",
        merge: str = "attention",
        popularity: PopularityTerm | str | None = "counters",
        loss: Loss | str = LOSS,
        auxiliary: Sequence[NewsAuxiliary | str] | NewsAuxiliary | str = "in-batch",
        word_size: int = 64,
        word_vectors: str | None = None,
        tag_size: int = 64,
        latest: int = 50,
        dropout: float = 0.2,
        stopping: LatestImpressions | str | None = None,
        epochs: int = 5,
        batch_size: int = 256,
        learning_rate: float = 2e-3,
        schedule: str = "linear",
        weight_decay: float = 1e-4,
        reweight: Reweight | str | None = None,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        """Store the hyperparameters; `fit` checks them.

        Args:
            text: How a text becomes a vector.
            reader: How a reader is known by the articles clicked.
            views: What an article's vector is made of: some of ``title``, ``abstract``, ``category``, ``subcategory``
                and ``entities``; a tuple, or text with commas.
            merge: How the views become one vector: ``attention`` or ``sum``.
            popularity: What popularity and recency add to a score: `PopularityNetwork`; None for content alone.
            loss: `Softmax`, `BPR` or `Pointwise`, with inner products, on what was shown beside a click
                (``negatives="shown"``).
            auxiliary: Losses beside it.
            word_size: Dimension of a word's vector.
            word_vectors: A file of first vectors of words, which `pyrec.data.word_vectors` reads; ``texts`` for vectors
                from the articles' own texts (`pyrec.nn.text_vectors`); None for random ones.
            tag_size: Dimension of the vector of a category, a subcategory or an entity.
            latest: Clicks of a history that count, the latest ones, at most 64.
            dropout: Share of the numbers of words, articles and readers that are dropped in training.
            stopping: `LatestImpressions`, which keeps the best epoch; None keeps the last one.
            epochs: Passes over the clicks.
            batch_size: Clicks in a training step.
            learning_rate: Adam's.
            schedule: ``constant``, or ``linear`` for a rate that falls to 1 / epochs of it in the last epoch.
            weight_decay: Of AdamW (Loshchilov and Hutter, ICLR 2019).
            reweight: How clicks are weighed so that the loss on impressions shown at random falls: `LinearWeights`,
                `MetaWeightNet` or `Ren`; None where they are not.
            seed: Of the first parameters and of all sampling, 0 to 2**63 - 1.
            device: ``cpu`` or ``cuda``: where to train. A loaded model scores on the CPU.
        """
        self.text = text
        self.reader = reader
        self.views = views
        self.merge = merge
        self.popularity = popularity
        self.loss = loss
        self.auxiliary = auxiliary
        self.word_size = word_size
        self.word_vectors = word_vectors
        self.tag_size = tag_size
        self.latest = latest
        self.dropout = dropout
        self.stopping = stopping
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.weight_decay = weight_decay
        self.reweight = reweight
        self.seed = seed
        self.device = device

    def __init_subclass__(cls, **presets: Any) -> None:
        """Give a subclass its own defaults: ``class NAML(NewsRecommender, text="cnn")``."""
        super().__init_subclass__()
        if presets:
            preset(cls, presets)

    def fit(
        self,
        news: Any,
        y: Any = None,  # noqa: ARG002
        validation: Any | None = None,
        callback: Callback | None = None,
        checkpoints: Checkpoints | None = None,
        resume: bool = False,
        sample_weight: ArrayLike | None = None,
        uniform: Any | None = None,
    ) -> Self:
        """Learn from impressions with clicks.

        Args:
            news: `pyrec.data.News`, or a `pyrec.data.Dataset` with impressions and with items that have titles.
            y: Ignored; scikit-learn passes it.
            validation: News that choose the epoch, with the same articles and readers or others; they are later.
            callback: Called after each epoch with the model under training and the epoch's record, to which it may add
                entries. What `fit` was called of is as it was until `fit` ends.
            checkpoints: Where and how often to keep the state of training, and the way to stop it.
            resume: Go on from the checkpoint, with the same hyperparameters and data, to the same bits.
            sample_weight: Numbers of at least 0: how much the click on each candidate counts, (num_candidates,), or
                how much the clicks of each impression count, (num_impressions,). None for all the same.
            uniform: News that were shown in random order, with the same articles, which ``reweight`` learns from.

        Raises:
            ConfigError: If a hyperparameter is out of its range, or is not that of the checkpoint to go on from.
            DataError: If there is nothing to learn from, a set does not fit, or the data or the checkpoint to go on
                from are not those they were.
            StoppedError: If ``checkpoints.stop`` was made; the checkpoint has been written.
        """
        self.check_params()
        news = as_news(news)
        stopping = self._asked_stopping(validation)
        weight = given_weight = _weights(sample_weight, news)
        random = self._asked_random(news, uniform)
        learned, held_out = news, None if validation is None else as_news(validation)
        if stopping is not None and stopping.share is not None:
            late = latest_of(news.impressions, stopping.share)
            learned, held_out = news.select(~late), news.select(late)
            weight = None if weight is None else weight[~late[news.impressions.candidates.rows]]
        device = find_device(self.device)
        prepared = self._prepare(learned, device)
        needed = training_bytes(
            prepared, news, self.popularity is not None, stopping is not None, device.type
        )
        check_fits(needed, device, SMALLER)

        def identity() -> TrainingIdentity:
            others = {} if random is None else under("random", impression_arrays(random))
            if given_weight is not None:
                others["weight"] = given_weight
            chosen_by = {} if validation is None else news_fingerprint(as_news(validation))
            data = (news_fingerprint(news, others), chosen_by)
            return TrainingIdentity(self.model_name, self.get_params(deep=False), *data)

        journal = Journal(checkpoints, identity, resume)
        self.history_ = []
        trainer = self._begin(prepared, weight, random)
        chosen = None
        if stopping is not None and held_out is not None:
            chosen = validation_by(self._current, held_out, stopping)
        self._train(trainer, journal, chosen, callback)
        if learned is not news:
            self.known_ = Known.of(news, self._counters_after(news))
        if isinstance(trainer.weighing, ClickWeights):
            self.position_weights_ = trainer.weighing.of_positions()
        self._encode(self._store)
        return self

    @full_precision()
    def _train(
        self, trainer: NewsTrainer, journal: Journal, chosen: Validation | None, callback: Callback | None
    ) -> None:
        def call(record: Record) -> None:
            assert callback is not None
            with torch.enable_grad():
                callback(self._current(), record)

        call_back = None if callback is None else call
        self.best_epoch_ = best_of_epochs(
            trainer, self.network_, self.epochs, journal, self.history_, chosen, call_back
        )

    def check_params(self, prefix: str = "") -> None:
        """See `Parameters.check_params`; what does not go together is refused, too."""
        super().check_params(prefix)
        if self.dropout > MOST_DROPPED:
            raise ConfigError(f"{prefix}dropout = {self.dropout} must be below 1, by 2**-32 at least")
        self._negatives(prefix)
        for one in self._auxiliaries():
            one.check_for(ReaderEncoder.of(self.reader), float(self.dropout))
        loss = Loss.of(self.loss)
        if loss.adapting is not None:
            raise ConfigError(f"{prefix}loss__adapt is not for news models; leave it out")
        for option, value in (("score", loss.score), ("rank_by", loss.ranking)):
            if value != "inner":
                raise ConfigError(
                    f"{prefix}loss__{option} = {value!r} is not for news models, whose scores are products with a "
                    "term of popularity; give 'inner'"
                )

    def _asked_random(self, news: News, uniform: Any | None) -> Impressions | None:
        """The impressions that weights are learned on, if any are.

        Raises:
            ConfigError: There are none, or the weights are not for clicks.
            DataError: They are of other articles or readers.
        """
        if self.reweight is None:
            return None
        how = Reweight.of(self.reweight)
        if isinstance(how, Bridge | LabelWeights):
            raise ConfigError(
                f"reweight = {how.name!r} is not for news models, which have clicks alone; use 'linear', "
                "'meta-weight-net' or 'ren'"
            )
        if uniform is None:
            raise ConfigError(f"reweight = {how.name!r} learns on news shown at random; give fit uniform=")
        random = as_news(uniform).impressions
        for name in ("item_ids", "user_ids"):
            at = first_difference(getattr(random, name), getattr(news.impressions, name))
            if at is not None:
                raise DataError(
                    f"uniform's {name}[{at}] is not that of the news; give both the same articles and readers"
                )
        return random

    def _asked_stopping(self, validation: Any | None) -> LatestImpressions | None:
        """How the epoch is chosen, if it is.

        Raises:
            ConfigError: There is no validation set, or more than one.
        """
        asked: LatestImpressions | None = None if self.stopping is None else NewsStopping.of(self.stopping)
        if asked is None and validation is None:
            return None
        asked = asked or LatestImpressions(share=None)
        check_held_out(asked.share, validation, "impressions")
        return asked

    # Scoring.

    def _current(self) -> Self:
        """This model as its parameters are now, which can score."""
        view = object.__new__(type(self))
        view.__dict__ = dict(self.__dict__)
        view._encode(self._store)
        return view

    def _encode(self, store: ArticleStore) -> None:
        """Bring the articles' vectors up to date with the parameters."""
        with full_precision():
            self._scorer = Scorer.of(self.network_, store, self.latest, self.known_.num_trained_readers)

    # Files.

    def _data(self) -> dict[str, NDArray[Any]]:
        return known_arrays(self.known_)

    def _restore_data(self, saved: Saved) -> None:
        self.check_params()
        self.known_ = known_of(saved.data, counted=self.popularity is not None)

    def _state(self) -> dict[str, NDArray[Any]]:
        return tensor_arrays(self.network_.state_dict())

    def _restore(self, state: State) -> None:
        known = self.known_
        generator = torch.Generator("cpu").manual_seed(self.seed)
        trained = known.articles.take(np.arange(known.num_trained))
        articles = self._make_articles(trained, None, generator, state.under("articles."))
        reader = self._make_reader(articles.dim, trained, known.num_trained_readers, generator)
        self.network_ = NewsNetwork(articles, reader, self._make_popularity(articles.dim, None, generator))
        restore_tensors(self.network_.state_dict(), state)
        articles.add_articles(known.articles, known.num_trained)
        self.history_ = []
        self._encode(ArticleStore(known.articles, torch.device("cpu")))


def _weights(sample_weight: ArrayLike | None, news: News) -> NDArray[np.float32] | None:
    """How much a click on each candidate counts, (num_candidates,)."""
    if sample_weight is None:
        return None
    found = np.asarray(sample_weight)
    impressions = news.impressions
    sizes = (impressions.candidates.indices.size, len(impressions))
    if found.ndim != 1 or found.size not in sizes or found.dtype.kind not in "iuf":
        raise DataError(
            f"sample_weight is {found.dtype} {found.shape}, but numbers ({sizes[0]},), one a candidate, or "
            f"({sizes[1]},), one an impression, are needed"
        )
    unsound = np.flatnonzero(~(found >= 0) | np.isinf(found))
    if unsound.size:
        at = int(unsound[0])
        raise DataError(f"sample_weight[{at}] = {found[at]}; a weight is a finite number of at least 0")
    spread = found if found.size == sizes[0] else found[impressions.candidates.rows]
    return np.asarray(spread, dtype=np.float32)

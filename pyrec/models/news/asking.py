"""What a fitted news model is asked: scores of what was shown, lists for readers, articles that are alike."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyrec._ambient import full_precision
from pyrec._arrays import tensor_of
from pyrec.data.articles import Articles
from pyrec.data.news import as_news
from pyrec.data.ragged import Ragged
from pyrec.errors import DataError
from pyrec.models import requests
from pyrec.models.estimator import Estimator
from pyrec.models.lists import Recommendations
from pyrec.models.news.known import Known, check_same_kind
from pyrec.models.news.request import alive, list_impressions, moment
from pyrec.models.news.scoring import Scorer
from pyrec.models.raw_ids import decode
from pyrec.nn.articles import ArticleStore
from pyrec.nn.news import NewsNetwork
from pyrec.ops.topk import topk

if TYPE_CHECKING:
    from typing_extensions import Self


class NewsAsking(Estimator):
    """The questions that every news model answers."""

    known_: Known
    _scorer: Scorer

    # What was shown.

    def score_impressions(self, news: Any) -> NDArray[np.float32]:
        """Score each candidate of impressions.

        Articles and readers may be new: their texts and their histories are all that is needed. With a term of
        popularity the impressions count as they come, each for later ones alone, behind those of training.

        Args:
            news: As for `fit`; clicks may be missing.

        Returns:
            float32 (num_candidates,), in the order of ``news.impressions.candidates.indices``. Only the order within
            an impression means something.

        Raises:
            NotFittedError: Before `fit`.
            DataError: With a term of popularity, if impressions have no times, or are before the latest that the model
                knows of.
        """
        self._check_fitted()
        news = as_news(news)
        check_same_kind(self.known_.articles, news)
        known, impressions = self.known_.placed(news)
        counters = known.of_candidates(impressions)
        with full_precision():
            return self._scorer_for(known).scores(impressions, counters)

    def rank(self, news: Any) -> NDArray[np.int32]:
        """Rank the candidates of each impression.

        Args:
            news: As for `score_impressions`.

        Returns:
            int32 (num_candidates,): 1 for the best candidate of its impression. Of equal scores the first shown is
            first.
        """
        news = as_news(news)
        scores = self.score_impressions(news)
        candidates = news.impressions.candidates
        ranks = np.empty(len(scores), np.int32)
        ranks[np.lexsort((-scores, candidates.rows))] = candidates.places + 1
        return ranks

    # Lists for readers.

    def recommend(
        self,
        readers: Any,
        n: int | None = None,
        *,
        candidates: Any | None = None,
        at: Any | None = None,
        filter_seen: bool = True,
        as_frame: bool | str = False,
    ) -> Recommendations | Any:
        """Recommend articles to readers who are known.

        Args:
            readers: Raw ids (B,), as in the impressions.
            n: Articles a reader, 10 if not given, or all candidates if there are fewer.
            candidates: Raw ids of the articles to choose from. None: those that are alive at that time, as far as
                times are known: shown or published within three days before, or posted since the model was fitted.
            at: The time of asking, in seconds since 1970, or a datetime, UTC where it names no zone. None for right
                after the latest impression that the model knows of.
            filter_seen: Leave out what the reader clicked, as far as it is kept.
            as_frame: Return a data frame: True or ``"pandas"``, or ``"polars"``.

        Returns:
            Raw article ids (B, n) and scores float32 (B, n), best first; see `pyrec.models.lists.Recommendations`.

        Raises:
            NotFittedError: Before `fit`.
            UnknownIdError: If a reader or an article is not known; new readers go to `recommend_for_clicks`.
            DataError: If ``n`` is out of range, nothing is left to choose from, or the time is before what is counted.
        """
        self._check_fitted()
        numbers = self.known_.readers(readers)
        lists = self.known_.clicks[numbers.astype(np.int64)]
        found = self._lists(lists, numbers, n, candidates, at, filter_seen, readers, "user")
        return found.to_frame(as_frame) if as_frame else found

    def recommend_for_clicks(
        self,
        histories: Sequence[Any],
        n: int | None = None,
        *,
        candidates: Any | None = None,
        at: Any | None = None,
        filter_seen: bool = True,
        as_frame: bool | str = False,
    ) -> Recommendations | Any:
        """Recommend articles to readers who are known by their clicks alone.

        Args:
            histories: For each reader raw ids of articles clicked, oldest first; none for a first visit.
            n: As for `recommend`.
            candidates: As there.
            at: As there.
            filter_seen: Leave out what the reader clicked.
            as_frame: As there.

        Raises:
            NotFittedError: Before `fit`.
            UnknownIdError: If an article is not known; `add_articles` makes it so.
            DataError: As from `recommend`.
        """
        self._check_fitted()
        articles = self.known_.articles
        coded = [articles.encode(history, f"histories[{at}]") for at, history in enumerate(histories)]
        lists = Ragged.from_lists(coded, len(articles), "histories")
        unknown = np.full(len(lists), -1, np.int32)
        keys = np.arange(len(lists))
        found = self._lists(lists, unknown, n, candidates, at, filter_seen, keys, "history")
        return found.to_frame(as_frame) if as_frame else found

    def _lists(
        self,
        histories: Ragged,
        readers: NDArray[np.int32],
        n: int | None,
        candidates: Any | None,
        at: Any | None,
        filter_seen: bool,
        keys: Any,
        key_name: str,
    ) -> Recommendations:
        known = self.known_
        time = moment(at, known)
        chosen = alive(known, time) if candidates is None else known.articles.encode(candidates, "candidates")
        if not len(chosen):
            raise DataError(
                "there is no candidate to choose from; name some, or post articles by add_articles"
            )
        length = requests.list_length(len(chosen), n, None, None)
        asked = list_impressions(known, histories, readers, chosen, time)
        counters = known.of_candidates(asked)
        with full_precision():
            scores = self._scorer.scores(asked, counters).reshape(len(histories), len(chosen))
        if filter_seen:
            place = np.full(len(known.articles), -1)
            place[chosen] = np.arange(len(chosen))
            columns = place[histories.indices]
            scores[histories.rows[columns >= 0], columns[columns >= 0]] = -np.inf
        best = np.argsort(-scores, axis=1, kind="stable")[:, :length]
        values = np.take_along_axis(scores, best, axis=1)
        ids = np.where(np.isneginf(values), -1, chosen[best]).astype(np.int32)
        return self._named(ids, values, keys, key_name)

    def similar_articles(
        self,
        articles: Any,
        n: int | None = None,
        *,
        candidates: Any | None = None,
        as_frame: bool | str = False,
    ) -> Recommendations | Any:
        """Return the articles whose vectors point most the same way, never the article itself.

        Args:
            articles: Raw ids (B,).
            n: Articles to return for each; 10 if not given.
            candidates: Raw ids of the articles to choose from; None for all.
            as_frame: As for `recommend`; the column ``similar_to`` holds the given article.

        Raises:
            NotFittedError: Before `fit`.
            UnknownIdError: If an article is not known.
            DataError: If ``n`` is out of range.
        """
        self._check_fitted()
        known = self.known_.articles
        rows = known.encode(articles)
        chosen = (
            np.arange(len(known), dtype=np.int32)
            if candidates is None
            else known.encode(candidates, "candidates")
        )
        length = requests.list_length(len(chosen), n, None, None)
        vectors = torch.nn.functional.normalize(self._scorer.vectors, dim=1)
        itself = torch.arange(len(rows) + 1, dtype=torch.int64, device=vectors.device)
        ids, scores = topk(
            vectors[tensor_of(rows).long()],
            vectors,
            length,
            seen_indptr=itself,
            seen_indices=tensor_of(rows).to(vectors.device),
            allowed=tensor_of(np.unique(chosen)).to(vectors.device),
        )
        found = self._named(ids.cpu().numpy(), scores.cpu().numpy(), articles, "similar_to")
        return found.to_frame(as_frame) if as_frame else found

    def _named(
        self, ids: NDArray[np.int32], scores: NDArray[np.float32], keys: Any, key_name: str
    ) -> Recommendations:
        """Lists in raw ids, with titles."""
        known = self.known_.articles
        nowhere = np.zeros(ids.shape, bool)
        return Recommendations(
            decode(known.ids, ids), scores, nowhere, np.asarray(keys), key_name, known.names
        )

    # What happens after training.

    def add_articles(self, articles: Articles) -> Self:
        """Take articles that came after training: they are encoded at once, and can be recommended.

        Those that are known already are left as they are. Calls that are under way see the model as it was.

        Args:
            articles: With their text.

        Raises:
            NotFittedError: Before `fit`.
            DataError: If ids are text here and integers there.
        """
        self._check_fitted()
        return self._exchange(self.known_.with_articles(articles))

    def observe(self, news: Any) -> Self:
        """Take impressions that came after training: they count as popularity and as clicks of their readers.

        The parameters stay as they are; articles and readers that are new are taken in.

        Args:
            news: With clicks and, where the model has a term of popularity, with times that are later than what it
                knows of.

        Raises:
            NotFittedError: Before `fit`.
            DataError: If there are no clicks or no times, or the impressions are earlier.
        """
        self._check_fitted()
        news = as_news(news)
        if news.impressions.clicks is None:
            raise DataError("the impressions have no clicks, so there is nothing to take in; give clicks")
        check_same_kind(self.known_.articles, news)
        known, impressions = self.known_.placed(news)
        return self._exchange(known.after(impressions))

    def _exchange(self, known: Known) -> Self:
        """Put what is known in the place of what was, at once."""
        state = dict(self.__dict__)
        state |= {"known_": known, "_scorer": self._scorer_for(known)}
        self.__dict__ = state
        return self

    def _scorer_for(self, known: Known) -> Scorer:
        """What scores, with the vectors of articles that are not in it yet."""
        if len(known.articles) == len(self._scorer.vectors):
            return self._scorer
        scorer = self._scorer
        if not scorer.network.articles.reads_words():  # the network itself knows the articles
            scorer = replace(scorer, network=_with_same_tensors(scorer.network))
            scorer.network.articles.add_articles(known.articles, len(scorer.vectors))
        return scorer.with_store(ArticleStore(known.articles, scorer.store.device))

    # Why.

    @torch.no_grad()
    def word_attention(self, articles: Any, view: str = "title") -> list[list[tuple[str, float]]] | None:
        """Return the words of articles with their weights in the articles' vectors; None where they have none.

        Args:
            articles: Raw ids.
            view: ``title`` or ``abstract``, one of the model's views.
        """
        self._check_fitted()
        known, scorer = self.known_.articles, self._scorer
        module = scorer.network.articles
        if view not in module.texts:
            raise DataError(
                f"view = {view!r} is no text that the model reads; it reads {', '.join(module.texts)}"
            )
        rows = tensor_of(known.encode(articles)).to(scorer.store.device, torch.int64)
        batch = scorer.store.at(rows, module.views)
        weights = module.word_attention(batch, view)
        if weights is None:
            return None
        words = known.words[batch.words[batch.texts[view].index].cpu().numpy()].tolist()
        pairs = list(zip(words, weights.cpu().tolist(), strict=True))
        ends = batch.texts[view].indptr.tolist()
        return [pairs[first:last] for first, last in pairwise(ends)]

    @torch.no_grad()
    def click_attention(self, readers: Any) -> list[list[tuple[Any, float]]] | None:
        """Return the latest clicks of readers with their weights in the readers' vectors; None where they have none.

        Args:
            readers: Raw ids.
        """
        self._check_fitted()
        known = self.known_
        numbers = known.readers(readers)
        asked = list_impressions(
            known, known.clicks[numbers.astype(np.int64)], numbers, np.empty(0, np.int32), None
        )
        weights = self._scorer.click_attention(asked)
        if weights is None:
            return None
        return [[(known.articles.ids[[at]].tolist()[0], weight) for at, weight in row] for row in weights]


def _with_same_tensors(network: NewsNetwork) -> NewsNetwork:
    """Another network of the same parameters and buffers; a buffer that is set there is set there alone."""
    tensors = {id(one): one for one in (*network.parameters(), *network.buffers())}
    return copy.deepcopy(network, tensors)

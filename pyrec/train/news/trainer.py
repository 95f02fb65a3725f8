"""Training steps and epochs of a news model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from pyrec.nn.articles import ArticleStore
from pyrec.nn.dropout import Dropout
from pyrec.nn.news import NewsNetwork
from pyrec.store.arrays import State
from pyrec.store.resumable import (
    Arrays,
    optimizer_arrays,
    restore_optimizer,
    restore_tensors,
    tensor_arrays,
    under,
)
from pyrec.train.loss import Loss
from pyrec.train.loss.weighted_mean import weighted_mean
from pyrec.train.news.batches import NewsBatches, TrainingBatch
from pyrec.train.news.buckets import Buckets
from pyrec.train.news.terms import NewsTerm, SampleWeighing
from pyrec.train.optimisation import Optimisation, held_rate, set_rate
from pyrec.train.recorded import CudaRecorder, ReplayedBuckets
from pyrec.train.stepwise import Stepwise


@dataclass
class NewsTrainer(Stepwise):
    """Takes the network of a news model through epochs; the same seed gives the same bits at any number of threads.

    Attributes:
        network: What is trained.
        store: The articles.
        batches: The samples.
        loss: Of their scores.
        optimisation: Learning rates, and the weight decay in ``reg``.
        dropout: Share of numbers that are dropped.
        terms: Losses beside the ranking loss.
        weighing: What learns how much each sample counts, if anything does.
        recordable: Whether its steps can be recorded.
        taken: Samples of the epoch under way that have been trained on.
        total: The sum of their losses.
        replayed: Takes full batches by recorded steps; None where no step can be recorded.
    """

    network: NewsNetwork
    store: ArticleStore
    batches: NewsBatches
    loss: Loss
    optimisation: Optimisation
    dropout: float
    terms: Sequence[NewsTerm] = ()
    weighing: SampleWeighing = field(default_factory=SampleWeighing)
    recordable: bool = False
    taken: int = field(init=False, default=0)
    total: float = field(init=False, default=0.0)
    replayed: ReplayedBuckets | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        device, decay = self.batches.device, self.optimisation.reg
        on_cuda = device.type == "cuda"
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            list(self._groups()), weight_decay=decay, fused=True, capturable=on_cuda
        )
        if on_cuda and self.recordable:
            self.replayed = ReplayedBuckets(device, CudaRecorder(device))

    @cached_property
    def buckets(self) -> Buckets:
        """Of the batches of recorded steps."""
        return Buckets.of(self.batches)

    def _groups(self) -> Iterator[dict[str, Any]]:
        """Parameters by their learning rates, which are ``times`` the model's."""
        rate, device = self.optimisation.learning_rate, self.batches.device
        popularity = self.network.popularity
        faster = [] if popularity is None else popularity.faster()
        of_popularity = {id(one) for one in faster}
        others = [one for one in self.network.parameters() if id(one) not in of_popularity]
        for term in self.terms:
            others += list(term.parameters())
        yield {
            "params": [one for one in others if one.requires_grad],
            "times": 1.0,
            "lr": held_rate(rate, device),
        }
        if popularity is not None:
            yield {"params": faster, "times": popularity.rate, "lr": held_rate(rate, device)}

    def begin(self, epoch: int) -> None:
        """See `Stepwise.begin`."""
        for group in self.optimizer.param_groups:
            set_rate(group, self.optimisation.rate(epoch) * group["times"])

    def run(self, epoch: int, stop: Callable[[], bool]) -> Tensor:
        """See `Stepwise.run`; steps on full batches that were recorded are replayed."""
        if self.replayed is None:
            return super().run(epoch, stop)
        total = self.replayed.total.fill_(self.total)
        while not self.finished and not stop():
            batch = self.batches.drawn(epoch, self.taken)
            if batch.size == self.batches.batch_size:
                bucket = self.buckets.bucket(batch)
                self.replayed.take(bucket, self.buckets.padded(batch, bucket), self.step)
            else:
                total += self.step(self.batches.placed(batch)) * batch.size
            self.taken += batch.size
        return total

    def step(self, batch: TrainingBatch) -> Tensor:
        """One step of Adam; returns the batch's mean loss as a number on the device."""
        batch = self.weighing.before(batch, self)
        self.optimizer.zero_grad()
        loss = self.batch_loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.detach()

    def batch_loss(self, batch: TrainingBatch) -> Tensor:
        """The batch's loss with that of the further terms, a scalar."""
        dropout = self.dropout_of(batch)
        vectors = self._encoded(batch, dropout)
        loss = weighted_mean(self._each(batch, vectors, dropout), batch.weight)
        for term in self.terms:
            loss = loss + term(batch, vectors, self)
        return loss

    def losses(self, batch: TrainingBatch) -> Tensor:
        """The ranking loss of each sample, (size,)."""
        dropout = self.dropout_of(batch)
        return self._each(batch, self._encoded(batch, dropout), dropout)

    def _encoded(self, batch: TrainingBatch, dropout: Dropout) -> Tensor:
        vectors: Tensor = self.network.articles(batch.articles, dropout)
        return vectors

    def _each(self, batch: TrainingBatch, vectors: Tensor, dropout: Dropout) -> Tensor:
        scores = self.network.scores(batch.news, self.store, vectors, dropout)
        return self.loss.each_of_scores(batch.lists(scores), batch.present)

    def dropout_of(self, batch: TrainingBatch, pass_: int = 0) -> Dropout:
        """What is dropped in a step: always the same for the same batch and pass."""
        return Dropout(self.dropout, batch.seed, pass_)

    def state(self) -> Arrays:
        """See `Resumable.state`: parameters, moments, and how far the epoch under way is."""
        arrays = self.taken_arrays()
        arrays |= under("network", tensor_arrays(self.network.state_dict()))
        arrays |= under("optimizer", optimizer_arrays(self.optimizer))
        for at, term in enumerate(self.terms):
            arrays |= under(f"terms.{at}", tensor_arrays(term.state_dict()))
        return arrays | under("weighing", self.weighing.state())

    def restore(self, state: State) -> None:
        """See `Resumable.restore`.

        Raises:
            DataError: Something is missing, or of another network or data set.
        """
        self.restore_taken(state)
        restore_tensors(self.network.state_dict(), state.under("network."))
        restore_optimizer(self.optimizer, state.under("optimizer."))
        for at, term in enumerate(self.terms):
            restore_tensors(term.state_dict(), state.under(f"terms.{at}."))
        self.weighing.restore(state.under("weighing."))

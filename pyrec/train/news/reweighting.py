r"""Weights of clicks that impressions shown at random teach, by the derivative of their loss past a step of θ.

As `pyrec.train.sample_weights` has it: with θ' the parameters behind a step on L_T = Σ_k w_k l_k / W, D the step of
each entry, and L_U the loss on the random impressions,

    ∂L_U(θ')/∂w_k = -(a_k - ā) / W        a_k = <D ∇L_U(θ'), ∇l_k(θ)>        ā = Σ_k w_k a_k / W

Here the network is any, so a_k comes from two more forward passes, at the ends of a short way along D ∇L_U:
a_k = (l_k(θ + ε d) - l_k(θ - ε d)) / 2ε.

Source: Ren et al., ICML 2018; Chen et al., SIGIR 2021; the difference, Liu et al., "DARTS", ICLR 2019, section 2.3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import ClassVar, Final

import numpy as np
import torch
from torch import Tensor

from pyrec._arrays import tensor_of
from pyrec.data.impressions import Impressions
from pyrec.store.arrays import State
from pyrec.store.resumable import (
    Arrays,
    count,
    optimizer_arrays,
    restore_optimizer,
    restore_tensors,
    tensor_arrays,
    under,
)
from pyrec.train.agreement import ordered_sum
from pyrec.train.loss.weighted_mean import weighted_mean
from pyrec.train.news.batches import NewsBatches, TrainingBatch
from pyrec.train.news.terms import SampleWeighing, Training
from pyrec.train.reweight import Known, Pairs, Weighing
from pyrec.train.reweight.base import POSITIVE

WAY: Final = 1e-2
"""Length of the way to either side."""


class ClickWeights(SampleWeighing):
    """Weighs each batch before θ's step, and first takes a step of φ down the random impressions' loss behind it.

    Attributes:
        weigher: Gives factors; None where they are the agreements.
    """

    recordable: ClassVar[bool] = False

    def __init__(self, impressions: Impressions, random: NewsBatches, how: Weighing, seed: int) -> None:
        """Start with the first random batch.

        Args:
            impressions: What is learned from.
            random: Batches of impressions that were shown in random order.
            how: What weights are made of.
            seed: Of their first parameters.
        """
        self._impressions, self._random, self._how = impressions, random, how
        self._epoch, self._first = 0, 0
        positions = int(impressions.candidates.lengths.max(initial=0))
        known = Known(impressions.num_users + 1, impressions.num_items, positions)
        weigher = how.make(known, torch.Generator("cpu").manual_seed(seed))
        self.weigher = None if weigher is None else weigher.to(random.device)
        self._optimizer = None if self.weigher is None else how.optimizer(self.weigher)

    def before(self, batch: TrainingBatch, training: Training) -> TrainingBatch:
        """See `SampleWeighing.before`: φ's step, and the weights after it."""
        with torch.no_grad():
            losses = training.losses(batch)
        pairs = self._pairs(batch, losses)
        factor = torch.ones_like(losses) if self.weigher is None else self.weigher(pairs)
        moved = self._agreement(batch, training, _weighed(batch, factor.detach()))
        if self.weigher is None:
            factor = torch.where((moved > 0).any(), moved.clamp_min(0), torch.ones_like(moved))
            return _weighed(batch, factor)
        if self._optimizer is not None:
            self._optimizer.zero_grad()
            torch.autograd.backward(factor, self._slopes(batch, factor.detach(), moved))
            self._optimizer.step()
        with torch.no_grad():
            return _weighed(batch, self.weigher(pairs))

    def _pairs(self, batch: TrainingBatch, losses: Tensor) -> Pairs:
        """What is known of the clicks; a reader who is not known is the last."""
        impressions, device = self._impressions, losses.device
        users = np.where(
            impressions.users[batch.impressions] < 0,
            impressions.num_users,
            impressions.users[batch.impressions],
        )
        positions = batch.slots - impressions.candidates.indptr[batch.impressions]
        items = impressions.candidates.indices[batch.slots]
        kind = torch.full(losses.shape, POSITIVE, dtype=torch.int64, device=device)
        return Pairs(_whole(users, device), _whole(items, device), kind, losses, _whole(positions, device))

    def _agreement(self, batch: TrainingBatch, training: Training, now: TrainingBatch) -> Tensor:
        """a_k of each sample, (size,)."""
        parameters = [one for one in training.network.parameters() if one.requires_grad]
        weight = now.weight if self.weigher is not None else None
        loss = weighted_mean(training.losses(batch), weight)
        step = self._scaled(torch.autograd.grad(loss, parameters, allow_unused=True), parameters, training)
        with _moved(parameters, step, -1.0):
            second = self._next()
            random = weighted_mean(training.losses(second), None)
            found = torch.autograd.grad(random, parameters, allow_unused=True)
        direction = self._scaled(found, parameters, training)
        return _along(batch, training, parameters, direction)

    def _scaled(
        self, grads: Sequence[Tensor | None], parameters: list[torch.nn.Parameter], training: Training
    ) -> list[Tensor]:
        """D times gradients: Adam's step with its second moments held, or that of plain descent."""
        rates = {id(one): group["lr"] for group in training.optimizer.param_groups for one in group["params"]}
        steps = []
        for grad, parameter in zip(grads, parameters, strict=True):
            given = torch.zeros_like(parameter) if grad is None else grad
            moment = training.optimizer.state.get(parameter, {}).get("exp_avg_sq")
            if self._how.inner == "adam" and moment is not None:
                taken = float(training.optimizer.state[parameter]["step"])
                given = given / ((moment / (1 - 0.999**taken)).sqrt() + 1e-8)
            steps.append(rates[id(parameter)] * given)
        return steps

    def _slopes(self, batch: TrainingBatch, factor: Tensor, moved: Tensor) -> Tensor:
        given = torch.ones_like(factor) if batch.weight is None else batch.weight
        weight = factor * given
        total = ordered_sum(weight)
        return (ordered_sum(weight * moved) / total - moved) * given / total

    def _next(self) -> TrainingBatch:
        batch = self._random.at(self._epoch, self._first)
        self._first += batch.size
        if self._first == self._random.num_samples:
            self._epoch, self._first = self._epoch + 1, 0
        return batch

    @torch.no_grad()
    def of_positions(self) -> Tensor | None:
        """The factor of each position beside the first one's, (num_positions,); None where it has none."""
        table = getattr(self.weigher, "position", None)
        if table is None:
            return None
        positions = torch.arange(len(table), dtype=torch.int64, device=table.device)
        zeros = torch.zeros_like(positions)
        assert self.weigher is not None
        factors: Tensor = self.weigher(Pairs(zeros, zeros, zeros + POSITIVE, zeros.float(), positions))
        return factors / factors[0]

    def state(self) -> Arrays:
        """See `Resumable.state`: φ, its optimizer's state, and the place among the random impressions."""
        arrays: Arrays = {"epoch": np.array(self._epoch), "first": np.array(self._first)}
        if self.weigher is not None:
            arrays |= under("weigher", tensor_arrays(self.weigher.state_dict()))
        if self._optimizer is not None:
            arrays |= under("optimizer", optimizer_arrays(self._optimizer))
        return arrays

    def restore(self, state: State) -> None:
        """See `Resumable.restore`.

        Raises:
            DataError: Something is missing or does not fit.
        """
        self._epoch = count(state, "epoch", 2**32 - 1)
        self._first = count(state, "first", self._random.num_samples - 1)
        if self.weigher is not None:
            restore_tensors(self.weigher.state_dict(), state.under("weigher."))
        if self._optimizer is not None:
            restore_optimizer(self._optimizer, state.under("optimizer."))


def _whole(numbers: np.ndarray[tuple[int], np.dtype[np.integer]], device: torch.device) -> Tensor:
    return tensor_of(numbers.astype(np.int64)).to(device)


def _weighed(batch: TrainingBatch, factor: Tensor) -> TrainingBatch:
    return replace(batch, weight=factor if batch.weight is None else factor * batch.weight)


@contextmanager
def _moved(parameters: list[torch.nn.Parameter], way: list[Tensor], times: float) -> Iterator[None]:
    """A block with the parameters some way off; behind it they have their bits again."""
    before = [parameter.detach().clone() for parameter in parameters]
    with torch.no_grad():
        for parameter, part in zip(parameters, way, strict=True):
            parameter.add_(part, alpha=times)
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, value in zip(parameters, before, strict=True):
                parameter.copy_(value)


@torch.no_grad()
def _along(
    batch: TrainingBatch, training: Training, parameters: list[torch.nn.Parameter], direction: list[Tensor]
) -> Tensor:
    """The derivative of each sample's loss along a direction of the parameters, by a central difference."""
    length = torch.stack([part.double().square().sum() for part in direction]).sum().sqrt()
    if not length > 0:
        return torch.zeros(batch.size, dtype=torch.float32, device=batch.present.device)
    ends = []
    for side in (1.0, -1.0):
        with _moved(parameters, direction, side * WAY / float(length)):
            ends.append(training.losses(batch).double())
    return ((ends[0] - ends[1]) * (length / (2 * WAY))).float()

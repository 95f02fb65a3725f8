r"""Weights of training samples that a uniform set teaches, by the derivative of its loss past a step of θ.

A step of θ on L_T = Σ_k w_k l_k / W, W = Σ_k w_k, is linear in the samples' gradients. So with θ' the parameters
behind it, D the step of each entry, and L_U the loss on the uniform set,

    ∂L_U(θ')/∂w_k = -(a_k - ā) / W        a_k = <D ∇L_U(θ'), ∇l_k(θ)>        ā = Σ_k w_k a_k / W

is exact, without a second derivative. `pyrec.train.direction` turns D ∇L_U into a direction of the batch's vectors,
and `Loss.agreement` gives a_k, which for a pointwise loss is l'_k (v_u · x_i + x_u · v_i). Encoders and the combine's
parameters count as fixed.

Source: Ren et al., ICML 2018; Shu et al., NeurIPS 2019; Chen et al., SIGIR 2021, with sums over batches.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyrec.data import Interactions
from pyrec.errors import ConfigError
from pyrec.graph.graph import Graph
from pyrec.graph.nodes import Nodes
from pyrec.nn.first_layer import FirstLayer
from pyrec.nn.network import Network
from pyrec.store.arrays import State
from pyrec.store.resumable import (
    Arrays,
    optimizer_arrays,
    restore_optimizer,
    restore_tensors,
    tensor_arrays,
    under,
)
from pyrec.train.agreement import Agreement, ordered_sum
from pyrec.train.batch import Batch
from pyrec.train.bilevel import Bilevel, SecondBatches
from pyrec.train.direction import along, value_and_gradient
from pyrec.train.loss import Loss, Pointwise
from pyrec.train.negatives import Observed
from pyrec.train.optimisation import Optimisation, penalty
from pyrec.train.pair_batches import PairBatches
from pyrec.train.reweight import Known, LabelWeights, Pairs, Weighing, imputes
from pyrec.train.training_pairs import TrainingPairs


class ImputedLabel(torch.nn.Module):
    """One label of all pairs that are not observed: the middle of the labels and half their range times tanh(χ).

    Attributes:
        chi: () χ.
    """

    def __init__(self, low: float, high: float, start: float | None) -> None:
        """Start at a label.

        Raises:
            ConfigError: It is outside the labels, or at one of their ends.
        """
        super().__init__()
        self._middle, self._half = (low + high) / 2, (high - low) / 2
        share = 0.0 if start is None else (start - self._middle) / self._half
        if not -1 < share < 1:
            raise ConfigError(f"reweight__prior = {start:g} must lie between the labels {low:g} and {high:g}")
        self.chi = torch.nn.Parameter(torch.tensor(np.arctanh(share), dtype=torch.float32, device="cpu"))

    def forward(self) -> Tensor:
        """The label, a scalar."""
        return self._middle + self._half * torch.tanh(self.chi)


class Slopes(NamedTuple):
    """Derivatives of the uniform loss in the factor of each pair (n,), and in the imputed label, a scalar."""

    factor: Tensor
    label: Tensor


@dataclass(frozen=True)
class Task:
    """What is trained, and on what.

    Attributes:
        network: θ.
        graph: What it propagates over.
        learned: The training set, whose pairs the batches are of.
        loss: L_T, of a batch.
        labels: The least and the largest label of L_T.
        uniform: Batches of the uniform set.
        uniform_loss: L_U, of such a batch.
        optimisation: Of θ.
        seed: Of the weights' first parameters.
    """

    network: Network
    graph: Graph
    learned: Interactions
    loss: Loss
    labels: tuple[float, float]
    uniform: PairBatches
    uniform_loss: Loss
    optimisation: Optimisation
    seed: int


class SampleWeights(Bilevel):
    """Weighs each batch before θ's step, and first takes a step of φ down the uniform loss behind θ's next step.

    A pair's weight is what the data give it times a factor that is learned. A negative of a pointwise loss is a pair
    without a label: it is given ``unobserved`` times as many as such pairs it stands for, and an imputed label.

    Attributes:
        weigher: Gives factors; None where they are the agreements.
        imputed: Gives the label of pairs without one; None for a loss that has no such pairs.
    """

    def __init__(self, task: Task, how: Weighing) -> None:
        """Start with the first uniform batch.

        Raises:
            ConfigError: The options do not go with the network or the loss.
        """
        _check(task, how)
        device = task.graph.device
        self._task, self._how = task, how
        self._nodes = task.network.nodes(task.graph)
        self._known_pairs = TrainingPairs.of(task.learned, device)
        self._second = SecondBatches(task.uniform)
        known = Known(task.learned.num_users, task.learned.num_items, self._known_pairs.num_positions)
        weigher = how.make(known, torch.Generator("cpu").manual_seed(task.seed))
        self.weigher = None if weigher is None else weigher.to(device)
        self.imputed = ImputedLabel(*task.labels, how.prior).to(device) if imputes(task.loss) else None
        self._optimizers = self._make_optimizers()

    def _make_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        found = {}
        if self.weigher is not None and (optimizer := self._how.optimizer(self.weigher)) is not None:
            found["weigher"] = optimizer
        if self.imputed is not None and self._how.prior_rate > 0:
            found["imputed"] = torch.optim.Adam(self.imputed.parameters(), self._how.prior_rate)
        return found

    def before(self, batch: Batch) -> Batch:
        """See `Bilevel.before`: φ's step, and the weights after it."""
        task = self._task
        layers = task.network(task.graph, batch.rows)
        with torch.no_grad():
            vectors = task.network.vectors(layers, self._at(batch.rows), batch.rows)
        pairs = self._pairs(batch, vectors)
        factor = vectors.new_ones(len(pairs.users)) if self.weigher is None else self.weigher(pairs)
        label = None if self.imputed is None else self.imputed()
        now = self._weighed(batch, factor.detach(), label)
        rows = batch.rows
        direction = along(task.network, task.graph, self._nodes, layers, rows, self._descent(now))
        agreement = task.loss.agreement(now, vectors, direction)
        if self.weigher is None:
            factor = _of_agreement(agreement)
            now = self._weighed(batch, factor, label)
        slopes = self._slopes(batch, now, agreement)
        self._learn(factor, label, slopes)
        with torch.no_grad():
            if self.weigher is not None:
                factor = self.weigher(pairs)
            return self._weighed(batch, factor, None if self.imputed is None else self.imputed())

    def _at(self, rows: Tensor) -> Nodes | None:
        return None if self._nodes is None else self._nodes.at(rows)

    def _pairs(self, batch: Batch, vectors: Tensor) -> Pairs:
        """What is known of the batch's pairs, their losses with the label that is imputed now included."""
        triples, others = batch.triples, self._num_others(batch)
        at = self._known_pairs.at(triples)
        users, items = triples.users.long(), triples.positives.long()
        if others:
            users = torch.cat([users, users.repeat_interleave(others // batch.size)])
            items = torch.cat([items, triples.negatives.flatten().long()])
        with torch.no_grad():
            label = None if self.imputed is None else self.imputed()
            losses = self._task.loss.each(self._weighed(batch, None, label), vectors)
        loss = losses.samples
        if others and losses.others is not None:
            loss = torch.cat([loss, losses.others])
        kinds, positions = self._known_pairs.kinds(at, others), self._known_pairs.positions(at, others)
        return Pairs(users, items, kinds, loss, positions)

    def _num_others(self, batch: Batch) -> int:
        """How many pairs without a label the batch has."""
        return 0 if self.imputed is None else len(batch.position) - 2 * batch.size

    def _given(self, batch: Batch) -> tuple[Tensor | None, Tensor | None]:
        """The weights of samples and of pairs without a label before any is learned; None for 1 each, or no such."""
        others = self._num_others(batch)
        if others == 0:
            return batch.weight, None
        return batch.weight, self._known_pairs.missing_weight(batch.triples, self._how.unobserved)

    def _weighed(self, batch: Batch, factor: Tensor | None, label: Tensor | None) -> Batch:
        """The batch with what its pairs are given, times factors (n,) where there are some, and the imputed label."""
        weight, missing = self._given(batch)
        if factor is not None:
            samples = factor[: batch.size]
            weight = samples if weight is None else samples * weight
            missing = None if missing is None else factor[batch.size :] * missing
        others = None
        if missing is not None and label is not None:
            others = label.detach().to(missing.dtype).expand(len(missing)).contiguous()
        return replace(batch, weight=weight, other_weight=missing, other_label=others)

    def _descent(self, now: Batch) -> Tensor:
        """D ∇L_U behind a step on the batch, (num_nodes, dim); where all weights are 0 if they have no parameters."""
        task = self._task
        with torch.no_grad():
            start = task.network.first().detach()
        steps: Tensor | float = task.optimisation.rate(now.epoch)
        behind = start
        if self.weigher is not None or self._how.inner == "adam":
            behind, steps = self._step(start, now)
        second = self._second.next()
        where = task.network, task.graph, self._nodes
        x = start if self.weigher is None else behind
        _, gradient = value_and_gradient(
            *where, x, second.rows, lambda vectors: task.uniform_loss(second, vectors)
        )
        return gradient.mul_(steps)

    def _step(self, start: Tensor, now: Batch) -> tuple[Tensor, Tensor | float]:
        """The first embeddings behind the step to come, and the steps of their entries."""
        task = self._task
        reg = task.optimisation.reg
        _, gradient = value_and_gradient(
            task.network,
            task.graph,
            self._nodes,
            start,
            now.rows,
            lambda vectors: task.loss(now, vectors),
            lambda ego: reg * penalty(now, ego)[1],
        )
        with torch.no_grad():
            ahead = task.network.first.ahead(gradient) if self._how.inner == "adam" else None
            if ahead is not None:
                return ahead
            rate = task.optimisation.rate(now.epoch)
            return start - rate * gradient, rate

    @torch.no_grad()
    def _slopes(self, batch: Batch, now: Batch, agreement: Agreement) -> Slopes:
        """-(a_k - ā) / W times what each pair is given, and Σ w s / W over pairs without a label."""
        given, missing = self._given(batch)
        assert now.weight is not None
        weight, moved = now.weight, agreement.samples
        given = torch.ones_like(moved) if given is None else given
        if now.other_weight is not None:
            assert agreement.others is not None
            assert missing is not None
            weight = torch.cat([weight, now.other_weight])
            moved, given = torch.cat([moved, agreement.others]), torch.cat([given, missing])
        total = ordered_sum(weight)
        slopes = (ordered_sum(weight * moved) / total - moved) * given / total
        if now.other_weight is None or agreement.scores is None:
            return Slopes(slopes, total.new_zeros(()))
        return Slopes(slopes, ordered_sum(now.other_weight * agreement.scores) / total)

    def _learn(self, factor: Tensor, label: Tensor | None, slopes: Slopes) -> None:
        """A step of φ, by the chain rule from the slopes."""
        for optimizer in self._optimizers.values():
            optimizer.zero_grad()
        if self.weigher is not None:
            torch.autograd.backward(factor, slopes.factor)
        if label is not None:
            torch.autograd.backward(label, slopes.label.to(label.dtype))
        for optimizer in self._optimizers.values():
            optimizer.step()

    @torch.no_grad()
    def of_training(self) -> Tensor | None:
        """The factors of the training set's pairs as they are now, (n,); None where they change with the model."""
        if self.weigher is None or self.weigher.by_loss:
            return None
        factors: Tensor = self.weigher(self._known_pairs.as_pairs())
        return factors

    @torch.no_grad()
    def label(self) -> float | None:
        """The imputed label as it is now."""
        return None if self.imputed is None else float(self.imputed())

    def state(self) -> Arrays:
        """See `Bilevel.state`: φ, its optimizers' state, and the place among the uniform pairs."""
        arrays = self._second.state()
        for name, module in self._modules().items():
            arrays |= under(name, tensor_arrays(module.state_dict()))
        for name, optimizer in self._optimizers.items():
            arrays |= under(f"{name}_optimizer", optimizer_arrays(optimizer))
        return arrays

    def restore(self, state: State) -> None:
        """See `Bilevel.restore`.

        Raises:
            DataError: Something is missing or does not fit.
        """
        self._second.restore(state)
        for name, module in self._modules().items():
            restore_tensors(module.state_dict(), state.under(f"{name}."))
        for name, optimizer in self._optimizers.items():
            restore_optimizer(optimizer, state.under(f"{name}_optimizer."))

    def _modules(self) -> dict[str, torch.nn.Module]:
        both = {"weigher": self.weigher, "imputed": self.imputed}
        return {name: module for name, module in both.items() if module is not None}


def uniform_loss(loss: Loss) -> Loss:
    """The loss on uniform pairs: that of training where it is pointwise, else the logistic one; without negatives."""
    if isinstance(loss, Pointwise):
        return loss.replaced(negatives=Observed())
    return Pointwise(score=loss.score, negatives=Observed())


def _check(task: Task, how: Weighing) -> None:
    """Refuses what does not go with the network or the data.

    Raises:
        ConfigError: Names the option.
    """
    if how.inner == "adam" and type(task.network.first).ahead is FirstLayer.ahead:
        raise ConfigError(
            f"reweight__inner = 'adam' of reweight = {how.name!r} needs a table of embeddings, but these are another "
            "module's; give 'sgd', which holds the module"
        )
    labels = task.learned.labels
    alike = labels is None or bool((labels > 0).all() or (labels <= 0).all())
    if isinstance(how, LabelWeights) and alike and not imputes(task.loss):
        raise ConfigError(
            "reweight = 'label' has a weight of likes and one of dislikes, but the interactions are all of one kind; "
            "give labels that differ, or another reweight"
        )


def _of_agreement(agreement: Agreement) -> Tensor:
    """Weights max(0, a) of a batch's pairs, (n,); 1 each where all of these are 0."""
    moved = (
        agreement.samples if agreement.others is None else torch.cat([agreement.samples, agreement.others])
    )
    weights = moved.clamp_min(0)
    return torch.where((weights > 0).any(), weights, torch.ones_like(weights))

"""One fit: its stages, their epochs, and the checkpoints between them.

With held-out layer weights there are two stages: ``combine`` trains another network, whose combine is kept, and
``model`` trains the model's own. A checkpoint is of one of them; nothing of the stage before is needed to go on.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

import torch

from pyrec._ambient import full_precision
from pyrec.data import Interactions
from pyrec.data.split import hold_out
from pyrec.errors import DataError
from pyrec.graph.graph import Graph
from pyrec.nn.fit import HeldOut, OnUniform
from pyrec.nn.network import Network
from pyrec.ops.sample import Sampler
from pyrec.store.training_checkpoint import COMBINE, MODEL
from pyrec.train.adaptation import Adaptation, Estimates
from pyrec.train.batches import Batches
from pyrec.train.bilevel import Bilevel, Drawn, LayerWeights
from pyrec.train.early_stopping import hold_out_to_stop
from pyrec.train.epochs import Journal, Stage
from pyrec.train.loss import Loss
from pyrec.train.pair_batches import PairBatches
from pyrec.train.plan import Plan
from pyrec.train.reweight import Bridge, Weighing
from pyrec.train.sample_weights import SampleWeights, Task, uniform_loss
from pyrec.train.samples import Samples
from pyrec.train.teacher_labels import Teacher, TeacherLabels
from pyrec.train.timing import epoch_seconds
from pyrec.train.trainer import Trainer
from pyrec.train.training_pairs import TrainingPairs
from pyrec.train.validated import Record, Validation, best_of_epochs


class Fit:
    """Trains a network on interactions.

    Attributes:
        graph: Of all interactions, on the device: what the fitted vectors propagate over. None before `run`.
        learned: The interactions that parameters are learned on.
        learned_graph: Their graph.
        held_out: The share held out of them to choose the epoch, if there is one.
        full_users: Number of users who own every item; they have no negative and are not trained on.
        empty_users: Number of users without an interaction to train on.
    """

    graph: Graph
    learned_graph: Graph
    full_users: int
    empty_users: int

    def __init__(
        self,
        plan: Plan,
        interactions: Interactions,
        network: Network,
        device: torch.device,
        journal: Journal,
        history: list[Record],
        uniform: Interactions | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        """Split the interactions.

        Args:
            plan: What to do.
            interactions: All that there are.
            network: To be trained, as it was made.
            device: Where to train.
            journal: The checkpoints of this fit.
            history: The records of the epochs are put into it.
            uniform: Pairs with labels that were shown at random, of the same users and items; needed to reweight, and
                to learn layer weights on them.
            teacher: Fitted on these, for `Bridge`.

        Raises:
            DataError: Too few interactions to hold out a share of them.
        """
        self._plan = plan
        self._interactions = interactions
        self._network = network
        self._device = device
        self._journal = journal
        self._history = history
        self._uniform, self._teacher = uniform, teacher
        self.sample_weights: SampleWeights | None = None
        self.learned, self.held_out = interactions, None
        if plan.validation_share is not None:
            self.learned, self.held_out = hold_out_to_stop(interactions, plan.validation_share, plan.seed)

    @full_precision()
    def run(self, validation: Validation | None, callback: Callable[[Record], None] | None) -> int:
        """Train to the end, from the journal's checkpoint if there is one.

        Args:
            validation: How the epoch is chosen; None keeps the last one.
            callback: Called with the record of each epoch, to which it may add entries.

        Returns:
            The epoch whose parameters were kept, from 1.

        Raises:
            DataError: If there is nothing to learn from, training diverges, or a checkpoint cannot be written.
            StoppedError: If it was stopped.
        """
        plan, network = self._plan, self._network
        resumed = self._journal.goes_on_in(MODEL)
        if plan.fits_held_out:  # before anything else is on the device
            if not resumed:
                self._learn_combine()
            network.combine.requires_grad_(False)
        if not resumed:
            plan.encoder.start(network, self.learned)
        network.to(self._device)
        trainer = self._trainer(network)
        epochs = plan.optimisation.epochs
        return best_of_epochs(trainer, network, epochs, self._journal, self._history, validation, callback)

    @full_precision()
    def seconds(self, limit: float) -> float:
        """Return what `run` will take in all epochs, validation aside, from the first steps of one.

        The steps are taken, so the network is of no use afterwards. A start from singular vectors is not counted.

        Args:
            limit: Seconds for the steps of a stage.
        """
        started = time.perf_counter()
        self._network.to(self._device)
        trainers = [self._trainer(self._network)]
        if self._plan.fits_held_out:
            trainers.append(self._combine_trainer())
        setup = time.perf_counter() - started
        epochs = self._plan.optimisation.epochs
        return setup + epochs * sum(epoch_seconds(trainer, limit) for trainer in trainers)

    def _trainer(self, network: Network) -> Trainer:
        """The trainer of the model's own stage; it leaves the graphs where they are found."""
        plan = self._plan
        self.graph = self._propagated(self._interactions)
        whole = self.learned is self._interactions
        self.learned_graph = self.graph if whole else self.graph.sharing(self._propagated(self.learned))
        propagated = self.learned_graph
        for one in plan.augment:
            propagated = one.training_graph(propagated, self.learned, plan.seed)
        sampled = _whole(self.learned_graph, self.learned)
        sampler = Sampler(sampled, _positives(sampled, self.learned))
        self.full_users, self.empty_users = sampler.full_users, sampler.empty_users
        batches = self._batches(propagated, sampler, self.learned)
        bilevel, adaptation = self._bilevel(network, propagated), self._adaptation()
        return Trainer(network, batches, plan.loss, plan.optimisation, plan.augment, bilevel, adaptation)

    def _adaptation(self) -> Adaptation:
        """What the loss estimates of users between epochs."""
        loss = self._plan.loss
        if loss.adapting is None:
            return Adaptation()
        return Estimates(loss.adapting, float(loss.temperature), self.learned, self._device)

    def _bilevel(self, network: Network, graph: Graph) -> Bilevel:
        """What gives samples their weights and labels."""
        plan = self._plan
        if isinstance(plan.reweight, Weighing):
            self.sample_weights = self._sample_weights(network, plan.reweight, graph)
            return self.sample_weights
        if isinstance(plan.reweight, Bridge):
            assert self._teacher is not None
            pairs = TrainingPairs.of(self.learned, graph.device)
            teacher = self._teacher.to(graph.device)
            return TeacherLabels(teacher, pairs, self._label_range(), plan.reweight.unobserved)
        return Bilevel()

    def _label_range(self) -> tuple[float, float]:
        """The least and the largest label of the training loss; without labels, 0 and 1."""
        labels = self._plan.loss.labels(self.learned)
        return (0.0, 1.0) if labels is None else (min(0.0, float(labels.min())), float(labels.max()))

    def _sample_weights(self, network: Network, how: Weighing, graph: Graph) -> SampleWeights:
        """What learns weights of samples on the uniform pairs."""
        plan, loss = self._plan, uniform_loss(self._plan.loss)
        pairs, labels = self._uniform_batches(graph, loss, how.uniform_batch), self._label_range()
        task = Task(
            network, graph, self.learned, plan.loss, labels, pairs, loss, plan.optimisation, plan.seed
        )
        return SampleWeights(task, how)

    def _learn_combine(self) -> None:
        """Give the network the combine that is learned on held-out or uniform pairs."""
        trainer = self._combine_trainer()
        Stage(COMBINE, trainer, self._journal).run(self._plan.optimisation.epochs)
        self._network.combine.load_state_dict(trainer.network.combine.state_dict())

    def _combine_trainer(self) -> Trainer:
        """The trainer of the stage before: of a copy of the network, and of the combine on pairs apart."""
        plan, fit = self._plan, self._plan.layer_fit
        assert isinstance(fit, (HeldOut, OnUniform))
        if isinstance(fit, HeldOut):
            learned, graph, second = self._held_out_batches(fit)
            loss = plan.loss
        else:
            learned, graph, loss = self.learned, self._propagated(self.learned), uniform_loss(plan.loss)
            second = self._uniform_batches(graph, loss, plan.batch_size)
        teacher = copy.deepcopy(self._network)
        if not self._journal.goes_on_in(COMBINE):
            plan.encoder.start(teacher, learned)
        teacher.to(self._device)
        rate = plan.optimisation.learning_rate * fit.rate
        bilevel: Bilevel = LayerWeights(teacher, graph, second, loss, rate)
        sampled = _whole(graph, learned)
        first = self._batches(graph, Sampler(sampled, _positives(sampled, learned)), learned)
        return Trainer(teacher, first, plan.loss, plan.optimisation, plan.augment, bilevel)

    def _held_out_batches(self, fit: HeldOut) -> tuple[Interactions, Graph, Drawn]:
        """The interactions that are left, their graph, and batches of those that are held out."""
        asked = "combine__fit = 'held-out' (None stands for it with a loss such as 'bpr')"
        advice = "give more interactions, or combine__fit = 'train' or combine = 'mean'"
        learned, held_out = hold_out(self.learned, fit.share, self._plan.seed, asked, advice)
        graph = self._propagated(learned)
        whole, pairs = (Graph.from_interactions(part).to(self._device) for part in (self.learned, held_out))
        pairs = _positives(pairs, held_out) or pairs
        sampler = _held_out_sampler(whole, pairs, f"{asked} has nothing to learn from", advice)
        return learned, graph, self._batches(graph, sampler, held_out)

    def _uniform_batches(self, graph: Graph, loss: Loss, batch_size: int | None) -> PairBatches:
        """Batches of the uniform pairs, with the labels that their loss reads.

        Raises:
            DataError: They have none.
        """
        assert self._uniform is not None
        labels = loss.labels(self._uniform)
        if labels is None:
            raise DataError("the uniform pairs have no labels; give some: 1 for a like, and 0")
        return PairBatches.of(self._uniform, labels, graph, batch_size, self._plan.seed)

    def _propagated(self, interactions: Interactions) -> Graph:
        """The graph that vectors propagate over, on the device."""
        return Graph.of_positives(interactions, self._plan.weighted_edges).to(self._device)

    def _batches(self, graph: Graph, sampler: Sampler, interactions: Interactions) -> Batches:
        plan = self._plan
        negatives = plan.loss.source(graph.num_items)
        samples = Samples.of_interactions(interactions, plan.loss.labels(interactions), graph.device)
        return Batches(graph, sampler, negatives, plan.batch_size, plan.seed, samples)


def _whole(graph: Graph, interactions: Interactions) -> Graph:
    """The graph of all interactions, which negatives are drawn by: also of those that vectors do not propagate over."""
    return graph if graph.num_edges == 2 * len(interactions) else graph.beside(interactions)


def _positives(graph: Graph, interactions: Interactions) -> Graph | None:
    """The graph of the interactions that have a weight; None where all have.

    The others are no positives, or a batch of them alone would divide by the sum of their weights.

    Raises:
        DataError: All weights are 0.
    """
    if interactions.weights is None or interactions.weights.all():
        return None
    if not interactions.weights.any():
        raise DataError(
            f"the weights of all {len(interactions):,} interactions are 0: there is nothing to learn from; "
            "one has to be above 0"
        )
    return graph.beside(interactions.select(interactions.weights > 0))


def _held_out_sampler(whole: Graph, pairs: Graph, asked: str, advice: str) -> Sampler:
    """Draws held-out pairs; an error is in terms of what asked for them, unless it is of all interactions."""
    Sampler(whole)
    try:
        return Sampler(whole, pairs)
    except DataError:
        raise DataError(
            f"{asked}: who has one of the {pairs.num_edges // 2:,} interactions held out has all "
            f"{whole.num_items:,} items; {advice}"
        ) from None

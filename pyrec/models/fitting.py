"""One fit of a LightGCN: its stages, their epochs, and the checkpoints between them.

With ``combine_fit="held-out"`` there are two stages: ``combine`` trains another network, whose combine is kept, and
``model`` trains the model's own. A checkpoint is of one of them; nothing of the stage before is needed to go on.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from pyrec._ambient import full_precision
from pyrec.data import Interactions
from pyrec.data.random_pairs import add_random_pairs
from pyrec.data.split import hold_out
from pyrec.device import find_device
from pyrec.errors import DataError
from pyrec.evaluate.ranking import evaluate
from pyrec.graph.graph import Graph
from pyrec.models.hyperparameters import training_settings
from pyrec.nn.network import INITIAL_STD, LightGCNNetwork
from pyrec.nn.spectral import spectral_embeddings
from pyrec.ops.sample import Sampler
from pyrec.store.training_checkpoint import COMBINE, MODEL
from pyrec.train.best_epoch import BestEpoch
from pyrec.train.bilevel import HeldOutSteps
from pyrec.train.epochs import Journal, Stage
from pyrec.train.trainer import Trainer

if TYPE_CHECKING:
    from pyrec.models.base import Recommender
    from pyrec.models.lightgcn import LightGCN

Callback = Callable[["Recommender", dict[str, Any]], None]

VALIDATION_METRICS = ("precision", "recall", "ndcg")
HELD_OUT_SHARE = 0.1
"""Of the interactions, on which ``combine_fit="held-out"`` learns how layers combine."""


@full_precision()
def train_model(
    model: LightGCN, validation: Interactions | None, callback: Callback | None, journal: Journal
) -> None:
    """Train a model that has its training set and a network to begin with; the rest of `LightGCN.fit`.

    Args:
        model: Its parameters are learned, and what else ends in an underscore is set.
        validation: As for `LightGCN.fit`.
        callback: As for `LightGCN.fit`.
        journal: Of this fit.

    Raises:
        DataError: If there is nothing to learn from, training diverges, or a checkpoint cannot be written.
        StoppedError: If it was stopped.
    """
    learned, held_out = model.train_, validation
    if model.validation is not None:
        asked, mend = f"validation = {model.validation:g}", "give more interactions, or leave it out"
        learned, held_out = hold_out(learned, model.validation, model.seed, asked, mend)
    device = find_device(model.device)
    if model._fits_held_out:  # before anything else is on the device
        if not journal.goes_on_in(MODEL):
            _learn_combine(model, learned, device, journal)
        model.network_.combine.requires_grad_(False)
    if not journal.goes_on_in(MODEL):
        _start(model, model.network_, learned)
    model.network_.to(device)
    model._graph = Graph.from_interactions(model.train_).to(device)
    graph = model._graph if learned is model.train_ else _beside(model._graph, learned)
    extended = _with_extra_edges(model, graph, learned)
    trainer = Trainer(model.network_, extended, training_settings(model), graph)
    sampler = trainer.batches.sampler
    model.full_users_, model.empty_users_ = sampler.full_users, sampler.empty_users
    best = BestEpoch(model.network_, model.patience)
    stage = Stage(MODEL, trainer, journal, {"best": best}, model.history_)

    def report(record: dict[str, Any]) -> None:
        if held_out is not None:
            record |= _validate(model, graph, learned, held_out)
        model.history_.append(record)
        if callback is not None:
            model._refresh()
            with torch.enable_grad():  # which gives back what the callback leaves switched off
                callback(model, record)

    def settle(record: dict[str, Any]) -> None:
        if held_out is not None:
            best.offer(record["epoch"], record[f"validation_ndcg@{model.k}"])

    last = stage.run(model.epochs, report, settle, best.patience_spent)
    model.best_epoch_ = best.put_back(last)
    model._refresh()
    model.layer_weights_ = model._layer_weights()


def _learn_combine(
    model: LightGCN, interactions: Interactions, device: torch.device, journal: Journal
) -> None:
    """Give a new network the combine that is learned on held-out interactions."""
    asked = "combine_fit = 'held-out'" + (
        " (what None is with loss = 'bpr')" if model.combine_fit is None else ""
    )
    mend = "give more interactions, or combine_fit = 'train' or combine = 'mean'"
    learned, held_out = hold_out(interactions, HELD_OUT_SHARE, model.seed, asked, mend)
    graph, whole, pairs = (Graph.from_interactions(of).to(device) for of in (learned, interactions, held_out))
    sampler = _held_out_sampler(whole, pairs, f"{asked} has nothing to learn from", mend)
    teacher = copy.deepcopy(model.network_)
    if not journal.goes_on_in(COMBINE):
        _start(model, teacher, learned)
    teacher.to(device)
    settings = training_settings(model)
    steps = HeldOutSteps(teacher, graph, sampler, settings)
    Stage(COMBINE, Trainer(teacher, graph, settings, held_out=steps), journal).run(model.epochs)
    model.network_.combine.load_state_dict(teacher.combine.state_dict())


def _held_out_sampler(whole: Graph, pairs: Graph, asked: str, mend: str) -> Sampler:
    """Draws held-out pairs; an error is in terms of what asked for them, unless it is of all interactions."""
    Sampler(whole)
    try:
        return Sampler(whole, pairs)
    except DataError:
        raise DataError(
            f"{asked}: who has one of the {pairs.num_edges // 2:,} interactions held out has all "
            f"{whole.num_items:,} items; {mend}"
        ) from None


def _start(model: LightGCN, network: LightGCNNetwork, interactions: Interactions) -> None:
    """Set the first embeddings of a new network, where they depend on the data."""
    if model.init == "spectral":
        first = spectral_embeddings(interactions, model.embedding_size, INITIAL_STD)
        network.start(first)


def _with_extra_edges(model: LightGCN, graph: Graph, learned: Interactions) -> Graph:
    if model.extra_edges == 0:
        return graph
    more = add_random_pairs(learned, model.extra_edges, model.seed)
    return _beside(graph, more)


def _beside(graph: Graph, interactions: Interactions) -> Graph:
    """The graph of other interactions of the same nodes; the two have buffers in common."""
    other = Graph.from_interactions(interactions).to(graph.device)
    other.scratch = graph.scratch
    return other


def _validate(
    model: LightGCN, graph: Graph, learned: Interactions, held_out: Interactions
) -> dict[str, float]:
    """Metrics on held-out interactions, which neither the graph nor the mask of seen items knows."""
    view = copy.copy(model)
    view.train_, view._graph = learned, graph
    view._refresh()
    metrics = evaluate(view, held_out, model.k, VALIDATION_METRICS).metrics
    return {f"validation_{name}": value for name, value in metrics.items()}

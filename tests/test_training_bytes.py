"""The memory of training is the sum over its parts, against the formula in one piece."""

from typing import Any

import pytest

from pyrec import MF, LightGCN
from pyrec.data import Interactions, synthetic
from pyrec.nn.combine import Attention, Combine, Weighted
from pyrec.train.adapt import UserTemperatures
from pyrec.train.augment import Contrast, EdgeDropout, ExtraEdges
from pyrec.train.early_stopping import EarlyStopping
from pyrec.train.loss import BPR, Loss, Softmax
from pyrec.train.memory import Memory, total
from pyrec.train.negatives import Hard, InBatch, Uniform

PAPER = {"n_layers": 3, "combine": "mean", "loss": "bpr"}
MODELS: dict[str, LightGCN] = {
    "defaults": LightGCN(),
    "paper": LightGCN(**PAPER),
    "no layers": LightGCN(n_layers=0, combine="mean", batch_size=50),
    "one layer": LightGCN(n_layers=1, combine="mean", loss=Softmax(negatives=Uniform(16)), embedding_size=16),
    "bf16": LightGCN(**PAPER, precision="bf16"),
    "hard": LightGCN(**PAPER | {"loss": BPR(negatives=Hard(256))}),
    "in the batch": LightGCN(loss=Softmax(negatives=InBatch())),
    "self-attention": LightGCN(combine="self-attention"),
    "weights of the training data": LightGCN(combine=Weighted("train"), loss=BPR("cosine")),
    "held out": LightGCN(loss="bpr"),
    "held out, more edges": LightGCN(combine=Attention(fit="held-out"), augment=ExtraEdges(0.5)),
    "validated": LightGCN(**PAPER, stopping=EarlyStopping(0.2)),
    "validated, more edges": LightGCN(**PAPER, stopping=EarlyStopping(0.2), augment=ExtraEdges(0.2)),
    "edges dropped": LightGCN(**PAPER, augment=EdgeDropout(0.5)),
    "views by noise": LightGCN(augment=Contrast("noise")),
    "views by edges": LightGCN(augment=[Contrast("edges"), EdgeDropout(0.1)]),
    "users from items": LightGCN(**PAPER, encoder="items", augment=EdgeDropout(0.5)),
    "users from items, validated": LightGCN(**PAPER, encoder="items", stopping=EarlyStopping(0.1)),
    "a table that outweighs the step": LightGCN(**PAPER, batch_size=2),
    "a corrected pool": LightGCN(loss=Softmax(negatives=Uniform(2, corrected=True))),
    "a temperature of each user": LightGCN(**PAPER | {"loss": Softmax(adapt=UserTemperatures())}),
    "an evaluation that does": LightGCN(n_layers=3, batch_size=2, loss=Softmax(negatives=Uniform())),
}


def formula(model: LightGCN, data: Interactions, validated: bool) -> int:
    """Bytes at the peak, with N nodes, M items, n interactions, d columns, K layers, and a batch of B samples, R nodes.

    - the table and two moments, 12 N d; with a second vector of M items these, their gradient and two moments, 16 M d;
    - of graphs 8 N + 8 n, three factors 12 N, the tasks of their rows 16 N, the users of interactions 4 n;
    - two layer buffers, 2 s N d, s bytes a number;
    - in a step a map of rows 4 N; for a batch's rows the layers, their gradients, the vectors and their gradient,
      4 R d (2 (K + 1) + 2), and what the loss makes of them; with views the rows again for each of two, and by edges
      two gradients of the table, 8 N d, and factors of two graphs, 24 N; with dropped edges factors, 12 N;
    - with a validation set the best epoch's parameters, twice while they are exchanged;
    - with temperatures of users two numbers of each; before an epoch K + 3 tables of vectors, 20 bytes a positive, and
      blocks of scores, 64 MiB;
    - in an evaluation the vectors, 4 N d, again for cosines; where each node has its own weights the layers, too.
    """
    params = model.get_params()
    d, layers = model.embedding_size, model.n_layers
    n, items = len(data), data.num_items
    nodes, size = data.num_users + items, min(model.batch_size, len(data))
    drop, views, more = (find(model, kind) for kind in (EdgeDropout, Contrast, ExtraEdges))
    share = params.get("stopping__share")
    held_out = Combine.of(model.combine).fits(Loss.of(model.loss).memorises)
    learned = 1 - (share or 0)
    beside = (learned if share else 0) + (learned * (1 + more.number) if more else 0)
    n = round(n * (1 + max(beside, 1 if held_out is not None and held_out.held_out else 0)))
    batch_nodes, of_loss = of_batch(model, size, items)
    rows = 4 * min(batch_nodes, nodes) * d * (2 * (layers + 1) + 2)
    table, targets = 4 * nodes * d, items if model.encoder == "items" else 0
    parameters = table + 4 * targets * d
    stored = 2 if model.precision == "bf16" else 4
    kept = 3 * table + 16 * targets * d + 36 * nodes + 12 * n + min(layers, 2) * stored * nodes * d
    own = 4 * nodes + rows + of_loss
    step = own + (2 * rows if views else 0) + (12 * nodes if drop else 0)
    step += 2 * table + 24 * nodes if views and views.views == "edges" else 0
    shared = Combine.of(model.combine).name in ("mean", "weighted")
    evaluation = table * ((2 if params["loss__score"] == "cosine" else 1) if shared else layers + 2)
    best = exchange = parameters if validated or share else 0
    if Loss.of(model.loss).adapting is not None:
        kept += 8 * data.num_users
        exchange += (layers + 3) * table + 20 * n + 2**26
    recorded = own if model.device == "cuda" and not drop and not views and n_stages(model) == 1 else 0
    return kept + best + recorded + max(step, evaluation, exchange)


def n_stages(model: LightGCN) -> int:
    fit = Combine.of(model.combine).fits(Loss.of(model.loss).memorises)
    return 2 if fit is not None and fit.held_out else 1


def find(model: LightGCN, kind: type) -> Any:
    given = model.augment if isinstance(model.augment, (tuple, list)) else [model.augment]
    return next((one for one in given if isinstance(one, kind)), None)


def of_batch(model: LightGCN, size: int, items: int) -> tuple[int, int]:
    """The most distinct nodes of a batch, and what the loss makes of them on a CPU."""
    loss = Loss.of(model.loss)
    negatives = loss.negatives
    if isinstance(loss, BPR):
        if not isinstance(negatives, Hard):
            return 3 * size, 0
        products = 4 * size * negatives.number
        return (2 + negatives.number) * size, min(products * model.embedding_size, 2**22) + products
    if isinstance(negatives, InBatch):
        return 2 * size, pooled(negatives, size, size, items, model.embedding_size)
    if isinstance(negatives, Uniform):
        others = size * negatives.number
        return (2 + negatives.number) * size, pooled(negatives, size, others, items, model.embedding_size)
    return size + items, 4 * model.embedding_size * (6 * size + 3 * items)


def pooled(negatives: InBatch | Uniform, size: int, number: int, items: int, dim: int) -> int:
    """Of a pool that a batch shares: each item once, or all where their number is corrected for."""
    return 4 * dim * (6 * size + 3 * (number if negatives.corrected else min(number, items)))


@pytest.fixture(scope="module")
def data() -> Interactions:
    return synthetic(900, 600, interactions_per_user=20)


@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_the_sum_of_the_parts_is_the_formula(name: str, validated: bool, data: Interactions) -> None:
    model = MODELS[name]
    assert model.training_bytes(data, validated) == formula(model, data, validated)


@pytest.mark.parametrize("name", ["defaults", "paper", "held out", "views by noise", "edges dropped", "bf16"])
def test_a_recorded_step_keeps_its_memory(name: str, data: Interactions) -> None:
    """On a CUDA device, where a step with dropped edges, views or a second data set is not recorded."""
    model = MODELS[name].clone().set_params(device="cuda")
    assert model.training_bytes(data) == formula(model, data, False)
    more = model.training_bytes(data) - MODELS[name].training_bytes(data)
    assert (more > 0) == (name in ("defaults", "paper", "bf16"))


def test_of_a_step_an_evaluation_and_an_exchange_the_largest_counts(data: Interactions) -> None:
    parts = [Memory(kept=5, step=10, evaluation=3), Memory(step=1, exchange=12), Memory(kept=2, evaluation=9)]
    assert total(parts) == Memory(7, 11, 12, 12)
    assert total(parts).peak == 7 + 12
    assert total([]).peak == 0
    few, many = (MF(batch_size=size, loss="bpr").training_bytes(data) for size in (1, 4000))
    assert few < many

"""Every pair of options, in a covering array of fits: each option changes the result or is refused.

The models of the array also save, load, go on from a checkpoint, and recommend to the same bits.
"""

from functools import cache
from inspect import signature
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from pyrec import LightGCN, Recommender
from pyrec.data import Interactions, synthetic
from pyrec.errors import ConfigError, StoppedError
from pyrec.nn.combine import Attention, Combine, Mean, SelfAttention, Weighted
from pyrec.nn.encoder import FromItems, Table
from pyrec.nn.fit import HeldOut, OnUniform
from pyrec.params import Parameters
from pyrec.store.training_checkpoint import Checkpoints
from pyrec.train.adapt import OneTemperature, UserTemperatures
from pyrec.train.augment import Contrast, EdgeDropout, ExtraEdges
from pyrec.train.early_stopping import EarlyStopping
from pyrec.train.loss import BPR, Loss, Pointwise, Softmax
from pyrec.train.negatives import AllItems, Hard, InBatch, Uniform
from pyrec.train.reweight import Bridge, LabelWeights, LinearWeights, MetaWeightNet, Ren

VALUES = {
    "n_layers": [2, 0, 1, 3],
    "encoder": [Table(), Table(init="spectral"), FromItems(), FromItems(init="spectral")],
    "combine": [
        Attention(),
        Attention(width=4),
        Attention(kl=0.0),
        Attention(fit=HeldOut(share=0.2)),
        Attention(fit=HeldOut(rate=0.5)),
        Attention(width=4, fit="train"),
        Mean(),
        Weighted(),
        Weighted(fit="train"),
        Weighted(fit=OnUniform(rate=0.5)),
        SelfAttention(),
        SelfAttention(heads=4),
    ],
    "loss": [
        Softmax(),
        Softmax(temperature=0.5),
        Softmax(score="inner"),
        Softmax(negatives=Uniform(2)),
        Softmax(negatives=Uniform(2, corrected=True)),
        Softmax(negatives="batch"),
        Softmax(exponent=0.8),
        Softmax(rank_by="inner"),
        Softmax(adapt=OneTemperature(1)),
        Softmax(adapt=UserTemperatures(1, 0.5)),
        Softmax(negatives=InBatch(corrected=True)),
        BPR(),
        BPR(score="cosine"),
        BPR(negatives=Uniform(3)),
        BPR(negatives=Hard(3)),
        Pointwise(),
        Pointwise(kind="squared", score="cosine"),
    ],
    "augment": [
        (),
        EdgeDropout(0.2),
        ExtraEdges(0.2),
        Contrast(weight=0.5),
        Contrast(temperature=0.5),
        Contrast(rate=0.3),
        Contrast(views="noise", rate=0.3),
        ("edge-dropout", "extra-edges", "contrast"),
    ],
    "stopping": [
        None,
        EarlyStopping(),
        EarlyStopping(share=0.3),
        EarlyStopping(k=5),
        EarlyStopping(patience=1),
        EarlyStopping(metric="hit"),
    ],
    "reweight": [
        None,
        LinearWeights(rate=0.5),
        LabelWeights(unobserved=0.5),
        Ren(inner="adam"),
        MetaWeightNet(decay=1.0),
        Bridge(teacher_reg=5.0),
    ],
    "precision": ["fp32", "bf16"],
    "schedule": ["linear", "constant"],
    "embedding_size": [16, 8],
    "batch_size": [256, 100],
    "learning_rate": [0.05, 0.02],
    "reg": [1e-3, 0.1],
    "seed": [0, 1],
}
"""Of each option the default comes first."""
Row = dict[str, object]
Pair = tuple[tuple[str, int], tuple[str, int]]


def is_refused(row: Row) -> bool:
    """Whether these options do not go together; what is not among them goes with everything."""
    return refuses(LightGCN(**{"combine": Mean(), "n_layers": 3, **row}))


def refuses(model: LightGCN) -> bool:
    try:
        model.check_params()
    except ConfigError:
        return True
    return False


def pairs_of(places: dict[str, int]) -> set[Pair]:
    return set(combinations(sorted(places.items()), 2))


def values(places: dict[str, int]) -> Row:
    return {name: VALUES[name][at] for name, at in places.items()}


def covering_array() -> list[Row]:
    """Rows that have every pair of values that is not refused, each row filled with what has most pairs to come."""
    places = [(name, at) for name in sorted(VALUES) for at in range(len(VALUES[name]))]
    left = {(one, other) for one, other in combinations(places, 2) if one[0] != other[0]}
    left = {pair for pair in left if not is_refused(values(dict(pair)))}
    rows = []
    while left:
        row = dict(min(left))
        for name in [name for name in VALUES if name not in row]:
            fitting = [{**row, name: at} for at in range(len(VALUES[name]))]
            fitting = [one for one in fitting if not is_refused(values(one))]
            row = max(fitting, key=lambda one: len(pairs_of(one) & left))
        left -= pairs_of(row)
        rows.append({name: values(row)[name] for name in VALUES})
    return rows


ROWS = covering_array()


@cache
def train() -> Interactions:
    return synthetic(60, 40, 8, num_groups=4, seed=1)


@cache
def uniform() -> Interactions:
    """Labelled pairs, which models that weigh samples learn from."""
    rng = np.random.default_rng(2)
    users, items = np.nonzero(rng.random((60, 40)) < 0.1)
    labels = (rng.random(len(users)) < 0.3).astype(np.float32)
    ids = {"user_ids": train().user_ids, "item_ids": train().item_ids}
    return Interactions.from_arrays(train().user_ids[users], train().item_ids[items], labels=labels, **ids)


def result(options: Row) -> tuple[bytes, bytes, str]:
    """What a fit gives, to the bit."""
    return bits(LightGCN(**options, epochs=2).fit(train(), uniform=uniform()))


def bits(model: LightGCN) -> tuple[bytes, bytes, str]:
    records = [
        {name: value for name, value in record.items() if name != "seconds"} for record in model.history_
    ]
    return model.user_vectors_.numpy().tobytes(), model.item_vectors_.numpy().tobytes(), str(records)


def defaults(owner: Parameters) -> Row:
    """The default of each hyperparameter of an object and of its components, by name."""
    found = {name: one.default for name, one in signature(type(owner)).parameters.items()}
    for name, component in owner._components(owner.get_params(deep=False)):
        found |= {f"{name}__{inner}": value for inner, value in defaults(component).items()}
    return found


def meaning(model: LightGCN) -> Row:
    """The hyperparameters, with what the loss and the combine choose by themselves."""
    loss, combine = Loss.of(model.loss), Combine.of(model.combine)
    params = model.clone().set_params(loss=loss.replaced(negatives=loss.source(train().num_items)))
    if hasattr(combine, "fit"):
        params.set_params(combine=combine.replaced(fit=combine.fits(loss.memorises)))
    return params.get_params()


@pytest.mark.parametrize("row", ROWS, ids=[str(at) for at in range(len(ROWS))])
def test_each_option_acts(row: Row) -> None:
    """The default in the place of any one option gives something else, or is refused beside the others."""
    model, whole = LightGCN(**row, epochs=2), result(row)
    defaults_here = defaults(model) | {name: of[0] for name, of in VALUES.items()}
    for name, value in model.get_params().items():
        if name in ("epochs", "stopping__patience") or repr(value) == repr(defaults_here[name]):
            continue  # patience: below
        other = model.clone().set_params(**{name: defaults_here[name]})
        if not refuses(other) and meaning(other) != meaning(model):
            assert bits(other.fit(train(), uniform=uniform())) != whole, name


@pytest.mark.parametrize("row", ROWS, ids=[str(at) for at in range(len(ROWS))])
def test_each_model_saves_loads_and_goes_on(row: Row, tmp_path: Path) -> None:
    model = LightGCN(**row, epochs=2).fit(train(), uniform=uniform())
    model.save(tmp_path / "saved")
    loaded = Recommender.load(tmp_path / "saved")
    assert loaded.get_params(deep=False) == model.get_params(deep=False)
    users = train().user_ids
    for one, other in zip(loaded.recommend(users, 5), model.recommend(users, 5), strict=True):
        np.testing.assert_array_equal(one, other)

    kept = Checkpoints(tmp_path / "kept", every=1)

    def stop(_: Recommender, record: Row) -> None:
        if record["epoch"] == 2:
            kept.stop.make()

    with pytest.raises(StoppedError):
        LightGCN(**row, epochs=2).fit(train(), uniform=uniform(), callback=stop, checkpoints=kept)
    kept.stop.made = False
    assert bits(
        LightGCN(**row, epochs=2).fit(train(), uniform=uniform(), checkpoints=kept, resume=True)
    ) == bits(model)


def test_patience_acts() -> None:
    """Two epochs at a sensible rate get better and better; these do not."""
    stopping = EarlyStopping(patience=1)
    assert (
        len(
            LightGCN(epochs=20, learning_rate=1.0, stopping=stopping).fit(train(), uniform=uniform()).history_
        )
        < 20
    )


ONE_LAYER = "no weights to learn where n_layers"
PROPAGATED = "changes what is propagated, but n_layers = 0"
HELD_OUT = "acts on nothing where layers are weighed on held-out"
REFUSED = [
    ({"n_layers": 0}, ONE_LAYER),
    ({"n_layers": 1, "encoder": "items"}, ONE_LAYER),
    ({"n_layers": 2, "encoder": "items"}, "odd layers alone hold users"),
    ({"n_layers": 1, "precision": "bf16"}, "of layers that are propagated again"),
    ({"n_layers": 0, "combine": "mean", "augment": EdgeDropout()}, PROPAGATED),
    ({"n_layers": 0, "combine": "mean", "augment": "extra-edges"}, PROPAGATED),
    ({"n_layers": 0, "combine": "mean", "augment": "contrast"}, PROPAGATED),
    ({"n_layers": 3, "encoder": "items", "augment": "contrast"}, "compares views of items"),
    ({"combine": Attention(kl=1.0), "loss": "bpr"}, HELD_OUT),
    ({"combine": Attention(width=8), "loss": "bpr"}, HELD_OUT),
    ({"combine": Attention(kl=1.0, fit="held-out")}, HELD_OUT),
    ({"combine": SelfAttention(heads=3)}, "heads = 3 does not divide"),
    ({"loss": BPR(negatives="batch")}, "loss__negatives = 'batch' is not for the loss 'bpr'"),
    ({"loss": BPR(negatives=AllItems())}, "loss__negatives = 'all' is not for the loss 'bpr'"),
    ({"loss": BPR(negatives=Uniform(corrected=True))}, "corrected = True is for the loss 'softmax'"),
    ({"loss": Pointwise(negatives="hard")}, "loss__negatives = 'hard' is not for the loss 'pointwise'"),
    ({"loss": Pointwise(negatives=Uniform(corrected=True))}, "corrected = True is for the loss 'softmax'"),
    ({"loss": Softmax(negatives="hard")}, "loss__negatives = 'hard' is not for the loss 'softmax'"),
    ({"loss": BPR(negatives=Hard(1))}, "loss__negatives__number = 1 must be at least 2"),
    ({"stopping": EarlyStopping(share=None)}, "stopping__share = None needs a validation set"),
    ({"combine": Attention(fit="uniform", width=8)}, HELD_OUT),
    ({"reweight": Ren(unobserved=0.5)}, "reweight__unobserved = 0.5 acts on nothing"),
    ({"reweight": "bridge"}, "reweight = 'bridge' gives labels to pairs that are not observed"),
    ({"reweight": Ren(prior_rate=0.5)}, "reweight__prior_rate = 0.5 acts on nothing"),
    ({"reweight": "ren", "encoder": "items", "n_layers": 3}, "reweight = 'ren' is not for encoder = 'items'"),
    ({"reweight": "label"}, "interactions are all of one kind"),
    (
        {"reweight": LabelWeights(prior=1.0), "loss": "pointwise"},
        "prior = 1 must lie between the labels 0 and 1",
    ),
    ({"augment": (EdgeDropout(0.1), EdgeDropout(0.2))}, "'edge-dropout' 2 times"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=str)
def test_what_acts_on_nothing_is_refused(options: Row, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LightGCN(**options).fit(train(), uniform=uniform())

"""Hyperparameters as scikit-learn handles them, those of components by the component's name and theirs."""

import copy
import inspect
import json
import pickle
import re
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from own_kinds import listed, unlisted
from small_models import SMALL, numbers

from pyrec import EASE, MF, SVD, ItemKNN, LightGCN, Popularity, Recommender
from pyrec._spellings import hyperparameters
from pyrec.errors import ConfigError, DataError
from pyrec.models import MODELS
from pyrec.nn.combine import Attention, Combine, Weighted
from pyrec.nn.encoder import Encoder, Table
from pyrec.nn.fit import HeldOut, LayerFit
from pyrec.options import Number, Options
from pyrec.params import Component, from_json, params_to_json, to_json
from pyrec.train.augment import Augment, Contrast, EdgeDropout, ExtraEdges
from pyrec.train.early_stopping import EarlyStopping, Stopping
from pyrec.train.loss import BPR, Loss, Softmax
from pyrec.train.negatives import Hard, InBatch, Negatives, Uniform

FAMILIES = (Loss, Negatives, Combine, LayerFit, Encoder, Augment, Stopping)
KINDS = [kind for family in FAMILIES for kind in family.kinds.values()]


@unlisted
@dataclass(frozen=True, repr=False)
class Calmed(BPR):
    """A loss of one's own: BPR, smaller.

    Args:
        by: Divides it.
    """

    name: ClassVar[str] = "calmed"
    options: ClassVar[Options] = {**BPR.options, "by": Number(help="Divides it.")}

    by: float = 2.0

    def __call__(self, batch: Any, vectors: Any) -> Any:
        """See `Loss.__call__`."""
        return super().__call__(batch, vectors) / self.by


# Reading


def test_the_names_of_a_components_parameters_begin_with_its_own() -> None:
    model = LightGCN(loss=Softmax(negatives=Uniform(3)), stopping="early")
    params = model.get_params()
    assert params["loss"] is model.loss
    assert (params["loss__temperature"], params["loss__negatives__number"]) == (0.2, 3)
    assert (params["combine"], params["combine__width"]) == ("attention", None)
    assert (params["stopping"], params["stopping__share"]) == ("early", 0.1)
    assert set(model.get_params(deep=False)) == {name for name in params if "__" not in name}


def test_of_several_components_each_is_known_by_its_kind() -> None:
    params = LightGCN(augment=[Contrast("noise"), "edge-dropout"]).get_params()
    assert params["augment__contrast__views"] == "noise"
    assert params["augment__edge_dropout__share"] == 0.1
    assert LightGCN(augment=EdgeDropout(0.3)).get_params()["augment__edge_dropout__share"] == 0.3
    assert not [name for name in LightGCN().get_params() if name.startswith("augment__")]


def test_components_of_components_go_all_the_way_down() -> None:
    params = LightGCN(combine=Weighted(HeldOut(0.2)), loss=BPR(negatives=Hard(5))).get_params()
    assert (params["combine__fit__share"], params["combine__fit__rate"]) == (0.2, 0.1)
    assert params["loss__negatives__number"] == 5
    assert "loss__negatives__number" not in LightGCN(loss="softmax").get_params()  # "auto" is none of its own


def test_what_is_no_component_is_for_fit_to_tell() -> None:
    model = LightGCN(loss="nonsense", augment=["contrast", 3])
    assert model.get_params()["loss"] == "nonsense"
    with pytest.raises(ConfigError, match="loss = 'nonsense' must be one of"):
        model.fit(numbers())


# Changing


def test_a_name_stands_for_its_object_with_defaults() -> None:
    model = LightGCN().set_params(loss__temperature=0.1, combine__fit="held-out", combine__kl=None)
    assert model.loss == Softmax(0.1)
    assert model.combine == Attention(fit="held-out")


def test_parameters_of_several_are_set_by_kind() -> None:
    model = LightGCN(augment=("edge-dropout", "contrast"))
    assert model.set_params(augment__contrast__weight=0.5, augment__edge_dropout__share=0.4) is model
    assert model.augment == (EdgeDropout(0.4), Contrast(weight=0.5))
    assert LightGCN(augment=ExtraEdges()).set_params(augment__extra_edges__number=0.5).augment == (
        ExtraEdges(0.5),
    )


def test_a_whole_component_is_set_before_what_is_in_it() -> None:
    for given in (
        {"loss": "bpr", "loss__negatives": "hard", "loss__negatives__number": 4},
        {"loss__negatives__number": 4, "loss__negatives": "hard", "loss": "bpr"},
    ):
        assert MF().set_params(**given).loss == BPR(negatives=Hard(4))


def test_a_component_that_is_shared_is_not_changed() -> None:
    loss, contrast = Softmax(0.3), Contrast("noise")
    one, other = (LightGCN(loss=loss, augment=[contrast]) for _ in range(2))
    one.set_params(loss__temperature=0.9, augment__contrast__weight=0.9)
    assert (loss, contrast) == (Softmax(0.3), Contrast("noise"))
    assert (other.loss, one.loss) == (loss, Softmax(0.9))
    with pytest.raises(AttributeError):
        loss.temperature = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"epochs": 3, "loss__width": 4}, "'width'"),
        ({"loss__temperature": 0.5, "losses__temperature": 1}, "'losses__temperature'"),
        ({"epochs": 3, "temperature": 1}, "'temperature'"),
        ({"epochs": 3, "epochs__high": 1}, "'epochs__high'"),
        ({"epochs": 3, "stopping__k": 1}, "'stopping__k'"),
        ({"augment__edge_dropout__share": 0.1, "augment__contrast__rate": 0.1}, "'augment__contrast__rate'"),
        ({"augment__edge_dropout": 0.1}, "'augment__edge_dropout'"),
        ({"epochs": 3, "loss__negatives__number": 3}, "'negatives__number'"),
    ],
    ids=str,
)
def test_an_unknown_name_changes_nothing(params: dict[str, Any], named: str) -> None:
    model = LightGCN(augment=EdgeDropout(0.2))
    before = model.get_params()
    with pytest.raises(ConfigError, match=rf"has no hyperparameter .*{named}"):
        model.set_params(**params)
    assert model.get_params() == before


def test_an_unknown_name_lists_what_there_is() -> None:
    known = r"it takes embedding_size, loss, .*loss__temperature, loss__score"
    with pytest.raises(ConfigError, match=rf"MF has no hyperparameter 'xyzzy'; {known}"):
        MF().set_params(xyzzy=1)
    with pytest.raises(TypeError, match=r"EASE has no hyperparameter 'xyzzy', 'x'; it takes reg"):
        EASE(xyzzy=1, x=2)


@pytest.mark.parametrize(
    ("kind", "given", "meant"),
    [
        (LightGCN, "lr", "learning_rate"),
        (LightGCN, "dim", "embedding_size"),
        (LightGCN, "layers", "n_layers"),
        (LightGCN, "numLayers", "n_layers"),
        (LightGCN, "temperature", "loss=Softmax(temperature=...)"),
        (LightGCN, "loss__temperature", "loss=Softmax(temperature=...)"),
        (LightGCN, "margin", "loss=CCL(margin=...)"),
        (LightGCN, "num_negatives", "loss=Softmax(negatives=Uniform(number=...))"),
        (LightGCN, "negatives", "loss=Softmax(negatives=...)"),
        (LightGCN, "validation", "stopping=EarlyStopping(share=...)"),
        (LightGCN, "edge_dropout", "augment=EdgeDropout(share=...)"),
        (LightGCN, "learning_rat", "learning_rate"),
        (MF, "factors", "embedding_size"),
        (MF, "random_state", "seed"),
        (EASE, "lambda_", "reg"),
        (ItemKNN, "k", "neighbors"),
        (SVD, "n_components", "embedding_size"),
        (Softmax, "tau", "temperature"),
        (Uniform, "num_negatives", "number"),
    ],
)
def test_a_name_of_another_library_is_answered_with_the_one_here(kind: Any, given: str, meant: str) -> None:
    message = (
        rf"^{kind.__name__} has no hyperparameter '{given}'; did you mean {re.escape(meant)}\? It takes "
    )
    for error in (TypeError, ConfigError):
        with pytest.raises(error, match=message):
            kind(**{given: 1})


def test_what_can_be_set_is_suggested_as_it_is_set() -> None:
    for given, meant in (
        ("lr", "learning_rate"),
        ("temperature", "loss__temperature"),
        ("num_negatives", "loss=Softmax(negatives=Uniform(number=...))"),  # there are none to number
        ("margin", "loss=CCL(margin=...)"),
    ):
        with pytest.raises(ConfigError, match=rf"'{given}'; did you mean {re.escape(meant)}\?"):
            MF().set_params(**{given: 1})
    with pytest.raises(ConfigError, match=r"'num_negatives'; did you mean loss__negatives__number\?"):
        MF(loss="bpr").set_params(num_negatives=3)


def test_each_spelling_means_one_hyperparameter_of_a_class() -> None:
    for kind in (*MODELS.values(), *KINDS):
        words = [
            word for one in hyperparameters(kind) if len(one.path) == 1 for word in set(one.words) if word
        ]
        assert len(words) == len(set(words)), kind


def test_classes_show_the_signature_of_their_constructor() -> None:
    assert list(inspect.signature(EASE).parameters) == list(inspect.signature(EASE.__init__).parameters)[1:]
    assert (
        " ".join(inspect.signature(Softmax).parameters)
        == "temperature score negatives exponent rank_by adapt"
    )
    assert not inspect.signature(Popularity).parameters
    for given in ((1,), {"n": 1}):
        with pytest.raises(TypeError):
            Popularity(*given) if isinstance(given, tuple) else Popularity(**given)


# A number


def test_a_number_stands_for_so_many_uniform_negatives() -> None:
    graph = numbers()
    model = MF(**SMALL, loss=BPR(negatives=3))
    assert model.get_params()["loss__negatives__number"] == 3
    assert json.loads(json.dumps(params_to_json(model)))["loss"]["negatives"] == 3
    vectors = model.fit(graph).item_vectors_
    assert (vectors == MF(**SMALL, loss=BPR(negatives=Uniform(3))).fit(graph).item_vectors_).all()
    assert model.loss_.source(10) == Uniform(3)
    assert model.set_params(loss__negatives__corrected=False).loss == BPR(negatives=Uniform(3))
    assert Softmax(negatives=np.int64(4)).source(10) == Uniform(4)
    for wrong, message in (
        (0, "loss__negatives__number = 0 must be at least 1"),
        (True, "loss__negatives = True must be one of"),
        (1.5, "loss__negatives = 1.5 must be one of"),
    ):
        with pytest.raises(ConfigError, match=message):
            MF(loss=BPR(negatives=wrong)).check_params()
    with pytest.raises(ConfigError, match="loss = 3 must be one of"):
        MF(loss=3).check_params()


def test_a_value_that_is_no_component_has_nothing_to_set() -> None:
    model = LightGCN(loss="nonsense")
    with pytest.raises(ConfigError, match="loss = 'nonsense' must be one of"):
        model.set_params(epochs=2, loss__temperature=1.0)
    assert model.epochs == LightGCN().epochs


@pytest.mark.parametrize(
    "duplicate", [lambda model: model.clone(), copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_copies_have_components_that_are_equal(duplicate: Any) -> None:
    model = LightGCN(
        loss=BPR(negatives=Hard(3)), augment=[EdgeDropout(0.2), "contrast"], stopping=EarlyStopping(0.3)
    )
    again = duplicate(model)
    assert again is not model
    assert again.get_params() == model.get_params()
    again.augment.append("extra-edges")
    assert len(model.augment) == 2


# Showing


def test_an_object_is_shown_as_it_is_written() -> None:
    loss = BPR(negatives=Hard(3))
    assert repr(loss) == "BPR(score='inner', negatives=Hard(number=3))"
    assert eval(repr(loss)) == loss
    assert repr(EASE(3.0)) == "EASE(reg=3.0, neighbors=None)"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.family}: {kind.name}")
def test_every_component_is_known_by_its_name_and_documents_its_parameters(kind: type[Component]) -> None:
    made = kind()
    assert type(made).of(kind.name) == made
    made.check_params()
    assert set(kind.options) == set(made.get_params(deep=False)), "each parameter has an option"
    assert all(option.help for option in kind.options.values())
    assert all(f"{name}:" in (kind.__doc__ or "") for name in kind.options)


# Files


@pytest.mark.parametrize(
    "model",
    [
        LightGCN(),
        LightGCN(
            loss=Softmax(0.1, "inner", InBatch(corrected=True)),
            combine=Weighted(HeldOut(0.3)),
            encoder=Table(),
        ),
        LightGCN(augment=(Contrast("noise"), "edge-dropout"), stopping=EarlyStopping(None, patience=3)),
        LightGCN(augment=EdgeDropout(0.3)),
        MF(loss="bpr"),
        EASE(3.0),
    ],
    ids=repr,
)
def test_json_holds_hyperparameters_of_every_depth(model: Recommender) -> None:
    told = json.loads(json.dumps(params_to_json(model)))
    again = type(model)(**from_json(type(model), told, "test"))
    assert again.get_params() == model.get_params()
    assert again.flat_params() == model.flat_params()


def test_a_component_is_an_object_with_its_name() -> None:
    assert to_json(BPR(negatives=Hard(3))) == {
        "is": "bpr",
        "score": "inner",
        "negatives": {"is": "hard", "number": 3},
    }
    assert to_json((EdgeDropout(0.2), "contrast")) == [{"is": "edge-dropout", "share": 0.2}, "contrast"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"loss": {"is": "calmed"}},
            r"test has loss 'calmed', but known are 'bpr', .*; import the module that defines",
        ),
        ({"loss": {"is": "bpr", "negatives": {"is": "mine"}}}, r"test has negatives 'mine', but known are"),
        ({"augment": [{"is": "mine"}]}, r"test has augment 'mine', but known are"),
        ({"loss": {"temperature": 1}}, r"test has loss None, but known are"),
        ({"loss": {"is": ["bpr"]}}, r"test has loss \['bpr'\], but known are"),
        ({"loss": {"is": "bpr", "temperature": 1}}, r"test: params do not fit BPR: .*'temperature'"),
    ],
    ids=str,
)
def test_components_that_are_not_known(params: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_json(LightGCN, params, "test")


def test_a_component_of_ones_own_trains_saves_and_loads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    listed(Calmed, monkeypatch)
    model = MF(**SMALL, loss=Calmed(by=1.0)).fit(numbers())
    plain = MF(**SMALL, loss="bpr").fit(numbers())
    assert (model.user_vectors_ == plain.user_vectors_).all()
    assert MF(**SMALL, loss="calmed").fit(numbers()).loss_ == Calmed(negatives=Uniform())
    model.save(tmp_path)
    loaded = Recommender.load(tmp_path)
    assert loaded.loss == Calmed(by=1.0)
    with pytest.raises(ConfigError, match=r"loss__by = 0\.0 must be above 0"):
        MF(loss=Calmed(by=0.0)).fit(numbers())
    monkeypatch.delitem(Loss.kinds, "calmed")
    with pytest.raises(
        DataError, match=r"has loss 'calmed', but known are .*; import the module that defines it"
    ):
        Recommender.load(tmp_path)


def test_a_class_in_the_place_of_an_object_is_told_apart() -> None:
    with pytest.raises(
        ConfigError, match=r"loss = Softmax must be one of .*, or an object such as BPR\(score='inner'"
    ):
        MF(loss=Softmax).fit(numbers())
    with pytest.raises(ConfigError, match=r"loss = Hard\(number=16\) must be one of"):
        MF(loss=Hard()).fit(numbers())

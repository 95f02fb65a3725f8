"""Flags of the command line: what the classes declare, to an object and back."""

import re
from pathlib import Path

import pytest
from click import Command, UsageError
from command_line import refuse, run

from pyrec.cli.compare import command as compare_command
from pyrec.cli.evaluate import command as evaluate_command
from pyrec.cli.flag_values import values_of
from pyrec.cli.flags import FLAGS, NONE, PLACES, help_of, type_of
from pyrec.cli.grouped_help import DATA
from pyrec.cli.model_options import (
    build_model,
    build_news_model,
    cut_off,
    find_flag,
    flag_word,
    model_arguments,
    path_of,
)
from pyrec.cli.train import command as train_command
from pyrec.cli.tune import command as tune_command
from pyrec.errors import ConfigError
from pyrec.models import (
    EASE,
    MF,
    MODELS,
    NEWS_MODELS,
    SVD,
    Fusion,
    GraphFilter,
    ItemKNN,
    LightGCN,
    Popularity,
)
from pyrec.nn.combine import Attention, Mean, SelfAttention, Weighted
from pyrec.nn.encoder import FromItems, Table
from pyrec.nn.fit import HeldOut
from pyrec.options import Choice, Count, Number, Share, Switch
from pyrec.params import Part, to_json
from pyrec.train.augment import Contrast, EdgeDropout, ExtraEdges
from pyrec.train.early_stopping import EarlyStopping
from pyrec.train.loss import BPR, Pointwise, Softmax
from pyrec.train.loss.ccl import CCL
from pyrec.train.negatives import AllItems, Hard, InBatch, Observed, Uniform

CUTOFF = 7
COMPONENTS = [
    {"loss": loss}
    for loss in (
        "bpr",
        "softmax",
        BPR(),
        BPR("cosine"),
        BPR(negatives="hard"),
        BPR(negatives=Hard(5)),
        BPR("cosine", Uniform(3)),
        Softmax(0.1),
        Softmax(score="inner"),
        Softmax(negatives="all"),
        Softmax(negatives=AllItems()),
        Softmax(0.3, "inner", Uniform(8, corrected=True)),
        Softmax(negatives=Uniform()),
        Softmax(negatives=InBatch(corrected=True)),
        Softmax(negatives=3),
        CCL(negatives=64),
        CCL(),
        CCL(0.2, 3.0),
        CCL(negatives=Uniform(1)),
        CCL(negatives=Uniform(64, corrected=True)),
        CCL(negatives="uniform"),
        Pointwise("squared", negatives=Observed(), target="rating"),
    )
] + [
    {"stopping": stopping}
    for stopping in (
        "early",
        EarlyStopping(k=CUTOFF),
        EarlyStopping(0.2, k=CUTOFF),
        EarlyStopping(0.1, 3, k=CUTOFF),
        EarlyStopping(0.2, k=CUTOFF, metric="recall"),
    )
]
GRAPHS = [
    {"combine": combine}
    for combine in (
        "mean",
        Mean(),
        Weighted(),
        Weighted("held-out"),
        Weighted(HeldOut(0.3)),
        Weighted(HeldOut(0.1, 0.5)),
        Attention(),
        Attention(32, 0.0),
        Attention(fit="train"),
        Attention(fit=HeldOut(rate=0.2)),
        SelfAttention(4),
        "self-attention",
    )
] + [
    {"encoder": "items", "n_layers": 3},
    {"encoder": FromItems("spectral"), "n_layers": 3},
    {"encoder": Table("spectral")},
    {"augment": "contrast"},
    {"augment": (Contrast(),)},
    {"augment": Contrast("noise", 0.3, 0.4, 0.5)},
    {"augment": (EdgeDropout(), ExtraEdges(0.3), Contrast(weight=2.0))},
    {"augment": [ExtraEdges()]},
    {"combine": Weighted("train"), "loss": Softmax(0.1, negatives="batch"), "augment": EdgeDropout(0.5)},
]
PLAIN = [
    {},
    {"embedding_size": 32, "epochs": 3, "batch_size": 100, "learning_rate": 1e-3, "schedule": "constant"},
    {"reg": 0.0, "seed": 2**62, "device": "cuda"},
]
MANY = [
    *(kind(**given) for kind in (LightGCN, MF) for given in (*PLAIN, *COMPONENTS)),
    *(LightGCN(**given) for given in GRAPHS),
    LightGCN(n_layers=0, combine="mean"),
    LightGCN(precision="bf16"),
    EASE(),
    EASE(7),
    SVD(),
    SVD(5),
    ItemKNN(3, 0.5),
    Popularity(),
    Fusion(),
    Fusion("ease", SVD(5), 0.3, seed=2),
    Fusion(GraphFilter(beta=0.1), LightGCN(epochs=3, loss=BPR(negatives=Hard(5)), seed=2), seed=2),
    Fusion(SVD(7), LightGCN(embedding_size=7, stopping=EarlyStopping(0.1, 3, k=CUTOFF))),
]


def parsed(words: list[str]) -> object:
    """The model that a command makes of words."""
    context = train_command.make_context("train", list(words))
    options = dict(context.params)
    name = options.pop("model_name")
    return build_news_model(name, options) if name in NEWS_MODELS else build_model(name, options, CUTOFF)


def meaning(model: object) -> dict[str, object]:
    """What a model's hyperparameters stand for: each component as an object, in the order of the family."""
    whole = {}
    for name, value in model.get_params(deep=False).items():
        option = model.options[name]
        components = option.components(value) if hasattr(option, "components") else None
        if components is None or not components:
            whole[name] = to_json(value) if components is None else []
        else:
            whole[name] = sorted((_meaning_of(one) for one in components), key=str)
    return whole


def _meaning_of(component) -> dict[str, object]:
    return {"is": component.known_as, **meaning(component)}


@pytest.mark.parametrize("model", MANY, ids=repr)
def test_words_of_a_model_make_it_again(model) -> None:
    expected = model.clone()
    cut_off(expected, CUTOFF)
    made = parsed(model_arguments(model))
    assert type(made) is type(model)
    assert meaning(made) == meaning(expected)


def test_defaults_need_no_words() -> None:
    for name, kind in (MODELS | NEWS_MODELS).items():
        assert model_arguments(kind()) == ["--model", name]
    assert model_arguments(LightGCN(loss=Softmax(), combine=Attention())) == ["--model", "lightgcn"]


def test_words_are_those_that_one_would_write() -> None:
    model = LightGCN(
        loss=Softmax(0.1, negatives=Uniform(4)),
        augment=(Contrast(rate=0.2), EdgeDropout(0.3)),
        stopping=EarlyStopping(0.2, 5),
        encoder="items",
        n_layers=3,
    )
    words = model_arguments(model)[2:]
    pairs = dict(zip(words[::2], words[1::2], strict=True))
    assert pairs == {
        "--layers": "3",
        "--negatives-from": "uniform",
        "--negatives": "4",
        "--temperature": "0.1",
        "--encoder": "items",
        "--contrast": "edges",
        "--contrast-rate": "0.2",
        "--edge-dropout": "0.3",
        "--validation": "0.2",
        "--patience": "5",
    }
    assert len(words) == 2 * len(pairs)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place.model} {place.path}")
def test_each_place_of_a_flag_is_a_hyperparameter(place) -> None:
    """A model with the components on the way has it, with the default that the help gives."""
    assert place.option.help
    words = ["--model", place.model]
    for step in place.steps:
        words += [step.flag, step.kind.name if step.by_name else _some(step.kind)]
    model = parsed(words)
    assert model.get_options()[place.path] is place.option
    assert place.flag.lstrip("-").replace("-", "_") in values_of(model)
    if not place.presence and place.given is not None and place.path.count("__") <= 1:
        assert place.default in help_of(FLAGS[find_flag(place.flag)])


def _some(kind) -> str:
    """A value for the flag that a component is there by."""
    return str(next(iter(kind().get_params().values())))


@pytest.mark.parametrize("name", [name for name in FLAGS if hasattr(type_of(FLAGS[name]), "choices")])
def test_options_offer_what_the_classes_take(name: str) -> None:
    """Each value that is offered is taken by a class, and what a class refuses is not offered."""
    offered, taken = set(type_of(FLAGS[name]).choices), set()
    for place in FLAGS[name]:
        with pytest.raises(ConfigError, match="must be one of") as refused:
            place.option.check("x", "?")
        listed = str(refused.value).partition("must be one of")[2].partition(", or an")[0]
        taken |= set(re.findall("'([^']+)'", listed))
    left_out = {NONE for place in FLAGS[name] if place.option.optional and place.given is not None}
    assert offered == taken | left_out


def test_negatives_are_offered_by_what_a_loss_accepts() -> None:
    kinds = {
        name: {kind.name for kind in loss.kinds_of("negatives") if kind.__module__.startswith("pyrec.")}
        for name, loss in (("bpr", BPR), ("softmax", Softmax), ("ccl", CCL))
    }
    assert kinds == {
        "bpr": {"uniform", "hard", "shown"},
        "softmax": {"uniform", "all", "batch", "shown"},
        "ccl": {"uniform"},
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--model mf --layers 2", "--layers is not for mf, which takes --dim, --loss, "),
        ("--loss bpr --temperature .1", "--temperature is not for the loss bpr; it is for --loss softmax"),
        (
            "--negatives 5 --negatives-from all",
            "--negatives is not for the negatives all; it is for --negatives-from uniform",
        ),
        ("--factors 3", "No such option"),
        ("--weight-decay 0", "; did you mean --reg?"),
        (
            "--loss bpr --corrected true --negatives-from hard",
            "--corrected is not for the negatives hard; it is for --negatives-from uniform",
        ),
        (
            "--combine mean --heads 2",
            "--heads is not for the combine mean; it is for --combine self-attention",
        ),
        (
            "--combine mean --combine-fit train",
            "--combine-fit is not for the combine mean; it is for --combine attention or weighted",
        ),
        ("--combine-share .2", "--combine-share is for --combine-fit held-out; give both, or leave it out"),
        ("--patience 3", "--patience is of --validation, which is not given; give both, or leave it out"),
        ("--contrast-rate .2", "--contrast-rate is of --contrast, which is not given"),
        ("--edge-dropout .2 --contrast-weight 1", "--contrast-weight is of --contrast, which is not given"),
        ("--model ease --validation .1", "--validation is not for ease, which takes --reg"),
        ("--model fusion --first ease --vectors 3", "--vectors is not for fusion, which takes --dim"),
        (
            "--model fusion --heads 2",
            "--heads is not for the combine attention; it is for --combine self-att",
        ),
        ("--loss hinge", "'hinge' is not one of"),
        ("--corrected perhaps", "'perhaps' is not a valid boolean"),
        ("--layers 1.5", "'1.5' is not a valid integer"),
    ],
)
def test_a_flag_without_a_place_says_where_it_has_one(capsys, words: str, message: str) -> None:
    assert message in refuse(capsys, "train", *words.split())


@pytest.mark.parametrize(
    ("words", "model"),
    [
        ("--corrected true --negatives-from batch", LightGCN(loss=Softmax(negatives=InBatch(True)))),
        ("--loss ccl --corrected true", LightGCN(loss=CCL(negatives=Uniform(64, True)))),
        ("--negatives 5", LightGCN(loss=Softmax(negatives=Uniform(5)))),
        ("--negatives 5", LightGCN(loss=Softmax(negatives=5))),
        ("--loss bpr --negatives 3", LightGCN(loss=BPR(negatives=Uniform(3)))),
        ("--loss bpr --negatives-from hard --negatives 3", LightGCN(loss=BPR(negatives=Hard(3)))),
        ("--init spectral", LightGCN(encoder=Table("spectral"))),
        ("--init spectral --encoder items", LightGCN(encoder=FromItems("spectral"))),
        ("--validation .2", LightGCN(stopping=EarlyStopping(0.2, k=CUTOFF))),
        ("--validation .2 --stop-by map", LightGCN(stopping=EarlyStopping(0.2, k=CUTOFF, metric="map"))),
        ("--model svd --dim 3", SVD(3)),
        ("--model ease --reg 3", EASE(3.0)),
    ],
)
def test_the_objects_decide_where_a_value_goes(words: str, model) -> None:
    assert meaning(parsed(words.split())) == meaning(model)


def test_flags_are_found_by_any_of_their_names() -> None:
    model = LightGCN(augment=Contrast(), stopping="early")
    for names, path in (
        (("lr", "--lr", "learning_rate"), "learning_rate"),
        (("layers", "n_layers"), "n_layers"),
        (("temperature", "loss__temperature"), "loss__temperature"),
        (("contrast-rate", "contrast_rate", "augment__contrast__rate"), "augment__contrast__rate"),
        (("patience",), "stopping__patience"),
    ):
        assert {path_of(find_flag(name), model) for name in names} == {path}


def test_flags_of_a_fusion_are_those_of_its_members() -> None:
    model = Fusion(GraphFilter(vectors=4), LightGCN())
    for flag, path in (("vectors", "first__vectors"), ("lr", "second__learning_rate"), ("seed", "seed")):
        assert path_of(find_flag(flag), model) == path
        assert flag_word(path, model) == flag
    with pytest.raises(UsageError, match="'reg' is of both models, first__reg and second__reg"):
        path_of("reg", Fusion("ease", "lightgcn"))


def test_names_in_python_are_flags_too() -> None:
    """Every hyperparameter with a flag is reached by its path, written as a flag or with underscores.

    A path that would be an option of the data is left to these.
    """
    of_data = {
        opt for option in train_command.params if getattr(option, "group", "") == DATA for opt in option.opts
    }
    for place in PLACES:
        words = ["--model", place.model]
        for step in place.steps:
            words += [step.flag, step.kind.name if step.by_name else _some(step.kind)]
        choices = getattr(type_of(FLAGS[find_flag(place.flag)]), "choices", None)
        value = ".5" if isinstance(place.option, (Number, Share)) else "2"
        value = str(choices[-1]) if choices else "true" if isinstance(place.option, Switch) else value
        expected = parsed([*words, place.flag, value])
        alias = "--" + place.path.replace("__", "-").replace("_", "-")
        assert alias in of_data or meaning(parsed([*words, alias, value])) == meaning(expected)


def test_underscores_are_dashes(capsys) -> None:
    for word in ("--learning_rate", "--learning-rate", "--lr"):
        assert "learning_rate = 0.0 must be above 0" in refuse(capsys, "train", word, "0")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("--factors 8", "--dim"),
        ("--random-state 1", "--seed"),
        ("--num_negatives 3", "--negatives"),
        ("--tau .1", "--temperature"),
        ("--learning-rat 1", "--learning-rate"),
    ],
)
def test_a_flag_of_another_library_is_answered_with_the_one_here(capsys, words: str, meant: str) -> None:
    for command in ("train", "tune"):
        message = refuse(capsys, command, *words.split())
        assert message.startswith("No such option")
        assert meant in message.partition("?")[0]


def test_a_hyperparameter_to_search_is_answered_likewise(capsys) -> None:
    with pytest.raises(UsageError, match=r"'n_factors' is no hyperparameter; did you mean dim\?"):
        find_flag("n_factors")
    with pytest.raises(UsageError, match=r"'xyzzy' is no hyperparameter; known are dim, "):
        find_flag("xyzzy")


def test_help_is_in_groups_and_gives_defaults(capsys) -> None:
    text, _ = run(capsys, "train", "--help")
    headings = re.findall(r"^(\w[\w ]*):$", text, re.MULTILINE)
    assert headings[:2] == ["Data", "Model"]
    groups = {"Combine", "Loss", "Negatives", "Encoder", "Augment", "Stopping", "Training", "Output"}
    assert groups <= set(headings)
    assert len(headings) == len(set(headings))
    for places in FLAGS.values():
        section = text.partition(f"\n{places[0].group}:\n")[2].partition("\n\n")[0]
        entry = section.partition(f"  {places[0].flag} ")[2]
        assert "[default: " in " ".join(re.split(r"\n  -", entry)[0].split())
    assert "0.0001 (lightgcn, mf); 0.1, or 0.03 without negatives (whole-mf); 400.0 (ease)" in " ".join(
        text.split()
    )
    evaluate, _ = run(capsys, "evaluate", "--help")
    assert re.findall(r"^(\w[\w ]*):$", evaluate, re.MULTILINE)[:3] == ["Data", "Measuring", "Output"]
    tune, _ = run(capsys, "tune", "--help")
    assert {"Search", "Loss", "Data"} <= set(re.findall(r"^(\w+):$", tune, re.MULTILINE))


def test_ranges_are_where_the_classes_keep_them() -> None:
    """No two classes mean one flag by values of different types."""
    for places in FLAGS.values():
        kinds = {
            "words" if isinstance(place.option, (Part, Choice)) else isinstance(place.option, Count)
            for place in places
        }
        assert len(kinds) == 1


@pytest.mark.parametrize("command", [train_command, tune_command, compare_command, evaluate_command])
def test_a_flag_means_one_thing(command: Command) -> None:
    """The names in Python are flags, too, and may not take those of the data."""
    opts = [
        opt
        for param in command.params
        for opt in (*param.opts, *getattr(param, "aliases", ()), *param.secondary_opts)
    ]
    assert len(set(opts)) == len(opts)


def test_positive_is_the_rule_of_the_data(capsys, tmp_path: Path) -> None:
    path = tmp_path / "rated.csv"
    path.write_text(
        "user,item,rating\n" + "".join(f"{u},{i},{1 + (u + i) % 5}\n" for u in range(9) for i in range(5))
    )
    for model in ("ease", "whole-mf"):
        _, err = run(capsys, "train", path, "--positive", "rating>=4", "--model", model, "--split", "0.5")
        assert "ratings are below 4 and negatives" in err

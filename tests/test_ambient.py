"""What others have set in this process: models learn and rank to the same bits, and the settings are left alone."""

import ast
import random
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import SMALL

import pyrec
from pyrec import (
    EASE,
    MF,
    SVD,
    Fusion,
    GraphFilter,
    ItemKNN,
    LightGCN,
    Popularity,
    Recommender,
    evaluate,
    export,
)
from pyrec._ambient import defaults, full_precision
from pyrec._arrays import tensor_of
from pyrec.data import split_random, synthetic
from pyrec.errors import DataError
from pyrec.graph import Graph
from pyrec.nn.encoder import Table
from pyrec.ops.bpr import bpr
from pyrec.ops.propagate import propagate
from pyrec.train.augment import Contrast, ExtraEdges
from pyrec.train.early_stopping import EarlyStopping
from pyrec.train.loss import BPR, Softmax
from pyrec.train.negatives import Uniform

MODELS = {
    "softmax": lambda: LightGCN(**SMALL),
    "bpr, held-out weights": lambda: LightGCN(**SMALL, loss="bpr"),
    "mean": lambda: LightGCN(**SMALL, loss=BPR(negatives="hard"), combine="mean"),
    "self-attention, noise": lambda: LightGCN(**SMALL, combine="self-attention", augment=Contrast("noise")),
    "sampled, corrected": lambda: LightGCN(
        **SMALL, loss=Softmax(score="inner", negatives=Uniform(4, corrected=True))
    ),
    "edges, dropped": lambda: LightGCN(**SMALL, augment=("contrast", "edge-dropout"), combine="weighted"),
    "users from items": lambda: LightGCN(**SMALL, n_layers=3, encoder="items", augment=ExtraEdges(0.2)),
    "spectral, validated": lambda: LightGCN(
        **SMALL, encoder=Table("spectral"), stopping=EarlyStopping(0.2), precision="bf16"
    ),
    "mf": lambda: MF(**SMALL),
    "svd": lambda: SVD(4),
    "ease": lambda: EASE(10.0),
    "itemknn": ItemKNN,
    "graph-filter": lambda: GraphFilter(vectors=4, order=2),
    "fusion": lambda: Fusion(GraphFilter(vectors=4), LightGCN(**SMALL)),
    "popularity": Popularity,
}


@pytest.fixture(scope="module")
def split():
    return split_random(synthetic(60, 40, 8.0, 4, seed=1), 0.8, 1)


@contextmanager
def default_dtype(dtype):
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def set_globally(setter, value, before):
    setter(value)
    try:
        yield
    finally:
        setter(before)


STATES = {
    "float64": lambda: default_dtype(torch.float64),
    "float16": lambda: default_dtype(torch.float16),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "tensor type": lambda: set_globally(torch.set_default_tensor_type, torch.DoubleTensor, torch.FloatTensor),
    "meta device": lambda: set_globally(torch.set_default_device, "meta", None),
    "meta block": lambda: torch.device("meta"),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "deterministic": lambda: set_globally(torch.use_deterministic_algorithms, True, False),
    "anomaly": lambda: torch.autograd.set_detect_anomaly(True),
    "bf16 products": lambda: set_globally(torch.set_float32_matmul_precision, "medium", "highest"),
    "errstate": lambda: np.errstate(all="raise"),
}

THOROUGH = ("bfloat16", "meta device", "inference_mode", "errstate")
SOME = ("softmax", "bpr, held-out weights", "svd", "ease")


def answers(model, train, test, folder):
    """Everything that is asked of a model, as arrays."""
    users = train.user_ids[:9]
    parts = [*model.recommend(users, 5), *model.recommend_for_items([train.item_ids[:3]], 5)]
    if model.personal:
        parts += model.similar_items(train.item_ids[:4], 3)
    result = evaluate(model, test, 5)
    parts += [np.array(list(result.metrics.values())), result.lists]
    model.save(folder / "saved")
    parts += [*Recommender.load(folder / "saved").recommend(users, 5)]
    if not isinstance(model, EASE | ItemKNN | GraphFilter | Fusion):
        export(model, folder / "vectors")
        parts.append(np.load(folder / "vectors" / "items.npz")["vectors"])
    return parts


def assert_same(have, expected):
    for one, other in zip(have, expected, strict=True):
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes()


@pytest.fixture(scope="module")
def plain(split, tmp_path_factory):
    """Each model as it is in a process that nobody has touched, and its answers."""
    train, test = split
    models = {name: make().fit(train) for name, make in MODELS.items()}
    return {
        name: (model, answers(model, train, test, tmp_path_factory.mktemp("plain")))
        for name, model in models.items()
    }


@pytest.mark.filterwarnings(
    "ignore:.*set_default_tensor_type.*",
    "ignore:Anomaly Detection",
    "ignore:Error detected in",
    "ignore:.*TF32 accel",
)
@pytest.mark.parametrize("state", STATES)
def test_models_are_the_same_whatever_the_process_is_set_to(state, split, plain, tmp_path):
    train, test = split
    fitted = {}
    with STATES[state]():
        for at, name in enumerate(MODELS if state in THOROUGH else SOME):
            fitted[name] = MODELS[name]().fit(train)
            assert_same(answers(fitted[name], train, test, tmp_path / f"new {at}"), plain[name][1])
            assert_same(answers(plain[name][0], train, test, tmp_path / f"old {at}"), plain[name][1])
    for at, (name, model) in enumerate(fitted.items()):  # and when it is over
        assert_same(answers(model, train, test, tmp_path / f"after {at}"), plain[name][1])


def settings():
    return (
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_float32_matmul_precision(),
        np.geterr(),
        torch.get_num_threads(),
        torch.random.get_rng_state().sum().item() if not torch.is_inference_mode_enabled() else None,
        str(np.random.get_state()),  # noqa: NPY002 (the state that is to be left)
        random.getstate(),
    )


@pytest.mark.filterwarnings(
    "ignore:.*set_default_tensor_type.*",
    "ignore:Anomaly Detection",
    "ignore:Error detected in",
    "ignore:.*TF32 accel",
)
@pytest.mark.parametrize("state", STATES)
def test_settings_and_random_states_are_left_as_they_are(state, split):
    train, test = split
    with STATES[state]():
        before = settings()
        for name in ("softmax", "self-attention, noise", "spectral, validated"):
            evaluate(MODELS[name]().fit(train), test, 5)
        with pytest.raises(DataError, match="diverged"):
            LightGCN(**SMALL | {"learning_rate": 1e30}, loss="bpr", combine="mean").fit(train)
        assert settings() == before


def test_global_seeds_do_not_matter(split):
    def lists(seed):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 (the state that is not to be read)
        random.seed(seed)
        return (
            LightGCN(**SMALL, augment=Contrast("noise"), loss="bpr")
            .fit(split[0])
            .recommend(split[0].user_ids, 5)
        )

    assert_same(lists(1), lists(2))


def test_what_a_callback_leaves_switched_off_does_not_reach_training(split):
    train, _ = split
    expected = LightGCN(**SMALL).fit(train).item_vectors_
    try:
        model = LightGCN(**SMALL).fit(train, callback=lambda *_: torch.set_grad_enabled(False))
        assert torch.is_grad_enabled()
    finally:
        torch.set_grad_enabled(True)
    assert torch.equal(model.item_vectors_, expected)


def test_a_users_own_model_fits_in_the_same_state(split):
    class Own(MF):
        """Learns something beside: needs gradients, float32 and no errors of NumPy."""

        def fit(self, interactions, **options):
            super().fit(interactions, **options)
            weight = torch.zeros(3, dtype=torch.float32, requires_grad=True)
            (weight * 2).sum().backward()
            self.gradient_ = weight.grad.clone()
            np.float32(1e-30) * np.float32(1e-30)
            return self

    with torch.inference_mode(), np.errstate(all="raise"):
        model = Own(**SMALL).fit(split[0])
    assert model.gradient_.tolist() == [2, 2, 2]


def test_a_checkpoint_does_not_know_the_default_dtype(split, tmp_path):
    """The held-out steps' Adam counts in the default dtype; the file is read where that is another."""
    train, _ = split

    def model():
        return LightGCN(**SMALL, loss="bpr", combine="weighted")

    expected = model().fit(train).item_vectors_
    checkpoints = pyrec.Checkpoints(tmp_path / "c", every=1)
    epochs = iter(range(10))

    def stop(*_):
        if next(epochs) == 0:
            checkpoints.stop.make()

    with default_dtype(torch.float64), pytest.raises(pyrec.StoppedError):
        model().fit(train, callback=stop, checkpoints=checkpoints)
    again = pyrec.Checkpoints(tmp_path / "c", every=1)
    assert torch.equal(model().fit(train, checkpoints=again, resume=True).item_vectors_, expected)


@pytest.mark.parametrize("state", ["float64", "meta device", "inference_mode", "errstate"])
def test_operators_are_the_same_too(state, split):
    train, _ = split
    x = torch.linspace(-1, 1, (train.num_users + train.num_items) * 4, dtype=torch.float32).view(-1, 4).sin()
    users = torch.arange(5)
    expected = propagate(x, Graph.from_interactions(train), 2)[2]
    loss = bpr(x, users, users + 70, users[:, None] + 65)
    with STATES[state]():
        graph = Graph.from_interactions(train)
        assert torch.equal(propagate(x, graph, 2)[2], expected)
        assert torch.equal(bpr(x, users, users + 70, users[:, None] + 65), loss)
    leaf = x.clone().requires_grad_()
    propagate(leaf, graph, 2)[2].sum().backward()  # of a graph that was made in the block
    assert leaf.grad is not None


def test_full_precision_ends_with_its_last_holder():
    products = torch.backends.mkldnn.matmul
    products.fp32_precision = "bf16"
    try:
        first, second = full_precision(), full_precision()
        first.__enter__()
        second.__enter__()
        assert products.fp32_precision == "ieee"
        first.__exit__(None, None, None)
        assert products.fp32_precision == "ieee"
        second.__exit__(None, None, None)
        assert products.fp32_precision == "bf16"
    finally:
        products.fp32_precision = "none"


def test_defaults_give_back_what_was_set():
    with torch.no_grad(), np.errstate(all="raise"):
        with defaults():
            assert torch.is_grad_enabled()
            assert np.geterr()["under"] == "ignore"
        assert not torch.is_grad_enabled()
        assert np.geterr()["under"] == "raise"


# Arrays that are read-only, as joblib's memory maps are.


@pytest.mark.parametrize(
    "array", [np.arange(6.0), np.zeros(0, np.int32), np.arange(12).reshape(3, 4)[:, ::2], np.float32([[1]])]
)
def test_a_tensor_of_a_read_only_array_is_on_its_memory(array):
    array.setflags(write=False)
    tensor = tensor_of(array)
    assert np.array_equal(tensor.numpy(), array)
    assert array.size == 0 or tensor.data_ptr() == array.ctypes.data
    assert not array.flags.writeable


def read_only(instance):
    """The same model or data, every array in it a read-only map of a file's memory."""
    import io
    import pickle

    buffers = []
    blob = pickle.dumps(instance, protocol=5, buffer_callback=buffers.append)
    return pickle.load(io.BytesIO(blob), buffers=[bytes(buffer.raw()) for buffer in buffers])


def test_models_and_data_of_read_only_arrays_work_without_a_warning(split, plain, tmp_path):
    train, test = (read_only(part) for part in split)
    assert not train.users.flags.writeable
    for at, (name, make) in enumerate(MODELS.items()):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert_same(answers(make().fit(train), train, test, tmp_path / f"new {at}"), plain[name][1])
            assert_same(
                answers(read_only(plain[name][0]), train, test, tmp_path / f"old {at}"), plain[name][1]
            )
            if not isinstance(make(), LightGCN):
                matrix = read_only(train.to_csr())
                assert not matrix.data.flags.writeable
                make().fit(matrix)


# The rules themselves.

MAKERS = {
    "empty",
    "zeros",
    "ones",
    "full",
    "arange",
    "tensor",
    "eye",
    "rand",
    "randn",
    "linspace",
    "as_tensor",
}
SOURCES = [
    path
    for path in Path(pyrec.__file__).parent.rglob("*.py")
    if not {"reference", "cli"}
    & set(path.parts)  # plain torch, and commands that have a process of their own
]


def torch_calls(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Attribute) and ast.unparse(called.value) == "torch":
            yield node


def test_every_tensor_is_made_with_a_dtype_and_a_device():
    found = 0
    for path in SOURCES:
        for call in torch_calls(path):
            if call.func.attr in MAKERS:
                found += 1
                assert {"dtype", "device"} <= {word.arg for word in call.keywords}, f"{path}:{call.lineno}"
            assert call.func.attr != "Generator" or call.args, f"{path}:{call.lineno} names no device"
    assert found > 15


def test_arrays_become_tensors_in_one_place():
    makers = {
        path.name
        for path in SOURCES
        for call in torch_calls(path)
        if call.func.attr in ("from_numpy", "frombuffer", "from_dlpack")
    }
    assert makers == {"_arrays.py"}

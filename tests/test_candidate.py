import pytest
import torch

from pyrec.errors import ConfigError, DataError
from pyrec.ops.candidate import candidate_attention
from pyrec.reference import candidate as reference

DTYPES = [torch.float32, torch.float64]
WIDTHS = [(1, 1), (3, 7), (8, 9), (16, 15), (17, 33), (48, 64)]
NAMES = ("clicks", "candidates", "vector", "values")
LENGTHS = (0, 4, 1, 0, 20, 3)


def problem(dtype, hidden=9, dim=12, lengths=LENGTHS, num_candidates=14, indexed=False, num_rows=7, seed=0):
    """Arguments by name; candidates of any reader, in no order."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    indptr = torch.tensor([0, *lengths]).cumsum(0)
    num_slots = int(indptr[-1])
    rows = num_rows if indexed else num_slots
    arrays = {
        "clicks": normal(rows, hidden),
        "candidates": normal(num_candidates, hidden),
        "vector": normal(hidden) / hidden**0.5,
        "values": normal(rows, dim),
        "indptr": indptr,
        "readers": torch.randint(max(len(lengths), 1), (num_candidates,), generator=generator),
    }
    if indexed:
        arrays["index"] = torch.randint(
            num_rows - 1, (num_slots,), generator=generator
        )  # no slot has the last row
    return arrays


def with_gradients(run, arrays):
    learned = {name: arrays[name].detach().requires_grad_() for name in NAMES}
    out = run(**arrays | learned)
    generator = torch.Generator().manual_seed(5)
    grad = torch.randn(out.shape, generator=generator, dtype=torch.float64).to(out)
    return [out, *torch.autograd.grad(out, list(learned.values()), grad)]


def wide(arrays):
    return {name: one.double() if one.is_floating_point() else one for name, one in arrays.items()}


def on(device, arrays):
    return {name: one.to(device.torch) for name, one in arrays.items()}


def ours(activation):
    return lambda **arrays: candidate_attention(**arrays, activation=activation)


def theirs(activation):
    return lambda **arrays: reference.candidate_attention(**arrays, activation=activation)[0]


def agree(device, arrays, activation, terms=60):
    """Results and gradients against the reference in float64."""
    have = with_gradients(ours(activation), on(device, arrays))
    right = with_gradients(theirs(activation), wide(arrays))
    for one, expected in zip(have, right, strict=True):
        scale = max(1.0, float(expected.detach().abs().max())) if expected.numel() else 1.0
        atol = terms * torch.finfo(arrays["clicks"].dtype).eps * scale
        torch.testing.assert_close(one.double().cpu(), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize(("hidden", "dim"), WIDTHS)
def test_every_width(kernels, hidden, dim, activation, indexed, dtype):
    agree(kernels, problem(dtype, hidden, dim, indexed=indexed), activation)


SHAPES = [
    pytest.param((), 0, marks=pytest.mark.launches_nothing),
    ((0,), 3),
    ((5, 0, 2), 0),
    ((65, 64, 0, 200), 9),
    ((1,) * 150, 40),
]


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize(("lengths", "num_candidates"), SHAPES, ids=str)
def test_segments_of_any_length_and_number(device, lengths, num_candidates, indexed):
    """None at all, longer than a block of slots, and readers without a candidate."""
    agree(device, problem(torch.float64, 4, 5, lengths, num_candidates, indexed), "tanh", terms=400)


def test_scores_far_apart(device):
    """A block of slots with larger scores scales down what came before it, without overflow."""
    arrays = problem(torch.float64, 3, 2, (150,), 2)
    arrays["clicks"] *= torch.linspace(1, 300, 150, dtype=torch.float64)[:, None]
    agree(device, arrays, "relu", terms=1000)


def test_candidates_of_a_reader_without_clicks_get_zeros(device):
    arrays = on(device, problem(torch.float64))
    out = candidate_attention(**arrays)
    empty = (arrays["readers"] == 0) | (arrays["readers"] == 3)
    assert empty.any()
    assert not out[empty].any()
    assert out[~empty].any(1).all()


@pytest.mark.parametrize("indexed", [False, True])
def test_same_bits_at_any_number_of_threads_and_at_each_call(device, threads, indexed):
    arrays = on(device, problem(torch.float32, 16, 8, (3, 0, 11, 7) * 40, 300, indexed, 50))
    results = []
    for count in (1, 2, 3, 7):
        threads(count)
        results.append(with_gradients(ours("relu"), arrays))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_gradcheck_gradgradcheck_and_opcheck(device, activation):
    arrays = on(device, problem(torch.float64, 3, 2, (2, 0, 3), 4, indexed=True, num_rows=4))
    learned = [arrays[name].requires_grad_() for name in NAMES]
    rest = [arrays[name] for name in ("indptr", "readers", "index")]

    def attended(*given):
        return candidate_attention(*given, *rest, activation=activation)

    assert torch.autograd.gradcheck(attended, learned)
    assert torch.autograd.gradgradcheck(attended, learned)
    torch.library.opcheck(torch.ops.pyrec.candidate, (*learned, *rest, activation))


SOUND = {
    "clicks": torch.ones(5, 3),
    "candidates": torch.ones(2, 3),
    "vector": torch.ones(3),
    "values": torch.ones(5, 4),
    "indptr": torch.tensor([0, 1, 3]),
    "readers": torch.tensor([1, 0]),
    "index": torch.tensor([4, 0, 0]),
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clicks": torch.ones(5)}, r"clicks has shape \(5,\)"),
        ({"clicks": torch.ones(3, 5).t()}, "clicks is not contiguous"),
        ({"clicks": torch.ones(5, 3).bfloat16()}, "bfloat16"),
        ({"candidates": torch.ones(3, 3)}, r"candidates has shape \(3, 3\), but \(2, 3\) is needed"),
        ({"candidates": torch.ones(2, 3).double()}, "candidates has dtype float64, but float32 is needed"),
        ({"vector": torch.ones(4)}, r"vector has shape \(4,\), but \(3,\) is needed"),
        ({"values": torch.ones(4, 4)}, r"values has shape \(4, 4\), but \(5, any\) is needed"),
        ({"indptr": torch.tensor([0, 1, 4])}, r"indptr\[2\] = 4, but there are 3"),
        ({"indptr": torch.empty(0, dtype=torch.int64)}, "indptr is empty"),
        ({"readers": torch.tensor([1, 2])}, r"readers\[1\] = 2, but there are 2 segments"),
        ({"readers": torch.tensor([1, 0], dtype=torch.int32)}, "readers has dtype int32"),
        ({"index": torch.tensor([4, 5, 0])}, r"index\[1\] = 5, but there are 5 rows of clicks"),
        ({"index": torch.zeros(1, 3, dtype=torch.int64)}, r"index \(n,\), but other numbers of axes"),
        ({"index": None}, r"indptr\[2\] = 3, but there are 5"),
        ({"values": None}, "values is a NoneType"),
    ],
)
def test_bad_input_is_named(change, message):
    with pytest.raises(DataError, match=message):
        candidate_attention(**SOUND | change)


@pytest.mark.parametrize("activation", ["gelu", None, 1])
def test_another_activation_is_refused(activation):
    with pytest.raises(ConfigError, match="is neither 'relu' nor 'tanh'"):
        candidate_attention(**SOUND, activation=activation)


@pytest.mark.parametrize(
    "change",
    [
        {"index": torch.tensor([0, 5, 0])},
        {"indptr": torch.tensor([0, 1, 4])},
        {"readers": torch.tensor([2, 0])},
    ],
    ids=str,
)
def test_a_device_makes_the_candidate_of_a_bad_slot_nan(device, change):
    arrays = on(device, SOUND | change)
    if device.name == "cpu":
        with pytest.raises(DataError):
            candidate_attention(**arrays)
        return
    assert candidate_attention(**arrays).isnan().any(1).tolist() == [True, False]
    assert all(one.shape for one in with_gradients(ours("relu"), arrays))

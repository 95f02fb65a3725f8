import pytest
import torch

from pyrec.errors import ConfigError, DataError
from pyrec.ops.combine import combine_attention
from pyrec.ops.pool import pool
from pyrec.reference import pool as reference

DTYPES = [torch.float32, torch.float64]
WIDTHS = [(1, 1), (3, 7), (8, 9), (15, 16), (17, 15), (33, 4), (64, 48), (100, 20)]
NAMES = ("x", "weight", "bias", "vector", "offset")


def problem(
    dtype, dim=12, hidden=9, heads=None, lengths=(0, 4, 1, 0, 20, 3), indexed=False, num_rows=7, seed=0
):
    """Arguments by name; segments of these lengths, without an index a row for each slot."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    indptr = torch.tensor([0, *lengths]).cumsum(0)
    num_slots = int(indptr[-1])
    several = () if heads is None else (heads,)
    arrays = {
        "x": normal(num_rows if indexed else num_slots, dim),
        "indptr": indptr,
        "weight": normal(hidden, dim) / dim**0.5,
        "bias": normal(hidden),
        "vector": normal(*several, hidden),
        "offset": normal(num_slots, *several),
    }
    if indexed:
        arrays["index"] = torch.randint(
            num_rows - 1, (num_slots,), generator=generator
        )  # no slot has the last row
    return arrays


def linear(arrays):
    """The same without W: the vectors have x's columns."""
    shape = (*arrays["vector"].shape[:-1], arrays["x"].shape[1])
    vector = torch.linspace(
        -1, 1, shape.numel() if isinstance(shape, torch.Size) else torch.Size(shape).numel()
    )
    return arrays | {"weight": None, "bias": None, "vector": vector.to(arrays["x"].dtype).reshape(shape)}


def with_gradients(run, arrays):
    """Pooled, alpha, and the gradients of a sum of both in all that has one."""
    learned = {name: arrays[name].detach().requires_grad_() for name in NAMES if arrays.get(name) is not None}
    results = run(**arrays | learned)
    generator = torch.Generator().manual_seed(5)
    grads = [torch.randn(one.shape, generator=generator, dtype=torch.float64).to(one) for one in results]
    return [*results, *torch.autograd.grad(results, list(learned.values()), grads)]


def wide(arrays):
    floating = {name: one for name, one in arrays.items() if one is not None and one.is_floating_point()}
    return arrays | {name: one.double() for name, one in floating.items()}


def on(device, arrays):
    return {name: None if one is None else one.to(device.torch) for name, one in arrays.items()}


def ours(**arrays):
    return pool(**arrays, return_alpha=True)


def agree(device, arrays, terms=60):
    """Results and gradients against the reference in float64."""
    have = with_gradients(ours, on(device, arrays))
    right = with_gradients(reference.pool, wide(arrays))
    for one, expected in zip(have, right, strict=True):
        scale = max(1.0, float(expected.detach().abs().max())) if expected.numel() else 1.0
        atol = terms * torch.finfo(arrays["x"].dtype).eps * scale
        torch.testing.assert_close(one.double().cpu(), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize("heads", [None, 3])
@pytest.mark.parametrize(("dim", "hidden"), WIDTHS)
def test_every_width(kernels, dim, hidden, heads, indexed, dtype):
    agree(kernels, problem(dtype, dim, hidden, heads, indexed=indexed))


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize("heads", [None, 1, 5])
@pytest.mark.parametrize("dim", [5, 16, 33])
def test_scores_that_are_linear_in_the_rows(kernels, dim, heads, indexed):
    agree(kernels, linear(problem(torch.float32, dim, heads=heads, indexed=indexed)))


@pytest.mark.parametrize("heads", [1, 2, 16, 17, 32])
def test_every_number_of_heads(kernels, heads):
    agree(kernels, problem(torch.float64, 20, heads=heads))
    agree(kernels, problem(torch.float32, 20, heads=heads, indexed=True))


NO_SEGMENT = pytest.param((), marks=pytest.mark.launches_nothing)
LENGTHS = [
    NO_SEGMENT,
    (0,),
    (0, 0, 0),
    (1,),
    (97,),
    (16, 17, 15),
    (1,) * 40,
    (0, 300, 0, 90, 1, 500, 0),
    (385, 0, 384, 0),
]


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize("heads", [None, 2])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_segments_of_any_length(device, lengths, heads, indexed):
    """None at all, longer than a block of rows, longer than a thread's share."""
    agree(device, problem(torch.float64, 5, 4, heads, lengths, indexed), terms=400)


def test_without_an_offset_and_with_equal_rows(device):
    arrays = problem(torch.float64) | {"offset": None}
    agree(device, arrays)
    arrays["x"] = torch.ones_like(arrays["x"])
    pooled, alpha = ours(**on(device, arrays))
    torch.testing.assert_close(alpha.cpu()[:4], torch.full((4,), 0.25, dtype=torch.float64))
    assert not pooled[0].any()  # no slot


def test_several_heads_are_as_many_pools(device):
    arrays = on(device, problem(torch.float64, heads=3, indexed=True))
    together = ours(**arrays)
    for head in range(3):
        own = {"vector": arrays["vector"][head], "offset": arrays["offset"][:, head].contiguous()}
        alone = ours(**arrays | own)
        torch.testing.assert_close([together[0][:, head], together[1][:, head]], list(alone))


def test_an_index_is_as_good_as_rows_laid_out(device):
    arrays = on(device, problem(torch.float64, indexed=True))
    index = arrays.pop("index")
    have = ours(**arrays, index=index)
    right = ours(**arrays | {"x": arrays["x"][index]})
    torch.testing.assert_close(list(have), list(right))


@pytest.mark.parametrize("dtype", DTYPES)
def test_combine_is_the_case_of_equal_lengths(device, dtype):
    arrays = problem(dtype, 24, 17, lengths=(6,) * 50)
    layers = arrays["x"].view(50, 6, 24).unbind(1)
    given = (arrays["weight"], arrays["bias"], arrays["vector"])
    right = combine_attention(
        [one.to(device.torch) for one in layers],
        *(one.to(device.torch) for one in given),
        return_alpha=True,
        offset=arrays["offset"].view(50, 6).to(device.torch),
    )
    have = ours(**on(device, arrays))
    torch.testing.assert_close(have[0], right[0])
    torch.testing.assert_close(have[1].view(50, 6), right[1])


@pytest.mark.parametrize("indexed", [False, True])
def test_same_bits_at_any_number_of_threads_and_at_each_call(device, threads, indexed):
    arrays = on(device, problem(torch.float32, 16, 8, 2, (3, 0, 11, 7) * 60, indexed, 50))
    results = []
    for count in (1, 2, 3, 7):
        threads(count)
        results.append(with_gradients(ours, arrays))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("learned", NAMES)
def test_a_gradient_that_is_asked_for_alone(device, learned):
    arrays = on(device, problem(torch.float64, indexed=True))
    every = dict(zip(NAMES, with_gradients(ours, arrays)[2:], strict=True))
    one = arrays[learned].detach().requires_grad_()
    results = ours(**arrays | {learned: one})
    generator = torch.Generator().manual_seed(5)
    grads = [torch.randn(r.shape, generator=generator, dtype=torch.float64).to(r) for r in results]
    torch.testing.assert_close(torch.autograd.grad(results, one, grads)[0], every[learned])


@pytest.mark.parametrize("heads", [None, 2])
@pytest.mark.parametrize("with_weight", [False, True])
def test_gradcheck_gradgradcheck_and_opcheck(device, heads, with_weight):
    arrays = problem(torch.float64, 3, 2, heads, (2, 0, 3), indexed=True, num_rows=4)
    arrays = on(device, arrays if with_weight else linear(arrays))
    learned = [None if arrays[name] is None else arrays[name].requires_grad_() for name in NAMES]

    def pooled(x, weight, bias, vector, offset):
        return ours(
            x=x,
            weight=weight,
            bias=bias,
            vector=vector,
            offset=offset,
            indptr=arrays["indptr"],
            index=arrays["index"],
        )

    assert torch.autograd.gradcheck(pooled, learned)
    assert torch.autograd.gradgradcheck(pooled, learned)
    given = (arrays["indptr"], *learned[1:], arrays["index"])
    torch.library.opcheck(torch.ops.pyrec.pool, (learned[0], *given))


SOUND = {
    "x": torch.ones(5, 2),
    "indptr": torch.tensor([0, 1, 3]),
    "weight": torch.ones(4, 2),
    "bias": torch.ones(4),
    "vector": torch.ones(4),
    "offset": torch.ones(3),
    "index": torch.tensor([4, 0, 0]),
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.ones(5)}, r"x is \(R, dim\)"),
        ({"x": torch.ones(2, 5).t()}, "x is not contiguous"),
        ({"x": torch.ones(5, 2).bfloat16()}, "bfloat16"),
        ({"x": torch.ones(5, 2, dtype=torch.float64)}, "weight is torch.float32"),
        ({"indptr": torch.tensor([0, 1, 3], dtype=torch.int32)}, "indptr has dtype int32"),
        ({"indptr": torch.tensor([0, 1, 4])}, r"indptr\[2\] = 4, but there are 3"),
        ({"indptr": torch.tensor([0, 2, 1, 3])}, r"indptr\[2\] = 1, less than the 2 before it"),
        ({"indptr": torch.tensor([1, 3])}, r"indptr\[0\] = 1, but row pointers start at 0"),
        ({"indptr": torch.empty(0, dtype=torch.int64)}, "indptr is empty"),
        ({"index": torch.tensor([4, 5, 0])}, r"index\[1\] = 5, but there are 5 rows of x"),
        ({"index": torch.tensor([-1, 0, 0])}, r"index\[0\] = -1"),
        ({"index": None}, r"indptr\[2\] = 3, but there are 5"),
        ({"weight": torch.ones(4, 3)}, r"weight has shape \(4, 3\), but \(4, 2\) is needed"),
        ({"weight": torch.ones(2, 4).t()}, "weight is not contiguous"),
        ({"weight": None}, "weight and bias go together"),
        ({"bias": None}, "weight and bias go together"),
        ({"bias": torch.ones(3)}, r"bias has shape \(3,\), but \(4,\) is needed"),
        ({"vector": torch.ones(3)}, r"vector has shape \(3,\), but \(4,\) is needed"),
        ({"vector": torch.ones(1, 1, 4)}, r"vector has shape \(1, 1, 4\)"),
        ({"offset": torch.ones(3, 1)}, "offset has 2 axes"),
        ({"offset": torch.ones(4)}, r"offset has shape \(4, 1\), but \(3, 1\) is needed"),
        ({"offset": [1.0]}, "offset is a list"),
    ],
)
def test_bad_input_is_named(change, message):
    with pytest.raises(DataError, match=message):
        pool(**SOUND | change)


@pytest.mark.parametrize(
    "change",
    [{"x": torch.ones(5, 0), "weight": torch.ones(4, 0)}, {"vector": torch.ones(0, 4), "offset": None}],
)
def test_sizes_that_nothing_has(change):
    with pytest.raises(ConfigError, match="is outside 1 to"):
        pool(**SOUND | change)


@pytest.mark.parametrize(
    "change", [{"index": torch.tensor([0, 5, 0])}, {"indptr": torch.tensor([0, 1, 4])}], ids=str
)
def test_a_device_makes_the_segment_of_a_bad_slot_nan(device, change):
    arrays = on(device, SOUND | change)
    if device.name == "cpu":
        with pytest.raises(DataError):
            pool(**arrays)
        return
    pooled, alpha = ours(**arrays)
    assert pooled.isnan().any(1).tolist() == [False, True]
    assert alpha.isnan().tolist() == [False, True, True]
    assert all(one.shape for one in with_gradients(ours, arrays))

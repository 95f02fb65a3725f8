import math

import pytest
import torch

from pyrec.errors import ConfigError, DataError
from pyrec.ops.attend import MAX_SLOTS, attend
from pyrec.reference import attend as reference

LENGTHS = [0, 1, 5, 16, 17, 3, 0]
NUM_ROWS = 11


def problem(dtype, head_dim, n_heads=2, lengths=LENGTHS, shared=True, seed=0):
    """Arguments by name; a few rows that many slots share, or a row for each slot."""
    generator = torch.Generator().manual_seed(seed)
    indptr = torch.tensor([0, *lengths]).cumsum(0)
    n = int(indptr[-1])

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    arrays = {
        "qkv": normal(NUM_ROWS if shared else n, 3 * n_heads * head_dim),
        "indptr": indptr,
        "key_bias": normal(n, n_heads),
    }
    if shared:  # the last row is no slot's
        arrays["index"] = torch.randint(NUM_ROWS - 1, (n,), generator=generator)
    return arrays, n_heads


def on(device, arrays):
    return {name: array.to(device.torch) for name, array in arrays.items()}


def with_gradients(attended, arrays, n_heads, grad=None, **more):
    """The output and the gradients of what is learned, in float64 on the CPU."""
    learned = {
        name: one.detach().clone().requires_grad_() for name, one in arrays.items() if one.is_floating_point()
    }
    out = attended(**{**arrays, **learned}, n_heads=n_heads, **more)
    grad = torch.linspace(-1, 1, out.numel(), dtype=torch.float64).view(out.shape) if grad is None else grad
    gradients = torch.autograd.grad(out, list(learned.values()), grad.to(out))
    return [one.detach().double().cpu() for one in (out, *gradients)]


def near(have, right, dtype, terms=60):
    for one, expected in zip(have, right, strict=True):
        limit = terms * torch.finfo(dtype).eps * max(1.0, float(expected.abs().max()))
        torch.testing.assert_close(one, expected, rtol=0, atol=limit)


def by_segment(arrays, n_heads):
    """The formula, a head of a segment at a time."""
    rows = arrays["qkv"] if "index" not in arrays else arrays["qkv"][arrays["index"]]
    n = len(arrays["key_bias"])
    query, key, value = rows.view(n, 3, n_heads, -1).unbind(1)
    out = torch.zeros_like(query)
    for first, last in zip(arrays["indptr"], arrays["indptr"][1:], strict=False):
        of = slice(int(first), int(last))
        for head in range(n_heads):
            scores = query[of, head] @ key[of, head].T / math.sqrt(query.shape[2])
            alpha = torch.softmax(scores + arrays["key_bias"][of, head], 1)
            out[of, head] = alpha @ value[of, head]
    return out.view(n, -1)


@pytest.mark.parametrize("shared", [False, True])
def test_the_reference_is_the_formula(shared):
    arrays, n_heads = problem(torch.float64, 5, shared=shared)
    torch.testing.assert_close(reference.attend(**arrays, n_heads=n_heads), by_segment(arrays, n_heads))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("head_dim", "shared"), [(1, True), (7, False), (16, True), (20, True), (33, False)])
def test_output_and_gradients(kernels, head_dim, shared, dtype):
    arrays, n_heads = problem(dtype, head_dim, shared=shared)
    have = with_gradients(attend, on(kernels, arrays), n_heads)
    near(have, with_gradients(reference.attend, arrays, n_heads, dtype=torch.float64), dtype)
    if shared:
        assert not have[1][-1].any()


@pytest.mark.parametrize("head_dim", range(1, 65, 3))
def test_heads_of_any_size(isa, head_dim):
    arrays, n_heads = problem(torch.float32, head_dim, lengths=[3, 18])
    have = with_gradients(attend, arrays, n_heads)
    near(have, with_gradients(reference.attend, arrays, n_heads, dtype=torch.float64), torch.float32)


@pytest.mark.parametrize("shared", [False, True])
def test_segments_of_all_lengths(isa, shared):
    arrays, n_heads = problem(torch.float32, 4, lengths=list(range(MAX_SLOTS + 1)), shared=shared)
    have = with_gradients(attend, arrays, n_heads)
    near(have, with_gradients(reference.attend, arrays, n_heads, dtype=torch.float64), torch.float32, 400)


@pytest.mark.parametrize("n_heads", [1, 3, 20])
def test_heads_of_any_number_in_the_longest_segment(device, n_heads):
    arrays, _ = problem(torch.float32, 8, n_heads, lengths=[MAX_SLOTS, 2])
    have = with_gradients(attend, on(device, arrays), n_heads)
    near(have, with_gradients(reference.attend, arrays, n_heads, dtype=torch.float64), torch.float32, 400)


def test_without_biases(device):
    arrays, n_heads = problem(torch.float64, 6)
    del arrays["key_bias"]
    have = with_gradients(attend, on(device, arrays), n_heads)
    near(have, with_gradients(reference.attend, arrays, n_heads), torch.float64)


def test_a_bias_far_below_leaves_a_key_out(device):
    arrays, n_heads = problem(torch.float64, 6, lengths=[4])
    arrays["key_bias"][2] = -1e30
    have = attend(**on(device, arrays), n_heads=n_heads).cpu()
    kept = torch.tensor([0, 1, 3])
    fewer = {"qkv": arrays["qkv"], "indptr": torch.tensor([0, 3])}
    fewer |= {name: arrays[name][kept] for name in ("index", "key_bias")}
    torch.testing.assert_close(have[kept], reference.attend(**fewer, n_heads=n_heads))


def test_large_scores_overflow_nothing(device):
    arrays, n_heads = problem(torch.float32, 16)
    arrays["qkv"] *= 100
    have = attend(**on(device, arrays), n_heads=n_heads).double().cpu()
    right = reference.attend(**arrays, n_heads=n_heads, dtype=torch.float64)
    torch.testing.assert_close(have, right, rtol=1e-3, atol=0.5)


@pytest.mark.launches_nothing
@pytest.mark.parametrize("lengths", [[], [0, 0]])
@pytest.mark.parametrize("shared", [False, True])
def test_without_slots(device, lengths, shared):
    arrays, n_heads = problem(torch.float32, 6, lengths=lengths, shared=shared)
    out, by_qkv, by_bias = with_gradients(attend, on(device, arrays), n_heads)
    assert out.shape == (0, 12)
    assert by_qkv.shape == arrays["qkv"].shape
    assert not by_qkv.any()
    assert by_bias.shape == (0, 2)


@pytest.mark.parametrize("shared", [False, True])
def test_same_bits_at_any_number_of_threads_and_at_each_call(device, threads, shared):
    arrays, n_heads = problem(torch.float32, 20, 5, lengths=[13, 7, 0, 30] * 5, shared=shared)
    results = []
    for count in (1, 2, 3, 7):
        threads(count)
        results.append(with_gradients(attend, on(device, arrays), n_heads))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_a_segment_has_the_bits_of_many(kernels):
    arrays, n_heads = problem(torch.float32, 20)
    whole = attend(**on(kernels, arrays), n_heads=n_heads)
    first, last = (int(arrays["indptr"][s]) for s in (3, 4))
    alone = {name: arrays[name][first:last] for name in ("index", "key_bias")}
    alone |= {"qkv": arrays["qkv"], "indptr": torch.tensor([0, last - first])}
    assert torch.equal(attend(**on(kernels, alone), n_heads=n_heads), whole[first:last])


@pytest.mark.parametrize("shared", [False, True])
def test_gradcheck_gradgradcheck_and_opcheck(device, shared):
    arrays, n_heads = problem(torch.float64, 2, lengths=[2, 0, 3], shared=shared)
    arrays = on(device, arrays)
    qkv, key_bias = (arrays[name].requires_grad_() for name in ("qkv", "key_bias"))
    index = arrays.get("index")

    def attended(qkv, key_bias):
        return attend(qkv, arrays["indptr"], n_heads, index, key_bias)

    assert torch.autograd.gradcheck(attended, (qkv, key_bias))
    assert torch.autograd.gradgradcheck(attended, (qkv, key_bias))
    given = (qkv, arrays["indptr"], n_heads, index, key_bias)
    torch.library.opcheck(torch.ops.pyrec.attend, given)


def test_a_gradient_of_biases_alone(device):
    arrays, n_heads = problem(torch.float64, 3)
    given = {name: one.clone() for name, one in on(device, arrays).items()}
    given["key_bias"].requires_grad_()
    attend(**given, n_heads=n_heads).square().sum().backward()
    expected = arrays["key_bias"].requires_grad_()
    reference.attend(**arrays, n_heads=n_heads).square().sum().backward()
    torch.testing.assert_close(given["key_bias"].grad.cpu(), expected.grad)


SOUND = {
    "qkv": torch.ones(5, 12),
    "indptr": torch.tensor([0, 2, 3]),
    "n_heads": 2,
    "index": torch.tensor([0, 4, 1]),
    "key_bias": torch.zeros(3, 2),
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"qkv": torch.ones(12)}, r"qkv has shape \(12,\), but \(R, 3 \* n_heads \* head_dim\) is needed"),
        ({"qkv": torch.ones(5, 12).bfloat16()}, "qkv has dtype bfloat16"),
        ({"qkv": torch.ones(12, 5).t()}, "qkv is not contiguous"),
        ({"indptr": torch.tensor([0, 2, 4])}, r"indptr\[2\] = 4, but there are 3 indices"),
        ({"indptr": torch.tensor([1, 2, 3])}, r"indptr\[0\] = 1, but row pointers start at 0"),
        ({"indptr": torch.tensor([0, 3, 2])}, r"indptr\[2\] = 2, less than the 3 before it"),
        ({"indptr": torch.tensor([0, 3], dtype=torch.int32)}, "indptr has dtype int32"),
        ({"indptr": torch.empty(0, dtype=torch.int64)}, "indptr is empty"),
        ({"index": torch.tensor([0, 5, 1])}, r"index\[1\] = 5, but there are 5 rows of qkv"),
        ({"index": torch.tensor([0, 1, -1])}, r"index\[2\] = -1, but there are 5 rows of qkv"),
        ({"index": torch.tensor(0)}, r"index has shape \(\), but \(n,\) is needed"),
        ({"key_bias": torch.zeros(5, 2)}, r"key_bias has shape \(5, 2\), but \(3, 2\) is needed"),
        ({"key_bias": torch.zeros(3, 2).double()}, "key_bias has dtype float64, but float32 is needed"),
        (
            {
                "index": torch.zeros(70, dtype=torch.int64),
                "indptr": torch.tensor([0, 5, 70]),
                "key_bias": None,
            },
            "segment 1 of indptr has 65 slots, but at most 64 attend to one another",
        ),
    ],
)
def test_bad_input_is_named(change, message):
    with pytest.raises(DataError, match=message):
        attend(**SOUND | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_heads": 0}, "n_heads = 0 is outside 1 to"),
        ({"n_heads": 3}, r"n_heads = 3, but qkv has 12 columns, which must be 3 \* n_heads \* head_dim"),
        ({"n_heads": 2.0}, "n_heads = 2.0, but a whole number is needed"),
        ({"qkv": torch.ones(5, 390)}, "head_dim = 65 is outside 1 to 64"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(ConfigError, match=message):
        attend(**SOUND | change)


@pytest.mark.parametrize(
    ("change", "unsound"),
    [
        ({"index": torch.tensor([0, 5, 1])}, [0, 1]),
        ({"index": torch.tensor([0, 1, -1])}, [2]),
        ({"indptr": torch.tensor([1, 2, 3])}, [0, 1]),
        ({"indptr": torch.tensor([0, 2, 9])}, [2]),
        ({"indptr": torch.tensor([0, 2, 2])}, [2]),
    ],
    ids=str,
)
def test_a_device_makes_unsound_segments_nan(device, change, unsound):
    arrays = {name: one.clone() for name, one in (SOUND | change).items() if isinstance(one, torch.Tensor)}
    if device.name == "cpu":
        with pytest.raises(DataError):
            attend(**on(device, arrays), n_heads=2)
        return
    out, by_qkv, by_bias = with_gradients(attend, on(device, arrays), 2)
    expected = [slot in unsound for slot in range(3)]
    assert out.isnan().all(1).tolist() == expected
    assert out.isnan().any(1).tolist() == expected
    assert by_bias.isnan().all(1).tolist() == expected
    rows = {int(row) for row in arrays["index"][unsound] if 0 <= row < 5}
    assert by_qkv.isnan().any(1).tolist() == [row in rows for row in range(5)]

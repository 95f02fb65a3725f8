"""Dropout by counters: the bits of the reference, what the draws depend on, and the gradients."""

import math

import pytest
import torch

from pyrec import _core
from pyrec.errors import ConfigError, DataError
from pyrec.nn.dropout import NO_DROPOUT, Dropout
from pyrec.ops.drop import MOST_DROPPED, drop
from pyrec.reference import drop as reference

LENGTHS = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 1000]
DTYPES = [torch.float32, torch.float64]
SEED = torch.tensor([0x1234_5678_9ABC_DEF0])
MANY = 200_000


def numbers(*shape, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator("cpu").manual_seed(0), dtype=dtype)


def on(device, *tensors):
    return [one.to(device.torch) for one in tensors]


def same_bits(have, right):
    whole = torch.int32 if right.dtype == torch.float32 else torch.int64
    assert have.dtype == right.dtype
    assert torch.equal(have.cpu().view(whole), right.view(whole))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", LENGTHS)
def test_the_reference_has_the_same_bits(kernels, length, dtype):
    x = numbers(length, dtype=dtype)
    for rate in (0.0, 0.2, 0.9):
        same_bits(drop(*on(kernels, x), rate, *on(kernels, SEED), 3), reference.drop(x, rate, SEED, 3))


@pytest.mark.parametrize("seed", [0, -1, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("stream", [0, 2**32 - 1])
def test_any_seed_and_stream(kernels, seed, stream):
    x, seed = numbers(100), torch.tensor([seed])
    same_bits(drop(*on(kernels, x), 0.5, *on(kernels, seed), stream), reference.drop(x, 0.5, seed, stream))


def test_words_are_those_of_the_published_generator():
    """`_core.philox` is compared with Random123's vectors in the tests of sample."""
    place = 4 * 7 + 2**40
    block = place // 4
    expected = _core.philox(block % 2**32, block >> 32, 5, 0x64726F70, 0x9ABCDEF0, 0x12345678)
    assert reference.words(place, 4, int(SEED), 5).tolist() == list(expected)
    most = 2**32 - 1
    # Random123's vector of all ones, with which the reference's generator begins.
    drawn = reference.philox([torch.tensor([most]).numpy().astype("uint64")] * 4, (most, most))
    assert [int(word[0]) for word in drawn] == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]


@pytest.mark.parametrize("rate", [0.01, 0.2, 0.5, 0.95])
def test_the_share_and_the_mean_stay_within_five_deviations(isa, rate):
    y = drop(torch.ones(MANY, dtype=torch.float64), rate, SEED, 0)
    deviation = math.sqrt(rate * (1 - rate) / MANY)
    assert abs(float((y == 0).double().mean()) - rate) < 5 * deviation
    assert abs(float(y.mean()) - 1) < 5 * deviation / (1 - rate)


def kept(length=MANY, seed=SEED, stream=0):
    return drop(torch.ones(length), 0.5, seed, stream) > 0


@pytest.mark.parametrize("other", [{"stream": 1}, {"seed": SEED + 1}, {"seed": SEED ^ (1 << 40)}], ids=str)
def test_streams_and_seeds_agree_as_often_as_coins(other):
    both = (kept() == kept(**other)).double().mean()
    assert abs(float(both) - 0.5) < 5 * 0.5 / math.sqrt(MANY)


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 8, 32])
def test_neighbours_agree_as_often_as_coins(lag):
    one = kept()
    both = (one[lag:] == one[:-lag]).double().mean()
    assert abs(float(both) - 0.5) < 5 * 0.5 / math.sqrt(MANY)


def test_the_fate_is_of_the_place_alone(device):
    x, seed = on(device, numbers(3000), SEED)
    whole = drop(x, 0.3, seed, 2)
    for length in (1, 30, 1027, 2999):
        assert torch.equal(drop(x[:length], 0.3, seed, 2), whole[:length])
    assert torch.equal(drop(x.view(30, 4, 25), 0.3, seed, 2).view(-1), whole)
    assert torch.equal(drop(x.double(), 0.3, seed, 2) == 0, whole == 0)


def test_memory_that_is_not_aligned(device):
    x, seed = on(device, numbers(101), SEED)
    assert torch.equal(drop(x[1:], 0.3, seed, 2), drop(x[1:].clone(), 0.3, seed, 2))


def test_same_bits_at_any_number_of_threads(threads):
    x = numbers(MANY)
    results = []
    for count in (1, 2, 3, 7):
        threads(count)
        results.append(drop(x, 0.3, SEED, 2))
    assert all(torch.equal(results[0], other) for other in results[1:])


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_dropped_is_zero_whatever_it_was(kernels, dtype):
    special = torch.tensor([float("nan"), float("inf"), float("-inf"), -1.0, -0.0, 1e-40], dtype=dtype)
    x = special.repeat(50)
    y = drop(*on(kernels, x), 0.5, *on(kernels, SEED), 0).cpu()
    left_out = ~kept(len(x))
    same_bits(y[left_out], torch.zeros(int(left_out.sum()), dtype=dtype))
    torch.testing.assert_close(y[~left_out], x[~left_out] * 2, rtol=0, atol=0, equal_nan=True)


def test_rate_0_gives_a_copy(kernels):
    x, seed = on(kernels, numbers(5, 7), SEED)
    y = drop(x, 0.0, seed, 0)
    assert torch.equal(x, y)
    assert y.data_ptr() != x.data_ptr()


def test_the_largest_rate_drops_all_but_one_word_in_2_to_the_32(kernels):
    x, seed = on(kernels, torch.ones(1000), SEED)
    assert not drop(x, MOST_DROPPED, seed, 0).any()


@pytest.mark.launches_nothing
@pytest.mark.parametrize("shape", [(0,), (3, 0)])
def test_no_numbers(device, shape):
    x, seed = on(device, torch.empty(shape), SEED)
    assert drop(x, 0.5, seed, 0).shape == shape


def test_a_number_alone(device):
    x, seed = on(device, torch.tensor(3.0), SEED)
    assert drop(x, 0.5, seed, 0).item() in (0.0, 6.0)


def test_the_gradient_is_dropped_where_the_number_was(device):
    x, seed = on(device, numbers(40, 9), SEED)
    x.requires_grad_()
    y = drop(x, 0.4, seed, 6)
    grad = numbers(9, 40).t().to(device.torch)  # not contiguous
    (have,) = torch.autograd.grad(y, x, grad, create_graph=True)
    assert torch.equal(have, drop(grad.contiguous(), 0.4, seed, 6))
    assert torch.equal(have == 0, y == 0)


def test_gradcheck_gradgradcheck_and_opcheck(device):
    x, seed = on(device, numbers(5, 7, dtype=torch.float64), SEED)
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: drop(x, 0.4, seed, 6), [x])
    assert torch.autograd.gradgradcheck(lambda x: drop(x, 0.4, seed, 6) ** 2, [x])
    torch.library.opcheck(torch.ops.pyrec.drop, (x, 0.4, seed, 6))


def test_a_seed_that_changes_before_the_gradient_is_an_error(device):
    x, seed = on(device, numbers(8), SEED)
    y = drop(x.requires_grad_(), 0.4, seed, 6)
    seed += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_the_seed_is_read_when_the_kernel_runs(device):
    """As a recorded step is replayed: the same call, with the same memory."""
    x, seed, out = on(device, numbers(50), SEED, torch.empty(50))
    device.core.drop(x, 0.4, seed, 1, out)
    first = out.clone()
    seed += 1
    device.core.drop(x, 0.4, seed, 1, out)
    assert torch.equal(out, drop(x, 0.4, seed, 1))
    assert not torch.equal(out, first)


SOUND = {"x": torch.ones(4, 2), "rate": 0.5, "seed": SEED, "stream": 0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.ones(4, 2).t()}, "x is not contiguous"),
        ({"x": torch.ones(4, 2).bfloat16()}, "x has dtype bfloat16, but float32 or float64 is needed"),
        ({"x": torch.ones(4, dtype=torch.int64)}, "x has dtype int64"),
        ({"x": [1.0]}, "x is a list, but a tensor is needed"),
        ({"seed": torch.tensor(3)}, r"seed has shape \(\), but \(1,\) is needed"),
        ({"seed": torch.tensor([3, 4])}, r"seed has shape \(2,\), but \(1,\) is needed"),
        ({"seed": torch.tensor([3], dtype=torch.int32)}, "seed has dtype int32, but int64 is needed"),
        ({"seed": 3}, "seed is a int, but a tensor is needed"),
    ],
)
def test_bad_input_is_named(change, message):
    with pytest.raises(DataError, match=message):
        drop(**SOUND | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": 1.0}, "rate = 1.0, but a number from 0 to 1 - 2"),
        ({"rate": 1 - 2**-33}, "rate = 0.99999999988"),
        ({"rate": -1e-9}, "rate = -1e-09"),
        ({"rate": float("nan")}, "rate = nan"),
        ({"rate": "0.5"}, "rate = '0.5'"),
        ({"stream": -1}, "stream = -1, but a number from 0 to 2"),
        ({"stream": 2**32}, "stream = 4294967296"),
        ({"stream": 1.0}, "stream = 1.0, but a whole number is needed"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(ConfigError, match=message):
        drop(**SOUND | change)


@pytest.mark.parametrize("rate", [1.0, MOST_DROPPED + 2**-33, -0.1, float("nan")])
def test_the_kernel_refuses_a_rate_without_a_threshold(rate):
    with pytest.raises(ConfigError, match="rate = "):
        _core.drop(torch.ones(4), rate, SEED, 0, torch.ones(4))


def test_each_call_of_a_step_has_the_next_stream():
    x = numbers(30, 4)
    step = Dropout(0.5, SEED, pass_=1)
    assert torch.equal(step(x), drop(x, 0.5, SEED, 1024))
    assert torch.equal(step(x.t()), drop(x.t().contiguous(), 0.5, SEED, 1025))
    assert torch.equal(step.at_rate(x, 0.1), drop(x, 0.1, SEED, 1026))


def test_out_of_training_nothing_happens():
    x = numbers(3)
    assert NO_DROPOUT(x) is x
    assert Dropout(0.0, SEED)(x) is x
    assert Dropout(0.5, None)(x) is x

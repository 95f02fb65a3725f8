import pytest
import torch

from pyrec.errors import ConfigError, DataError
from pyrec.ops.xent import log_total
from pyrec.reference import xent as reference

WIDTHS = [1, 3, 7, 8, 9, 15, 16, 17, 64, 65, 100]
SHAPES = [(1, 1), (5, 3), (63, 255), (64, 256), (65, 257), (130, 97), (3, 1100), (300, 40)]
"""Users and items around the blocks of both passes."""
CASES = {"plain": (), "offset": ("offset",), "own": ("own", "ids"), "both": ("offset", "own", "ids")}
LEARNED = ("users", "pool", "offset")


def problem(dtype, num_users, num_items, dim, names=CASES["both"], scale=1.0):
    """Arguments by name, and the gradient of the result; ids are there twice, and every fourth user leaves none out."""
    generator = torch.Generator().manual_seed(num_users + num_items + dim)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).mul(scale).to(dtype)

    ids = torch.randint(num_items // 2 + 1, (num_items,), generator=generator)
    own = torch.randint(num_items // 2 + 1, (num_users,), generator=generator)
    own[::4] = -1
    arrays = {"users": normal(num_users, dim), "pool": normal(num_items, dim) / dim**0.5}
    every = {"offset": normal(num_items), "own": own, "ids": ids}
    return {**arrays, **{name: every[name] for name in names}}, normal(num_users)


def on(device, arrays):
    return {name: one.to(device.torch) for name, one in arrays.items()}


def wide(arrays):
    return {name: one.double() if one.is_floating_point() else one for name, one in arrays.items()}


def with_gradients(function, arrays, grad):
    """The result, and the gradients of what is learned."""
    given = {
        name: one.detach().clone().requires_grad_(name in LEARNED) if one.is_floating_point() else one
        for name, one in arrays.items()
    }
    learned = [given[name] for name in LEARNED if name in given]
    result = function(**given)
    found = result.isfinite()
    return [result.detach(), *torch.autograd.grad(result[found], learned, grad.to(result)[found])]


def near(have, right, dtype, terms=40):
    for ours, theirs in zip(have, right, strict=True):
        size = float(theirs[theirs.isfinite()].abs().max()) if theirs.isfinite().any() else 1.0
        limit = terms * torch.finfo(dtype).eps * max(size, 1e-3)
        torch.testing.assert_close(ours.double().cpu(), theirs, rtol=0, atol=limit)


def compare(device, arrays, grad, terms=40):
    dtype = arrays["users"].dtype
    have = with_gradients(log_total, on(device, arrays), grad)
    near(have, with_gradients(reference.log_total, wide(arrays), grad), dtype, terms)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dim", WIDTHS)
@pytest.mark.parametrize("case", CASES)
def test_widths(kernels, case, dim, dtype):
    compare(kernels, *problem(dtype, 30, 70, dim, CASES[case]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(kernels, shape, dtype):
    compare(kernels, *problem(dtype, *shape, 12))


@pytest.mark.parametrize("scale", [1e-3, 5, 60])
def test_scores_near_zero_and_beyond_the_range_of_exp(kernels, scale):
    """A score's rounding is that of its products, and its exponential has it as a factor."""
    arrays, grad = problem(torch.float64, 40, 300, 8, CASES["both"], scale)
    compare(kernels, arrays, grad, terms=40 * max(1, scale**2))


def test_an_item_that_is_left_out_has_no_share_however_large_its_score(kernels):
    """In float32 its exponential would leave no digit of the others'."""
    arrays, grad = problem(torch.float32, 20, 300, 8, ())
    arrays["pool"][7] = 1000 * arrays["pool"][7]
    ids, own = torch.arange(300), torch.full((20,), 7)
    found = with_gradients(log_total, on(kernels, {**arrays, "own": own, "ids": ids}), grad)
    kept = torch.arange(300) != 7
    less = {**arrays, "pool": arrays["pool"][kept]}
    total, users, pool = with_gradients(reference.log_total, wide(less), grad)
    near([found[0], found[1], found[2][kept.to(found[2].device)]], [total, users, pool], torch.float32)
    assert not found[2][7].any()


def test_users_without_an_item_have_minus_infinity_and_no_gradient(kernels):
    arrays, _ = problem(torch.float32, 5, 3, 4, ())
    arrays |= {"own": torch.tensor([0, 1, 0, -1, 0]), "ids": torch.zeros(3, dtype=torch.int64)}
    given = on(kernels, arrays)
    given["users"].requires_grad_()
    given["pool"].requires_grad_()
    total = log_total(**given)
    assert total.isinf().tolist() == [True, False, True, False, True]
    total.sum().backward()
    assert not given["users"].grad[[0, 2, 4]].any()
    less = {name: arrays[name][[1, 3]] if name in ("users", "own") else arrays[name] for name in arrays}
    right = with_gradients(reference.log_total, wide(less), torch.ones(2))
    near([given["pool"].grad], [right[2]], torch.float32)


@pytest.mark.parametrize(
    ("num_users", "num_items"), [(0, 5), (4, 0), pytest.param(0, 0, marks=pytest.mark.launches_nothing)]
)
def test_nobody_or_nothing(device, num_users, num_items):
    users = torch.ones(num_users, 3, device=device.torch, requires_grad=True)
    pool = torch.ones(num_items, 3, device=device.torch, requires_grad=True)
    total = log_total(users, pool)
    assert total.tolist() == [-torch.inf] * num_users
    total.sum().backward()
    assert not users.grad.any()
    assert not pool.grad.any()


def test_numbers_that_are_not_finite_are_shown(device):
    arrays, _ = problem(torch.float32, 4, 300, 3, ())
    arrays["users"][1, 2] = torch.nan
    assert log_total(**on(device, arrays)).isnan().tolist() == [False, True, False, False]


def test_long_sums_keep_their_digits(kernels):
    """20,000 items of one score: log(20,000) above it."""
    users, pool = torch.ones(3, 2), torch.full((20_000, 2), 0.25)
    total = log_total(users.to(kernels.torch), pool.to(kernels.torch)).cpu()
    torch.testing.assert_close(
        total, torch.full((3,), 0.5).add(torch.tensor(20_000.0).log()), rtol=2e-7, atol=0
    )


def test_first_and_second_derivatives(device):
    arrays, _ = problem(torch.float64, 4, 6, 3)
    given = {name: one.requires_grad_(name in LEARNED) for name, one in on(device, arrays).items()}

    def function(*learned):
        return log_total(*learned, given["own"], given["ids"])

    learned = [given[name] for name in LEARNED]
    assert torch.autograd.gradcheck(function, learned)
    assert torch.autograd.gradgradcheck(function, learned)


def test_only_what_is_asked_for_has_a_gradient(device):
    arrays, _ = problem(torch.float32, 6, 9, 4)
    every = None
    for name in (None, *LEARNED):
        given = {key: one.clone() for key, one in on(device, arrays).items()}
        for one in LEARNED if name is None else (name,):
            given[one].requires_grad_()
        log_total(**given).sum().backward()
        if name is None:
            every = given
            continue
        assert all(given[one].grad is None for one in LEARNED if one != name)
        torch.testing.assert_close(given[name].grad, every[name].grad, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_operators_are_sound(device, dtype):
    arrays, grad = on(device, problem(dtype, 7, 11, 5)[0]), problem(dtype, 7, 11, 5)[1].to(device.torch)
    arrays["users"].requires_grad_()
    arrays["pool"].requires_grad_()
    torch.library.opcheck(torch.ops.pyrec.xent.default, (*arrays.values(), True))
    plain = [one.detach() for one in arrays.values()]
    torch.library.opcheck(torch.ops.pyrec.xent_backward.default, (*plain, grad, grad, True))


def test_any_number_of_threads_has_the_same_bits(isa, threads):
    arrays, grad = problem(torch.float32, 300, 1500, 20)
    found = []
    for number in (1, 2, 3, 7):
        threads(number)
        found.append(with_gradients(log_total, arrays, grad))
    for other in found[1:]:
        assert all(torch.equal(one, same) for one, same in zip(found[0], other, strict=True))


def test_bits_do_not_depend_on_the_users_beside(isa):
    arrays, grad = problem(torch.float32, 200, 400, 20)
    total, of_users, *_ = with_gradients(log_total, arrays, grad)
    some = slice(70, 133)
    fewer = {name: one[some] if name in ("users", "own") else one for name, one in arrays.items()}
    few = with_gradients(log_total, fewer, grad[some])
    assert torch.equal(few[0], total[some])
    assert torch.equal(few[1], of_users[some])


def test_bits_of_a_gradient_do_not_depend_on_the_items_beside(isa):
    arrays, rate = problem(torch.float32, 200, 400, 20)
    gradients = torch.ops.pyrec.xent_backward.default
    largest, some = torch.ones(200), slice(70, 233)
    of_all = gradients(*arrays.values(), largest, rate, True)
    fewer = {name: one if name in ("users", "own") else one[some] for name, one in arrays.items()}
    for few, all_of_them in zip(gradients(*fewer.values(), largest, rate, True), of_all, strict=True):
        assert torch.equal(few, all_of_them[some])


def given(**changed):
    arrays = problem(torch.float32, 4, 6, 3)[0]
    return {**arrays, **changed}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"pool": torch.ones(6, 4)}, r"pool has shape \(6, 4\)"),
        ({"pool": torch.ones(6, 3).double()}, "pool has dtype float64"),
        ({"users": torch.ones(4, 3).int()}, "float32 or float64"),
        ({"users": torch.ones(3)}, r"users and pool are \(num_users, dim\)"),
        ({"users": torch.ones(3, 4).T}, "users is not contiguous"),
        ({"offset": torch.ones(5)}, "offset has shape"),
        ({"own": torch.zeros(4)}, "own has dtype float32"),
        ({"own": None}, "own and ids go together"),
        ({"ids": None}, "own and ids go together"),
        ({"ids": torch.zeros(5, dtype=torch.int64)}, "ids has shape"),
        ({"ids": torch.tensor([0, 1, 2, 3, 4, -1])}, r"ids\[5\] = -1"),
        ({"own": torch.tensor([0, -2, 2, 3])}, r"own\[1\] = -2"),
        ({"own": torch.tensor([0, 2**31, 2, 3])}, r"own\[1\] = 2147483648"),
        ({"pool": [1.0]}, "pool is a list"),
    ],
)
def test_bad_input_is_named(changed, message):
    with pytest.raises(DataError, match=message):
        log_total(**given(**changed))


def test_too_many_columns_are_refused():
    with pytest.raises(ConfigError, match="65536"):
        log_total(torch.ones(1, 0), torch.ones(2, 0))

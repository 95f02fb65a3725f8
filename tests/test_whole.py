import children
import pytest
import torch

from pyrec.errors import ConfigError, DataError
from pyrec.ops.whole import ObservedPairs, whole, whole_meta
from pyrec.reference import whole as reference

WIDTHS = [1, 7, 15, 16, 17, 33, 64, 100]
DTYPES = [torch.float32, torch.float64]
NUM_USERS, NUM_ITEMS, NUM_PAIRS, DIM = 23, 31, 60, 12
OPTIONAL = ("user_weight", "item_weight", "prior", "pairs")
RATE = 0.3


def problem(dtype, dim=DIM, num_users=NUM_USERS, num_items=NUM_ITEMS, num_pairs=NUM_PAIRS, seed=0):
    """Arguments by name; some weights are 0, and some pairs are named twice."""
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=draw, dtype=torch.float64).to(dtype)

    user_weight, item_weight = normal(num_users).exp(), normal(num_items).exp()
    user_weight[::5] = 0
    rows = [torch.randint(count, (num_pairs,), generator=draw) for count in (num_users, num_items)]
    return {
        "users": normal(num_users, dim) / dim**0.25,
        "items": normal(num_items, dim) / dim**0.25,
        "user_weight": user_weight,
        "item_weight": item_weight,
        "prior": torch.tensor(-0.75, dtype=dtype),
        "pairs": ObservedPairs(*rows, normal(num_pairs).exp(), normal(num_pairs)),
    }


def directions(given, seed=1):
    other = problem(
        given["users"].dtype, given["users"].shape[1], len(given["users"]), len(given["items"]), 1, seed
    )
    return {"direction_users": other["users"], "direction_items": other["items"]}


def changed(given, change):
    """Every tensor changed, those of the pairs too."""

    def of(one):
        if isinstance(one, ObservedPairs):
            return ObservedPairs(*(of(part) for part in one))
        return change(one) if isinstance(one, torch.Tensor) else one

    return {name: of(one) for name, one in given.items()}


def on(device, given):
    return changed(given, lambda one: one.to(device.torch))


def wide(given):
    return changed(given, lambda one: one.double() if one.is_floating_point() else one)


def learned(given):
    """Copies that a gradient is wanted of, and the tensors of them by name."""
    given = changed(given, lambda one: one.detach().clone().requires_grad_(one.is_floating_point()))
    tensors = {name: one for name, one in given.items() if isinstance(one, torch.Tensor)}
    if "pairs" in given:
        tensors |= {name: getattr(given["pairs"], name) for name in ("factor", "target")}
    return given, {name: one for name, one in tensors.items() if one is not None}


def near(have, right, limit):
    size = float(right.abs().sum()) if right.numel() < 2 else float(right.abs().max())
    torch.testing.assert_close(have.double().cpu(), right, rtol=0, atol=limit * (1 + size))


def limit_of(dtype):
    return 1e-10 if dtype == torch.float64 else 100 * torch.finfo(dtype).eps


def compare(device, given, dtype):
    """The value and the gradients of all that it is of, against the dense sum in float64."""
    ours, by_name = learned(on(device, given))
    value = whole(**ours)
    assert value.dtype == torch.float64
    assert value.shape == ()
    right, expected = learned(wide(given))
    dense = reference.whole(**right)
    near(value.detach(), dense.detach(), limit_of(dtype))
    have = torch.autograd.grad(value, list(by_name.values()))
    for name, one, other in zip(
        by_name, have, torch.autograd.grad(dense, list(expected.values())), strict=True
    ):
        assert one.dtype == by_name[name].dtype
        near(one, other, limit_of(dtype))


def compare_meta(device, given, dtype):
    given = given | directions(given)
    have, right = whole_meta(**on(device, given), rate=RATE), reference.whole_meta(**wide(given), rate=RATE)
    for one, other in zip(have, right, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            near(one, other, limit_of(dtype))


# Value, gradient and meta-gradient


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dim", WIDTHS)
def test_value_and_gradients(kernels, dim, dtype):
    compare(kernels, problem(dtype, dim), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dim", WIDTHS)
def test_gradients_of_weights_and_prior_through_a_step(kernels, dim, dtype):
    compare_meta(kernels, problem(dtype, dim), dtype)


@pytest.mark.parametrize("left_out", OPTIONAL)
def test_what_is_not_given(device, left_out):
    given = problem(torch.float64)
    del given[left_out]
    compare(device, given, torch.float64)
    compare_meta(device, given, torch.float64)


@pytest.mark.parametrize("left_out", ["factor", "target"])
def test_what_pairs_do_not_have(device, left_out):
    given = problem(torch.float64)
    given["pairs"] = given["pairs"]._replace(**{left_out: None})
    compare(device, given, torch.float64)
    compare_meta(device, given, torch.float64)


def test_with_none_of_them_and_a_prior_that_is_a_number(device):
    given = {name: one for name, one in problem(torch.float64).items() if name not in OPTIONAL}
    compare(device, given, torch.float64)
    compare_meta(device, given, torch.float64)
    given |= {"prior": 2, "pairs": problem(torch.float64)["pairs"]}
    compare(device, given, torch.float64)
    compare_meta(device, given, torch.float64)


def test_the_sum_over_a_list_of_all_pairs(device):
    """Without the reference: a loop over pairs, the observed ones with their own weight and target."""
    given = problem(torch.float64, num_users=4, num_items=5)
    rows = torch.tensor([0, 1, 3]), torch.tensor([4, 0, 2])
    given["pairs"] = ObservedPairs(*rows, torch.tensor([2.0, 0.5, 3.0]).double(), torch.ones(3).double())
    observed = {(int(u), int(i)): k for k, (u, i) in enumerate(zip(*rows, strict=True))}
    total = 0.0
    for u in range(4):
        for i in range(5):
            score = float(given["users"][u] @ given["items"][i])
            weight = float(given["user_weight"][u] * given["item_weight"][i])
            k = observed.get((u, i))
            factor, target = (1.0, -0.75) if k is None else (float(given["pairs"].factor[k]), 1.0)
            total += weight * factor * (score - target) ** 2
    assert float(whole(**on(device, given))) == pytest.approx(total, rel=1e-12)


def test_the_closed_form_is_the_gradient_through_a_virtual_step_of_its_own(device):
    """A second loss after a step down the operator's gradient, differentiated by torch through the operator."""
    given = on(device, problem(torch.float64))
    ours, by_name = learned(given)
    outer = [name for name in by_name if name not in ("users", "items")]
    by_users, by_items = torch.autograd.grad(whole(**ours), [ours["users"], ours["items"]], create_graph=True)
    moved = [ours["users"] - 1e-3 * by_users, ours["items"] - 1e-3 * by_items]
    second = (moved[0][:5] @ moved[1][3:9].T).tanh().sum()
    *found, v, h = torch.autograd.grad(second, [*(by_name[name] for name in outer), *moved])
    have = whole_meta(direction_users=v, direction_items=h, rate=1e-3, **given)
    for one, other in zip(have, found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_gradcheck_and_gradgradcheck(device):
    given = on(device, problem(torch.float64, 3, 4, 5, 6))
    ours, by_name = learned(given)
    pairs = ours["pairs"]

    def call(users, items, user_weight, item_weight, prior, factor, target):
        known = pairs._replace(factor=factor, target=target)
        return whole(users, items, user_weight, item_weight, prior, known)

    assert torch.autograd.gradcheck(call, list(by_name.values()))
    assert torch.autograd.gradgradcheck(call, list(by_name.values()))


@pytest.mark.launches_nothing
def test_opcheck():
    rows, weight = torch.randn(5, 16).double().requires_grad_(), torch.rand(5).double().requires_grad_()
    torch.library.opcheck(torch.ops.pyrec.whole_gram.default, (rows, weight))
    torch.library.opcheck(torch.ops.pyrec.whole_gram.default, (rows, None))
    torch.library.opcheck(torch.ops.pyrec.whole_times.default, (rows, torch.eye(16).double()))


def test_same_bits_at_any_number_of_threads_and_at_each_call(device, threads):
    given = on(device, problem(torch.float32, 48, 700, 900, 5000))
    moved = on(device, directions(given))
    results = []
    for count in (1, 2, 3, 7):
        threads(count)
        ours, by_name = learned(given)
        value = whole(**ours)
        found = whole_meta(**given, **moved, rate=RATE)
        results.append((value, *torch.autograd.grad(value, list(by_name.values())), *found))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


TIMES = """
import hashlib, torch
from pyrec.ops.whole import times
digest = hashlib.sha256()
for dtype in (torch.float32, torch.float64):
    for rows, dim, width in ((7001, 80, 80), (1001, 160, 80), (301, 512, 512), (5, 16, 130)):
        draw = torch.Generator().manual_seed(0)
        x, matrix = (torch.randn(n, m, generator=draw, dtype=dtype) for n, m in ((rows, dim), (dim, width)))
        product = times(x, matrix)
        torch.testing.assert_close(product, x @ matrix, rtol=1e-4, atol=1e-4)
        digest.update(product.numpy().tobytes())
print(digest.hexdigest())
"""


@pytest.mark.launches_nothing
def test_products_have_the_same_bits_at_any_number_of_threads_of_blas():
    """It takes their number as it is loaded, so each has a process."""
    found = set()
    for number in ("1", "2", "3"):
        variables = {"OMP_NUM_THREADS": number, "OPENBLAS_NUM_THREADS": number}
        done = children.run("-c", TIMES, env=children.environment(**variables))
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert len(found) == 1


def test_the_widest_rows():
    widest = {name: problem(torch.float64, 511, 3, 4)[name] for name in ("users", "items", "prior")}
    torch.testing.assert_close(whole(**widest), reference.whole(**widest))
    half = {name: problem(torch.float64, 255, 3, 4)[name] for name in ("users", "items", "prior")}
    half |= directions(half)
    have, right = whole_meta(**half, rate=RATE), reference.whole_meta(**half, rate=RATE)
    torch.testing.assert_close(have[:3], right[:3])


def test_no_users_and_no_pairs(device):
    given = problem(torch.float64)
    none = torch.empty(0, dtype=torch.int64)
    given["pairs"] = ObservedPairs(none, none, given["users"].new_empty(0))
    compare_meta(device, given, torch.float64)
    assert float(whole(**on(device, given))) == pytest.approx(float(reference.whole(**given)))
    del given["pairs"]
    given |= {"users": given["users"][:0], "user_weight": given["user_weight"][:0]}
    assert float(whole(**on(device, given))) == 0


# What is refused


def refused(name, change, call=whole):
    given = problem(torch.float32)
    if call is whole_meta:
        given |= directions(given) | {"rate": RATE}
    if name.startswith("pairs."):
        field = name.removeprefix("pairs.")
        given["pairs"] = given["pairs"]._replace(**{field: change(getattr(given["pairs"], field))})
    else:
        given[name] = change(given[name])
    return lambda: call(**given)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (refused("users", lambda a: a[0]), DataError, r"users has shape \(12,\)"),
        (refused("users", lambda a: a[:, :0].contiguous()), DataError, r"users has shape \(23, 0\)"),
        (refused("users", lambda a: a.half()), DataError, "users has dtype torch.float16"),
        (refused("users", lambda a: a.numpy()), DataError, "users is a ndarray"),
        (refused("items", lambda a: a.T), DataError, "items is not contiguous"),
        (refused("items", lambda a: a.double()), DataError, "items has dtype torch.float64"),
        (
            refused("items", lambda a: a[:, :5].contiguous()),
            DataError,
            r"items has shape \(31, 5\), but \(31, 12\)",
        ),
        (refused("user_weight", lambda a: a[1:]), DataError, r"user_weight has shape \(22,\), but \(23,\)"),
        (refused("item_weight", lambda a: a.double()), DataError, "item_weight has dtype"),
        (refused("prior", lambda a: a[None]), DataError, r"prior has shape \(1,\)"),
        (refused("prior", lambda a: a.long()), DataError, "prior has shape .* dtype torch.int64"),
        (refused("prior", lambda _: float("nan")), ConfigError, "prior = nan, but a finite number"),
        (refused("prior", lambda _: True), ConfigError, "prior = True"),
        (refused("pairs", tuple), DataError, "pairs is a tuple"),
        (refused("pairs.users", lambda a: a.int()), DataError, "pairs.users has shape .* dtype torch.int32"),
        (
            refused("pairs.items", lambda a: a[1:]),
            DataError,
            "pairs.items has 59 rows, but pairs.users has 60",
        ),
        (refused("pairs.factor", lambda a: a[1:]), DataError, r"pairs.factor has shape \(59,\)"),
        (refused("pairs.target", lambda a: a.double()), DataError, "pairs.target has dtype"),
        (refused("pairs.target", lambda _: 1.0), DataError, "pairs.target is a float"),
        (refused("direction_users", lambda a: a[1:], whole_meta), DataError, "direction_users has shape"),
        (
            refused("direction_items", lambda a: a.double(), whole_meta),
            DataError,
            "direction_items has dtype",
        ),
        (refused("rate", lambda _: float("inf"), whole_meta), ConfigError, "rate = inf"),
        (
            lambda: whole(torch.ones(2, 512), torch.ones(2, 512)),
            ConfigError,
            "users has 512 columns, but 1 to 511",
        ),
        (
            lambda: whole_meta(*[torch.ones(2, 256)] * 4, rate=1.0),
            ConfigError,
            "users has 256 columns, but 1 to 255",
        ),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("value", [-1, NUM_USERS])
@pytest.mark.parametrize("call", [whole, whole_meta])
def test_a_row_out_of_range_is_told(call, value):
    def change(rows):
        rows = rows.clone()
        rows[7] = value
        return rows

    with pytest.raises(DataError, match=rf"pairs.users\[7\] = {value}, but rows 0 to 22 are there"):
        refused("pairs.users", change, call)()

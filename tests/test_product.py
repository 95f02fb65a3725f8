import pytest
import torch

from pyrec.errors import DataError
from pyrec.ops.product import inner_products, product
from pyrec.reference import product as reference

SIZES = [(1, 1, 1), (1, 5, 67), (7, 3, 1), (5, 300, 64), (6, 16, 130), (13, 257, 33), (509, 70, 150)]


def problem(m, k, n, dtype=torch.float32, seed=0):
    """x, weight and the gradient of the result."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((m, k), (k, n), (m, n))
    return [torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]


def with_gradients(multiply, x, weight, grad):
    x, weight = (one.detach().clone().requires_grad_() for one in (x, weight))
    out = multiply(x, weight)
    return [out.detach(), *torch.autograd.grad(out, [x, weight], grad)]


def near(have, right, dtype):
    for one, expected in zip(have, right, strict=True):
        limit = 40 * torch.finfo(dtype).eps * max(1.0, float(expected.abs().max()))
        torch.testing.assert_close(one.double(), expected, rtol=0, atol=limit)


def exact(given):
    return with_gradients(reference.product, *(one.double() for one in given))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", SIZES)
def test_output_and_gradients(isa, size, dtype):
    given = problem(*size, dtype)
    near(with_gradients(product, *given), exact(given), dtype)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_a_device_multiplies_by_torch():
    given = problem(13, 257, 33)
    have = with_gradients(product, *(one.cuda() for one in given))
    near([one.cpu() for one in have], exact(given), torch.float32)


@pytest.mark.parametrize("columns", range(1, 131, 4))
def test_any_number_of_columns(columns):
    given = problem(10, 9, columns)
    near(with_gradients(product, *given), exact(given), torch.float32)


@pytest.mark.parametrize("rows", range(1, 60, 5))
def test_any_number_of_rows(rows):
    given = problem(rows, rows + 3, 20)
    near(with_gradients(product, *given), exact(given), torch.float32)


@pytest.mark.parametrize("size", [(0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0)])
def test_without_rows_columns_or_steps(size):
    given = problem(*size)
    for one, expected in zip(
        with_gradients(product, *given), with_gradients(reference.product, *given), strict=True
    ):
        assert torch.equal(one, expected)


@pytest.mark.parametrize("size", [(1300, 70, 150), (600, 300, 1), (2000, 33, 20)])
def test_same_bits_at_any_number_of_threads(isa, threads, size):
    given, results = problem(*size), []
    for count in (1, 2, 3, 7):
        threads(count)
        results.append(with_gradients(product, *given))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_bits_depend_neither_on_rows_nor_on_columns_beside(isa):
    x, weight, _ = problem(1100, 300, 150)
    whole = product(x, weight)
    assert torch.equal(product(x[700:711], weight), whole[700:711])
    for columns in (slice(3, 4), slice(60, 77)):
        assert torch.equal(product(x, weight[:, columns].contiguous()), whole[:, columns])


def test_memory_that_begins_within_a_vector():
    x, weight, _ = problem(20, 30, 40)
    shifted = torch.empty(x.numel() + 1)[1:].view(x.shape).copy_(x)
    assert torch.equal(product(shifted, weight), product(x, weight))


def test_nan_stays_in_its_row():
    x, weight, _ = problem(9, 20, 70)
    x[4, 7] = torch.nan
    assert product(x, weight).isnan().all(1).tolist() == [row == 4 for row in range(9)]


@pytest.mark.parametrize("learned", [0, 1])
def test_a_gradient_of_one_alone(learned):
    given = problem(12, 20, 33)
    expected = exact(given)[1 + learned]
    given[learned].requires_grad_()
    product(*given[:2]).backward(given[2])
    near([given[learned].grad], [expected], torch.float32)


def test_gradcheck_gradgradcheck_and_opcheck():
    x, weight, _ = problem(3, 4, 5, torch.float64)
    given = (x.requires_grad_(), weight.requires_grad_())
    assert torch.autograd.gradcheck(product, given)
    assert torch.autograd.gradgradcheck(product, given)
    torch.library.opcheck(torch.ops.pyrec.product, given)


SOUND = {"x": torch.ones(5, 3), "weight": torch.ones(3, 4)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"x": torch.ones(5)},
            r"x has shape \(5,\) and weight \(3, 4\), but \(m, k\) and \(k, n\) are needed",
        ),
        ({"weight": torch.ones(4, 3)}, r"x has shape \(5, 3\) and weight \(4, 3\), but"),
        ({"x": torch.ones(3, 5).t()}, "x is not contiguous"),
        ({"weight": torch.ones(4, 3).t()}, "weight is not contiguous"),
        ({"x": torch.ones(5, 3).bfloat16()}, "x has dtype torch.bfloat16, but float32 or float64 is needed"),
        (
            {"weight": torch.ones(3, 4).double()},
            "weight is torch.float64 on cpu, but x is torch.float32 on cpu",
        ),
    ],
)
def test_bad_input_is_named(change, message):
    with pytest.raises(DataError, match=message):
        product(**SOUND | change)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rows", [0, 1, 300, 5_000])
def test_inner_products_of_tall_matrices_do_not_lose_digits(isa, rows, dtype):
    """Of numbers above 0, whose rounding does not cancel."""
    generator = torch.Generator().manual_seed(rows)
    x, y = (torch.rand(rows, n, generator=generator, dtype=dtype) for n in (5, 70))
    made, expected = inner_products(x, y), x.double().T @ y.double()
    assert made.dtype == torch.float64
    torch.testing.assert_close(made, expected, rtol=64 * torch.finfo(dtype).eps, atol=0)


def test_inner_products_name_what_is_wrong():
    with pytest.raises(DataError, match=r"x has shape \(3, 2\) and y \(4, 2\), but as many rows are needed"):
        inner_products(torch.ones(3, 2), torch.ones(4, 2))
    with pytest.raises(DataError, match=r"x is torch.float32 on cpu and y torch.float64 on cpu"):
        inner_products(torch.ones(3, 2), torch.ones(3, 2, dtype=torch.float64))

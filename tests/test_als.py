import numpy as np
import pytest
import torch

from pyrec.errors import ConfigError, DataError
from pyrec.ops.als import als, gram, pad_columns
from pyrec.reference import als as reference

WIDTHS = [1, 3, 8, 15, 16, 17, 33, 64, 65, 100]
DTYPES = [torch.float32, torch.float64]
NUM_ROWS, NUM_FIXED = 23, 50
OPTIONAL = ("gram", "linear", "offset", "scale", "penalty")


def problem(dtype, dim, num_rows=NUM_ROWS, num_fixed=NUM_FIXED, longest=80, seed=0):
    """Arguments by name, float64 numbers rounded to ``dtype``; the first row has no entries."""
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    lengths = torch.randint(longest, (num_rows,), generator=draw)
    lengths[0] = 0
    indptr = torch.nn.functional.pad(lengths.cumsum(0), (1, 0))
    count = int(indptr[-1])
    vectors = normal(num_fixed, dim) / dim**0.5
    made = {
        "x": normal(num_rows, dim),
        "vectors": vectors,
        "indptr": indptr,
        "indices": torch.randint(num_fixed, (count,), generator=draw, dtype=torch.int32),
        "weight": 3 * torch.rand(count, generator=draw, dtype=torch.float64),
        "target": normal(count),
        "reg": torch.rand(num_rows, generator=draw, dtype=torch.float64) + 0.5,
        "gram": 0.1 * vectors.T @ vectors,
        "linear": normal(dim),
        "offset": normal(num_fixed),
        "scale": torch.rand(num_rows, generator=draw, dtype=torch.float64) + 0.5,
        "penalty": torch.rand(dim, generator=draw, dtype=torch.float64) + 0.5,
    }
    return {name: array.to(dtype) if array.is_floating_point() else array for name, array in made.items()}


def wide(arguments):
    """The same in float64, apart."""
    return {
        name: array.double().clone()
        if isinstance(array, torch.Tensor) and array.is_floating_point()
        else array
        for name, array in arguments.items()
    }


def on(device, arguments):
    return {
        name: array.to(device.torch) if isinstance(array, torch.Tensor) else array
        for name, array in arguments.items()
    }


def compare(device, arguments, block=None, terms=200):
    """Solutions and losses against the reference in float64, within the rounding of some ``terms`` numbers."""
    dtype, dim = arguments["x"].dtype, arguments["x"].shape[1]
    expected = wide(arguments)
    losses = reference.als(**expected, block=block if block and block < dim else None)
    ours = on(device, {**arguments, "x": arguments["x"].clone()})
    found = als(**ours, block=block)
    limit = terms * torch.finfo(dtype).eps
    assert found.dtype == torch.float64
    torch.testing.assert_close(
        ours["x"].double().cpu(), expected["x"], rtol=0, atol=limit * float(expected["x"].abs().max())
    )
    torch.testing.assert_close(found.cpu(), losses, rtol=0, atol=limit * float(losses.max()))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dim", WIDTHS)
def test_solutions(kernels, dim, dtype):
    compare(kernels, problem(dtype, dim))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("dim", "block"), [(33, 16), (64, 32), (65, 48), (100, 16), (100, 112), (7, 9)])
def test_blocks_of_columns(kernels, dim, block, dtype):
    compare(kernels, problem(dtype, dim), block)


@pytest.mark.parametrize("left", OPTIONAL)
def test_without_an_optional_argument(device, left):
    arguments = problem(torch.float64, 20)
    del arguments[left]
    compare(device, arguments)


def test_with_none_of_them(kernels):
    arguments = problem(torch.float32, 20)
    compare(kernels, {name: array for name, array in arguments.items() if name not in OPTIONAL})


@pytest.mark.parametrize("dim", [112, 144])
def test_systems_that_fit_into_shared_memory_and_such_that_do_not(device, dim):
    compare(device, problem(torch.float32, dim, num_rows=5, longest=40))


@pytest.mark.parametrize("block", [None, 128])
def test_the_largest_dimension(isa, block):
    class Cpu:
        torch = torch.device("cpu")

    compare(Cpu, problem(torch.float32, 512, num_rows=3, longest=700), block)


def test_a_long_row_of_float32_is_summed_to_its_rounding(device):
    arguments = problem(torch.float32, 16, num_rows=2, num_fixed=200, longest=3)
    count = 20_000
    draw = torch.Generator().manual_seed(3)
    arguments |= {
        "indptr": torch.tensor([0, 0, count]),
        "indices": torch.randint(200, (count,), generator=draw, dtype=torch.int32),
        "weight": torch.rand(count, generator=draw),
        "target": torch.randn(count, generator=draw) + 1,
    }
    compare(device, arguments, terms=1000)


def test_a_row_without_entries_is_solved_from_the_gram_matrix(device):
    arguments = problem(torch.float64, 12)
    ours = on(device, arguments)
    losses = als(**ours)
    matrix = arguments["scale"][0] * arguments["gram"] + arguments["reg"][0] * torch.diag(
        arguments["penalty"]
    )
    expected = torch.linalg.solve(matrix, arguments["scale"][0] * arguments["linear"])
    torch.testing.assert_close(ours["x"][0].cpu(), expected)
    assert losses[0] == 0


def test_no_rows_and_no_entries(device):
    arguments = problem(torch.float32, 8, num_rows=1)
    assert als(**on(device, arguments)).tolist() == [0]
    none = {"x": arguments["x"][:0], "indptr": torch.zeros(1, dtype=torch.int64)}
    none |= {"reg": arguments["reg"][:0], "scale": arguments["scale"][:0]}
    assert len(als(**on(device, arguments | none))) == 0


def test_an_index_that_is_there_twice_counts_twice(device):
    arguments = problem(torch.float64, 6, num_rows=2)
    once, twice = {}, {}
    for name, array, double in (("indices", [4, 9], [4, 9, 4]), ("weight", [2.0, 1], [0.5, 1, 1.5])):
        dtype = arguments[name].dtype
        once[name], twice[name] = torch.tensor(array, dtype=dtype), torch.tensor(double, dtype=dtype)
    once |= {"target": torch.tensor([1.0, -1]).double(), "indptr": torch.tensor([0, 0, 2])}
    twice |= {"target": torch.tensor([1.0, -1, 1]).double(), "indptr": torch.tensor([0, 0, 3])}
    found = [on(device, {**arguments, "x": arguments["x"].clone(), **entries}) for entries in (once, twice)]
    losses = [als(**each) for each in found]
    torch.testing.assert_close(found[0]["x"], found[1]["x"])
    torch.testing.assert_close(*losses)


def test_padded_vectors_have_the_bits_of_those_that_are_padded_here(device):
    arguments = problem(torch.float32, 21)
    first, second = (on(device, {**arguments, "x": arguments["x"].clone()}) for _ in range(2))
    second["vectors"] = pad_columns(second["vectors"])
    assert torch.equal(als(**first), als(**second))
    assert torch.equal(first["x"], second["x"])


def test_where_it_starts_from_does_not_matter(device):
    arguments = problem(torch.float64, 40)
    first = on(device, {**arguments, "x": torch.zeros_like(arguments["x"])})
    second = on(device, {**arguments, "x": 100 * arguments["x"]})
    torch.testing.assert_close(als(**first), als(**second))
    torch.testing.assert_close(first["x"], second["x"])


def objective(arguments):
    """Of each row, (num_rows,)."""
    a = wide(arguments)
    values = []
    for row, x in enumerate(a["x"]):
        entries = slice(int(a["indptr"][row]), int(a["indptr"][row + 1]))
        named = a["indices"][entries].long()
        error = a["vectors"][named] @ x + a["offset"][named] - a["target"][entries]
        of_all = a["scale"][row] * (x @ a["gram"] @ x / 2 - a["linear"] @ x)
        penalty = a["reg"][row] * (a["penalty"] * x * x).sum() / 2
        values.append(of_all + (a["weight"][entries] * error**2).sum() / 2 + penalty)
    return torch.stack(values)


def test_each_round_of_blocks_lowers_each_rows_objective_to_that_of_the_solution(device):
    arguments = problem(torch.float64, 32, num_rows=4, longest=20)
    blocks = on(device, {**arguments, "x": arguments["x"].clone()})
    before = objective(arguments)
    for _ in range(30):
        als(**blocks, block=16)
        after = objective({**arguments, "x": blocks["x"].cpu()})
        assert (after <= before + 1e-12 * before.abs()).all()
        before = after
    whole = on(device, {**arguments, "x": arguments["x"].clone()})
    als(**whole)
    torch.testing.assert_close(before, objective({**arguments, "x": whole["x"].cpu()}), rtol=1e-6, atol=1e-9)
    assert objective(arguments).sum() > before.sum() + 1


def test_same_bits_at_any_number_of_threads_and_at_each_call(device, threads):
    arguments = problem(torch.float32, 24, num_rows=70, longest=40)
    found = []
    for number in (1, 2, 3, 1):
        threads(number)
        ours = on(device, {**arguments, "x": arguments["x"].clone()})
        found.append((als(**ours), ours["x"], gram(ours["x"])))
    for other in found[1:]:
        assert all(torch.equal(*pair) for pair in zip(found[0], other, strict=True))


# What has no solution


def test_a_matrix_that_is_not_positive_definite_is_named_and_the_others_are_solved(device):
    arguments = problem(torch.float64, 10)
    arguments["reg"][[5, 9]] = -1000.0
    before, ours = arguments["x"].clone(), on(device, arguments)
    with pytest.raises(DataError, match="matrix of row 5 is not positive definite; raise reg"):
        als(**ours)
    assert torch.equal(ours["x"][[5, 9]].cpu(), before[[5, 9]])
    expected = wide({**arguments, "x": before, "reg": arguments["reg"].abs()})
    reference.als(**expected)
    rest = [row for row in range(NUM_ROWS) if row not in (5, 9)]
    torch.testing.assert_close(ours["x"][rest].cpu(), expected["x"][rest])


@pytest.mark.parametrize("dtype", DTYPES)
def test_fewer_entries_than_columns_are_singular_without_a_penalty(kernels, dtype):
    arguments = problem(dtype, 16, num_rows=30, longest=12, seed=1)
    arguments["reg"][:] = 0
    for name in OPTIONAL:
        del arguments[name]
    with pytest.raises(DataError, match="matrix of row 0 is not positive definite"):
        als(**on(kernels, arguments))
    lengths = arguments["indptr"].diff()
    full = {
        **arguments,
        "indptr": arguments["indptr"][1:],
        "x": arguments["x"][1:],
        "reg": arguments["reg"][1:],
    }
    assert int(lengths[1:].max()) < 16
    with pytest.raises(DataError, match="matrix of row 0 is not positive definite"):
        als(**on(kernels, full))


@pytest.mark.parametrize("name", ["target", "weight", "vectors", "linear"])
def test_numbers_that_are_not_finite_are_told(device, name):
    arguments = problem(torch.float32, 10)
    arguments[name].view(-1)[0] = np.nan
    with pytest.raises(
        DataError, match=r"row \d+ (has numbers that are not finite|is not positive definite)"
    ):
        als(**on(device, arguments))


@pytest.mark.parametrize("value", [-1, NUM_FIXED])
def test_an_index_out_of_range_is_told(device, value):
    arguments = problem(torch.float32, 10)
    arguments["indices"][7] = value
    told = r"indices\[7\]" if device.name == "cpu" else "an index that is out of range"
    with pytest.raises(DataError, match=told):
        als(**on(device, arguments))


def changed(name, change):
    """A call of `als` with an argument changed."""
    arguments = problem(torch.float32, 8)
    arguments[name] = change(arguments[name])
    return lambda: als(**arguments)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (changed("x", lambda a: a.double()), DataError, "vectors has dtype float32"),
        (changed("x", lambda a: a[0]), DataError, r"x has shape \(8,\)"),
        (changed("x", lambda a: a[:, :0].contiguous()), DataError, r"x has shape \(23, 0\)"),
        (changed("x", lambda a: a.T), DataError, "x is not contiguous"),
        (changed("x", lambda a: a.half()), DataError, "x has a dtype"),
        (changed("x", lambda a: a.numpy()), DataError, "x is a ndarray"),
        (changed("vectors", lambda a: a[:, :5].contiguous()), DataError, r"vectors has shape \(50, 5\)"),
        (changed("indptr", lambda a: a[:-1]), DataError, "indptr"),
        (changed("indptr", lambda a: a.flip(0)), DataError, "row pointers start at 0"),
        (changed("indices", lambda a: a.long()), DataError, "indices has dtype int64"),
        (changed("weight", lambda a: a[:-1]), DataError, "weight"),
        (changed("target", lambda a: a.double()), DataError, "target has dtype float64"),
        (changed("reg", lambda a: a[:-1]), DataError, "reg"),
        (changed("gram", lambda a: a[:, :3].contiguous()), DataError, r"gram has shape \(8, 3\)"),
        (changed("linear", lambda a: a[:-1]), DataError, "linear"),
        (changed("offset", lambda a: a[:-1]), DataError, "offset"),
        (changed("scale", lambda a: a[:-1]), DataError, "scale"),
        (changed("penalty", lambda a: a[:-1]), DataError, "penalty"),
        (lambda: als(**problem(torch.float32, 513)), ConfigError, "513"),
        (
            lambda: als(**problem(torch.float32, 40), block=24),
            ConfigError,
            "block = 24 must be a multiple of 16",
        ),
        (lambda: als(**problem(torch.float32, 40), block=0), ConfigError, "block = 0"),
        (lambda: als(**problem(torch.float32, 40), block="16"), ConfigError, "block = '16'"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


# The Gram matrix


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("num_rows", "dim"), [(0, 3), (1, 1), (31, 7), (300, 16), (3000, 33), (5000, 200)])
def test_gram_matrix(kernels, num_rows, dim, weighted, dtype):
    if kernels.name == "cuda-emulated" and num_rows * dim > 200_000:
        num_rows = 1100
    draw = torch.Generator().manual_seed(0)
    rows = torch.randn(num_rows, dim, generator=draw).to(dtype)
    weight = torch.rand(num_rows, generator=draw).to(dtype) if weighted else None
    found = gram(rows.to(kernels.torch), None if weight is None else weight.to(kernels.torch))
    assert found.dtype == torch.float64
    assert torch.equal(found, found.T)
    expected = reference.gram(rows, weight)
    limit = 100 * torch.finfo(dtype).eps * max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=limit)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gram(torch.ones(3)), r"vectors has shape \(3,\)"),
        (lambda: gram(torch.ones(3, 4).T), "vectors is not contiguous"),
        (lambda: gram(torch.ones(3, 4, dtype=torch.int64)), "vectors has dtype int64"),
        (lambda: gram(torch.ones(3, 4), torch.ones(2)), "weight"),
        (lambda: gram(torch.ones(3, 4), [1, 2, 3]), "weight is a list"),
    ],
)
def test_bad_input_of_the_gram_matrix(call, message):
    with pytest.raises(DataError, match=message):
        call()


def test_a_gram_matrix_of_too_many_columns():
    with pytest.raises(ConfigError, match="513"):
        gram(torch.ones(3, 513))

"""A slice of columns has the bits of the whole: what a process computes that holds all edges and some columns."""

import platform

import pytest
import torch
from strategies import random_graph

from pyrec import _core
from pyrec._arrays import stream_of
from pyrec.graph import Graph
from pyrec.nn.adam import AdamState
from pyrec.nn.combine import MeanCombine
from pyrec.ops.combine import combine_weighted
from pyrec.ops.dropout import DroppedGraph
from pyrec.ops.propagate import PRECISIONS, propagate, propagate_gradient, propagate_step, propagate_sum
from pyrec.ops.rows import _add_rows, take
from pyrec.ops.topk import topk

WIDE = 250
WIDTHS = [*range(1, 41), 63, 64, 65, 96, 127, 128, 129, 200]
"""Of slices: around each vector, each pair of them and each block of 8 or 16, and what is left behind them."""

FP32, FP64, BF16 = torch.float32, torch.float64, torch.bfloat16
STORED = [(FP32, FP32), (FP64, FP64), (FP32, BF16), (BF16, BF16), (BF16, FP32)]
"""Dtypes of x and out; what is summed has the wider one."""

FORMS = {
    "plain": "x",
    "scaled": "x pre post",
    "weighted": "x weights post",
    "dropout": "x pre post dropout",
    "weighted dropout": "x weights post dropout",
    "chosen rows": "x x_row post",
    "weighted chosen rows": "x x_row weights post",
    "dropout and chosen rows": "x x_row post dropout",
    "rows": "x rows pre post",
    "weighted rows": "x rows weights post",
    "dropout and rows": "x rows pre post dropout",
    "added": "x post add add_scale",
    "added rows": "x post add add_row add_scale",
    "added rows to chosen rows": "x x_row post add add_row add_scale",
    "scaled alone": "add add_scale",
    "total": "x pre post total total_scale",
    "total of weighted": "x weights total",
    "total of dropout": "x pre post total total_scale dropout",
    "total alone": "x pre total total_scale no_out",
    "step": "x post add adam no_out",
    "step from chosen rows": "x x_row post add add_row adam no_out",
    "step of weighted dropout": "x weights add adam dropout no_out",
}
"""Terms of a layer, as csrc/propagate/propagate.hpp names them; out is written but with no_out."""


def slices(where):
    """Each width, in between or at the end; a device promises whole blocks of 32 alone."""
    if where.name != "cpu":
        return [(0, 32), (32, 96), (96, 192), (0, 128), (32, 224)]
    return [(start, start + width) for width in WIDTHS for start in [13 if width % 3 else WIDE - width]]


def part(array, first, last):
    """A copy of columns [first, last)."""
    return array[:, first:last].clone(memory_format=torch.contiguous_format)


def width_of(where):
    return WIDE if where.name == "cpu" else 256


def allowed(terms, x, out):
    """Whether a layer of these terms goes with these dtypes; the binding refuses the others."""
    if x == BF16 and (not {"x"} <= terms or terms & {"pre", "x_row"}):
        return False
    return out != BF16 or not terms & {"adam", "no_out"}


class Layer:
    """A call of the kernel on arrays of ``width`` columns, and on any columns of them."""

    def __init__(self, where, graph, form, x, out, width):
        self.where, self.graph, self.terms = where, where.put(graph), set(FORMS[form].split())
        self.x, self.out = x, out
        wide = FP64 if x == FP64 else FP32
        draw = torch.Generator().manual_seed(7)
        n = graph.num_nodes

        def normal(rows, dtype=wide):
            return torch.randn(rows, width, generator=draw).to(dtype)

        def positive(count):
            return 0.1 + torch.rand(count, generator=draw).to(wide)

        chosen = torch.randperm(n, generator=draw)[: n // 3]
        row_of_node = torch.full((n,), -1, dtype=torch.int32)
        row_of_node[chosen] = torch.arange(len(chosen), dtype=torch.int32)
        self.rows = chosen
        num_x = len(chosen) if "x_row" in self.terms else n
        num_add = len(chosen) if "add_row" in self.terms else n
        self.columns = {"x": normal(num_x, x), "add": normal(num_add), "total": normal(n)}
        self.moments = [normal(n), normal(n), positive(n * width).reshape(n, width)]
        self.others = {
            "rows": chosen,
            "row_of_node": row_of_node,
            "x_row": row_of_node,
            "add_row": row_of_node,
            "weights": positive(graph.num_edges),
        }
        self.others |= {name: positive(n) for name in ("pre", "post", "add_scale", "total_scale")}

    def __call__(self, first, last):
        """What columns [first, last) become when the kernel has these alone."""

        def there(array):
            return array.to(self.where.torch)

        def cut(array):
            return there(part(array, first, last))

        given = {name: cut(array) for name, array in self.columns.items() if name in self.terms}
        given |= {name: there(array) for name, array in self.others.items() if name in self.terms}
        results = [given["total"]] if "total" in given else []
        out = None
        if "no_out" not in self.terms:
            rows = len(self.rows) if "rows" in self.terms else self.graph.num_nodes
            out = torch.empty(rows, last - first, dtype=self.out, device=self.where.torch)
            results.append(out)
        if "adam" in self.terms:
            moments = [cut(array) for array in self.moments]
            given["adam"] = (*moments, 0.9, 0.999, 0.01, 3.0, 1e-8, None)
            results += moments
        if "total" in given:
            given["total_alpha"] = 0.3
        if "dropout" in self.terms:
            given["dropout"] = (0.3, 5)
        if self.where.name != "cpu":
            given |= self._device_terms(last - first)
        core = self.where.core
        core.propagate_layer(self.graph.core, given.pop("x", None), out, **given)
        return [result.cpu() for result in results]

    def _device_terms(self, width):
        pieces = self.where.core.propagate_pieces(self.graph.core)
        dtype = FP64 if self.x == FP64 else FP32
        device = self.where.torch
        more = {
            "partial": torch.empty(pieces, width, dtype=dtype, device=device),
            "not_finite": torch.zeros(1, dtype=torch.bool, device=device),
            "stream": stream_of(self.graph.device),
        }
        return more | ({"row_of_node": self.others["row_of_node"].to(device)} if "rows" in self.terms else {})


def assert_slices(call, width, cuts):
    """call(first, last) gives arrays of these columns: those of call(0, width), bit for bit."""
    whole = call(0, width)
    assert whole
    assert all(bool(array.isfinite().all()) for array in whole)
    for first, last in cuts:
        for mine, of_whole in zip(call(first, last), whole, strict=True):
            assert torch.equal(mine, of_whole[:, first:last]), (first, last)


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_a_layer(kernels, form):
    graph = random_graph(40, 30, 0.2) if kernels.name == "cpu" else random_graph(140, 9, 0.2)  # a long row
    width = width_of(kernels)
    tried = 0
    for x, out in STORED:
        if allowed(set(FORMS[form].split()), x, out):
            assert_slices(Layer(kernels, graph, form, x, out, width), width, slices(kernels))
            tried += 1
    assert tried >= 2


@pytest.mark.parametrize("form", FORMS)
def test_each_form_at_any_number_of_threads(kernels, form, threads):
    layer = Layer(kernels, random_graph(300, 200, 0.05), form, FP32, FP32, 64)
    threads(1)
    whole = layer(0, 64)
    for count in (1, 2, 3):
        threads(count)
        for first, last in ((0, 8), (3, 20), (40, 64)) if kernels.name == "cpu" else ((0, 32), (32, 64)):
            for mine, of_whole in zip(layer(first, last), whole, strict=True):
                assert torch.equal(mine, of_whole[:, first:last])


def fuses(where):
    """Whether a product and a sum are rounded once: docs/kernels/index.md, "Rounding"."""
    return where.name != "cpu" or _core.isa() != "baseline" or platform.machine() in ("aarch64", "arm64")


@pytest.mark.parametrize("dim", [1, 4, 7, 8, 9, 16, 33, 64])
def test_each_set_rounds_as_documented(kernels, dim):
    """With a = 1 + 2^-12 the square is 1 + 2^-11 + 2^-24, of which float32 has no room for the last term."""
    a, low = 1 + 2**-12, -(1 + 2**-11)
    expected = 2**-24 if fuses(kernels) else 0.0
    there = kernels.torch
    layers = [torch.full((5, dim), value, device=there) for value in (low, a)]
    pooled = combine_weighted(layers, torch.tensor([1.0, a], device=there))
    assert pooled.unique().tolist() == [expected]
    items = torch.tensor([[low, a]] * dim, device=there)
    for users in (1, 2, 40):
        _, scores = topk(torch.tensor([[1.0, a]] * users, device=there), items, 1)
        assert scores.unique().tolist() == [expected]
    graph = Graph.from_edges(torch.tensor([0, 0]).int(), torch.tensor([0, 1]).int(), 1, 2)
    x = torch.tensor([0.0, low, a], device=there)[:, None].repeat(1, dim)
    out = torch.empty_like(x)
    weights = torch.tensor([1.0, a, 1.0, 1.0], device=there)
    more = {"not_finite": torch.zeros(1, dtype=torch.bool, device=there), "stream": stream_of(there)}
    on_device = {} if kernels.name == "cpu" else more
    kernels.core.propagate_layer(kernels.put(graph).core, x, out, weights=weights, **on_device)
    assert out[0].unique().tolist() == [expected]


# What layers are composed of ------------------------------------------------------------------------------


def graphs_of_each_kind():
    graph = random_graph(140, 9, 0.2)  # with a long row
    nodes = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.degree)
    weights = 0.5 + (nodes * graph.indices) % 7 / 7
    weighted = Graph(graph.indptr, graph.indices, graph.num_users, graph.num_items, weights)
    return {"plain": graph, "weighted": weighted, "dropout": DroppedGraph(graph, 0.3, 5)}


def drawn(rows, columns, seed, dtype=FP32):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)).to(dtype)


FEW = [1, 3, 8, 9, 16, 31, 64, 100]
"""Widths for what takes several calls."""


def few_slices(where):
    if where.name != "cpu":
        return [(0, 32), (32, 96), (96, 224)]
    return [(13, 13 + width) for width in FEW]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", ["plain", "weighted", "dropout"])
@pytest.mark.parametrize("in_rows", [False, True])
def test_layers_and_their_gradient(kernels, kind, precision, in_rows):
    graph = graphs_of_each_kind()[kind]
    where, width = kernels.torch, width_of(kernels)
    rows = torch.arange(0, graph.num_nodes, 3) if in_rows else None
    there = kernels.put(graph)
    x = drawn(graph.num_nodes, width, 1)
    grads = [drawn(graph.num_nodes if rows is None else len(rows), width, 2 + k) for k in range(4)]

    def call(first, last):
        mine = part(x, first, last).to(where).requires_grad_()
        layers = propagate(mine, there, 3, None if rows is None else rows.to(where), precision)
        (grad,) = torch.autograd.grad(layers, mine, [part(g, first, last).to(where) for g in grads])
        return [array.detach().cpu() for array in (*layers, grad)]

    assert_slices(call, width, few_slices(kernels))


@pytest.mark.parametrize("precision", [*PRECISIONS, "fp64"])
@pytest.mark.parametrize("kind", ["plain", "weighted", "dropout"])
def test_a_sum_of_layers_and_its_gradient(kernels, kind, precision):
    graph = graphs_of_each_kind()[kind]
    where, width = kernels.torch, width_of(kernels)
    dtype, stored = (FP64, "fp32") if precision == "fp64" else (FP32, precision)
    there = kernels.put(graph)
    x, grad = drawn(graph.num_nodes, width, 1, dtype), drawn(graph.num_nodes, width, 2, dtype)
    alpha = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=dtype, device=where)

    def call(first, last):
        mine = part(x, first, last).to(where).requires_grad_()
        total = propagate_sum(mine, there, alpha, stored)
        (grad_x,) = torch.autograd.grad(total, mine, part(grad, first, last).to(where))
        return [total.detach().cpu(), grad_x.cpu()]

    assert_slices(call, width, slices(kernels) if kind == "plain" else few_slices(kernels))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("kind", "with_base"), [("plain", True), ("weighted", False), ("dropout", False)])
def test_steps_of_training(kernels, kind, precision, with_base):
    """Layers at a batch's rows, their mean, and from a gradient back to two steps of Adam on the table."""
    graph = graphs_of_each_kind()[kind]
    where, width = kernels.torch, width_of(kernels)
    there, rows = kernels.put(graph), torch.arange(0, graph.num_nodes, 3, device=where)
    x, grad = drawn(graph.num_nodes, width, 1), drawn(len(rows), width, 2)
    added = drawn(graph.num_nodes, width, 3)
    combine = MeanCombine(2).to(where)

    def call(first, last):
        table = part(x, first, last).to(where)
        adam = AdamState(table, 0.01)
        results = []
        for _ in range(2):
            layers = propagate(table, there, 2, rows, precision)
            pooled, pull_back = combine.pool([layer.detach() for layer in layers])
            grads = pull_back(part(grad, first, last).to(where))
            grads = [torch.add(g, layers[0], alpha=1e-4) for g in grads]
            base = part(added, first, last).to(where) if with_base else None
            copy = None if base is None else base.clone()
            results += [pooled, propagate_gradient(grads, there, rows, precision, copy)]
            propagate_step(grads, there, rows, adam.next_step(), precision, base)
        results += [table, adam.first_moment, adam.second_moment]
        return [array.cpu().clone() for array in results]

    assert_slices(call, width, few_slices(kernels))


@pytest.mark.parametrize("dtype", [FP32, FP64])
@pytest.mark.parametrize("num_layers", [1, 4, 64])
def test_a_weighted_sum_and_its_gradient(kernels, num_layers, dtype):
    where, width = kernels.torch, width_of(kernels)
    layers = [drawn(20, width, k, dtype) for k in range(num_layers)]
    alpha = torch.rand(num_layers, generator=torch.Generator().manual_seed(9)).to(where, dtype)
    grad = drawn(20, width, 99, dtype)

    def call(first, last):
        mine = [part(layer, first, last).to(where).requires_grad_() for layer in layers]
        pooled = combine_weighted(mine, alpha)
        grads = torch.autograd.grad(pooled, mine, part(grad, first, last).to(where))
        return [array.detach().cpu() for array in (pooled, *grads)]

    assert_slices(call, width, slices(kernels) if num_layers == 4 else few_slices(kernels))


@pytest.mark.parametrize("dtype", [FP32, FP64, BF16])
def test_rows_taken_and_added(kernels, dtype):
    where, width = kernels.torch, width_of(kernels)
    result = FP32 if dtype == BF16 else dtype
    x, factor = drawn(30, width, 1, dtype), torch.rand(30, dtype=result).to(where)
    rows = torch.tensor([3, -1, 29, 3, 0, 3, 29], device=where)

    def call(first, last):
        taken = take(part(x, first, last).to(where), rows, 30, factor, result)
        return [taken.cpu(), _add_rows(taken, rows, 30).cpu()]

    assert_slices(call, width, slices(kernels))

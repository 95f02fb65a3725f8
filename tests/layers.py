"""Layers, parameters and masks of combines, from fixed seeds."""

import math

import torch

DIMS = [1, 3, 7, 8, 9, 15, 16, 17, 64, 100]
DTYPES = [torch.float32, torch.float64]
CPU = torch.device("cpu")


def make_layers(num_rows, num_layers, dim, dtype, where=CPU):
    """Rows that lie apart: slices of one (num_rows, L, dim + 3) tensor."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(num_rows, num_layers, dim + 3, dtype=torch.float64, generator=generator).to(where, dtype)
    return [layer[:, 1 : dim + 1] for layer in x.unbind(1)]


def make_parameters(kind, num_layers, dim, dtype, where=CPU, hidden=11):
    generator = torch.Generator().manual_seed(1)
    shapes = {
        "weighted": [(num_layers,)],
        "attention": [(hidden, dim), (hidden,), (hidden,)],
        "self-attention": [(dim, dim)] * 3,
    }
    scale = 1 / math.sqrt(dim)
    return [
        (scale * torch.randn(shape, dtype=torch.float64, generator=generator)).to(where, dtype)
        for shape in shapes[kind]
    ]


def make_mask(num_rows, num_layers, where=CPU):
    """Half the rows left out, the first node without any, the last with all."""
    mask = torch.rand(num_rows, num_layers, generator=torch.Generator().manual_seed(2)) < 0.5
    mask[0] = False
    mask[-1] = True
    return mask.to(where)

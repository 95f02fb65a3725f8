"""A training step against plain torch, and the same bits whatever the threads."""


import torch
from pyrec.models.combine import make_combine

from pyrec.models.network import LightGCNNetwork
from pyrec.train import Settings

DIM, N_LAYERS, REG = 16, 3, 1e-2
COMBINES = ["mean", "weighted", "attention", "self-attention"]
SETTINGS = Settings(
    loss="bpr", batch_size=64, learning_rate=1e-2, reg=REG, temperature=0.2, num_negatives=None, seed=3
)


def make_network(graph, kind):
    generator = torch.Generator().manual_seed(0)
    combine = make_combine(kind, N_LAYERS, DIM, hidden=8, n_heads=2, generator=generator)
    network = LightGCNNetwork(graph.num_nodes, DIM, N_LAYERS, combine, generator)
    with torch.no_grad():  # away from the uniform start, where some gradients are zero
        for parameter in combine.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return network

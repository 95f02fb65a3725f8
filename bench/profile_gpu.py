"""Each CUDA kernel at gowalla's sizes, called once and by nobody else: what `ncu` is given to profile.

ncu --kernel-name-base mangled --kernel-name regex:pyrec python bench/profile_gpu.py
"""

from __future__ import annotations

import torch
from bench_combine import SHAPES
from bench_gpu import (
    combine_there,
    layer_problem,
    lists_problem,
    make_trainer,
    pyrec_combine,
    pyrec_layer,
    pyrec_lists,
)
from workloads import gowalla_graph


def main() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        pyrec_layer(layer_problem(gowalla_graph, dtype))()
    pyrec_lists(lists_problem())()
    for kind in SHAPES:
        pyrec_combine(kind)(combine_there(kind))()
    trainer = make_trainer(gowalla_graph())
    trainer.step(trainer.batches.at(0, 0))
    torch.cuda.synchronize()


if __name__ == "__main__":
    main()

"""One judge of everybody's lists: pyrec's metrics, whose definitions are LightGCN-PyTorch's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pyrec.ops.metrics import METRICS, ranking_metrics

from .lists_of import K


def judge(lists: NDArray[np.int32], test: Path) -> dict[str, float]:
    """Mean recall@20 and ndcg@20 of lists, int32 (lines of the test file, 20), -1 behind a short one."""
    lines = [
        np.unique(np.array(line.split()[1:], dtype=np.int32))
        for line in test.read_text().splitlines()
        if line
    ]
    indptr = np.cumsum([0, *(line.size for line in lines)])
    ids, tests = torch.from_numpy(lists), torch.from_numpy(np.concatenate(lines))
    table = ranking_metrics(ids.contiguous(), torch.from_numpy(indptr), tests, [K])[:, 0].nanmean(0)
    return {f"{name}@{K}": round(float(table[METRICS.index(name)]), 5) for name in ("recall", "ndcg")}

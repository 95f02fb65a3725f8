"""LightGCN-PyTorch's own step, timed and scaled: LIGHTGCN_PYTORCH names a clone of gusye1234/LightGCN-PyTorch.

A run to its published accuracy takes days on two cores, so a few steps are timed and multiplied by those of a run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from steps_of import BATCH, STEPS, tell


def seconds_a_step(folder: Path) -> tuple[float, int]:
    """The median of some steps, after one that warms up, and the number of training interactions."""
    code = Path(os.environ["LIGHTGCN_PYTORCH"]).resolve() / "code"
    with tempfile.TemporaryDirectory() as made:
        data = Path(made) / "data/gowalla"  # a name that its loader knows; the files are the folder's
        data.mkdir(parents=True)
        for file in ("train.txt", "test.txt"):
            shutil.copyfile(folder / file, data / file)
        here = Path(made) / "code"
        here.mkdir()
        os.chdir(here)
        sys.argv = ["main.py", "--dataset", "gowalla", "--tensorboard", "0", "--bpr_batch", str(BATCH)]
        sys.path.insert(0, str(code))
        with contextlib.redirect_stdout(sys.stderr):
            import register
            import torch
            import utils
            import world

            model = register.MODELS["lgn"](world.config, register.dataset)
            loss = utils.BPRLoss(model, world.config)
            generator = np.random.default_rng(0)
            seconds = []
            for _ in range(1 + STEPS):
                users = torch.from_numpy(generator.integers(register.dataset.n_users, size=BATCH))
                items = torch.from_numpy(generator.integers(register.dataset.m_items, size=(2, BATCH)))
                started = time.perf_counter()
                loss.stageOne(users, items[0], items[1])
                seconds.append(time.perf_counter() - started)
        return statistics.median(seconds[1:]), register.dataset.trainDataSize


if __name__ == "__main__":
    tell(seconds_a_step)

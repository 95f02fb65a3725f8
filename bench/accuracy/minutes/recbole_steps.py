"""RecBole's LightGCN, timed by steps and scaled to as many as LightGCN-PyTorch's published run takes."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from itertools import islice
from pathlib import Path

from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.model.general_recommender import LightGCN
from steps_of import BATCH, STEPS, tell


def seconds_a_step(folder: Path) -> tuple[float, int]:
    """The median of some steps, after one that warms up, and the number of training interactions."""
    import torch

    with tempfile.TemporaryDirectory() as made:
        os.chdir(made)
        Path("set").mkdir()
        with Path("set/set.inter").open("w") as file:
            file.write("user_id:token\titem_id:token\n")
            for line in (folder / "train.txt").read_text().splitlines():
                user, *items = line.split()
                file.writelines(f"{user}\t{item}\n" for item in items)
        config = Config(
            model="LightGCN",
            dataset="set",
            config_dict={
                "data_path": made,
                "train_batch_size": BATCH,
                "embedding_size": 64,
                "n_layers": 3,
                "use_gpu": False,
                "eval_args": {"split": {"RS": [1, 0, 0]}, "order": "RO", "group_by": None, "mode": "full"},
            },
        )
        data = create_dataset(config)
        batches = data_preparation(config, data)[0]
        model = LightGCN(config, batches.dataset)
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
        seconds = []
        for batch in islice(iter(batches), 1 + STEPS):
            started = time.perf_counter()
            optimiser.zero_grad()
            model.calculate_loss(batch).backward()
            optimiser.step()
            seconds.append(time.perf_counter() - started)
        return statistics.median(seconds[1:]), len(data.inter_feat)


if __name__ == "__main__":
    tell(seconds_a_step)

"""What a finished run on interactions puts into its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pyrec.cli.finished_run import Run
from pyrec.cli.model_card import model_card
from pyrec.cli.run_folder import CALIBRATION, CURVES, LAYER_WEIGHTS
from pyrec.look import plots


@dataclass(frozen=True)
class RunFiles:
    """A `pyrec.cli.run_folder.FinishedRun`."""

    run: Run

    @property
    def history(self) -> list[dict[str, Any]]:
        """A record an epoch; empty for a model without epochs."""
        return self.run.history

    def metrics(self) -> dict[str, Any]:
        """Return what ``metrics.json`` holds."""
        return self.run.metrics()

    def save(self, folder: Path) -> None:
        """Save the model, with where its data come from."""
        run = self.run
        about = {"data": run.source.as_json(), "k": run.k, "torch": torch.__version__}
        run.model.save(folder, about, run.item_names)

    def draw(self, folder: Path) -> None:
        """Draw curves, the calibration of pairs and the layers' weights, as far as there are any."""
        run = self.run
        title = f"{run.label}, {run.data.name}"
        if run.history:
            plots.plot_curves(run.history, folder / CURVES, title)
        if run.at_random is not None:
            plots.plot_calibration(run.at_random.own.reliability(), folder / CALIBRATION, title)
        weights = getattr(run.model, "layer_weights_", None)
        if weights is not None:
            counts = np.concatenate((run.data.train.activity, run.data.train.popularity))
            path = folder / LAYER_WEIGHTS
            plots.plot_layer_weights(weights, counts, run.data.train.num_users, path, title)

    def card(self, files: list[str]) -> str:
        """Return what ``README.md`` holds."""
        return model_card(self.run, files)

"""Off-policy estimates over many generated logs of one truth: bias, error and how often intervals hold the truth.

``python bench/ope_coverage.py --rounds 100000 --draws 1000`` takes some 3 minutes. The model's lists are of scores with
noise, so that they are better than the logging policy's and not perfect. A bias is given in standard errors of the mean
over the draws; beyond 2 it is no chance, most likely.
"""

import argparse
import warnings

import numpy as np
import torch

from pyrec import ope
from pyrec.data import Interactions, generate_bandit
from pyrec.errors import DataWarning
from pyrec.evaluate.ope import ESTIMATORS
from pyrec.evaluate.tables import table

K = 3


class NoisyTruth:
    """Ranks by the true scores with normal noise."""

    def __init__(self, truth, noise, seed):
        users, items = np.divmod(np.arange(truth.num_users * truth.num_items), truth.num_items)
        scores = truth.scores(users, items).reshape(truth.num_users, truth.num_items)
        scores += noise * np.random.default_rng(seed).standard_normal(scores.shape, dtype=np.float32)
        self.lists = np.argsort(-scores, axis=1, kind="stable")[:, :K].astype(np.int32)
        ids = {"user_ids": np.arange(truth.num_users), "item_ids": np.arange(truth.num_items)}
        self.train = Interactions.from_arrays([0], [0], **ids)

    def training_set(self):
        """What says which ids the model knows."""
        return self.train

    def topk(self, users, k, **limits):  # noqa: ARG002
        """The same lists whatever is allowed."""
        return torch.from_numpy(self.lists[users, :k]), torch.zeros((len(users), k))


def study(options, draws):
    """The table's rows."""
    made = generate_bandit(**options)
    model = NoisyTruth(made.truth, 1.0, 0)
    value = made.value(model.lists)
    found = np.empty((draws, len(ESTIMATORS), 4))
    biases = np.empty(draws)
    for draw in range(draws):
        result = ope(generate_bandit(**options, draw=draw).log, model, seed=draw)
        biases[draw] = result.snips_bias
        found[draw] = [(e.value, e.standard_error, e.low, e.high) for e in result.estimates.values()]
    rows = [["estimator", "bias", "in errors", "rmse", "deviation", "told", "held by 95 %"]]
    for at, name in enumerate(ESTIMATORS):
        values, errors, low, high = found[:, at].T
        deviation = values.std(ddof=1)
        bias = values.mean() - value
        held = ((low < value) & (value < high)).mean()
        rmse = np.sqrt(np.mean((values - value) ** 2))
        told = np.sqrt(np.mean(errors**2))
        rows.append(
            [name, f"{bias:+.5f}", f"{bias / deviation * draws**0.5:+.2f}"]
            + [f"{number:.5f}" for number in (rmse, deviation, told)]
            + [f"{held:.3f}"]
        )
    return rows, value, biases.mean()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--items", type=int, default=50)
    parser.add_argument("--draws", type=int, default=1000)
    given = parser.parse_args()
    warnings.simplefilter("ignore", DataWarning)
    options = {"num_rounds": given.rounds, "num_users": given.users, "num_items": given.items}
    rows, value, bias = study(options, given.draws)
    print(
        f"{options}, {given.draws} draws; the truth is {value:.5f}, the bias of snips is told to be {bias:+.6f}"
    )
    print(table(rows))


if __name__ == "__main__":
    main()

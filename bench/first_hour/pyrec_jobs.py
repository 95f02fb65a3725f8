"""The jobs with pyrec; `pyrec` runs a line of the command line."""

import shlex
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import torch

from pyrec import EASE, MF, SVD, data, evaluate
from pyrec.cli import main
from pyrec.models.vectors import VectorRecommender
from pyrec.version import version


def pyrec(line):
    assert main(shlex.split(line)) == 0, line


def first_list(folder):
    movies = f"{folder}/ml-latest-small"
    pyrec(
        f"train {movies}/ratings.csv --min-rating 4 --item-names {movies}/movies.csv --model ease --out run"
    )
    pyrec("recommend run --users 17")


def best_model(folder):
    pyrec(f"compare {folder}/ml-latest-small/ratings.csv --min-rating 4 --metric recall@10 --trials 0 --json")
    pyrec(f"train {folder}/ml-latest-small/ratings.csv --min-rating 4 --model ease --all --out final")


def why(folder):
    movies = f"{folder}/ml-latest-small"
    pyrec(
        f"train {movies}/ratings.csv --min-rating 4 --item-names {movies}/movies.csv --model ease --out run"
    )
    pyrec("explain run --user 17 --picture why.png")


def serve(folder):
    from fastapi.testclient import TestClient

    from pyrec.serve import create_app

    rated = data.read_interactions(f"{folder}/ml-latest-small/ratings.csv", min_rating=4)
    app = create_app(EASE().fit(rated))
    with TestClient(app) as client:
        print(client.post("/recommend", json={"users": [17]}).json())


def export(folder):
    pyrec(f"train {folder}/ml-latest-small/ratings.csv --min-rating 4 --model svd --all --out run")
    pyrec("export run --to vectors")


def resume(folder):
    words = f"train {folder}/ml-latest-small/ratings.csv --min-rating 4 --track tensorboard:log --out run"
    training = subprocess.Popen([sys.executable, "-m", "pyrec.cli", *words.split()], stderr=subprocess.PIPE)
    next(line for line in training.stderr if line.startswith(b"epoch 3"))
    training.send_signal(signal.SIGINT)
    training.wait()
    pyrec("train --resume run")


def frames(folder):
    log = pd.read_csv(f"{folder}/ml-latest-small/ratings.csv")
    log.columns = ["customer", "product", "stars", "day"]
    log = log[log.stars >= 4]
    rated = data.Interactions.from_frame(log, user="customer", item="product", time="day")
    train, test = data.split_time(rated)
    print(evaluate(EASE().fit(train), test, k=10))


def search(folder):
    rated = data.read_interactions(f"{folder}/ml-latest-small/ratings.csv", min_rating=4)
    train, test = data.split_random(rated)
    for size in (32, 64, 128):
        for model in (SVD(size), MF(size)):
            print(model, evaluate(model.fit(train), test, k=10)["ndcg@10"])


def own_model(folder):
    class Drawn(VectorRecommender):
        model_name = "drawn"

        def __init__(self, factors=64):
            self.factors = factors

        def fit(self, interactions, y=None):  # noqa: ARG002
            self.train_ = self._training_set(interactions)
            matrix = self.train_.to_csr()
            _, _, vectors = np.linalg.svd(matrix.toarray(), full_matrices=False)
            items = np.ascontiguousarray(vectors[: self.factors].T)
            self.item_vectors_, self.user_vectors_ = torch.from_numpy(items), torch.from_numpy(matrix @ items)
            return self

    rated = data.read_interactions(f"{folder}/ml-latest-small/ratings.csv", min_rating=4)
    train, test = data.split_random(rated)
    print(evaluate(Drawn().fit(train), test, k=10))


def counts(folder):
    pyrec(f"train {folder}/hetrec2011-lastfm/user_artists.dat --weights bm25 --model svd --k 10")


VERSION = version()

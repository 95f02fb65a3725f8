"""The jobs with implicit 0.7 (https://benfred.github.io/implicit), as its documentation shows them."""

from functools import cache

import implicit
import numpy as np
import pandas as pd
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from implicit.evaluation import ranking_metrics_at_k, train_test_split
from implicit.nearest_neighbours import CosineRecommender, bm25_weight
from scipy.sparse import coo_matrix


@cache
def ratings(folder, least=4):
    frame = pd.read_csv(f"{folder}/ml-latest-small/ratings.csv")
    frame = frame[frame.rating >= least]
    users, items = (frame[name].astype("category") for name in ("userId", "movieId"))
    ones = np.ones(len(frame), dtype=np.float32)
    matrix = coo_matrix((ones, (users.cat.codes, items.cat.codes))).tocsr()
    return matrix, users.cat.categories, items.cat.categories


def first_list(folder):
    matrix, users, items = ratings(folder)
    names = pd.read_csv(f"{folder}/ml-latest-small/movies.csv", index_col="movieId").title
    model = AlternatingLeastSquares(random_state=0)
    model.fit(matrix, show_progress=False)
    user = users.get_loc(17)
    ids, scores = model.recommend(user, matrix[user], N=10)
    for title, score in zip(names[items[ids]], scores, strict=True):
        print(f"{score:.3f} {title}")


def best_model(folder):
    matrix, _, _ = ratings(folder)
    train, test = train_test_split(matrix, 0.8, random_state=0)
    models = {
        "als": AlternatingLeastSquares(random_state=0),
        "bpr": BayesianPersonalizedRanking(random_state=0),
        "cosine": CosineRecommender(),
    }
    scores = {}
    for name, model in models.items():
        model.fit(train, show_progress=False)
        found = ranking_metrics_at_k(model, train, test, K=10, show_progress=False)
        scores[name] = found["precision"]  # hits over min(10, test items): there is no recall
    best = models[max(scores, key=scores.get)]
    best.fit(matrix, show_progress=False)
    print(scores)


def why(folder):
    import matplotlib.pyplot as plt

    matrix, users, items = ratings(folder)
    names = pd.read_csv(f"{folder}/ml-latest-small/movies.csv", index_col="movieId").title
    model = AlternatingLeastSquares(random_state=0)
    model.fit(matrix, show_progress=False)
    user = users.get_loc(17)
    (best,), _ = model.recommend(user, matrix[user], N=1)
    _, parts, _ = model.explain(user, matrix, best, N=10)
    plt.barh([names[items[item]] for item, _ in parts], [part for _, part in parts])
    plt.title(names[items[best]])
    plt.savefig("why.png", bbox_inches="tight")


def serve(folder):
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    matrix, users, items = ratings(folder)
    model = AlternatingLeastSquares(random_state=0)
    model.fit(matrix, show_progress=False)
    app = FastAPI()

    @app.get("/recommend")
    def recommend(user: int, n: int = 10):
        row = users.get_loc(user)
        ids, scores = model.recommend(row, matrix[row], N=n)
        return {"items": items[ids].tolist(), "scores": scores.tolist()}

    print(TestClient(app).get("/recommend", params={"user": 17}).json())


def export(folder):
    matrix, _, items = ratings(folder)
    model = AlternatingLeastSquares(random_state=0)
    model.fit(matrix, show_progress=False)
    np.savez("vectors.npz", users=model.user_factors, items=model.item_factors, item_ids=items)


resume = "no checkpoint, no log: a fit that is interrupted begins anew"


def frames(folder):
    log = pd.read_csv(f"{folder}/ml-latest-small/ratings.csv")
    log.columns = ["customer", "product", "stars", "day"]
    log = log[log.stars >= 4]
    users, items = (log[name].astype("category") for name in ("customer", "product"))
    log = log.assign(user=users.cat.codes, item=items.cat.codes)
    shape = len(users.cat.categories), len(items.cat.categories)
    late = log.day > log.day.quantile(0.8)
    train, test = (
        coo_matrix((np.ones(len(part), dtype=np.float32), (part.user, part.item)), shape=shape).tocsr()
        for part in (log[~late], log[late])
    )
    model = AlternatingLeastSquares(random_state=0)
    model.fit(train, show_progress=False)
    print(ranking_metrics_at_k(model, train, test, K=10, show_progress=False))


def search(folder):
    matrix, _, _ = ratings(folder)
    train, test = train_test_split(matrix, 0.8, random_state=0)
    for factors in (32, 64, 128):
        for regularization in (0.01, 1.0):
            model = AlternatingLeastSquares(factors, regularization, random_state=0)
            model.fit(train, show_progress=False)
            found = ranking_metrics_at_k(model, train, test, K=10, show_progress=False)
            print(factors, regularization, found["ndcg"])


def own_model(folder):
    from implicit.cpu.matrix_factorization_base import MatrixFactorizationBase

    class Drawn(MatrixFactorizationBase):
        def __init__(self, factors=64):
            super().__init__()
            self.factors = factors

        def fit(self, user_items, show_progress=True, callback=None):  # noqa: ARG002
            _, _, vectors = np.linalg.svd(user_items.toarray(), full_matrices=False)
            self.item_factors = np.ascontiguousarray(vectors[: self.factors].T)
            self.user_factors = user_items @ self.item_factors

        def save(self, path):
            np.savez(path, users=self.user_factors, items=self.item_factors)

    matrix, _, _ = ratings(folder)
    train, test = train_test_split(matrix, 0.8, random_state=0)
    model = Drawn()
    model.fit(train)
    print(ranking_metrics_at_k(model, train, test, K=10, show_progress=False))


def counts(folder):
    log = pd.read_csv(f"{folder}/hetrec2011-lastfm/user_artists.dat", sep="\t")
    users, items = (log[name].astype("category") for name in ("userID", "artistID"))
    plays = coo_matrix((log.weight.astype(np.float32), (users.cat.codes, items.cat.codes))).tocsr()
    train, test = train_test_split(plays, 0.8, random_state=0)
    model = AlternatingLeastSquares(random_state=0)
    model.fit(bm25_weight(train, K1=100, B=0.8).tocsr(), show_progress=False)
    print(ranking_metrics_at_k(model, train, test, K=10, show_progress=False))


VERSION = implicit.__version__

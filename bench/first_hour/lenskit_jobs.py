"""The jobs with LensKit 2025 (https://lkpy.lenskit.org), as its documentation shows them."""

from functools import cache
from importlib.metadata import version

import numpy as np
import pandas as pd
from lenskit import recommend
from lenskit.als import ImplicitMFScorer
from lenskit.basic import PopScorer
from lenskit.batch import recommend as recommend_many
from lenskit.data import ItemList, from_interactions_df
from lenskit.knn import ItemKNNScorer
from lenskit.metrics import NDCG, Recall, RunAnalysis
from lenskit.pipeline import Component, topn_pipeline
from lenskit.splitting import SampleFrac, crossfold_users, split_global_time


@cache
def ratings(folder, least=4):
    frame = pd.read_csv(f"{folder}/ml-latest-small/ratings.csv")
    frame = frame[frame.rating >= least]
    frame.columns = ["user_id", "item_id", "rating", "timestamp"]
    return frame


def measure(scorer, split):
    pipeline = topn_pipeline(scorer, n=10)
    pipeline.train(split.train)
    lists = recommend_many(pipeline, split.test, n_jobs=1)
    analysis = RunAnalysis()
    analysis.add_metric(Recall(10))
    analysis.add_metric(NDCG(10))
    return analysis.measure(lists, split.test).list_summary()["mean"]


def one_split(folder):
    return next(iter(crossfold_users(from_interactions_df(ratings(folder)), 1, SampleFrac(0.2), rng=0)))


def first_list(folder):
    names = pd.read_csv(f"{folder}/ml-latest-small/movies.csv", index_col="movieId").title
    pipeline = topn_pipeline(ItemKNNScorer(max_nbrs=100, feedback="implicit"))
    pipeline.train(from_interactions_df(ratings(folder)))
    found = recommend(pipeline, 17, 10).to_df()
    print(found.assign(title=names[found.item_id].values))


def best_model(folder):
    split = one_split(folder)
    scorers = {
        "popular": PopScorer,
        "itemknn": lambda: ItemKNNScorer(max_nbrs=100, feedback="implicit"),
        "als": lambda: ImplicitMFScorer(embedding_size=64),
    }
    found = {name: measure(make(), split)["Recall@10"] for name, make in scorers.items()}
    pipeline = topn_pipeline(scorers[max(found, key=found.get)]())
    pipeline.train(from_interactions_df(ratings(folder)))
    print(found)


why = "no explanation"


def serve(folder):
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    pipeline = topn_pipeline(ItemKNNScorer(max_nbrs=100, feedback="implicit"))
    pipeline.train(from_interactions_df(ratings(folder)))
    app = FastAPI()

    @app.get("/recommend")
    def answer(user: int, n: int = 10):
        found = recommend(pipeline, user, n).to_df()
        return {"items": found.item_id.tolist(), "scores": found.score.tolist()}

    print(TestClient(app).get("/recommend", params={"user": 17}).json())


def export(folder):
    scorer = ImplicitMFScorer(embedding_size=64)
    scorer.train(data := from_interactions_df(ratings(folder)))
    users, items = (np.asarray(part) for part in (scorer.user_embeddings, scorer.item_embeddings))
    np.savez("vectors.npz", users=users, items=items, item_ids=data.items.ids())


resume = "no checkpoint, no log: a fit that is interrupted begins anew"


def frames(folder):
    log = pd.read_csv(f"{folder}/ml-latest-small/ratings.csv")
    log.columns = ["customer", "product", "stars", "day"]
    log = log[log.stars >= 4]
    log = log.rename(
        columns={"customer": "user_id", "product": "item_id", "stars": "rating", "day": "timestamp"}
    )
    log["timestamp"] = pd.to_datetime(log["timestamp"], unit="s")
    split = split_global_time(from_interactions_df(log), log["timestamp"].quantile(0.8).to_pydatetime())
    print(measure(ItemKNNScorer(max_nbrs=100, feedback="implicit"), split))


def search(folder):
    split = one_split(folder)
    for factors in (32, 64, 128):
        for regularization in (0.1, 1.0):
            scorer = ImplicitMFScorer(embedding_size=factors, regularization=regularization)
            print(factors, regularization, measure(scorer, split)["NDCG@10"])


def own_model(folder):
    class Drawn(Component[ItemList]):
        config: None

        def train(self, data, options=None):  # noqa: ARG002
            matrix = data.interactions().matrix().scipy(layout="csr").astype(np.float32)
            _, _, vectors = np.linalg.svd(matrix.toarray(), full_matrices=False)
            self.items, self.users = data.items, data.users
            self.item_vectors = vectors[:64].T
            self.user_vectors = matrix @ self.item_vectors

        def __call__(self, query, items: ItemList) -> ItemList:
            user = self.users.number(query.user_id)
            rows = items.numbers(vocabulary=self.items, missing="negative")
            scores = np.where(rows >= 0, self.item_vectors[rows] @ self.user_vectors[user], np.nan)
            return ItemList(items, scores=scores)

    print(measure(Drawn(), one_split(folder)))


def counts(folder):
    log = pd.read_csv(f"{folder}/hetrec2011-lastfm/user_artists.dat", sep="\t")
    log.columns = ["user_id", "item_id", "count"]
    log["rating"] = np.log1p(log["count"])
    split = next(iter(crossfold_users(from_interactions_df(log), 1, SampleFrac(0.2), rng=0)))
    print(measure(ImplicitMFScorer(embedding_size=64, use_ratings=True), split))


VERSION = version("lenskit")

"""The jobs with RecTools 0.19 (https://rectools.readthedocs.io), as its documentation shows them."""

from functools import cache
from importlib.metadata import version

import numpy as np
import pandas as pd
from rectools import Columns
from rectools.dataset import Dataset
from rectools.metrics import NDCG, Recall
from rectools.model_selection import RandomSplitter, TimeRangeSplitter, cross_validate
from rectools.models import EASEModel, PopularModel, PureSVDModel


@cache
def ratings(folder, least=4):
    frame = pd.read_csv(f"{folder}/ml-latest-small/ratings.csv")
    frame = frame[frame.rating >= least]
    frame.columns = [Columns.User, Columns.Item, Columns.Weight, Columns.Datetime]
    frame[Columns.Datetime] = pd.to_datetime(frame[Columns.Datetime], unit="s")
    frame[Columns.Weight] = 1
    return frame


def first_list(folder):
    dataset = Dataset.construct(ratings(folder))
    names = pd.read_csv(f"{folder}/ml-latest-small/movies.csv")
    names = names.rename(columns={"movieId": Columns.Item})
    model = EASEModel()
    model.fit(dataset)
    found = model.recommend(users=[17], dataset=dataset, k=10, filter_viewed=True)
    print(found.merge(names, on=Columns.Item))


def best_model(folder):
    dataset = Dataset.construct(ratings(folder))
    models = {"popular": PopularModel(), "ease": EASEModel(), "svd": PureSVDModel()}
    found = cross_validate(
        dataset,
        RandomSplitter(0.2, n_splits=1, random_state=0),
        {"recall": Recall(10)},
        models,
        k=10,
        filter_viewed=True,
    )
    table = pd.DataFrame(found["metrics"]).set_index("model").recall
    models[table.idxmax()].fit(dataset)
    print(table)


why = "no explanation: EASE's weights can be read and multiplied by hand"


def serve(folder):
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    dataset = Dataset.construct(ratings(folder))
    model = EASEModel()
    model.fit(dataset)
    app = FastAPI()

    @app.get("/recommend")
    def recommend(user: int, n: int = 10):
        found = model.recommend(users=[user], dataset=dataset, k=n, filter_viewed=True)
        return {"items": found[Columns.Item].tolist(), "scores": found[Columns.Score].tolist()}

    print(TestClient(app).get("/recommend", params={"user": 17}).json())


def export(folder):
    dataset = Dataset.construct(ratings(folder))
    model = PureSVDModel()
    model.fit(dataset)
    users, items = model.get_vectors()
    np.savez("vectors.npz", users=users, items=items, item_ids=dataset.item_id_map.external_ids)


resume = "for its transformers alone, by Lightning; the other models have no epochs that are kept"


def frames(folder):
    log = pd.read_csv(f"{folder}/ml-latest-small/ratings.csv")
    log.columns = ["customer", "product", "stars", "day"]
    log = log[log.stars >= 4]
    names = {
        "customer": Columns.User,
        "product": Columns.Item,
        "stars": Columns.Weight,
        "day": Columns.Datetime,
    }
    log = log.rename(columns=names)
    log[Columns.Datetime] = pd.to_datetime(log[Columns.Datetime], unit="s")
    days = (log[Columns.Datetime].max() - log[Columns.Datetime].quantile(0.8)).days
    splitter = TimeRangeSplitter(f"{days}D", n_splits=1)
    found = cross_validate(
        Dataset.construct(log),
        splitter,
        {"recall": Recall(10)},
        {"ease": EASEModel()},
        k=10,
        filter_viewed=True,
    )
    print(found["metrics"])


def search(folder):
    dataset = Dataset.construct(ratings(folder))
    models = {
        f"svd {factors} {iterations}": PureSVDModel(factors, maxiter=iterations)
        for factors in (32, 64, 128)
        for iterations in (None, 10)
    }
    found = cross_validate(
        dataset,
        RandomSplitter(0.2, n_splits=1, random_state=0),
        {"ndcg": NDCG(10)},
        models,
        k=10,
        filter_viewed=True,
    )
    print(pd.DataFrame(found["metrics"]))


def own_model(folder):
    from rectools.models.base import ModelBase
    from rectools.models.rank import Distance
    from rectools.models.vector import Factors, VectorModel

    class Drawn(VectorModel, ModelBase):
        recommends_for_warm = False
        recommends_for_cold = False
        u2i_dist = Distance.DOT
        i2i_dist = Distance.COSINE

        def __init__(self, factors=64):
            super().__init__(verbose=0)
            self.factors, self.recommend_n_threads, self.recommend_use_gpu_ranking = factors, 1, False

        def _fit(self, dataset):
            matrix = dataset.get_user_item_matrix(include_weights=True)
            _, _, vectors = np.linalg.svd(matrix.toarray(), full_matrices=False)
            self.items = np.ascontiguousarray(vectors[: self.factors].T)
            self.users = matrix @ self.items

        def _get_users_factors(self, dataset):  # noqa: ARG002
            return Factors(self.users)

        def _get_items_factors(self, dataset):  # noqa: ARG002
            return Factors(self.items)

    found = cross_validate(
        Dataset.construct(ratings(folder)),
        RandomSplitter(0.2, n_splits=1, random_state=0),
        {"ndcg": NDCG(10)},
        {"drawn": Drawn()},
        k=10,
        filter_viewed=True,
    )
    print(found["metrics"])


def counts(folder):
    log = pd.read_csv(f"{folder}/hetrec2011-lastfm/user_artists.dat", sep="\t")
    log.columns = [Columns.User, Columns.Item, Columns.Weight]
    log[Columns.Weight] = np.log1p(log[Columns.Weight])
    log[Columns.Datetime] = pd.Timestamp(0)
    found = cross_validate(
        Dataset.construct(log),
        RandomSplitter(0.2, n_splits=1, random_state=0),
        {"ndcg": NDCG(10)},
        {"svd": PureSVDModel()},
        k=10,
        filter_viewed=True,
    )
    print(found["metrics"])


VERSION = version("rectools")

"""The models, by the name that files and the command line use."""

from pyrec.models.autodebias import AutoDebias
from pyrec.models.base import Recommender
from pyrec.models.doubly_robust import DoublyRobust
from pyrec.models.ease import EASE
from pyrec.models.estimator import Estimator
from pyrec.models.explain import Explanation
from pyrec.models.fusion import Fusion
from pyrec.models.graph_filter import GraphFilter
from pyrec.models.itemknn import ItemKNN
from pyrec.models.lightgcn import LightGCN
from pyrec.models.mf import MF
from pyrec.models.news import NEWS_MODELS, NRMS, NewsRecommender
from pyrec.models.popularity import Popularity
from pyrec.models.svd import SVD
from pyrec.models.vectors import EpochRecommender
from pyrec.models.whole_mf import WholeMF

MODELS: dict[str, type[Recommender]] = {
    model.model_name: model
    for model in (
        LightGCN,
        MF,
        WholeMF,
        Popularity,
        ItemKNN,
        EASE,
        SVD,
        GraphFilter,
        Fusion,
        DoublyRobust,
        AutoDebias,
    )
}
"""Every model of interactions by name; a new model is one line here. The first is the command line's default."""

__all__ = [
    "EASE",
    "MF",
    "MODELS",
    "NEWS_MODELS",
    "NRMS",
    "SVD",
    "AutoDebias",
    "DoublyRobust",
    "EpochRecommender",
    "Estimator",
    "Explanation",
    "Fusion",
    "GraphFilter",
    "ItemKNN",
    "LightGCN",
    "NewsRecommender",
    "Popularity",
    "Recommender",
    "WholeMF",
]

"""Models of news: a text encoder, a reader encoder and a popularity term, put together by name."""

from pyrec.models.news.base import NewsRecommender
from pyrec.models.news.caum import CAUM
from pyrec.models.news.dkn import DKN
from pyrec.models.news.lstur import LSTUR
from pyrec.models.news.miner import MINER
from pyrec.models.news.naml import NAML
from pyrec.models.news.nrms import NRMS

NEWS_MODELS: dict[str, type[NewsRecommender]] = {
    model.model_name: model for model in (NRMS, NAML, LSTUR, DKN, MINER, CAUM)
}
"""Every news model by name; a new model is one line here."""

__all__ = ["CAUM", "DKN", "LSTUR", "MINER", "NAML", "NEWS_MODELS", "NRMS", "NewsRecommender"]

"""Models of news: a text encoder, a reader encoder and a popularity term, put together by name."""

from pyrec.models.news.base import NewsRecommender
from pyrec.models.news.nrms import NRMS

NEWS_MODELS: dict[str, type[NewsRecommender]] = {model.model_name: model for model in (NRMS,)}
"""Every news model by name; a new model is one line here."""

__all__ = ["NEWS_MODELS", "NRMS", "NewsRecommender"]

"""NAML: title, abstract, category and subcategory as views of an article."""

from __future__ import annotations

from typing import ClassVar

from pyrec.models.news.base import NewsRecommender


class NAML(NewsRecommender, text="cnn", reader="pooling", views="title,abstract,category,subcategory"):
    """A convolution makes a vector of each text; attention joins the views, and then the clicks.

    Source: Wu et al., "Neural news recommendation with attentive multi-view learning", IJCAI 2019, which has no term of
    popularity (``popularity=None``).
    """

    model_name: ClassVar[str] = "naml"

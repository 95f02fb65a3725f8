"""MINER: several interests of a reader."""

from __future__ import annotations

from typing import ClassVar

from pyrec.models.news.base import NewsRecommender


class MINER(NewsRecommender, text="attention", reader="interests"):
    """Each interest is a weighted mean of the clicks, and they are kept apart.

    Source: Li et al., "MINER: Multi-interest matching network for news recommendation", Findings of ACL 2022, whose
    text encoder is a pretrained model.
    """

    model_name: ClassVar[str] = "miner"

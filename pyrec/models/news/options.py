"""The options that news models have in common."""

from __future__ import annotations

from typing import Final

from pyrec.models.training_options import (
    DEVICE,
    LEARNING_RATE,
    SCHEDULE,
    TRAINING,
    epochs_option,
    seed_option,
)
from pyrec.nn.articles import MERGES, VIEWS
from pyrec.nn.popularity import PopularityTerm
from pyrec.nn.reader import ReaderEncoder
from pyrec.nn.text import TextEncoder
from pyrec.options import Choice, Count, Number, Options, Several, Text
from pyrec.params import Part, Parts
from pyrec.train.loss import Loss
from pyrec.train.news.auxiliary import NewsAuxiliary
from pyrec.train.news.stopping import NewsStopping
from pyrec.train.reweight import REWEIGHT

OPTIONS: Final[Options] = {
    "text": Part(family=TextEncoder, flag="--text", help="How a text becomes a vector."),
    "reader": Part(family=ReaderEncoder, flag="--reader", help="How a reader is known by clicks."),
    "views": Several(values=VIEWS, help="What an article's vector is made of, with commas between."),
    "merge": Choice(values=MERGES, help="How an article's views become one vector."),
    "popularity": Part(
        family=PopularityTerm,
        optional=True,
        help="What popularity and recency add to a score.",
    ),
    "loss": Part(family=Loss, help="Training loss."),
    "auxiliary": Parts(family=NewsAuxiliary, flag="", help="Losses beside the ranking loss."),
    "word_size": Count(
        low=1, high=4096, aka=("word_dim", "word_embedding_dim"), help="Dimension of a word's vector."
    ),
    "word_vectors": Text(
        optional=True,
        unset="random ones",
        help="File of the words' first vectors (GloVe text, .npy, …); 'texts': from the texts themselves.",
    ),
    "tag_size": Count(low=1, high=4096, help="Dimension of a category's or an entity's vector."),
    "latest": Count(
        low=1,
        high=64,
        aka=("history_size", "max_history", "his_size"),
        help="Clicks of a history that count, the latest ones.",
    ),
    "dropout": Number(positive=False, help="Share of the numbers that are dropped in training, below 1."),
    "stopping": Part(
        aka=("early_stopping",),
        family=NewsStopping,
        optional=True,
        flag="",
        help="Which epoch is kept, and when training stops.",
    ),
    "epochs": epochs_option("Passes over the clicks."),
    "batch_size": Count(aka=("batch",), low=1, group=TRAINING, help="Clicks in a training step."),
    "learning_rate": LEARNING_RATE,
    "schedule": SCHEDULE,
    "weight_decay": Number(
        positive=False,
        group=TRAINING,
        help="Share of the parameters that a step takes away, of its rate.",
    ),
    "reweight": REWEIGHT,
    "seed": seed_option("the first parameters and of all sampling"),
    "device": DEVICE,
}
"""By the names of the arguments."""

"""Graph recommenders on C++ kernels of their own."""

import os

import torch  # first: the extension then shares torch's OpenMP library

try:
    from pyrec import _core
except ImportError as error:
    raise ImportError(
        f"pyrec's compiled kernels (pyrec._core) cannot be imported: {error}. Build them with "
        "`pip install .` in the source folder; if they are installed, start Python outside that folder, "
        "which hides them."
    ) from error

# A forked child has none of its parent's OpenMP threads, and torch would wait for them for ever.
os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))

_core.isa()  # an instruction set that PYREC_ISA names and this machine lacks is an error now, not later
_core.cache_info()  # and so is a PYREC_CACHES that names no sizes

from pyrec import data  # noqa: E402
from pyrec.debias import Propensities, propensities  # noqa: E402
from pyrec.errors import (  # noqa: E402
    ConfigError,
    CudaError,
    DataError,
    DataWarning,
    NotFittedError,
    PyrecError,
    StoppedError,
    UnknownIdError,
)
from pyrec.evaluate.estimators import Estimation  # noqa: E402
from pyrec.evaluate.impressions import ImpressionEvaluation, evaluate_impressions  # noqa: E402
from pyrec.evaluate.ope import OffPolicyEvaluation, ope  # noqa: E402
from pyrec.evaluate.pairs import PairEvaluation, evaluate_pairs  # noqa: E402
from pyrec.evaluate.policies import EpsilonGreedyPolicy, SoftmaxPolicy, TopKPolicy  # noqa: E402
from pyrec.evaluate.ranking import Evaluation, evaluate  # noqa: E402
from pyrec.evaluate.uniform import UniformEvaluation, evaluate_uniform  # noqa: E402
from pyrec.export.files import export  # noqa: E402
from pyrec.graph.graph import Graph  # noqa: E402
from pyrec.models import (  # noqa: E402
    EASE,
    MF,
    SVD,
    AutoDebias,
    DoublyRobust,
    Explanation,
    Fusion,
    GraphFilter,
    ItemKNN,
    LightGCN,
    Popularity,
    Recommender,
    WholeMF,
)
from pyrec.models.lists import Recommendations  # noqa: E402
from pyrec.models.news import (  # noqa: E402
    CAUM,
    DKN,
    LSTUR,
    MINER,
    NAML,
    NRMS,
    NewsRecommender,
)
from pyrec.nn.combine import Attention, Mean, SelfAttention, Weighted  # noqa: E402
from pyrec.nn.encoder import FromItems, Table  # noqa: E402
from pyrec.nn.fit import HeldOut, OnUniform  # noqa: E402
from pyrec.nn.popularity import PopularityNetwork  # noqa: E402
from pyrec.nn.reader import (  # noqa: E402
    CandidateAttention,
    CandidateSelfAttention,
    ClickAttention,
    ClickPooling,
    Interests,
    LongShort,
)
from pyrec.nn.text import (  # noqa: E402
    CNN,
    Frozen,
    Pretrained,
    Transformer,
    WordAttention,
    WordPooling,
)
from pyrec.presets import Preset, preset  # noqa: E402
from pyrec.store.training_checkpoint import Checkpoints  # noqa: E402
from pyrec.train.adapt import OneTemperature, UserTemperatures  # noqa: E402
from pyrec.train.augment import Contrast, EdgeDropout, ExtraEdges  # noqa: E402
from pyrec.train.early_stopping import EarlyStopping  # noqa: E402
from pyrec.train.loss import BPR, Pointwise, Softmax  # noqa: E402
from pyrec.train.loss.ccl import CCL  # noqa: E402
from pyrec.train.negatives import AllItems, Hard, InBatch, Observed, Shown, Uniform  # noqa: E402
from pyrec.train.news.auxiliary import Disagreement, OthersClicks, Related, Views  # noqa: E402
from pyrec.train.news.stopping import LatestImpressions  # noqa: E402
from pyrec.train.reweight import Bridge, LabelWeights, LinearWeights, MetaWeightNet, Ren  # noqa: E402

__all__ = [
    "BPR",
    "CAUM",
    "CCL",
    "CNN",
    "DKN",
    "EASE",
    "LSTUR",
    "MF",
    "MINER",
    "NAML",
    "NRMS",
    "SVD",
    "AllItems",
    "Attention",
    "AutoDebias",
    "Bridge",
    "CandidateAttention",
    "CandidateSelfAttention",
    "Checkpoints",
    "ClickAttention",
    "ClickPooling",
    "ConfigError",
    "Contrast",
    "CudaError",
    "DataError",
    "DataWarning",
    "Disagreement",
    "DoublyRobust",
    "EarlyStopping",
    "EdgeDropout",
    "EpsilonGreedyPolicy",
    "Estimation",
    "Evaluation",
    "Explanation",
    "ExtraEdges",
    "FromItems",
    "Frozen",
    "Fusion",
    "Graph",
    "GraphFilter",
    "Hard",
    "HeldOut",
    "ImpressionEvaluation",
    "InBatch",
    "Interests",
    "ItemKNN",
    "LabelWeights",
    "LatestImpressions",
    "LightGCN",
    "LinearWeights",
    "LongShort",
    "Mean",
    "MetaWeightNet",
    "NewsRecommender",
    "NotFittedError",
    "Observed",
    "OffPolicyEvaluation",
    "OnUniform",
    "OneTemperature",
    "OthersClicks",
    "PairEvaluation",
    "Pointwise",
    "Popularity",
    "PopularityNetwork",
    "Preset",
    "Pretrained",
    "Propensities",
    "PyrecError",
    "Recommendations",
    "Recommender",
    "Related",
    "Ren",
    "SelfAttention",
    "Shown",
    "Softmax",
    "SoftmaxPolicy",
    "StoppedError",
    "Table",
    "TopKPolicy",
    "Transformer",
    "Uniform",
    "UniformEvaluation",
    "UnknownIdError",
    "UserTemperatures",
    "Views",
    "Weighted",
    "WholeMF",
    "WordAttention",
    "WordPooling",
    "data",
    "evaluate",
    "evaluate_impressions",
    "evaluate_pairs",
    "evaluate_uniform",
    "export",
    "ope",
    "preset",
    "propensities",
]

"""Losses beside the ranking loss of a news model, a file each; a file in this folder is found by being there."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

from pyrec.train.news.auxiliary.disagreement import Disagreement  # noqa: E402
from pyrec.train.news.auxiliary.in_batch import OthersClicks  # noqa: E402
from pyrec.train.news.auxiliary.related import Related  # noqa: E402
from pyrec.train.news.auxiliary.views import Views  # noqa: E402
from pyrec.train.news.terms import NewsAuxiliary  # noqa: E402

__all__ = ["Disagreement", "NewsAuxiliary", "OthersClicks", "Related", "Views"]

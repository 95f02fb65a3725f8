"""The tables of a report on a model of news: metrics beside popularity, data and hyperparameters."""

from __future__ import annotations

from pyrec.evaluate.compare_impressions import compare_impressions
from pyrec.look.report.facts import Card
from pyrec.look.report.news.data import NewsReportData


def shown(data: NewsReportData) -> list[str]:
    """Return the names of the metrics to show large."""
    ndcg = [name for name in data.evaluation.metrics if name.startswith("ndcg@")]
    return ["auc", "mrr", *ndcg[-2:]]


def cards(data: NewsReportData) -> list[Card]:
    """Return the figures to show large, with popularity's beside them."""
    base = data.baseline
    return [
        Card(
            name,
            f"{data.evaluation.metrics[name]:.4f}",
            "" if base is None else f"popularity {base.metrics[name]:.4f}",
        )
        for name in shown(data)
    ]


def compared(data: NewsReportData) -> list[list[str]]:
    """Return rows (metric, model, popularity, difference, interval, p); none without popularity."""
    if data.baseline is None:
        return []
    return [
        [
            row.metric.replace("_", " "),
            f"{row.second:.4f}",
            f"{row.first:.4f}",
            f"{row.difference:+.4f}",
            f"± {row.half:.4f}",
            "< 1e-4" if row.p_t < 1e-4 else f"{row.p_t:.4f}",
        ]
        for row in compare_impressions(data.baseline, data.evaluation)
    ]


def summary(data: NewsReportData) -> str:
    """Return the report's first sentence."""
    found = data.evaluation
    trained = "" if data.seconds_train is None else f" It was trained in {data.seconds_train:,.1f} s."
    return (
        f"In {found.num_impressions:,} impressions of {data.data_name}, {data.label} ranks a clicked article above one "
        f"that was not clicked in {found.metrics['auc']:.1%} of the pairs (mean over impressions).{trained}"
    )


def data_rows(data: NewsReportData) -> list[tuple[str, str]]:
    """Return what there is to say about the data, a name and a value each."""
    known, counts = data.model.known_, data.evaluation.counts
    rows = [
        ("articles", f"{len(known.articles):,}"),
        ("readers", f"{len(known.reader_ids):,}"),
        ("test impressions", f"{counts.num_impressions:,}"),
        ("of them measured", f"{counts.num_measured:,}"),
        ("candidates", f"{counts.num_candidates:,}"),
        ("clicks", f"{counts.num_clicks:,}"),
        ("readers measured", f"{counts.num_readers:,}"),
    ]
    return rows + [(name, str(value)) for name, value in data.settings.items() if value is not None]


def parameter_rows(data: NewsReportData) -> list[tuple[str, str]]:
    """Return the hyperparameters, a name and a value each."""
    return [(name, repr(value)) for name, value in data.model.flat_params().items()]

"""Users that were asked for by name: what they had, what they are recommended, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pyrec.look.panels import draw_layers, draw_parts
from pyrec.look.report.data import ReportData
from pyrec.look.report.examples import SHOWN_LIST, Example, Item, example
from pyrec.look.report.pictures import Picture, draw
from pyrec.models.explain import MEANING, Explanation, Row

SHOWN_PARTS: Final = 3
BARS: Final = 8
LONGEST_LABEL: Final = 28


@dataclass(frozen=True)
class Recommended:
    """An item of a list, and why it is there.

    Attributes:
        item: As the page shows it.
        score: Its score.
        parts: The items of the history that speak most for it, each with its value.
    """

    item: Item
    score: str
    parts: list[str]


@dataclass(frozen=True)
class NamedUser:
    """A user that was asked for.

    Attributes:
        example: The user as the page shows any.
        recommended: The list, best first.
        meaning: What the values of the parts are.
        notes: What else has to be known.
        pictures: Of the best item: the parts, and the layers if there are some.
    """

    example: Example
    recommended: list[Recommended]
    meaning: str
    notes: list[str]
    pictures: list[Picture]


def named_users(data: ReportData) -> list[NamedUser]:
    """Return the users that the report was asked for, in that order."""
    return [_named(data, user) for user in data.train.encode_users(data.named, "users").tolist()]


def _named(data: ReportData, user: int) -> NamedUser:
    train = data.train
    listed = data.model.topk(np.array([user]), min(SHOWN_LIST, train.num_items))[0][0].cpu().numpy()
    listed = listed[listed >= 0]
    raw_user, items = train.user_ids.tolist()[user], train.item_ids[listed].tolist()
    reasons = [data.model.explain(raw_user, item) for item in items]
    shown = example(data, user, listed)
    recommended = [
        Recommended(item, _score(why), _for_it(data, why))
        for item, why in zip(shown.recommended, reasons, strict=True)
    ]
    best = reasons[:1]
    return NamedUser(
        shown,
        recommended,
        meaning=f"{best[0].kind}: {MEANING[best[0].kind]}" if best else "",
        notes=best[0].notes() if best else [],
        pictures=_pictures(data, best[0]) if best and best[0].parts else [],
    )


def _score(why: Explanation) -> str:
    return f"{why.score:,.0f} users" if why.kind == "popularity" else f"{why.score:.4f}"


def _for_it(data: ReportData, why: Explanation) -> list[str]:
    parts = sorted(why.parts, key=lambda part: -part.value)[:SHOWN_PARTS]
    return [f"{_name(data, part.item)} {part.value:+.4f}" for part in parts if part.value > 0]


def _name(data: ReportData, item: Any) -> str:
    return data.item_names.get(item, str(item))


def _pictures(data: ReportData, why: Explanation) -> list[Picture]:
    label, shown = _name(data, why.item), why.parts[:BARS]
    rows = why.rows(n=BARS)
    rows[: len(shown)] = [Row(_name(data, item), value, True) for item, value in shown]
    told = f"{label}: {MEANING[why.kind]}."
    found = [
        draw(
            lambda axes, theme: draw_parts(axes, rows, why, theme, LONGEST_LABEL), f"Bars: {told}", told, "x"
        )
    ]
    layers, weights = why.layers, why.layer_weights
    if layers is not None and weights is not None:
        told = f"{label}: what each layer of the user adds to the score, and the layer's weight."
        found.append(
            draw(lambda axes, theme: draw_layers(axes, layers, weights, theme), f"Bars: {told}", told, "x")
        )
    return found

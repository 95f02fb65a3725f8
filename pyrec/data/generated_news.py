"""Generated news: articles that live for days, readers with tastes, and impressions of which the truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pyrec._checks import check_count, check_real
from pyrec.data.articles import Articles
from pyrec.data.feature_columns import Codes, Tokens
from pyrec.data.ids import TEXT, IdArray, factorise
from pyrec.data.impressions import Impressions
from pyrec.data.news import News, spelt
from pyrec.data.ragged import Ragged
from pyrec.errors import ConfigError

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.integer[Any]]

START: Final = 1_700_006_400.0
"""When training starts: 15 November 2023, midnight UTC, in seconds since 1970."""

SUBTOPICS: Final = 4
"""How many a topic has."""

_MOST: Final = 2**31 - 1
_DAY: Final = 86_400.0
_BEFORE: Final = 3.0  # days before training in which histories are made
_BLOCK: Final = 8 / 24  # days between two points of a topic's trend
_TASTE: Final = 8.0
_APPEAL: Final = 0.9
_TREND: Final = 0.5
_FRESHNESS: Final = 1.3
_BIAS: Final = -2.3
_COMMON, _A_TOPIC, _A_SUBTOPIC = 200, 40, 20  # words
_A_HISTORY: Final = 12.0  # clicks
_CHUNK: Final = 2048  # impressions at a time: (chunk, live articles) fits a cache


@dataclass(frozen=True, eq=False)
class NewsTruth:
    """What clicks come from. Times are seconds since 1970; articles and users are internal ids.

    A reader who looks at an article clicks on it with probability `click_probability`, and looks at the position p of
    an impression with probability ``examination[p]``.

    Attributes:
        affinities: float64 (num_users, num_subtopics): how much a reader is drawn to each subtopic.
        subtopics: int64 (num_articles,): what an article is about, which its words tell; those of a topic are
            neighbours, `SUBTOPICS` each.
        appeal: float64 (num_articles,): what draws everybody, which no word tells.
        known_appeal: float64 (num_articles,): what the old policy takes it for.
        published: float64 (num_articles,), ascending.
        trends: float64 (points, num_topics): how much a topic draws every eight hours, from three days before `START`.
        lifetime: days that an article is shown for.
        examination: float64 (num_positions,).
    """

    affinities: Floats
    subtopics: npt.NDArray[np.int64]
    appeal: Floats
    known_appeal: Floats
    published: Floats
    trends: Floats
    lifetime: float
    examination: Floats

    def affinity(self, users: Numbers, articles: Numbers) -> Floats:
        """Returns how much readers are drawn to the content of articles, float64; arguments broadcast."""
        return np.asarray(self.affinities[users, self.subtopics[articles]])

    def freshness(self, articles: Numbers, times: Floats) -> Floats:
        """Returns what an article's age adds to its popularity, float64; it halves every quarter of its life."""
        age = np.maximum(times - self.published[articles], 0) / _DAY
        return np.asarray(_FRESHNESS * np.exp2(-4 / self.lifetime * age))

    def popularity(self, articles: Numbers, times: Floats) -> Floats:
        """Returns how much articles draw everybody at a time, float64: appeal, trend of the topic and freshness."""
        at = (times - START) / _DAY
        point = np.clip((at + _BEFORE) / _BLOCK, 0, len(self.trends) - 1)
        low = np.minimum(point.astype(np.int64), len(self.trends) - 2)
        share = point - low
        topics = self.subtopics[articles] // SUBTOPICS
        trend = (1 - share) * self.trends[low, topics] + share * self.trends[low + 1, topics]
        return np.asarray(self.appeal[articles] + trend + self.freshness(articles, times))

    def click_probability(self, users: Numbers, articles: Numbers, times: Floats) -> Floats:
        """Returns the probability of a click of a reader who looks at an article, float64."""
        logit = _BIAS + self.affinity(users, articles) + self.popularity(articles, times)
        return np.asarray(1 / (1 + np.exp(-logit)))

    def policy(self, users: Numbers, articles: Numbers, times: Floats) -> Floats:
        """Returns the logarithm of the old policy's weights, float64.

        Of the live articles not yet shown, the policy draws the next one in proportion to its weight: Plackett and
        Luce's model.
        """
        topics = self.affinities.reshape(len(self.affinities), -1, SUBTOPICS).mean(axis=2)
        taste = topics[users, self.subtopics[articles] // SUBTOPICS]
        return np.asarray(1.5 * self.known_appeal[articles] + 1.5 * self.freshness(articles, times) + taste)


@dataclass(frozen=True, eq=False, repr=False)
class GeneratedNews:
    """News with all that is unknown of real ones.

    Attributes:
        train: what the old policy showed in the first days, in its order.
        test: what it showed in the last day; articles of that day are in no part but this and ``random_test``.
        random: impressions of the first days whose articles and order were drawn at random, for learning without bias.
        random_test: likewise of the last day, for evaluating without bias.
        truth: what clicks come from.
    """

    train: News
    test: News
    random: News
    random_test: News
    truth: NewsTruth

    def __repr__(self) -> str:
        counts = {name: len(getattr(self, name)) for name in ("train", "test", "random", "random_test")}
        told = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        return f"GeneratedNews({self.train.articles!r}; impressions: {told})"


class _Sizes(NamedTuple):
    num_users: int
    num_articles: int
    num_impressions: int
    num_candidates: int
    num_topics: int
    days: float
    lifetime: float


class _Shown(NamedTuple):
    """Impressions as drawn: users (n,), times (n,), articles (n, k) and clicks (n, k)."""

    users: npt.NDArray[np.int64]
    times: Floats
    articles: npt.NDArray[np.int32]
    clicks: npt.NDArray[np.bool_]

    def part(self, rows: slice) -> _Shown:
        return _Shown(self.users[rows], self.times[rows], self.articles[rows], self.clicks[rows])


def generate_news(
    num_users: int = 2000,
    num_articles: int = 1200,
    num_impressions: int = 16_000,
    num_candidates: int = 12,
    num_topics: int = 12,
    days: float = 5.0,
    lifetime: float = 1.5,
    position_bias: float = 0.7,
    random_share: float = 0.2,
    seed: int = 0,
) -> GeneratedNews:
    """Generates articles and impressions in which content and popularity both help, and together most.

    An article has a topic and, within it, a subtopic; its words are of these two or common ones. It is published at
    some time and shown for ``lifetime`` days. A reader likes some subtopics. Whoever looks at an article clicks on it
    with a probability whose logit is the sum of reader's taste for its content, the article's appeal, its topic's
    trend, which drifts, and its freshness, which halves every quarter of its life. The position p, from 0, is looked at
    with probability ``(1 + p) ** -position_bias``.

    An old policy chose what was shown and in which order: it knows appeal roughly, freshness and the reader's taste
    roughly. A history holds a reader's clicks before the part begins; some readers have none, and some of the last day
    are new.

    Args:
        num_users: 1 or more.
        num_articles: so many that ``2 * num_candidates`` are live at any time.
        num_impressions: of the old policy, 4 or more; the last of ``days`` days' are ``test``.
        num_candidates: 2 or more.
        num_topics: 1 to 1000; categories.
        days: more than 1, those of the training part and one of the test part.
        lifetime: days that an article is shown for, above 0.
        position_bias: 0 for none.
        random_share: random impressions for each of the old policy's, from 0 to 1.
        seed: 0 to 2**31 - 1; the same seed gives the same data.

    Raises:
        ConfigError: an argument is out of range.
    """
    sizes = _check_sizes(num_users, num_articles, num_impressions, num_candidates, num_topics, days, lifetime)
    bias = check_real("position_bias", position_bias, ConfigError, positive=False)
    random_share = check_real("random_share", random_share, ConfigError, positive=False)
    if random_share > 1:
        raise ConfigError(f"random_share = {random_share} is a share of num_impressions; it is at most 1")
    rng = np.random.default_rng(check_count("seed", seed, 0, _MOST, ConfigError))
    truth = _draw_truth(rng, sizes, bias)
    articles = _draw_articles(rng, sizes, truth)
    return _draw_parts(rng, sizes, truth, articles, random_share)


def _check_sizes(
    num_users: int,
    num_articles: int,
    num_impressions: int,
    num_candidates: int,
    num_topics: int,
    days: float,
    lifetime: float,
) -> _Sizes:
    for name, value, low in (
        ("num_users", num_users, 1),
        ("num_articles", num_articles, 1),
        ("num_impressions", num_impressions, 4),
        ("num_candidates", num_candidates, 2),
        ("num_topics", num_topics, 1),
    ):
        check_count(name, value, low, 1000 if name == "num_topics" else 10**8, ConfigError)
    days = check_real("days", days, ConfigError, positive=True)
    lifetime = check_real("lifetime", lifetime, ConfigError, positive=True)
    if days <= 1:
        raise ConfigError(f"days = {days} must be above 1: the last day is the test part")
    span = _BEFORE + lifetime + days
    needed = int(np.ceil((2 * num_candidates + 2) * span / lifetime))
    if num_articles < needed:
        raise ConfigError(
            f"num_articles = {num_articles}, but {needed} are needed for twice num_candidates = {num_candidates} live "
            f"ones at any time of {span:g} days; ask for more articles, or for a longer lifetime"
        )
    return _Sizes(num_users, num_articles, num_impressions, num_candidates, num_topics, days, lifetime)


def _draw_truth(rng: np.random.Generator, sizes: _Sizes, bias: float) -> NewsTruth:
    n, num_topics = sizes.num_articles, sizes.num_topics
    span = _BEFORE + sizes.lifetime + sizes.days
    published = (np.arange(n) + rng.random(n)) * (span / n) - _BEFORE - sizes.lifetime
    points = int(np.ceil((_BEFORE + sizes.days) / _BLOCK)) + 1
    steps = rng.normal(size=(points, num_topics))
    for at in range(1, points):  # a random walk that is drawn back to 0
        steps[at] = 0.8 * steps[at - 1] + 0.6 * steps[at]
    appeal = _APPEAL * rng.normal(size=n)
    return NewsTruth(
        _draw_affinities(rng, sizes.num_users, num_topics),
        rng.integers(num_topics * SUBTOPICS, size=n),
        appeal,
        0.5 * appeal + 0.5 * _APPEAL * rng.normal(size=n),
        START + _DAY * published,
        _TREND * steps,
        sizes.lifetime,
        np.arange(1, sizes.num_candidates + 1.0) ** -bias,
    )


def _draw_affinities(rng: np.random.Generator, num_users: int, num_topics: int) -> Floats:
    """Returns affinities float64 (num_users, num_subtopics): a few topics are liked, and some of their subtopics."""
    topics = rng.dirichlet(np.full(num_topics, 0.25), num_users)
    within = rng.dirichlet(np.full(SUBTOPICS, 0.8), (num_users, num_topics))
    tastes = np.sqrt(topics[:, :, None] * within).reshape(num_users, -1)
    return np.asarray(_TASTE * (tastes - tastes.mean(axis=1, keepdims=True)))


def _spell(number: int) -> str:
    """Returns a made-up word of two to four syllables for a number below 85^3, each its own."""
    number = number * 7919 % 85**3 + 85
    syllables = []
    while number:
        number, digit = divmod(number, 85)
        syllables.append("bdfghklmnprstvwzj"[digit // 5] + "aeiou"[digit % 5])
    return "".join(syllables)


def _draw_articles(rng: np.random.Generator, sizes: _Sizes, truth: NewsTruth) -> Articles:
    n, num_subtopics = sizes.num_articles, sizes.num_topics * SUBTOPICS
    num_words = _COMMON + sizes.num_topics * _A_TOPIC + num_subtopics * _A_SUBTOPIC
    words = np.array([_spell(number) for number in range(num_words)], dtype=TEXT)
    lengths = 4 + rng.poisson(3.0, n), np.where(rng.random(n) < 0.1, 0, 8 + rng.poisson(8.0, n))
    title, abstract = (_draw_words(rng, truth.subtopics, sizes.num_topics, part, words) for part in lengths)
    topics = [f"topic {k}" for k in range(sizes.num_topics)]
    category, categories = factorise([topics[k // SUBTOPICS] for k in truth.subtopics.tolist()], "category")
    named = [f"{topics[k // SUBTOPICS]}, {k % SUBTOPICS}" for k in truth.subtopics.tolist()]
    codes, subcategories = factorise(named, "subcategories")
    return Articles(
        1000 + rng.permutation(n),
        title,
        abstract,
        words,
        spelt(title, words),
        spelt(abstract, words),
        Codes(category, categories),
        Tokens(Ragged(np.arange(n + 1), codes, subcategories.size), subcategories),
        published=truth.published,
    )


def _draw_words(
    rng: np.random.Generator, subtopics: Numbers, num_topics: int, lengths: Numbers, words: IdArray
) -> Ragged:
    """Returns words of articles: common ones are numbered first, then each topic's, then each subtopic's."""
    indptr = np.append(0, np.cumsum(lengths))
    about = np.repeat(subtopics, lengths)
    kind = rng.choice(3, size=about.size, p=[0.4, 0.3, 0.3])
    topic = _COMMON + about // SUBTOPICS * _A_TOPIC
    subtopic = _COMMON + num_topics * _A_TOPIC + about * _A_SUBTOPIC
    first = np.choose(kind, [np.zeros_like(about), topic, subtopic])
    size = np.array([_COMMON, _A_TOPIC, _A_SUBTOPIC])[kind]
    within = (size * rng.random(about.size) ** 2).astype(np.int64)  # the first words of a kind are frequent
    return Ragged(indptr.astype(np.int64), (first + within).astype(np.int32), words.size)


def _draw_parts(
    rng: np.random.Generator, sizes: _Sizes, truth: NewsTruth, articles: Articles, random_share: float
) -> GeneratedNews:
    n = sizes.num_users
    activity = np.minimum((1 - rng.random(n)) ** -0.5, 10.0)
    is_new = rng.random(n) < 0.1
    is_new[0] = False
    before = _draw_histories(rng, truth, np.where(is_new | (rng.random(n) < 0.1), 0, activity))
    old = np.where(is_new, 0, activity)
    parts = {}
    for name, count in (
        ("policy", sizes.num_impressions),
        ("random", round(random_share * sizes.num_impressions)),
    ):
        times = _draw_times(rng, count, sizes.days)
        num_first = int(np.count_nonzero(times < sizes.days - 1))
        users = np.concatenate(
            [_draw_users(rng, old, num_first), _draw_users(rng, activity, times.size - num_first)]
        )
        shown = _show(rng, truth, users, START + _DAY * times, name == "random")
        parts[name] = shown.part(slice(num_first)), shown.part(slice(num_first, None))
    train, test = parts["policy"]
    after = _longer(before, train)
    made = [
        _news(articles, shown, histories)
        for shown, histories in (
            (train, before),
            (test, after),
            (parts["random"][0], before),
            (parts["random"][1], after),
        )
    ]
    return GeneratedNews(made[0], made[1], made[2], made[3], truth)


def _draw_times(rng: np.random.Generator, count: int, days: float) -> Floats:
    """Returns times in days (count,), ascending; with two or more, the first and the last day have some."""
    times = (np.arange(count) + rng.random(count)) * (days / max(count, 1))
    if count > 1:
        times[0] = min(times[0], (days - 1) / 2)
        times[-1] = max(times[-1], days - 0.5)
    return np.asarray(times)


def _draw_users(rng: np.random.Generator, weights: Floats, count: int) -> npt.NDArray[np.int64]:
    ends = np.cumsum(weights)
    at = np.searchsorted(ends, rng.random(count) * ends[-1], side="right")
    return np.asarray(np.minimum(at, int(np.flatnonzero(weights)[-1])))


def _draw_histories(rng: np.random.Generator, truth: NewsTruth, activity: Floats) -> Ragged:
    """Returns what readers clicked before training, in the order of time: (num_users, num_articles)."""
    lengths = rng.poisson(_A_HISTORY * activity / max(activity.mean(), 1e-9))
    users = np.repeat(np.arange(lengths.size), lengths)
    times = -_BEFORE * rng.random(users.size)
    times = times[np.lexsort((times, users))]
    clicked = np.empty(users.size, np.int32)
    for rows in _chunks(users.size):
        at = START + _DAY * times[rows]
        live, is_live = _live(truth, at)
        logit = truth.affinity(users[rows, None], live) + truth.popularity(live, at[:, None])
        clicked[rows] = _race(rng, logit, is_live, live, 1)[:, 0]
    return Ragged(np.append(0, np.cumsum(lengths)), clicked, truth.published.size)


def _show(
    rng: np.random.Generator, truth: NewsTruth, users: npt.NDArray[np.int64], times: Floats, is_random: bool
) -> _Shown:
    """Shows live articles, drawn by the old policy or at random, and draws the clicks."""
    num_positions = truth.examination.size
    articles = np.empty((users.size, num_positions), np.int32)
    for rows in _chunks(users.size):
        live, is_live = _live(truth, times[rows])
        score = (
            np.zeros(live.shape) if is_random else truth.policy(users[rows, None], live, times[rows, None])
        )
        articles[rows] = _race(rng, score, is_live, live, num_positions)
    chance = truth.examination * truth.click_probability(users[:, None], articles, times[:, None])
    return _Shown(users, times, articles, rng.random(chance.shape) < chance)


def _chunks(size: int) -> list[slice]:
    return [slice(first, min(first + _CHUNK, size)) for first in range(0, size, _CHUNK)]


def _live(truth: NewsTruth, times: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Returns articles (n, m) among which are all live ones of each time, and which of them are, bool (n, m)."""
    first = np.searchsorted(truth.published, times - truth.lifetime * _DAY, side="right")
    last = np.searchsorted(truth.published, times, side="right")
    live = first[:, None] + np.arange((last - first).max())
    return np.minimum(live, truth.published.size - 1), live < last[:, None]


def _race(
    rng: np.random.Generator,
    score: Floats,
    is_live: npt.NDArray[np.bool_],
    articles: npt.NDArray[np.int64],
    count: int,
) -> npt.NDArray[np.int64]:
    """Draws articles (n, count) one after the other, without replacement, in proportion to exp(score).

    Exponential variables of these rates come in such an order.
    """
    arrival = rng.standard_exponential(score.shape, dtype=np.float32) * np.exp(-score)
    arrival[~is_live] = np.inf
    soonest = np.argpartition(arrival, count - 1, axis=1)[:, :count]
    order = np.argsort(np.take_along_axis(arrival, soonest, axis=1), axis=1)
    return np.take_along_axis(articles, np.take_along_axis(soonest, order, axis=1), axis=1)


def _longer(histories: Ragged, shown: _Shown) -> Ragged:
    """Returns histories with the clicks of impressions, which came later, at their ends."""
    rows, positions = np.nonzero(shown.clicks)
    users = np.concatenate([histories.rows, shown.users[rows]])
    items = np.concatenate([histories.indices, shown.articles[rows, positions]])
    order = np.argsort(users, kind="stable")
    lengths = np.bincount(users, minlength=len(histories))
    return Ragged(np.append(0, np.cumsum(lengths)), items[order].astype(np.int32), histories.num_columns)


def _news(articles: Articles, shown: _Shown, histories: Ragged) -> News:
    n, num_candidates = shown.articles.shape
    used, rows = np.unique(shown.users, return_inverse=True)
    candidates = Ragged(
        np.arange(n + 1, dtype=np.int64) * num_candidates, shown.articles.ravel(), len(articles)
    )
    impressions = Impressions(
        shown.users.astype(np.int32),
        candidates,
        np.arange(len(histories)),
        articles.ids,
        shown.clicks.ravel(),
        shown.times,
        histories[used],
        rows.astype(np.int32),
    )
    return News(articles, impressions)

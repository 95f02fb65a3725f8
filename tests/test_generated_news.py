import numpy as np
import pytest

from pyrec.data import GeneratedNews, News, generate_news
from pyrec.data.generated_news import START
from pyrec.errors import ConfigError

DAY = 86_400.0


@pytest.fixture(scope="module")
def news() -> GeneratedNews:
    return generate_news()


def auc(part: News, scores: np.ndarray) -> float:
    """The mean over impressions of two classes of how often a clicked article is above one that is not."""
    shown = part.impressions
    assert shown.clicks is not None
    found = []
    for a, b in zip(shown.candidates.indptr[:-1], shown.candidates.indptr[1:], strict=True):
        clicks = shown.clicks[a:b]
        if clicks.any() and not clicks.all():
            ours, theirs = scores[a:b][clicks, None], scores[a:b][~clicks]
            found.append(np.mean((ours > theirs) + 0.5 * (ours == theirs)))
    return float(np.mean(found))


def slots(part: News) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The user, article and time of each candidate."""
    shown = part.impressions
    assert shown.times is not None
    rows = shown.candidates.rows
    return shown.users[rows], shown.candidates.indices, shown.times[rows]


def by_content(part: News) -> np.ndarray:
    """How much of a reader's history is of each candidate's subtopic and topic."""
    articles, shown = part.articles, part.impressions
    assert articles.subcategories is not None
    assert articles.category is not None
    history = shown.history_of(slice(None))
    rows = shown.candidates.rows
    total = np.zeros(rows.size)
    for about in (articles.subcategories.rows.indices, articles.category.codes):
        counts = np.zeros((len(shown), about.max() + 1))
        np.add.at(counts, (history.rows, about[history.indices]), 1)
        total += (counts / (1 + history.lengths)[:, None])[rows, about[shown.candidates.indices]]
    return total


def by_clicks(news: GeneratedNews, part: News) -> np.ndarray:
    """How often each candidate was clicked before, in impressions of the old policy; later clicks count more."""
    _, articles, times = slots(part)
    total = np.zeros(articles.size)
    for told in (news.train, news.test):
        _, clicked, at = (values[told.impressions.clicks] for values in slots(told))
        for article in np.unique(clicked):
            here, mine = articles == article, clicked == article
            ages = times[here, None] - at[mine]
            total[here] += np.where(ages > 0, 0.5 ** (np.maximum(ages, 0) / (DAY / 4)), 0).sum(axis=1)
    return total


def test_parts_share_articles_and_readers(news: GeneratedNews) -> None:
    parts = (news.train, news.test, news.random, news.random_test)
    assert all(part.articles is news.train.articles for part in parts)
    assert repr(news) == (
        "GeneratedNews(Articles(1,200, 1,640 words, 12 categories, 48 subcategories, published); impressions: "
        "train 12,800, test 3,200, random 2,560, random_test 640)"
    )
    for part in parts:
        shown = part.impressions
        assert shown.times is not None
        assert (np.diff(shown.times) >= 0).all()
        is_late = shown.times >= START + 4 * DAY
        assert is_late.all() if part in (news.test, news.random_test) else not is_late.any()


def test_articles_are_shown_while_they_live_and_once_an_impression(news: GeneratedNews) -> None:
    for part in (news.train, news.test, news.random, news.random_test):
        _, articles, times = slots(part)
        published = part.articles.published
        assert published is not None
        age = times - published[articles]
        assert age.min() >= 0
        assert age.max() < 1.5 * DAY
        shown = np.sort(articles.reshape(-1, 12), axis=1)
        assert (np.diff(shown, axis=1) > 0).all()


def test_the_last_day_has_new_articles_and_new_readers(news: GeneratedNews) -> None:
    known = np.isin(slots(news.test)[1], slots(news.train)[1])
    assert 0.3 < 1 - known.mean() < 0.6
    is_new = ~np.isin(news.test.impressions.users, news.train.impressions.users)
    assert 0.03 < is_new.mean() < 0.3
    histories = news.test.impressions.histories
    assert histories is not None
    assert (histories.lengths == 0).any()


def test_a_history_ends_before_its_part_begins(news: GeneratedNews) -> None:
    published = news.train.articles.published
    assert published is not None
    for part, begin in ((news.train, START), (news.test, START + 4 * DAY)):
        assert part.impressions.histories is not None
        assert published[part.impressions.histories.indices].max() < begin
    rows = news.test.impressions.history_rows
    assert rows is not None
    clicked = set(
        zip(*(values[news.train.impressions.clicks] for values in slots(news.train)[:2]), strict=True)
    )
    for at in range(0, len(news.test), 400):
        user = news.test.impressions.users[at]
        history = set(news.test.impressions.history_of(np.array([at])).indices.tolist())
        assert {article for who, article in clicked if who == user} <= history


def test_content_and_popularity_help_and_both_together_most(news: GeneratedNews) -> None:
    users, articles, times = slots(news.test)
    truth = news.truth
    affinity, popularity = truth.affinity(users, articles), truth.popularity(articles, times)
    true = {
        "content": auc(news.test, affinity),
        "popularity": auc(news.test, popularity),
        "both": auc(news.test, truth.click_probability(users, articles, times)),
    }
    assert min(true["content"], true["popularity"]) > 0.62
    assert true["both"] > max(true["content"], true["popularity"]) + 0.04
    content, clicks = by_content(news.test), by_clicks(news, news.test)
    found = auc(news.test, content), auc(news.test, clicks)
    assert min(found) > 0.57
    assert auc(news.test, content + 0.2 * np.log1p(clicks)) > max(found) + 0.02


def test_clicks_come_from_the_truth(news: GeneratedNews) -> None:
    users, articles, times = slots(news.train)
    examined = np.tile(news.truth.examination, len(news.train))
    chance = examined * news.truth.click_probability(users, articles, times)
    clicks = news.train.impressions.clicks
    assert clicks is not None
    for low, high in ((0, 0.03), (0.03, 0.1), (0.1, 0.3), (0.3, 1)):
        some = (chance >= low) & (chance < high)
        deviation = np.sqrt((chance[some] * (1 - chance[some])).sum())
        assert abs(clicks[some].sum() - chance[some].sum()) < 4 * deviation


def test_random_impressions_are_of_live_articles_in_any_order(news: GeneratedNews) -> None:
    users, articles, times = slots(news.random)
    policy = news.truth.policy(users, articles, times).reshape(-1, 12)
    assert abs(np.corrcoef(np.arange(12), policy.mean(axis=0))[0, 1]) < 0.8
    old = news.truth.policy(*slots(news.train)).reshape(-1, 12).mean(axis=0)
    assert (np.diff(old[::3]) < 0).all()
    assert old.mean() > policy.mean() + 0.3


def test_the_first_place_goes_by_the_weights_of_the_policy() -> None:
    made = generate_news(50, 60, 3000, num_candidates=2, num_topics=2, days=2.0, lifetime=4.0, seed=3)
    users, articles, times = (values[::2] for values in slots(made.train))
    published = made.truth.published
    is_live = (published <= times[:, None]) & (published > times[:, None] - 4 * DAY)
    weights = is_live * np.exp(made.truth.policy(users[:, None], np.arange(60), times[:, None]))
    chance = weights / weights.sum(axis=1, keepdims=True)
    shown = np.bincount(articles, minlength=60)
    expected = chance.sum(axis=0)
    deviation = np.sqrt((chance * (1 - chance)).sum(axis=0))
    assert (np.abs(shown - expected) < 4.5 * np.maximum(deviation, 1)).all()


def test_words_tell_the_subtopic(news: GeneratedNews) -> None:
    articles = news.train.articles
    half = len(articles) // 2
    about = news.truth.subtopics
    counts = np.zeros((48, articles.words.size))
    rows = articles.title.rows
    np.add.at(counts, (about[rows[rows < half]], articles.title.indices[rows < half]), 1)
    smooth = np.log((counts + 0.1) / (counts + 0.1).sum(axis=1, keepdims=True))
    later = articles.title[half:]
    told = np.zeros((half, 48))
    np.add.at(told, later.rows, smooth[:, later.indices].T)
    assert np.mean(told.argmax(axis=1) == about[half:]) > 0.5


def test_the_same_seed_gives_the_same_news() -> None:
    one, same, other = (generate_news(100, 400, 500, seed=seed) for seed in (1, 1, 2))
    assert (one.train.impressions.candidates.indices == same.train.impressions.candidates.indices).all()
    assert (one.test.impressions.clicks == same.test.impressions.clicks).all()
    assert one.train.articles.titles == same.train.articles.titles
    assert one.train.articles.titles != other.train.articles.titles


def test_small_and_odd_sizes() -> None:
    for seed in range(5):
        made = generate_news(1, 60, 4, num_candidates=2, num_topics=1, days=1.01, lifetime=0.7, seed=seed)
        assert len(made.train) >= 1
        assert len(made.test) >= 1
    none = generate_news(20, 400, 50, position_bias=0.0, random_share=0.0)
    assert (none.truth.examination == 1).all()
    assert len(none.random) == len(none.random_test) == 0
    assert len(generate_news(20, 400, 4, days=30.0, num_candidates=2).test) >= 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"num_users": 0}, "num_users = 0"),
        ({"num_articles": 50}, "165 are needed"),
        ({"num_impressions": 3}, "num_impressions = 3"),
        ({"num_candidates": 1}, "num_candidates = 1"),
        ({"num_topics": 1001}, "num_topics = 1001"),
        ({"days": 1.0}, "the last day is the test part"),
        ({"lifetime": 0.0}, "lifetime = 0.0"),
        ({"position_bias": -1.0}, "position_bias"),
        ({"random_share": 1.5}, "random_share = 1.5"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_arguments_have_bounds(arguments: dict[str, float], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        generate_news(**arguments)  # type: ignore[arg-type]

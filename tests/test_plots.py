"""Plots: they are written, whole, and show what they are given; how they look is for eyes."""

import struct
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyrec.errors import ConfigError, DataError
from pyrec.evaluate.calibration import reliability
from pyrec.look import plots
from pyrec.models.explain import Explanation, Part

pytest.importorskip("matplotlib")


def size_of(path: Path) -> tuple[int, int]:
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert data[-8:-4] == b"IEND"
    width, height = struct.unpack(">II", data[16:24])
    return width, height


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collects the figures that are drawn."""
    drawn: list[Any] = []
    figure = plots._figure

    def collect(width: float, height: float) -> Any:
        drawn.append(figure(width, height))
        return drawn[-1]

    monkeypatch.setattr(plots, "_figure", collect)
    return drawn


HISTORY = [
    {"epoch": 1, "loss": 0.7, "seconds": 1.0, "test_recall@20": 0.1},
    {"epoch": 2, "loss": 0.5, "seconds": 1.0, "validation_recall@20": 0.12},
    {"epoch": 3, "loss": 0.4, "seconds": 1.0, "test_recall@20": 0.2, "validation_recall@20": 0.15},
]


def test_curves_of_loss_and_metrics(figures: list[Any], tmp_path: Path) -> None:
    plots.plot_curves(HISTORY, tmp_path / "curves.png", "a title")
    assert size_of(tmp_path / "curves.png") == (1500, 630)
    loss, metrics = figures[0].axes
    assert loss.lines[0].get_xydata().tolist() == [[1, 0.7], [2, 0.5], [3, 0.4]]
    labels = {line.get_label(): line.get_xydata().tolist() for line in metrics.lines}
    assert labels == {
        "recall@20 (test, not to choose by)": [[1, 0.1], [3, 0.2]],
        "recall@20 (validation)": [[2, 0.12], [3, 0.15]],
    }
    for axes in (loss, metrics):
        assert axes.get_xlabel() == "epoch"
        assert axes.get_ylabel()


def test_curves_without_metrics_have_one_panel(figures: list[Any], tmp_path: Path) -> None:
    plots.plot_curves([{"epoch": 1, "loss": 0.5}], tmp_path / "curves.png")
    assert len(figures[0].axes) == 1


def test_weights_by_layer(figures: list[Any], tmp_path: Path) -> None:
    weights = np.array([0.5, 0.3, 0.2], dtype=np.float32)
    plots.plot_layer_weights(weights, np.arange(5), 2, tmp_path / "w.png")
    (axes,) = figures[0].axes
    np.testing.assert_allclose([bar.get_height() for bar in axes.patches], weights)
    size_of(tmp_path / "w.png")


def test_calibration(figures: list[Any], tmp_path: Path) -> None:
    curve = reliability([0.1, 0.1, 0.2, 0.4, 0.4, 0.9], [0, 1, 0, 0, 1, 1], bins=3)
    plots.plot_calibration(curve, tmp_path / "calibration.png", "a title")
    size_of(tmp_path / "calibration.png")
    (axes,) = figures[0].axes
    points = axes.containers[0].lines[0].get_xydata()
    np.testing.assert_allclose(points, np.stack([curve.predicted, curve.observed], axis=1))
    ends = [segment[:, 1].tolist() for segment in axes.containers[0].lines[2][0].get_segments()]
    np.testing.assert_allclose(ends, np.stack([curve.low, curve.high], axis=1))
    assert [text.get_text() for text in axes.texts] == [str(count) for count in curve.counts]


def test_weights_by_node_and_degree(figures: list[Any], tmp_path: Path) -> None:
    degrees = np.concatenate([np.arange(1, 9), np.arange(100, 112)])
    second = degrees / 200
    weights = np.stack([1 - second, second], axis=1).astype(np.float32)
    plots.plot_layer_weights(weights, degrees, 8, tmp_path / "w.png")
    bars, users, items = figures[0].axes
    np.testing.assert_allclose([bar.get_height() for bar in bars.patches], weights.mean(axis=0), rtol=1e-6)
    labels = [text.get_text() for text in users.get_legend().get_texts()]
    assert labels == ["1 to 2", "3 to 4", "5 to 6", "7 to 8"]
    np.testing.assert_allclose(users.lines[0].get_ydata()[1], 1.5 / 200, rtol=1e-6)
    assert "100 to 102" in [text.get_text() for text in items.get_legend().get_texts()]


def test_weights_of_fewer_nodes_than_groups(tmp_path: Path) -> None:
    plots.plot_layer_weights(np.full((2, 3), 1 / 3, np.float32), np.array([1, 1]), 1, tmp_path / "w.png")
    size_of(tmp_path / "w.png")


def test_a_group_of_one_user_has_a_point_and_no_interval(figures: list[Any], tmp_path: Path) -> None:
    for degrees in (np.array([1, 2, 2]), np.array([3])):
        values = np.arange(len(degrees)) / 4 + 0.5
        plots.plot_gain(degrees, values, np.zeros(len(degrees)), tmp_path / "g.png", "", "ndcg")
        point = figures[-1].axes[0].containers[0].lines[0]
        assert point.get_ydata()[0] == 0.5
        size_of(tmp_path / "g.png")


def test_models_side_by_side(figures: list[Any], tmp_path: Path) -> None:
    labels, scores, untuned = ["ease", "knn", "popularity"], [0.3, 0.25, 0.1], [0.28, 0.25, 0.1]
    gaps, halves = [0.0, -0.05, -0.2], [float("nan"), 0.02, 0.03]
    plots.plot_models(labels, scores, untuned, gaps, halves, tmp_path / "m.png", "a title", "recall@10")
    size_of(tmp_path / "m.png")
    left, right = figures[0].axes
    assert [text.get_text() for text in left.get_yticklabels()] == labels
    before, best = left.lines
    assert (before.get_xdata().tolist(), best.get_xdata().tolist()) == (untuned, scores)
    assert left.get_ylim()[0] > left.get_ylim()[1], "the best is on top"
    points, _, (bars,) = right.containers[0].lines
    assert points.get_xdata().tolist() == gaps
    np.testing.assert_allclose(bars.get_segments()[1][:, 0], [-0.07, -0.03])
    plots.plot_models(labels, scores, scores, gaps, halves, tmp_path / "m.png", "", "recall@10")
    assert figures[1].axes[0].get_legend() is None


def test_no_history_has_no_curves(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="history is empty"):
        plots.plot_curves([], tmp_path / "curves.png")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        plots.plot_curves(HISTORY, tmp_path / "file" / "curves.png")


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match=r"pip install '\.\[plots\]'"):
        plots.plot_curves(HISTORY, tmp_path / "curves.png")


def test_pyplot_stays_unused() -> None:
    source = Path(plots.__file__).read_text()
    assert "pyplot" not in source.replace("pyplot's global state", "")


def test_explanations_are_bars_with_names(figures: list[Any], tmp_path: Path) -> None:
    parts = (Part(1, 0.5), Part(2, -0.25), Part(3, 0.125))
    common = {"user": 7, "item": 9, "score": 0.375, "rank": 2, "seen": False, "is_fallback": False}
    why = Explanation("m", **common, kind="exact", history=(1, 2, 3), parts=parts)
    plots.plot_explanation(why, tmp_path / "why.png", {1: "One", 9: "Nine"}, n=2)
    (axes,) = figures[0].axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["1 One", "2", "1 other items"]
    assert [bar.get_width() for bar in axes.patches] == [0.5, -0.25, 0.125]
    assert len({bar.get_facecolor() for bar in axes.patches}) == 3  # for, against, and a sum
    assert figures[0].get_suptitle() == "9 Nine\nfor user 7 by m: score 0.3750, place 2 of the list"
    layered = replace(why, kind="left out", layers=(0.25, 0.125), layer_weights=(0.6, 0.4))
    plots.plot_explanation(layered, tmp_path / "layers.png")
    assert [bar.get_width() for bar in figures[1].axes[1].patches] == [0.25, 0.125]
    assert figures[1].axes[1].get_yticklabels()[1].get_text() == "layer 1, weight 0.40"


def test_an_explanation_without_parts_is_a_sentence(figures: list[Any], tmp_path: Path) -> None:
    common = {"user": 7, "item": 9, "score": 3.0, "rank": 1, "seen": False, "is_fallback": True}
    plots.plot_explanation(
        Explanation("m", **common, kind="popularity", history=(), parts=()), tmp_path / "why.png"
    )
    (axes,) = figures[0].axes
    (text,) = axes.texts
    assert text.get_text().startswith("there is no history to go by")
    box, room = text.get_window_extent(), figures[0].bbox
    assert room.x0 < box.x0 < box.x1 < room.x1
    assert not axes.patches

"""The picture of a search: how good the trials were, over what they were given.

Shapes: N trials with a score, G places along an axis.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from raymask.evaluate.report.charts import INK, frame
from raymask.tune.smooth import smooth
from raymask.tune.space import Choice, Dimension, Range, Value
from raymask.tune.trials import Trial, best_trial, percent, short, short_values

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLES = {"val_masked": "rank-1 of masked validation photos, %", "val_bare": "rank-1 of bare validation photos, %"}
MARKS = {"finished": "o", "stopped early": "v", "unfinished": "s", "failed": "x"}
"""By status of a trial."""
BEST, CURVE, GREY = "#c2571a", "#1f5fa8", "#6b7885"
NEAR, FAR = 0.1, 0.25
"""How far from the nearest trial the surface begins to fade, and is gone; the axes are 1 long."""
GRID = 200


def draw_surface(space: Sequence[Dimension], trials: Sequence[Trial], metric: str) -> bytes:
    """PNG of all trials: over two ranges a coloured surface, else the score over each field in a panel of its own.

    At least one trial must have a score.
    """
    from matplotlib.figure import Figure

    ranges = [dimension for dimension in space if isinstance(dimension, Range)]
    if len(space) == len(ranges) == 2:
        figure = Figure(figsize=(7.2, 5.4), layout="constrained")
        _draw_two(figure, ranges[0], ranges[1], trials, metric)
    else:
        across = min(3, len(space))
        down = -(-len(space) // across)
        figure = Figure(figsize=(max(6.0, 3.3 * across), 3.2 * down + 0.9), layout="constrained")
        for place, dimension in enumerate(space):
            axes = figure.add_subplot(down, across, place + 1, sharey=figure.axes[0] if place else None)
            _draw_one(axes, dimension, trials, metric)
            axes.set_ylabel("" if place % across else TITLES[metric])
    _head(figure, trials, metric)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, facecolor="white")
    return buffer.getvalue()


def _head(figure: Figure, trials: Sequence[Trial], metric: str) -> None:
    """The best trial in words, and what the marks mean."""
    from matplotlib.lines import Line2D

    best = best_trial(trials, metric)
    if best is not None:
        count = "1 trial" if len(trials) == 1 else f"{len(trials)} trials"
        words = f"best of {count}: {percent(best.score(metric))} with {short_values(best)}"
        figure.suptitle(textwrap.fill(words, int(13 * figure.get_figwidth())), fontsize=10, color=INK)
    marks = {status: mark for status, mark in MARKS.items() if any(trial.status == status for trial in trials)}
    look: dict[str, Any] = {"linestyle": "", "markersize": 8}
    handles = [Line2D([], [], marker=mark, color=GREY, label=status, **look) for status, mark in marks.items()]
    handles.append(Line2D([], [], marker="o", markeredgecolor=BEST, markerfacecolor="none", label="best", **look))
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False, fontsize=9, labelcolor=INK)


def _draw_two(figure: Figure, x: Range, y: Range, trials: Sequence[Trial], metric: str) -> None:
    """Scores over two ranges as colours: at the trials as measured, between them as estimated."""
    axes = figure.add_subplot()
    frame(axes)
    _scale(axes, "x", x)
    _scale(axes, "y", y)
    scored = [trial for trial in trials if trial.score(metric) is not None]
    at_N2 = np.array([[_share(axis, trial.values[axis.name]) for axis in (x, y)] for trial in scored])
    scores_N = _scores(scored, metric)
    colours = _colours(scores_N)
    _estimate(axes, at_N2, scores_N, colours)
    for trial, score in zip(scored, scores_N, strict=True):
        at = trial.values[x.name], trial.values[y.name]
        _mark(axes, *at, trial, colour=colours.to_rgba(score))
        _number(axes, *at, f"{score:.0f}", left=_share(x, at[0]) > 0.9)
    for trial in trials:
        if trial.score(metric) is None:
            _mark(axes, trial.values[x.name], trial.values[y.name], trial, colour=GREY)
    best = best_trial(trials, metric)
    if best is not None:
        _ring(axes, best.values[x.name], best.values[y.name])
    bar = figure.colorbar(colours, ax=axes, pad=0.02)
    bar.set_label(TITLES[metric], color=INK, fontsize=9.5)
    bar.ax.tick_params(colors=INK, labelsize=9)
    bar.outline.set_visible(False)


def _estimate(axes: Axes, at_N2: np.ndarray, scores_N: np.ndarray, colours: Any) -> None:
    """The coloured surface, which fades where no trial is near, with its lines of equal score."""
    line_G = np.linspace(0, 1, GRID)
    places = np.stack(np.meshgrid(line_G, line_G), -1).reshape(-1, 2)
    mean_GG = smooth(at_N2, scores_N, places)[0].reshape(GRID, GRID)
    apart_GG = np.linalg.norm(places[:, None] - at_N2[None], axis=-1).min(1).reshape(GRID, GRID)
    axes.set_title("colour between trials: estimated, and gone where none is near", fontsize=8.5, color=GREY)
    picture = colours.to_rgba(mean_GG)
    picture[..., 3] = np.clip((FAR - apart_GG) / (FAR - NEAR), 0, 1)
    under = axes.inset_axes((0, 0, 1, 1), zorder=0.5)  # the grid is even there, whatever the scales of the axes
    under.set_axis_off()
    under.imshow(picture, origin="lower", aspect="auto", interpolation="bilinear")
    known_GG = np.ma.masked_where(picture[..., 3] < 0.5, mean_GG)
    if known_GG.count() and known_GG.max() - known_GG.min() > 1:
        under.contour(known_GG, levels=6, colors="white", linewidths=0.8, alpha=0.8)


def _draw_one(axes: Axes, dimension: Dimension, trials: Sequence[Trial], metric: str) -> None:
    """Score over one field; what the other fields add is scatter."""
    frame(axes)
    scored = [trial for trial in trials if trial.score(metric) is not None]
    scores_N = _scores(scored, metric)
    if isinstance(dimension, Range):
        _scale(axes, "x", dimension)
        _trend(axes, dimension, scored, scores_N)
        where = {trial.number: trial.values[dimension.name] for trial in trials}
    else:
        where = {trial.number: dimension.values.index(trial.values[dimension.name]) for trial in trials}
        _means(axes, dimension, [int(where[trial.number] or 0) for trial in scored], scores_N)
    for trial, score in zip(scored, scores_N, strict=True):
        _mark(axes, where[trial.number], score, trial, colour=CURVE)
    for trial in trials:
        if trial.score(metric) is None:  # they stand on the axis
            _mark(axes, where[trial.number], 0.0, trial, colour=GREY, transform=axes.get_xaxis_transform())
    best = best_trial(trials, metric)
    if best is not None:
        _ring(axes, where[best.number], 100 * (best.score(metric) or 0))


def _means(axes: Axes, dimension: Choice, chosen: list[int], scores_N: np.ndarray) -> None:
    """The axis of a choice, and the mean score of each value; `chosen` has the value's index for each trial."""
    axes.set_xticks(range(len(dimension.values)), [short(value) for value in dimension.values])
    axes.set(xlim=(-0.5, len(dimension.values) - 0.5), xlabel=dimension.name)
    for place in set(chosen):
        mean = scores_N[np.array(chosen) == place].mean()
        axes.plot([place - 0.25, place + 0.25], [mean, mean], color=CURVE, linewidth=1.6)


def _trend(axes: Axes, dimension: Range, scored: Sequence[Trial], scores_N: np.ndarray) -> None:
    """The estimated mean and what is known of it, one standard deviation to both sides."""
    at_N1 = np.array([[_share(dimension, trial.values[dimension.name])] for trial in scored])
    line_G = np.linspace(0, 1, GRID)
    mean_G, deviation_G = smooth(at_N1, scores_N, line_G[:, None])
    axes.plot(_value(dimension, line_G), mean_G, color=CURVE, linewidth=1.6)
    low_G, high_G = mean_G - deviation_G, mean_G + deviation_G
    axes.fill_between(_value(dimension, line_G), low_G, high_G, color=CURVE, alpha=0.13, linewidth=0)


def _mark(axes: Axes, x: Any, y: Any, trial: Trial, *, colour: Any, **settings: Any) -> None:
    """One trial's place."""
    mark = MARKS[trial.status]
    edge: dict[str, Any] = {"linewidths": 1.8} if mark == "x" else {"edgecolors": INK, "linewidths": 0.8}
    axes.scatter([x], [y], s=60, marker=mark, c=[colour], clip_on=False, zorder=3, **edge, **settings)


def _number(axes: Axes, x: Any, y: Any, text: str, *, left: bool) -> None:
    """A score beside its trial."""
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=2, foreground="white")]
    place: dict[str, Any] = {"xytext": (-8 if left else 8, 0), "textcoords": "offset points"}
    side = "right" if left else "left"
    axes.annotate(text, (x, y), color=INK, fontsize=8, ha=side, va="center", path_effects=halo, zorder=5, **place)


def _ring(axes: Axes, x: Any, y: Any) -> None:
    axes.scatter([x], [y], s=190, facecolors="none", edgecolors=BEST, linewidths=2, clip_on=False, zorder=4)


def _colours(scores_N: np.ndarray) -> Any:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    room = max(0.0, 0.5 - np.ptp(scores_N) / 2)  # scores that are all alike are not to look different
    return ScalarMappable(Normalize(scores_N.min() - room, scores_N.max() + room), "viridis")


def _scale(axes: Axes, letter: str, dimension: Range) -> None:
    """Name, scale and ends of the x or the y axis."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    scale = "log" if dimension.log else "linear"
    axes.set(**{f"{letter}scale": scale, f"{letter}lim": (dimension.low, dimension.high)})
    axes.set(**{f"{letter}label": dimension.name})
    axis = axes.xaxis if letter == "x" else axes.yaxis
    if dimension.log:
        few = dimension.high / dimension.low < 300
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
        axis.set_major_formatter(lambda value, place: f"{value:g}")
        axis.set_minor_formatter(lambda value, place: "")
    elif isinstance(dimension.low, int):
        axis.set_major_locator(MaxNLocator(integer=True))


def _scores(scored: Sequence[Trial], metric: str) -> np.ndarray:
    """(N,) in percent."""
    return np.array([100 * (trial.score(metric) or 0) for trial in scored])


def _share(dimension: Range, value: Value) -> float:
    """Where a value lies between the ends of its range, 0 to 1, on its scale."""
    low, high, at = (_on_scale(dimension, float(number)) for number in (dimension.low, dimension.high, value or 0))
    return (at - low) / (high - low)


def _value(dimension: Range, share_G: np.ndarray) -> np.ndarray:
    """The values at shares of a range."""
    low, high = _on_scale(dimension, dimension.low), _on_scale(dimension, dimension.high)
    at_G = low + share_G * (high - low)
    return np.exp(at_G) if dimension.log else at_G


def _on_scale(dimension: Range, number: float) -> float:
    return float(np.log(number)) if dimension.log else float(number)

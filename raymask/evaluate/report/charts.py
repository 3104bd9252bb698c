"""The report's charts as SVG, each complete in itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from raymask.evaluate.measures import Line, Scored

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#1f5fa8", "#c2571a", "#2b7a4b", "#8a3d8f", "#7a6a1e", "#3a7f8c")
"""One a recogniser; after six they come again with other marks on the lines."""
INK, FAINT, SAME, DIFFERENT = "#22303c", "#d8dee4", "#2b7a4b", "#b23a48"
LEAST_FAR = 1e-4
"""Where the ROC's axis begins."""
LEAST_FNIR = 1e-3
"""Where the DET's axis of people not found begins."""


def data_uri(kind: str, data: bytes) -> str:
    """Bytes as an address that holds them."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def cmc_chart(lines: Mapping[str, list[Line]]) -> str:
    """Cumulative match curves, by recogniser: bare solid, masked dashed, clean ones dotted. Returns a data URI."""
    figure, axes = _canvas()
    _draw(axes, lines)
    lowest = min(float(line.y.min()) for part in lines.values() for line in part)
    axes.set(xlabel="among the first k people", ylabel="% of probes", ylim=(max(0, 100 * lowest - 4), 101))
    axes.locator_params(axis="x", integer=True)
    return _finish(figure, axes)


def roc_chart(lines: Mapping[str, list[Line]]) -> str:
    """ROC curves, by recogniser, false accepts on a logarithmic axis. Returns a data URI."""
    figure, axes = _canvas()
    drawn = {
        name: [Line(label=line.label, x=np.maximum(line.x, LEAST_FAR), y=line.y) for line in part]
        for name, part in lines.items()
    }
    _draw(axes, drawn)
    axes.set(xscale="log", xlim=(LEAST_FAR, 1), xlabel="false accepts (share of different pairs)")
    axes.set(ylabel="% of same pairs accepted", ylim=(0, 101))
    return _finish(figure, axes)


def det_chart(lines: Mapping[str, list[Line]]) -> str:
    """Detection error trade-off, by recogniser, both axes logarithmic. Returns a data URI."""
    figure, axes = _canvas()
    drawn = {
        name: [Line(label=line.label, x=line.x, y=np.maximum(line.y, LEAST_FNIR)) for line in part]
        for name, part in lines.items()
    }
    _draw(axes, drawn)
    axes.set(xscale="log", yscale="log", ylim=(100 * LEAST_FNIR, 100))
    axes.set_yticks(ticks := [0.1, 1, 10, 100], [f"{tick:g}" for tick in ticks])
    axes.set(xlabel="FPIR: share of strangers' searches that return somebody", ylabel="FNIR: % of enrolled not found")
    return _finish(figure, axes)


def _draw(axes: Axes, lines: Mapping[str, list[Line]]) -> None:
    for number, (name, part) in enumerate(lines.items()):
        for line in part:
            axes.plot(
                line.x,
                100 * line.y,
                color=COLOURS[number % len(COLOURS)],
                linestyle={"masked": "--", "clean": ":"}.get(line.label, "-"),
                marker=None if number < len(COLOURS) else ".",
                linewidth=1.8,
                label=f"{name}, {line.label}" if line.label else name,
            )


def score_chart(scored: Scored, same: str, different: str) -> str:
    """How the scores of right and of wrong people lie. Returns a data URI."""
    figure, axes = _canvas(height=2.6)
    both = np.concatenate([scored.same, scored.different])
    low, high = (float(both.min()), float(both.max())) if len(both) else (-1.0, 1.0)
    bins = np.linspace(low, max(high, low + 1e-6), 50)
    for values, colour, label in ((scored.same, SAME, same), (scored.different, DIFFERENT, different)):
        shares = np.histogram(values, bins)[0] * 100 / max(len(values), 1)
        axes.stairs(shares, bins, fill=True, color=colour, alpha=0.35)
        axes.stairs(shares, bins, color=colour, linewidth=1.3, label=label)
    axes.set(xlabel="cosine similarity", ylabel="%", ylim=(0, 1.35 * axes.get_ylim()[1]))  # room for the legend
    return _finish(figure, axes)


def _canvas(height: float = 3.4) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, height), layout="constrained")
    axes = figure.add_subplot()
    frame(axes)
    return figure, axes


def frame(axes: Axes) -> None:
    """The look of all charts: two axes, a faint grid behind."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#9aa7b3")
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=INK, fontsize=9.5)


def _finish(figure: Figure, axes: Axes) -> str:
    axes.legend(frameon=False, fontsize=8.5, labelcolor=INK)
    buffer = io.BytesIO()
    settings: dict[str, Any] = {"format": "svg", "transparent": True, "metadata": {"Date": None}}
    figure.savefig(buffer, **settings)
    return data_uri("image/svg+xml", buffer.getvalue())

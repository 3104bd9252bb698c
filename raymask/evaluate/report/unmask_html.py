"""The report of protocol `unmask`, and its picture grid as a file of its own."""

from __future__ import annotations

import io
from typing import NamedTuple

import cv2
import numpy as np

from raymask.evaluate.protocols.unmask_fillers import FILLERS
from raymask.evaluate.protocols.unmask_result import HIGHER_IS_BETTER, TITLES, Example, UnmaskEvaluation, shown
from raymask.evaluate.report.charts import data_uri
from raymask.evaluate.report.pages import render_page, said_settings
from raymask.faces.images import encode_jpeg
from raymask.storage import Folder

TILE, GAP, HEAD = 150, 4, 22
"""Pixels of the grid: a picture's side, between pictures, and of the heading."""


class Cell(NamedTuple):
    """A picture of the grid."""

    title: str
    pixels: np.ndarray
    """(S, S, 3) uint8 RGB."""


def write_unmask_report(done: UnmaskEvaluation, out: Folder) -> None:
    """Write `report.html` and `grid.png`. Raises DataError if they cannot be written."""
    names = done.names()
    rows = [_cells(example, names) for example in done.examples]
    page = render_page(
        "unmask.html.j2",
        done=done,
        names=names,
        titles=TITLES,
        higher_is_better=HIGHER_IS_BETTER,
        best=_best(done),
        shown=shown,
        rows=[
            {
                "cells": [(cell.title, data_uri("image/jpeg", encode_jpeg(_tile(cell), quality=85))) for cell in cells],
                "who": example.photo.identity.replace("_", " "),
                "look": example.look.replace(":", ", "),
            }
            for example, cells in zip(done.examples, rows, strict=True)
        ],
        settings=said_settings(done.table()),
    )
    out.write("report.html", page.encode())
    out.write("grid.png", _grid(rows))


def _best(done: UnmaskEvaluation) -> dict[str, str]:
    """By measure, the method with the best value."""
    best = {}
    for key, better in HIGHER_IS_BETTER.items():
        values = {method: figures[key].value for method, figures in done.figures.items()}
        best[key] = (max if better else min)(values, key=values.__getitem__)
    return best


def _cells(example: Example, names: dict[str, str]) -> list[Cell]:
    """Bare, masked, map found, edges, and what each method made of it."""
    edges = np.zeros((8, 8), np.uint8) if example.edges is None else example.edges
    cells = [
        Cell("bare", example.bare),
        Cell("masked", example.masked),
        Cell("map found", cv2.cvtColor(example.mask_map, cv2.COLOR_GRAY2RGB)),
        Cell("edges", cv2.cvtColor(edges, cv2.COLOR_GRAY2RGB)),
    ]
    made = [method for method in example.filled if method not in FILLERS]
    alone = len(made) == 1
    cells += [Cell("unmasked" if alone else names[method], example.filled[method]) for method in made]
    return [*cells, *(Cell(method, example.filled[method]) for method in ("Telea", "mean colour"))]


def _tile(cell: Cell) -> np.ndarray:
    shrinks = len(cell.pixels) > TILE
    return cv2.resize(cell.pixels, (TILE, TILE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST)


def _grid(rows: list[list[Cell]]) -> bytes:
    """PNG with a heading over each column."""
    from PIL import Image, ImageDraw, ImageFont

    columns = len(rows[0]) if rows else 1
    size = (columns * (TILE + GAP) - GAP, HEAD + len(rows) * (TILE + GAP))
    sheet = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            if row == 0:
                pen.text((column * (TILE + GAP) + TILE / 2, HEAD / 2), cell.title, "#22303c", font, anchor="mm")
            sheet.paste(Image.fromarray(_tile(cell)), (column * (TILE + GAP), HEAD + row * (TILE + GAP)))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()

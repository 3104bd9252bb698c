import numpy as np

from raymask.faces.edges import draw_edges, grey


def square_on_grey():
    photo = np.full((64, 64, 3), 60, np.uint8)
    photo[20:44, 20:44] = 200
    return photo


def test_a_squares_outline_is_drawn():
    edges = draw_edges(square_on_grey())
    assert set(np.unique(edges)) == {0.0, 1.0}
    ys, xs = np.nonzero(edges)
    assert edges.sum() > 80
    assert (np.minimum.reduce([abs(ys - 20), abs(ys - 43), abs(xs - 20), abs(xs - 43)]) <= 1).all()


def test_no_edge_is_drawn_where_nothing_is_known_or_along_its_border():
    photo = square_on_grey()
    known = np.ones((64, 64), bool)
    known[32:, :] = False
    photo[32:] = 255  # what hides the lower half must not show
    edges = draw_edges(photo, known=known)
    assert edges[31:].sum() == 0
    assert edges[:30].sum() > 20


def test_grey_weighs_colours_as_eyes_do():
    shades = grey(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8))
    assert np.allclose(shades, [[0.299, 0.587, 0.114, 1.0]])

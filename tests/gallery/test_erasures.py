"""The list of the erased."""

from datetime import UTC, datetime

from raymask.gallery.erasures import Erasures


def test_the_list_of_erasures_names_nobody():
    then = datetime(2026, 1, 1, tzinfo=UTC)
    erasures = Erasures().begun("ann", then)
    assert "ann" not in str(erasures.as_json())
    assert erasures.covers("ann", then)
    assert not erasures.covers("ann", datetime(2026, 1, 2, tzinfo=UTC))
    assert not erasures.covers("bob", then)
    assert Erasures.from_json(erasures.as_json(), "erasures.json") == erasures

"""Objects that others add, found by name."""

import sys
from pathlib import Path

import pytest

from raymask.errors import ConfigError
from raymask.plugins import find, installed

GROUP = "raymask.things"


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed packages: acme offers three things, of which one works."""
    (tmp_path / "acme_things.py").write_text(
        "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\nTHING = 7\n"
    )
    (tmp_path / "acme_broken.py").write_text("raise KeyError('lost')\n")
    made = tmp_path / "acme-1.0.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (made / "entry_points.txt").write_text(
        f"[{GROUP}]\nacme = acme_things:THING\nbroken = acme_broken:THING\nabsent = acme_things:NO_SUCH\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("acme_things", "acme_broken"):
        sys.modules.pop(name, None)


def test_an_entry_point_is_imported_when_it_is_asked_for_and_not_before(site):
    assert installed(GROUP) == ("absent", "acme", "broken")
    assert not (site / "ran").exists()
    assert find(GROUP, "acme", ("own",), "thing") == 7
    assert (site / "ran").exists()


def test_an_attribute_of_a_module(site):
    assert find(GROUP, "python:acme_things:THING", (), "thing") == 7
    assert installed("raymask.others") == ()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("acne", "thing 'acne' is unknown; the nearest are acme"),
        ("owm", "thing 'owm' is unknown; the nearest are own"),
        ("zzzzz", "thing 'zzzzz' is unknown; choose one of absent, acme, broken, own"),
        ("broken", "thing broken: its package cannot be imported: KeyError: 'lost'"),
        ("absent", "thing absent: its package cannot be imported: AttributeError: .*NO_SUCH"),
        ("python:acme_things", "thing 'python:acme_things': it takes python:MODULE:ATTRIBUTE"),
        ("python::x", "it takes python:MODULE:ATTRIBUTE"),
        ("python:no_such_module:x", "No module named 'no_such_module'; is its folder on PYTHONPATH"),
        ("python:acme_broken:x", "thing 'python:acme_broken:x': its module cannot be imported: KeyError: 'lost'"),
        ("python:acme_things:x", "thing 'python:acme_things:x': .*no attribute 'x'"),
    ],
)
def test_bad_names_are_told_in_one_sentence_and_the_rest_works(site, name, said):
    with pytest.raises(ConfigError, match=said) as told:
        find(GROUP, name, ("own",), "thing")
    assert "\n" not in str(told.value)
    assert find(GROUP, "acme", (), "thing") == 7


def test_the_documented_example_is_the_one_that_the_tests_use():
    root = Path(__file__).parent.parent
    shown = (root / "docs" / "own_models.md").read_text()
    outside = root / "tests" / "support" / "outside"
    assert (outside / "acme_faces.py").read_text() in shown
    for line in (outside / "acme_faces-1.0.dist-info" / "entry_points.txt").read_text().splitlines():
        name, _, target = line.partition(" = ")
        if target and "broken" not in name:
            assert f'{name} = "{target}"' in shown

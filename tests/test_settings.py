import json
from dataclasses import asdict, dataclass, field

import pytest

from raymask.settings import from_mapping


@dataclass(frozen=True, kw_only=True)
class Inner:
    size: int = 1


@dataclass(frozen=True, kw_only=True)
class Outer:
    names: tuple[str, ...]
    data: str | tuple[str, ...] = "one"
    masks: tuple[str, ...] | None = None
    inner: Inner = field(default_factory=Inner)
    others: dict[str, dict[str, int]] = field(default_factory=dict)


@pytest.mark.parametrize(
    "made",
    [
        Outer(names=()),
        Outer(names=("a", "b"), data=("c", "d"), masks=("e",), inner=Inner(size=2), others={"f": {"size": 3}}),
    ],
)
def test_what_became_json_becomes_the_same_dataclass_again(made):
    assert from_mapping(Outer, asdict(made)) == made
    assert from_mapping(Outer, json.loads(json.dumps(asdict(made)))) == made


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"names": [], "more": 1}, "more"), ({}, "names"), ({"names": [], "inner": {"sise": 1}}, "sise")],
)
def test_fields_that_are_unknown_or_missing_are_refused(settings, said):
    with pytest.raises(TypeError, match=said):
        from_mapping(Outer, settings)

"""The end of the demonstration: the models that come with raymask answer over HTTP who a masked person is."""

import json

import pytest

from raymask.demo import identify_one
from raymask.models.shipped import SHIPPED


@pytest.mark.faults
def test_a_masked_person_is_identified_over_http(prepared, demo_faces, ray_cluster, tmp_path, capsys):
    splits = json.loads((prepared / "splits.json").read_text())
    answer = identify_one(str(SHIPPED / "fused"), str(demo_faces), splits, tmp_path)
    enrolled = [person for person, split in splits.items() if split == "test"]
    (face,) = answer["faces"]
    assert {candidate["identity"] for candidate in face["candidates"]} == set(enrolled)
    assert face["masked"]
    shown = capsys.readouterr().out
    (asked,) = [person for person in enrolled if f"who is {person}, in a mask?" in shown]
    assert face["candidates"][0]["identity"] == asked
    assert f"{asked}  <- it is" in shown
    assert f"decision: {face['decision']}" in shown

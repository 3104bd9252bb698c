"""From what the demonstration trains to an answer over HTTP."""

import json

from raymask.demo import identify_one
from raymask.evaluate.fuse import fuse
from raymask.evaluate.fuse_config import FuseConfig
from raymask.models.bundle import save_bundle
from raymask.models.config import MaskFaceNetConfig
from raymask.models.embedder import MaskFaceNet


def test_from_bundles_to_an_answer_over_http(prepared, demo_faces, unmask_bundles, ray_cluster, tmp_path, capsys):
    segmenter, inpainter = unmask_bundles
    embedder = save_bundle(
        tmp_path / "embedder", MaskFaceNet(MaskFaceNetConfig(backbone="resnet18", input_size=64)), preprocessing={}
    )
    fused = fuse(
        FuseConfig(
            recognisers=(f"bundle:{embedder}", f"mrii:{segmenter},{inpainter},dlib"),
            images=str(demo_faces),
            people=f"{prepared}/splits.json:val",
            out=str(tmp_path / "fused"),
        )
    )
    splits = json.loads((prepared / "splits.json").read_text())
    answer = identify_one(str(fused.folder), str(demo_faces), splits, tmp_path)
    enrolled = [person for person, split in splits.items() if split == "test"]
    (face,) = answer["faces"]
    assert {candidate["identity"] for candidate in face["candidates"]} == set(enrolled)
    assert face["masked"]
    shown = capsys.readouterr().out
    (asked,) = [person for person in enrolled if f"who is {person}, in a mask?" in shown]
    assert f"{asked}  <- it is" in shown
    assert f"decision: {face['decision']}" in shown

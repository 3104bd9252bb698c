"""Fusions of one recogniser: what differs from those of several (`protocols/test_unmask.py`), and what does not."""

import json
from dataclasses import replace

import numpy as np

from raymask.evaluate import load_recogniser
from raymask.evaluate.calibrate import fuse
from raymask.evaluate.calibrate_config import FuseConfig
from raymask.faces.images import decode_photo
from raymask.models import load_bundle


def test_thresholds_of_one_network_are_calibrated_as_those_of_several(demo_faces, tmp_path):
    names = sorted(path.name for path in demo_faces.iterdir())
    (tmp_path / "splits.json").write_text(json.dumps(dict.fromkeys(names[:3], "val")))
    one = FuseConfig(
        recognisers=("sface",),
        images=str(demo_faces),
        people=f"{tmp_path}/splits.json:val",
        out=str(tmp_path / "one"),
        max_photos=4,
        draws=5,
    )
    done = fuse(one)
    assert done.weights == {"sface": 1}
    assert done.rank1["fused"] == done.rank1["sface"]
    fuse(replace(one, recognisers=("sface", "dlib"), out=str(tmp_path / "both")))
    (alone,) = load_bundle(tmp_path / "one", "Fusion").config["metrics"]["thresholds_of_parts"]
    beside, _ = load_bundle(tmp_path / "both", "Fusion").config["metrics"]["thresholds_of_parts"]
    assert dict(done.thresholds) == alone == beside

    photos = [decode_photo(path.read_bytes(), path.name) for path in sorted(demo_faces.glob("*/*.jpg"))[:3]]
    wanted, found = load_recogniser("sface").embed([*photos, np.zeros((90, 90, 3), np.uint8)])
    embeddings, found_again = load_recogniser(f"fused:{tmp_path}/one").embed([*photos, np.zeros((90, 90, 3), np.uint8)])
    assert found.tolist() == found_again.tolist() == [True, True, True, False]
    assert np.allclose(embeddings, wanted, atol=1e-6)

"""Bulk enrolment: what it enrols is what the service would, and it goes on where it was interrupted."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from support.galleries import nearest

from raymask.errors import DataError
from raymask.evaluate import load_recogniser
from raymask.faces.images import decode_photo
from raymask.gallery.reader import GalleryReader
from raymask.gallery.store import GalleryStore
from raymask.serve.core.enrolment import ENROLLED_LOOKS
from raymask.serve.on_ray.bulk import EnrolWorker, enrol
from raymask.serve.on_ray.bulk_config import EnrolConfig
from raymask.storage import Folder

pytestmark = pytest.mark.usefixtures("ray_cluster")


@pytest.fixture
def folder(demo_faces, tmp_path):
    """Two people with three photos each, and files that cannot be enrolled."""
    root = tmp_path / "faces"
    for person in sorted(demo_faces.iterdir())[:2]:
        (root / person.name).mkdir(parents=True)
        for photo in sorted(person.glob("*.jpg"))[:3]:
            shutil.copy(photo, root / person.name)
    name = sorted(root.iterdir())[0].name
    (root / name / "torn.jpg").write_bytes(b"\xff\xd8 torn")
    (root / "stray.jpg").write_bytes(b"")
    return root


@pytest.mark.faults
def test_a_folder_is_enrolled_as_the_service_does_and_a_second_run_adds_what_is_new(
    folder, fused_bundle, tmp_path, plan, ray_cluster
):
    gallery = str(tmp_path / "gallery")
    config = EnrolConfig(
        images=str(folder), gallery=gallery, fused=str(fused_bundle), dropped=str(tmp_path / "dropped.json"), keep=True
    )
    late = sorted(folder.glob("*/*.jpg"))[-1]
    kept = late.read_bytes()
    late.unlink()
    first = enrol(config)
    assert (first.new, first.known, len(first.dropped)) == (5, 0, 2)
    dropped = json.loads((tmp_path / "dropped.json").read_text())
    listed = {item["image_id"].rsplit("/")[-1]: item["reason"] for item in dropped}
    assert "torn.jpg" in listed["torn.jpg"]
    assert "not in a person's folder" in listed["stray.jpg"]

    late.write_bytes(kept)
    second = enrol(config)
    assert (second.new, second.known, len(second.dropped)) == (1, 5, 2)
    reader = GalleryReader(gallery, plan.space)
    assert reader.rows == 6
    probe, _ = load_recogniser(f"fused:{fused_bundle}").embed([decode_photo(kept, "late")])
    best = nearest(reader, probe[0], 1)[0]
    assert best.identity == late.parent.name
    assert best.score == pytest.approx(1, abs=1e-4), "as evaluation embeds it"
    photo = next(one for one in reader.photos(late.parent.name) if reader.picture(late.parent.name, one.key) == kept)
    assert photo.kept


@pytest.mark.faults
def test_prepared_faces_are_enrolled_from_their_crops_with_masks(prepared, fused_bundle, tmp_path, plan):
    faces = tmp_path / "prepared"
    shutil.copytree(prepared, faces, ignore=shutil.ignore_patterns("split=train", "split=test"))
    rows = sum(pq.read_metadata(file).num_rows for file in faces.rglob("*.parquet") if "split=" in str(file))
    assert rows > 5
    gallery = str(tmp_path / "gallery")
    done = enrol(EnrolConfig(images=str(faces), gallery=gallery, fused=str(fused_bundle), with_masks=True))
    assert (done.new, done.dropped) == (rows, [])
    reader = GalleryReader(gallery, plan.space)
    looks = [photo.looks for name, _ in reader.identities() for photo in reader.photos(name)]
    assert len(looks) == rows
    assert set().union(*looks) == set(ENROLLED_LOOKS)
    assert np.mean([len(one) for one in looks]) > 1.5, "most masks leave a face that is found"


@pytest.mark.faults
def test_storage_that_fails_ends_the_run_and_drops_no_photo(folder, fused_bundle, tmp_path, ray_cluster, monkeypatch):
    import ray

    config = EnrolConfig(images=str(folder), gallery=str(tmp_path / "gallery"), fused=str(fused_bundle))
    worker = EnrolWorker(config, ray.put(set()))

    tried = []

    def fails(_folder, name):
        tried.append(name)
        raise DataError(f"{name} cannot be read (credentials expired); try again")

    monkeypatch.setattr(Folder, "read", fails)
    done = worker({"unit": json.dumps([["ann", "ann/1.jpg"]])})
    assert "credentials expired" in done["error"]
    assert len(tried) == 3, "one hiccup in hours ends nothing"
    assert done["dropped"] == "[]"


@pytest.mark.faults
def test_a_damaged_prepared_file_and_a_list_that_cannot_be_written_end_the_run_by_name(
    prepared, fused_bundle, tmp_path, plan
):
    faces, gallery = tmp_path / "prepared", str(tmp_path / "gallery")
    shutil.copytree(prepared, faces, ignore=shutil.ignore_patterns("split=train", "split=test"))
    (file,) = faces.rglob("split=val/*.parquet")
    (tmp_path / "file").write_text("")
    config = EnrolConfig(
        images=str(faces), gallery=gallery, fused=str(fused_bundle), dropped=str(tmp_path / "file" / "dropped.json")
    )
    with pytest.raises(DataError, match=r"dropped\.json cannot be written"):
        enrol(config)
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(DataError, match=rf"{file.name} cannot be read .*prepare again"):
        enrol(replace(config, dropped=None))
    assert GalleryReader(gallery, plan.space).rows == 0
    (faces / "summary.json").write_text('{"rows"')
    with pytest.raises(DataError, match=r"summary\.json is damaged"):
        enrol(replace(config, dropped=None))


def test_a_gallery_in_service_and_a_torn_preparation_are_refused(folder, fused_bundle, tmp_path, plan):
    gallery = str(tmp_path / "gallery")
    config = EnrolConfig(images=str(folder), gallery=gallery, fused=str(fused_bundle))
    with GalleryStore(gallery, plan.space), pytest.raises(DataError, match="written by another process"):
        enrol(config)
    (folder / "plan.json").write_text("{}")
    with pytest.raises(DataError, match="not prepared to the end"):
        enrol(config)

"""Teachers: dlib's network in torch is dlib's, gradients reach the pixels, faces are aligned as recognisers do it."""

import dlib
import numpy as np
import pytest
import torch
from support.tiny_onnx import average_pooling
from torch.nn.functional import normalize

from raymask.errors import ConfigError, ModelError
from raymask.faces import detect, subject
from raymask.faces.alignment import align
from raymask.faces.crop import Square
from raymask.faces.images import decode_photo
from raymask.faces.landmarks.dlib_models import dlib_model
from raymask.models import save_bundle
from raymask.models.config import MaskFaceNetConfig
from raymask.models.networks.dlib_network import DlibNetwork
from raymask.models.networks.maskfacenet import MaskFaceNet
from raymask.models.teacher import load_teacher

WEIGHTS = "dlib_face_recognition_resnet_model_v1.dat"


@pytest.fixture(scope="module")
def teacher():
    return load_teacher("dlib")


@pytest.fixture(scope="module")
def faces(demo_faces):
    """Crops (B, 3, 224, 224) of 0 to 1, the five points, and the whole photos with their faces."""
    crops, points, photos = [], [], []
    for path in sorted(demo_faces.glob("*/*.jpg"))[::16]:
        photo = decode_photo(path.read_bytes(), path.name)
        face = subject(detect(photo), photo.shape)
        square = Square.around(face.box)
        crops.append(square.cut(photo))
        points.append(square.to_crop(face.points))
        photos.append((photo, face))
    pixels = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255
    return pixels, torch.from_numpy(np.stack(points)), photos


def test_the_torch_network_is_dlibs(faces):
    path = dlib_model(WEIGHTS)
    photos = [photo for photo, _ in faces[2]]
    chips = []
    for photo, face in faces[2]:
        parts = [dlib.point(round(float(x)), round(float(y))) for x, y in face.landmarks]
        shape = dlib.full_object_detection(dlib.rectangle(0, 0, *photo.shape[1::-1]), parts)
        chips.append(dlib.get_face_chip(photo, shape, size=150, padding=0.25))
    assert len(photos) >= 3
    wanted = np.array(dlib.face_recognition_model_v1(str(path)).compute_face_descriptor(chips))
    with torch.no_grad():
        found = DlibNetwork(path)(torch.from_numpy(np.stack(chips)).permute(0, 3, 1, 2).float()).numpy()
    assert np.abs(found - wanted).max() < 2e-6


def test_other_files_are_not_taken_for_dlibs(tmp_path):
    (tmp_path / "other.dat").write_bytes(b"\x01\x02" * 1000)
    with pytest.raises(ModelError, match="is not dlib's face network"):
        DlibNetwork(tmp_path / "other.dat")
    cut = dlib_model(WEIGHTS).read_bytes()[:-40_000]
    (tmp_path / "cut.dat").write_bytes(cut)
    with pytest.raises(ModelError, match="or is damaged"):
        DlibNetwork(tmp_path / "cut.dat")


def test_a_face_is_nearer_to_its_smaller_self_than_to_others(teacher, faces):
    crops, points, _ = faces
    small = torch.nn.functional.interpolate(crops, size=(112, 112), mode="area")
    whole, half = teacher(crops, points), teacher(small, (points + 0.5) / 2 - 0.5)
    similar = (whole.embedding @ half.embedding.T).detach()
    assert similar.argmax(1).tolist() == list(range(len(crops)))
    assert similar.diagonal().min() > 0.98


def test_gradients_reach_the_pixels_and_the_teacher_stays(teacher, faces):
    crops, points = faces[0].clone().requires_grad_(), faces[1]
    impression = teacher(crops, points)
    (impression.embedding.sum() + sum(one.sum() for one in impression.maps)).backward()
    assert (crops.grad.abs().sum((1, 2, 3)) > 0).all()
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert not teacher.train().network.training


def test_maps_come_finest_first_with_mean_square_one(teacher, faces):
    maps = teacher(*faces[:2]).maps
    assert [one.shape[-1] for one in maps] == sorted({one.shape[-1] for one in maps}, reverse=True)
    for one in maps:
        seen = one.square().mean(1)
        alive = seen > 1e-6  # where no channel answers there is nothing to scale
        assert alive.float().mean() > 0.5
        assert torch.allclose(seen[alive], torch.ones_like(seen[alive]), atol=1e-2)


def test_an_onnx_teacher_sees_what_the_recogniser_sees(faces, tmp_path):
    file = tmp_path / "tiny.onnx"
    file.write_bytes(average_pooling(("N", 3, 112, 112), ("N", 48)))
    teacher = load_teacher(f"onnx:{file}")
    crops, points, photos = faces
    seen = teacher.aligned(crops, points)
    for number, (photo, face) in enumerate(photos):
        wanted = align(photo, face.points)
        off = np.abs(seen[number].permute(1, 2, 0).numpy() * 255 - wanted.astype(float))
        assert np.median(off) < 6  # the crop was resampled once more
    embedding = teacher(crops, points).embedding
    assert embedding.shape == (len(crops), 48)


def test_laid_back_maps_lie_where_the_face_is(teacher, faces):
    crops, points, _ = faces
    back = teacher.unaligned(teacher.aligned(crops, points), points, 224)
    middle = (slice(None), slice(None), slice(90, 140), slice(90, 140))
    assert (back[middle] - crops[middle]).abs().median() < 0.03


def test_a_bundle_teaches_too_by_what_it_makes_of_one_look(tmp_path, faces):
    settings = {"backbone": "resnet18", "input_size": 64, "embedding_size": 16}
    network = MaskFaceNet(MaskFaceNetConfig(**settings, mirrored=True, tilted=4))
    teacher = load_teacher(f"bundle:{save_bundle(tmp_path / 'b', network, preprocessing={})}")
    seen = teacher(*faces[:2])
    once = MaskFaceNet(MaskFaceNetConfig(**settings)).eval()
    once.load_state_dict(network.state_dict())
    given = once(teacher.aligned(*faces[:2]) * 255)
    torch.testing.assert_close(seen.embedding, normalize(given, dim=1), rtol=1e-4, atol=1e-5)
    assert {len(one) for one in seen.maps} == {len(faces[0])}


@pytest.mark.parametrize("spec", ["facenet", "dlib:x", "dlib:", "onnx", "onnx:", "bundle"])
def test_unknown_teachers_are_refused(spec):
    with pytest.raises(ConfigError, match=r"is unknown; it takes one of sface\[:FILE\], dlib, onnx:FILE, bundle:DIR"):
        load_teacher(spec)


def test_files_that_are_missing_or_no_networks_are_named(tmp_path):
    with pytest.raises(ModelError, match=r"x\.onnx: there is no such file"):
        load_teacher("onnx:x.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    with pytest.raises(ModelError, match=r"bad\.onnx cannot be learned from"):
        load_teacher(f"onnx:{tmp_path / 'bad.onnx'}")

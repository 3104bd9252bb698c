"""The invented people: deterministic, anatomically ordered, taken for faces by real tools, and told apart by them."""

import dataclasses
import importlib.util
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from raymask.demo_faces import DemoPhoto, Person, Shot, render, write_demo_faces
from raymask.errors import ConfigError, DataError

FRONTAL = {"yaw_degrees": 0.0, "pitch_degrees": 0.0, "roll_degrees": 0.0}


@pytest.fixture(scope="module")
def photos() -> list[DemoPhoto]:
    return [render(Person.invent(seed), Shot.invent(seed)) for seed in range(12)]


@pytest.fixture(scope="module")
def benchmark_script() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "demo_faces.py"
    spec = importlib.util.spec_from_file_location("benchmark_demo_faces", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_same_seeds_same_bytes() -> None:
    first = render(Person.invent(3), Shot.invent(4))
    second = render(Person.invent(3), Shot.invent(4))
    assert first.image.tobytes() == second.image.tobytes()
    assert first.landmarks.tobytes() == second.landmarks.tobytes()
    assert Person.invent(3) == Person.invent(3) != Person.invent(4)
    assert Shot.invent(3) == Shot.invent(3) != Shot.invent(4)


def test_same_bytes_in_another_process() -> None:
    script = (
        "import hashlib; from raymask.demo_faces import *;"
        "print(hashlib.sha256(render(Person.invent(3), Shot.invent(4)).image.tobytes()).hexdigest())"
    )
    runs = {subprocess.run([sys.executable, "-c", script], check=True, capture_output=True).stdout for _ in range(2)}
    assert len(runs) == 1


def test_photo_of_an_earlier_person_does_not_change_the_next() -> None:
    alone = render(Person.invent(8), Shot.invent(1)).image
    for seed in range(20, 26):
        render(Person.invent(seed), Shot.invent(2))
    assert np.array_equal(render(Person.invent(8), Shot.invent(1)).image, alone)


def test_shapes_and_types(photos: list[DemoPhoto]) -> None:
    for photo in photos:
        assert photo.image.shape == (250, 250, 3)
        assert photo.image.dtype == np.uint8
        assert photo.landmarks.shape == (68, 2)
        assert photo.landmarks.dtype == np.float32
        assert photo.box.shape == (4,)
        assert photo.box.dtype == np.float32


@pytest.mark.parametrize("size", [64, 400])
def test_size_scales_the_photo_and_its_landmarks(size: int) -> None:
    usual = render(Person.invent(1), Shot.invent(1))
    other = render(Person.invent(1), Shot.invent(1), size)
    assert other.image.shape == (size, size, 3)
    np.testing.assert_allclose((other.landmarks + 0.5) / size, (usual.landmarks + 0.5) / 250, atol=1e-4)


def test_landmarks_lie_inside_the_photo(photos: list[DemoPhoto]) -> None:
    for photo in photos:
        assert photo.landmarks.min() > 0
        assert photo.landmarks.max() < 249


def test_landmarks_have_dlibs_order_on_upright_faces() -> None:
    for seed in range(12):
        x, y = render(Person.invent(seed), dataclasses.replace(Shot.invent(seed), **FRONTAL)).landmarks.T
        assert (np.diff(x[0:17]) > 0).all()
        assert y[8] == y.max()
        assert (np.diff(x[17:27]) > 0).all()
        assert (np.diff(y[27:31]) > 0).all()
        assert (np.diff(x[31:36]) > 0).all()
        assert x[36] < x[37] < x[38] < x[39] < x[42] < x[43] < x[44] < x[45]
        assert max(y[37], y[38]) < min(y[40], y[41])
        assert max(y[43], y[44]) < min(y[46], y[47])
        assert y[17:27].max() < y[36:48].min() + 8
        assert y[36:48].max() < y[30] < y[33] < y[51] <= y[62] <= y[66] < y[57] < y[8]
        assert x[48] < x[60] < x[62] < x[64] < x[54]


def test_yaw_moves_the_nose_to_its_side() -> None:
    person = Person.invent(2)
    straight, left, right = (
        render(person, dataclasses.replace(Shot.invent(5), **{**FRONTAL, "yaw_degrees": yaw})).landmarks
        for yaw in (0.0, -25.0, 25.0)
    )

    def nose(landmarks: np.ndarray) -> float:
        """Place of the tip between the sides of the face, 0 to 1."""
        return float((landmarks[30, 0] - landmarks[0, 0]) / (landmarks[16, 0] - landmarks[0, 0]))

    assert nose(left) < 0.35
    assert 0.48 < nose(straight) < 0.52
    assert nose(right) > 0.65


def test_invented_shots_cover_the_yaw_range() -> None:
    yaws = np.array([Shot.invent(seed).yaw_degrees for seed in range(300)])
    assert -25 <= yaws.min() < -23
    assert 23 < yaws.max() <= 25
    assert (np.histogram(yaws, bins=10, range=(-25, 25))[0] >= 12).all()


def test_landmarks_mark_what_is_painted() -> None:
    """The opened mouth is dark, and the pupils lie between the corners of the eyes."""
    person = dataclasses.replace(Person.invent(6), melanin=0.2, beard=0.0)
    calm = {**FRONTAL, "exposure": 0.0, "focus_blur": 0.3, "sensor_noise": 0.0, "gaze_x": 0.0, "smile": 0.0}
    photo = render(person, dataclasses.replace(Shot.invent(5), **calm, mouth_open=1.0, eye_openness=1.0), 500)
    grey = photo.image.mean(2)

    def around(point: np.ndarray, radius: int = 4) -> float:
        x, y = np.round(point).astype(int)
        return float(grey[y - radius : y + radius + 1, x - radius : x + radius + 1].mean())

    cheek = around((photo.landmarks[2] + photo.landmarks[31]) / 2)
    assert around(0.25 * photo.landmarks[62] + 0.75 * photo.landmarks[66]) < 0.5 * cheek
    for first in (36, 42):
        assert around(photo.landmarks[first : first + 6].mean(0)) < 0.75 * cheek


@pytest.mark.parametrize(("field", "value"), [("yaw_degrees", 26.0), ("exposure", float("nan"))])
def test_shot_outside_its_range_is_refused(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"Shot\.{field} is .*, but must be"):
        dataclasses.replace(Shot.invent(0), **{field: value})


def test_person_outside_their_range_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Person\.nose_length is 90.*mm"):
        dataclasses.replace(Person.invent(0), nose_length=90.0)


def test_import_loads_no_heavy_package() -> None:
    script = "import sys, raymask.demo_faces; print(*({'torch', 'ray', 'dlib', 'cv2'} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert loaded.strip() == ""


def snapshot(root: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p.relative_to(root)): (p.read_bytes(), p.stat().st_mtime_ns) for p in root.rglob("*") if p.is_file()}


def test_second_run_changes_nothing(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    root = write_demo_faces(tmp_path / "a", people=2, photos=2, size=64, report=lambda *call: calls.append(call))
    before = snapshot(root)
    assert sorted(before) == [f"person_{w:03d}/person_{w:03d}_{n:02d}.jpg" for w in range(2) for n in range(2)]
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    calls.clear()
    write_demo_faces(root, people=2, photos=2, size=64, report=lambda *call: calls.append(call))
    assert snapshot(root) == before
    assert calls == [(4, 4)]


def test_interrupted_run_is_continued(tmp_path: Path) -> None:
    whole = snapshot(write_demo_faces(tmp_path / "whole", people=2, photos=2, size=64))
    root = write_demo_faces(tmp_path / "part", people=1, photos=1, size=64)
    write_demo_faces(root, people=2, photos=2, size=64)
    assert {name: data for name, (data, _) in snapshot(root).items()} == {n: data for n, (data, _) in whole.items()}


def test_several_processes_write_what_one_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = snapshot(write_demo_faces(tmp_path / "one", people=2, photos=2, size=64))
    monkeypatch.setattr("raymask.demo_faces.write._PHOTOS_WORTH_A_PROCESS", 2)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    threads = threading.active_count()
    two = snapshot(write_demo_faces(tmp_path / "two", people=2, photos=2, size=64))
    assert {n: data for n, (data, _) in one.items()} == {n: data for n, (data, _) in two.items()}
    assert threading.active_count() == threads


def test_written_photo_is_the_rendered_one(tmp_path: Path) -> None:
    root = write_demo_faces(tmp_path, people=1, photos=1, seed=0)
    with Image.open(root / "person_000" / "person_000_00.jpg") as file:
        written = np.asarray(file, np.float32)
    rendered = render(Person.invent(0), Shot.invent(0)).image.astype(np.float32)
    assert np.abs(written - rendered).mean() < 4


def test_other_seed_writes_other_people(tmp_path: Path) -> None:
    first = snapshot(write_demo_faces(tmp_path / "a", people=1, photos=1, size=64, seed=0))
    second = snapshot(write_demo_faces(tmp_path / "b", people=1, photos=1, size=64, seed=1))
    assert first["person_000/person_000_00.jpg"][0] != second["person_000/person_000_00.jpg"][0]


def test_unwritable_root_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DataError, match=r"Cannot write demo faces to .*file: .*Choose a folder"):
        write_demo_faces(tmp_path / "file", people=1, photos=1, size=64)


@pytest.mark.parametrize(
    ("name", "value"), [("people", 0), ("photos", 0), ("people", 1000), ("seed", -1), ("size", 63), ("size", 1025)]
)
def test_bad_count_is_named(tmp_path: Path, name: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"{name} is {value}, but must be"):
        write_demo_faces(tmp_path, **{"people": 1, "photos": 1, name: value})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.faults
def test_real_tools_take_them_for_faces(benchmark_script: ModuleType) -> None:
    """MTCNN finds them, dlib's landmarks fit them, dlib's embedding tells them apart and pixels do not."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        result = benchmark_script.measure(people=20, photos=6, seed=0)
    finally:
        torch.set_num_threads(threads)
    assert result["mtcnn_found"] >= 0.99
    assert result["dlib_error"] <= 0.06
    assert min(result["embedding"].values()) >= 0.90
    assert max(result["pixels"].values()) < 0.30
    assert max(result["crop_pixels"].values()) < 0.30

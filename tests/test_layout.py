"""The rules that keep the house in order: what may import what, and how soon help answers."""

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
USES: dict[str, set[str]] = {
    "faces": set(),
    "losses": set(),
    "models": {"faces"},
    "demo_faces": {"faces"},
    "data": {"faces"},
    "recognisers": {"faces", "models"},
    "train": {"faces", "losses", "models", "data"},
    "evaluate": {"faces", "models", "data", "recognisers"},
    "tune": {"data", "train", "evaluate"},
    "gallery": set(),
    "serve": {"faces", "models", "data", "recognisers", "gallery"},
}
"""Folders of `raymask/` with the others that they may import, all of which stand before them."""


def imported_modules(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "raymask":
            names |= {f"raymask.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("folder", USES)
def test_imports_run_only_upwards(folder):
    before = list(USES)[: list(USES).index(folder)]
    assert set(before) >= USES[folder]
    for path in (ROOT / "raymask" / folder).rglob("*.py"):
        modules = imported_modules(path)
        others = {module.split(".")[1] for module in modules if module.startswith("raymask.")} & USES.keys()
        assert others <= USES[folder] | {folder}, path
        assert folder not in ("faces", "losses", "models") or not any(name.split(".")[0] == "ray" for name in modules)


def test_every_folder_has_its_place():
    assert {path.parent.name for path in (ROOT / "raymask").glob("*/__init__.py")} == USES.keys()


@pytest.mark.parametrize("package", ["faces", "models", "losses"])
def test_no_ray_is_loaded_by(package):
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "raymask" / package).rglob("*.py")
        if path.name != "__init__.py"
    ]
    script = f"import {', '.join(modules)}, sys; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=False).returncode == 0


def test_the_gallery_starts_without_torch():
    script = "import raymask.serve.on_ray.gallery_replicas, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("job", sorted(path.name for path in (ROOT / "jobs").glob("*.py")))
def test_help_loads_nothing_heavy_and_entry_points_stay_thin(job):
    path = ROOT / "jobs" / job
    assert len(path.read_text().splitlines()) < 80
    script = (
        "import runpy, sys\n"
        f"sys.path.insert(0, {str(ROOT)!r}); sys.argv = [{job!r}, '--help']\n"
        "try:\n"
        f"    runpy.run_path({str(path)!r}, run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    heavy = {'torch', 'ray', 'cv2', 'dlib'} & set(sys.modules)\n"
        "    sys.exit(f'loaded {heavy}' if heavy else end.code)\n"
    )
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--help" in done.stdout
    assert time.monotonic() - start < 20  # hangs; what keeps help under 2 s is that nothing heavy is loaded

"""What keeps the house in order: what may import what, how much stands together, how soon help answers."""

import ast
import importlib
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
USES: dict[str, set[str]] = {
    "faces": set(),
    "losses": set(),
    "models": {"faces"},
    "demo_faces": {"faces"},
    "data": {"faces"},
    "recognisers": {"faces", "models"},
    "calibration": set(),
    "train": {"faces", "losses", "models", "data"},
    "evaluate": {"faces", "models", "data", "recognisers", "calibration"},
    "tune": {"data", "train", "evaluate"},
    "gallery": set(),
    "serve": {"faces", "models", "data", "recognisers", "gallery", "calibration"},
}
"""Folders of `raymask/` with the others that they may import, all of which stand before them."""


INSIDE: dict[str, set[str]] = {
    "faces.masks": set(),
    "faces.landmarks": {"masks"},
    "faces.detection": {"landmarks"},
    "data.format": set(),
    "data.prepare": {"format"},
    "data.reading": {"format"},
    "data.augment": {"reading"},
    "train.engine": set(),
    "train.embedder": {"engine"},
    "train.staged": {"engine"},
    "train.on_ray": {"engine", "embedder", "staged"},
    "serve.core": set(),
    "serve.http": {"core"},
    "serve.on_ray": {"core", "http"},
}
"""Folders inside them with those beside them that they may import."""
RAY = ("cluster", "ray_private", "data.prepare.run", "train.on_ray", "serve.on_ray", "tune")
"""All that imports Ray."""
MOST_MODULES, MOST_LINES = 14, 60
"""Side by side in a folder, and of a function."""
CIRCLE = {f"raymask.recognisers.{name}" for name in ("kinds", "fused", "mrii", "routed")}
"""The one circle of imports: a recogniser that is made of others loads them by name."""
PROMISED = (
    *("raymask.evaluate:Recogniser", "raymask.evaluate:evaluate", "raymask.evaluate:load_recogniser"),
    *("raymask.faces:Face", "raymask.faces:detect", "raymask.faces:draw_mask", "raymask.faces:subject"),
    *("raymask.faces.images:decode_photo", "raymask.losses.quintuplet:quintuplet_loss"),
    *("raymask.models:load_bundle", "raymask.models:save_bundle", "raymask.models.unmasker:Unmasker"),
    *("raymask.data.prepare:prepare", "raymask.data.prepare:PrepareConfig", "raymask.gallery.store:GalleryStore"),
    *("raymask.evaluate.run:evaluate", "raymask.train.loop:train", "raymask.train.inpaint:train_inpainter"),
    *("raymask.serve.graph:build", "raymask.serve.pipeline:Pipeline", "raymask.errors:RaymaskError"),
)
"""Names that people's own code and files hold, since the README or a Serve configuration has named them."""


@cache
def modules() -> dict[str, Path]:
    files = (ROOT / "raymask").rglob("*.py")
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


@cache
def imported_modules(path: Path) -> frozenset[str]:
    """Every module of which a file imports something: anywhere in it, in functions and for type checking too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, path
            assert not node.level, path
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= inner & modules().keys()
            if inner - modules().keys():
                names.add(node.module)
    return frozenset(names)


def runs(name: str) -> set[str]:
    """What of raymask a module's imports run: what they name, and the packages in which that lies.

    Not the packages in which the module itself lies, which run before it.
    """
    found = set()
    for module in imported_modules(modules()[name]) & modules().keys():
        parts = module.split(".")
        above = {".".join(parts[:length]) for length in range(1, len(parts))}
        found |= {module, *(package for package in above if not name.startswith(f"{package}."))}
    return found - {name}


def circles() -> list[set[str]]:
    """Modules that import each other, directly or by others."""
    reached = {name: runs(name) for name in modules()}
    for middle in modules():  # Warshall's closure
        for name in modules():
            if middle in reached[name]:
                reached[name] = reached[name] | reached[middle]
    found: list[set[str]] = []
    for name in modules():
        circle = {other for other in reached[name] if name in reached[other]}
        if circle and circle not in found:
            found.append(circle)
    return found


@pytest.mark.parametrize("folder", USES)
def test_imports_run_only_upwards(folder):
    before = list(USES)[: list(USES).index(folder)]
    assert set(before) >= USES[folder]
    for path in (ROOT / "raymask" / folder).rglob("*.py"):
        named = imported_modules(path)
        others = {module.split(".")[1] for module in named if module.startswith("raymask.")} & USES.keys()
        assert others <= USES[folder] | {folder}, path


@pytest.mark.parametrize("folder", INSIDE)
def test_imports_inside_a_folder_run_one_way(folder):
    above, _, own = folder.rpartition(".")
    beside = {name.rpartition(".")[2] for name in INSIDE if name.startswith(f"{above}.")} - {own}
    for name in modules():
        if name.startswith(f"raymask.{folder}."):
            named = {module.split(".")[2] for module in runs(name) if module.startswith(f"raymask.{above}.")}
            assert named & beside <= INSIDE[folder], name


def test_every_folder_has_its_place():
    assert {path.parent.name for path in (ROOT / "raymask").glob("*/__init__.py")} == USES.keys()


def test_the_only_circle_of_imports_is_the_named_one():
    assert circles() == [CIRCLE]


def test_no_folder_holds_too_many_modules():
    folders = {path.parent for path in modules().values()}
    sizes = {folder: sum(path.name != "__init__.py" for path in folder.glob("*.py")) for folder in folders}
    assert {folder: size for folder, size in sizes.items() if size > MOST_MODULES} == {}


def test_no_function_is_too_long():
    for path in modules().values():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno - node.lineno < MOST_LINES, f"{path}: {node.name}"


def test_ray_is_imported_only_where_it_is_expected():
    places = tuple(f"raymask.{place}" for place in RAY)
    for name, path in modules().items():
        uses_ray = any(module.split(".")[0] == "ray" for module in imported_modules(path))
        assert not uses_ray or any(name == place or name.startswith(f"{place}.") for place in places), path


def private_names_of_ray(path: Path) -> set[str]:
    """What a file names of Ray that begins with an underscore, at whatever place of a dotted name; and such options."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "ray":
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "ray"}
        elif isinstance(node, ast.Attribute) and ast.unparse(node).startswith("ray."):
            found.add(ast.unparse(node))
        elif isinstance(node, ast.keyword) and node.arg:
            found.add(node.arg)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "__internal" in node.value:
            found.add("_internal")
    return {name for name in found if any(part.startswith("_") for part in name.split("."))}


def test_private_names_of_ray_stand_in_one_file():
    files = [*modules().values(), *(ROOT / "jobs").glob("*.py"), *(ROOT / "benchmarks").glob("*.py")]
    named = {str(path.relative_to(ROOT)): names for path in files if (names := private_names_of_ray(path))}
    assert named.keys() == {"raymask/ray_private.py"}, named
    assert {"_by_reference", "_internal", "ray.serve.context._get_global_client"} <= named["raymask/ray_private.py"]


@pytest.mark.parametrize("name", PROMISED)
def test_names_that_people_hold_stay_importable(name):
    module, _, attribute = name.partition(":")
    assert callable(getattr(importlib.import_module(module), attribute))


def test_serve_configurations_name_the_graph_as_peoples_own_do():
    for path in (ROOT / "serve_configs").glob("*.yaml"):
        applications = yaml.safe_load(path.read_text())["applications"]
        assert {application["import_path"] for application in applications} == {"raymask.serve.graph:build"}


def test_tests_lie_as_what_they_test_does():
    folders = {path.parent.relative_to(ROOT / "raymask") for path in modules().values()}
    own = {Path("jobs"), Path("support"), Path("support/outside")}
    assert {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("*.py")} <= folders | own


def loaded(script: str) -> subprocess.CompletedProcess[str]:
    """What a program says that looks at what it has loaded; one that ends well found nothing wrong."""
    return subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=False)


def test_no_ray_is_loaded_by_what_knows_none():
    packages = ("faces", "models", "losses", "recognisers")
    names = [name for name in modules() if name.startswith(tuple(f"raymask.{package}." for package in packages))]
    done = loaded(
        "import importlib, sys\n"
        f"for name in {names!r}:\n"
        "    importlib.import_module(name)\n"
        "    if 'ray' in sys.modules:\n"
        "        sys.exit(f'{name} loads ray')\n"
    )
    assert done.returncode == 0, done.stderr


def test_the_gallery_starts_without_torch():
    done = loaded("import raymask.serve.on_ray.gallery_replicas, sys; sys.exit('torch' in sys.modules)")
    assert done.returncode == 0, done.stderr


JOBS = sorted((ROOT / "jobs").glob("*.py"))


def test_entry_points_stay_thin():
    long = [path.name for path in JOBS if len(path.read_text().splitlines()) >= 80]
    assert not long


def test_help_loads_nothing_heavy():
    """What keeps help under 2 s."""
    done = loaded(
        "import runpy, sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        f"for job in {[str(path) for path in JOBS]!r}:\n"
        "    sys.argv = [job, '--help']\n"
        "    try:\n"
        "        runpy.run_path(job, run_name='__main__')\n"
        "    except SystemExit as end:\n"
        "        heavy = {'torch', 'ray', 'cv2', 'dlib'} & set(sys.modules)\n"
        "        if heavy or end.code:\n"
        "            sys.exit(f'{job} loads {heavy} and ends with {end.code}')\n"
        "    else:\n"
        "        sys.exit(f'{job} knows no --help')\n"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("--help") >= len(JOBS)

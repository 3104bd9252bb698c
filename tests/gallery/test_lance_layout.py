"""Lance lays its files out as raymask believes: an upgrade that changes this fails here, and says what."""

from pathlib import Path

import pyarrow as pa
import pytest

from raymask.gallery import lance_layout
from raymask.gallery.lance_layout import delete_manifests, manifest_name, says_absent, versions

MEND = "Lance has changed its files: mend raymask/gallery/lance_layout.py, or keep the previous version of pylance"


@pytest.fixture
def table(tmp_path) -> Path:
    """Three versions of a row each."""
    import lance  # not before other tests have forked, of which lance would warn

    for number in range(3):
        rows = pa.table({"number": [number]})
        lance.write_dataset(rows, str(tmp_path / "table"), mode="append" if number else "create")
    return tmp_path / "table"


def test_folders_and_files_are_called_as_we_know_them(table):
    assert {"_versions", "data"} <= {path.name for path in table.iterdir()}, MEND
    assert {path.name for path in (table / "_versions").iterdir()} == {
        "18446744073709551614.manifest",
        "18446744073709551613.manifest",
        "18446744073709551612.manifest",
        "latest_version_hint.json",
    }, MEND
    assert len(list((table / "data").glob("*.lance"))) == 3, MEND
    assert (lance_layout.MANIFESTS, lance_layout.DATA) == ("_versions", "data")
    assert sorted(versions(table)) == [1, 2, 3], MEND
    assert manifest_name(3) == "18446744073709551612.manifest"


def test_lance_forgets_a_version_whose_manifest_is_deleted(table):
    import lance

    delete_manifests(table, [3])
    dataset = lance.dataset(str(table))
    assert (dataset.version, dataset.count_rows()) == (2, 2), MEND
    assert lance.write_dataset(pa.table({"number": [9]}), str(table), mode="append").version == 3, MEND
    assert lance.dataset(str(table)).to_table()["number"].to_pylist() == [0, 1, 9], MEND


def test_a_table_that_is_absent_is_told_from_a_damaged_one(table, tmp_path):
    import lance

    with pytest.raises(ValueError, match="nowhere") as absent:
        lance.dataset(str(tmp_path / "nowhere"))
    assert says_absent(absent.value), MEND
    for manifest in (table / "_versions").glob("*.manifest"):
        manifest.write_bytes(b"")
    with pytest.raises((ValueError, OSError)) as damaged:
        lance.dataset(str(table))
    assert not says_absent(damaged.value), MEND


def test_no_other_module_names_lances_files():
    root = Path(lance_layout.__file__).parent.parent
    names = ('"_versions', "latest_version_hint", '.manifest"', '"data/')
    holding = {path.name for path in root.rglob("*.py") if any(name in path.read_text() for name in names)}
    assert holding == {"lance_layout.py"}

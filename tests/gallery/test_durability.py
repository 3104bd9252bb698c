"""What is on disk before an enrolment is acknowledged."""

import os
import shutil
from itertools import pairwise

import pytest
from support.galleries import run_writer


def test_the_disk_is_synced_before_an_enrolment_is_acknowledged(tmp_path):
    """Traced from outside: between two acknowledgements lie the syncs of the new files and of their folders."""
    if shutil.which("strace") is None:
        assert "RAYMASK_CI" not in os.environ, "CI cannot do without strace"
        pytest.skip("strace is not installed: apt-get install strace")
    trace = tmp_path / "trace"
    calls = "trace=fsync,fdatasync,write,openat,rename"
    writer = run_writer(tmp_path / "gallery", 0, 3, ("strace", "-f", "-y", "-e", calls, "-o", str(trace)))
    with writer:
        assert writer.wait(60) == 0
    lines = trace.read_text().splitlines()
    told = [place for place, line in enumerate(lines) if "write(1<" in line]
    assert len(told) == 4
    for before, after in pairwise(told):
        synced = "\n".join(line for line in lines[before:after] if "fsync(" in line)
        for what in ("/data/", "/_versions/", "faces.lance/data>", "faces.lance/_versions>", "durable"):
            assert what in synced, f"{what} is not synced before the acknowledgement"
        last_data = max(p for p in range(before, after) if "fsync(" in lines[p] and "faces.lance" in lines[p])
        noted = max(p for p in range(before, after) if "fsync(" in lines[p] and "durable" in lines[p])
        named = max(p for p in range(before, after) if "rename(" in lines[p] and "durable" in lines[p])
        kept = max(p for p in range(before, after) if "fsync(" in lines[p] and f"<{tmp_path / 'gallery'}>" in lines[p])
        assert last_data < noted < named < kept, "files, then the note of their version, then its name"
    assert any("fsync(" in line and f"<{tmp_path}>" in line for line in lines[: told[0]]), "the gallery's own name"

"""What lies in a folder of prepared faces beside their Parquet files."""

import json
from typing import Any

PLAN, RECORDS, SUMMARY, SPLITS_FILE, DROPPED = "plan.json", "_parts", "summary.json", "splits.json", "dropped.parquet"

FORMAT = 6
"""Version of what lies there; 2 brought the index of crops, 3 drew and found faces a little differently,
4 finds harder ones, 5 keeps the detector's points, 6 draws masks by the names of what there is."""


def json_file(value: Any) -> bytes:
    """The content of a JSON file that people can read."""
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()

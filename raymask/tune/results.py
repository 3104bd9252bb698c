"""What a search leaves in its folder: table.json, the table as text, best.yaml and a picture of the surface."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, NamedTuple

from raymask.data.reading.joined import absolute_data
from raymask.errors import TrainingError
from raymask.progress import duration
from raymask.storage import Folder
from raymask.tune.config import TuneConfig
from raymask.tune.space import with_values
from raymask.tune.trials import Trial, Trials, best_trial, percent, ranked, short

TABLE, BEST, SURFACE = "table.json", "best.yaml", "surface.png"


class SearchResult(NamedTuple):
    """How a search ended."""

    best: Trial
    table: str
    """For the terminal, the best trial first."""
    folder: str
    """With table.json, best.yaml and surface.png."""


def write_results(config: TuneConfig, search: Folder, trials: Trials) -> SearchResult:
    """Write all files. Raises TrainingError if no trial has a score."""
    from raymask.tune.picture import draw_surface

    search.write(TABLE, _table_json(config, trials))
    best = best_trial(list(trials), config.metric)
    if best is None:
        notes = [trial.note for trial in trials if trial.note] or ["none was run"]
        raise TrainingError(f"no trial of {search.uri} gave a score; the first one's trouble: {notes[0]}")
    search.write(BEST, best_yaml(config, best).encode())
    search.write(SURFACE, draw_surface(config.space(), list(trials), config.metric))
    return SearchResult(best, text_table(config, list(trials)), search.uri)


def text_table(config: TuneConfig, trials: list[Trial]) -> str:
    """A line a trial, the best first, and below them why some failed."""
    names = [dimension.name for dimension in config.space()]
    rows = [["trial", *names, config.metric, "epochs", "took", "status"]]
    for trial in ranked(trials, config.metric):
        values = [short(trial.values[name]) for name in names]
        score = percent(trial.score(config.metric))
        rows.append([trial.name, *values, score, str(len(trial.epochs)), duration(trial.seconds), trial.status])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join([*map(str.rjust, row[:-1], widths), row[-1]]) for row in rows]
    lines += [f"trial {trial.name}: {trial.note}" for trial in trials if trial.note]
    if any(trial.status == "unfinished" for trial in trials):
        lines.append("the same command goes on with what is unfinished")
    return "\n".join(lines)


def _table_json(config: TuneConfig, trials: Trials) -> bytes:
    best = best_trial(list(trials), config.metric)
    table: dict[str, Any] = {
        "metric": config.metric,
        "epochs": config.epochs,
        "early_stopping": config.early_stopping,
        "search": list(config.search),
        "best": None if best is None else best.number,
        "trials": [
            asdict(trial) | {"score": trial.score(config.metric)} for trial in ranked(list(trials), config.metric)
        ],
    }
    return (json.dumps(table, indent=1) + "\n").encode()


def best_yaml(config: TuneConfig, best: Trial) -> str:
    """The best trial's settings, as `jobs/train.py --config` takes them with --storage and --name."""
    import yaml

    settings = asdict(with_values(config.training(data=absolute_data(config.data)), best.values))
    del settings["storage"], settings["name"]
    del settings["watch"]  # it changes no result, and its address may hold a password
    score = percent(best.score(config.metric))
    heading = (
        f"# {config.metric} {score} after epoch {len(best.epochs)}: trial {best.name} of the search {config.name}\n"
        f"# over {', '.join(config.search)}\n"
        f"# python jobs/train.py --config best.yaml --storage FOLDER --name NAME\n"
    )
    return heading + str(yaml.safe_dump(settings, sort_keys=False))

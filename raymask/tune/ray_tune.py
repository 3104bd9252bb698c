"""Ray Tune around Ray Train: Optuna chooses, ASHA stops, each trial is a training run with workers of its own."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from raymask.cluster import check_places, connect, own_error, worker_places
from raymask.data.prepare.textures import load_textures
from raymask.data.reading.joined import absolute_data, folders_of, folders_with
from raymask.errors import DataError, RaymaskError, StoppedError
from raymask.ray_private import HEAD
from raymask.stopping import asked_by_sigterm
from raymask.storage import Folder, absolute
from raymask.train.engine.resume_guard import claim
from raymask.train.on_ray.trainer import check_data
from raymask.tune.config import TuneConfig
from raymask.tune.results import SearchResult, write_results
from raymask.tune.trials import Trials

if TYPE_CHECKING:
    from raymask.tune.sampler import Sampler
    from raymask.tune.trial_callback import TrialCallback

SETTINGS = "search.json"
"""File of a search: what its trials have in common, so that another search cannot go on under its name."""

SCRATCH = "tune"
"""Folder of a search with Ray Tune's own files, of no use afterwards."""


def tune_on_ray(config: TuneConfig) -> SearchResult:
    """Search, or go on with the search of that name, and leave what it found in STORAGE/NAME.

    Raises:
        DataError: no data, other settings under the same name, or a cluster too small for one trial.
        TrainingError: every trial failed.
        StoppedError: the process was told to end (SIGTERM); trials that ran have left checkpoints.
    """
    search = Folder(f"{absolute(config.storage)}/{config.name}")
    check_data(config.data)
    if not folders_with(config.data, "val"):
        folders = ", ".join(folders_of(config.data))
        raise DataError(f"{folders} holds nobody to validate with; prepare it with --split.validation 1 or more")
    if config.losses:
        from raymask.train.embedder.terms.registry import check_losses

        check_losses(config)
    trials = Trials(search)
    _claim(search, config, begun=len(trials) > 0)
    if len(trials.ended) < config.trials:
        _run(config, search, trials)
    return write_results(config, search, trials)


def _run(config: TuneConfig, search: Folder, trials: Trials) -> None:
    """Run the trials that are left."""
    os.environ.setdefault("RAY_LOG_TO_DRIVER", "0")  # the workers of several trials would talk across each other
    from raymask.tune.sampler import Sampler
    from raymask.tune.trial_callback import SearchProgress, TrialCallback

    follow, sampler = TrialCallback(config, search, trials), Sampler(config, trials)
    search.delete_folder(SCRATCH)
    with SearchProgress(follow):
        connect()
        tuner = _tuner(config, search, trials, sampler, follow)
        at_once = "stopped at once; the same command continues from the last checkpoints"
        with _quiet_tune(), asked_by_sigterm(partial(_ask_to_stop, follow, sampler), at_once=at_once):
            try:
                tuner.fit()
            except RaymaskError:
                raise
            except Exception as error:  # Tune has no common base for its own
                raise own_error(error) from error
    if sampler.stopping:
        raise StoppedError("stopped, the trials that ran have left checkpoints; the same command continues")
    search.delete_folder(SCRATCH)


def _tuner(config: TuneConfig, search: Folder, trials: Trials, sampler: Sampler, follow: TrialCallback) -> Any:
    from ray import tune

    from raymask.tune.run_trial import run_trial
    from raymask.tune.sampler import asha

    textures = config.textures and absolute(config.textures)
    training = config.training(data=absolute_data(config.data), storage=absolute(config.storage), textures=textures)
    trainable = tune.with_resources(
        tune.with_parameters(run_trial, training=training, metric=config.metric),
        tune.PlacementGroupFactory([{HEAD: 0.001}]),  # the driver takes no CPU
    )
    return tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=sampler,
            scheduler=asha(config, trials) if config.early_stopping else None,
            num_samples=config.trials - len(trials.ended),
            max_concurrent_trials=concurrent_trials(config),
            trial_dirname_creator=lambda trial: f"{trial.config['number']:03}",
        ),
        run_config=tune.RunConfig(storage_path=search.uri, name=SCRATCH, verbose=0, callbacks=[follow]),
    )


def concurrent_trials(config: TuneConfig) -> int:
    """How many trials the cluster can train at once, 1 or more.

    Raises:
        DataError: it cannot hold the workers of a single one.
    """
    check_places(config.min_workers or config.workers, cpus=config.cpus_per_worker, gpu=config.gpu)
    return max(1, worker_places(cpus=config.cpus_per_worker, gpu=config.gpu) // config.workers)


@contextlib.contextmanager
def _quiet_tune() -> Iterator[None]:
    """Without Tune's tables, logs and signal handling, which do not know what is told here."""
    wanted = {
        "RAY_AIR_NEW_OUTPUT": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is to end the job as it ends the others
        "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    }
    log = logging.getLogger("ray.tune")
    before, level = {name: os.environ.get(name) for name in wanted}, log.level
    os.environ.update(wanted)
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _ask_to_stop(follow: TrialCallback, sampler: Sampler) -> bool:
    """Let no trial start and ask those that run for a checkpoint, if any does."""
    if not follow.running:
        return False
    print("tune: told to stop, waiting for the trials' checkpoints", flush=True)
    sampler.stopping = True
    follow.stop()
    return True


def _claim(search: Folder, config: TuneConfig, *, begun: bool) -> None:
    """Keep what the trials have in common with the search; one that has begun with anything else is refused."""
    textures = load_textures(config.textures)
    settings = asdict(config.loop()) | {
        "textures": None if textures is None else textures.digest,
        "search": sorted(config.search),
        "metric": config.metric,
        "early_stopping": config.early_stopping,
    }
    claim(search, SETTINGS, settings, kind="search", begun=begun)

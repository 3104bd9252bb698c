"""Workers of a training as processes of one group, without Ray."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from support.ports import free_port

# Each process is forked from one that has imported these already, which takes longer than most works.
multiprocessing.set_forkserver_preload(["raymask.train.embedder.loop", "raymask.train.staged.inpainter"])


def on_ranks(size: int, work: Callable[..., None], *args: object) -> None:
    """Call `work(rank, *args)` in as many processes of a gloo group, on one thread each; raises what one raises."""
    mp.start_processes(_rank, args=(size, free_port(), work, args), nprocs=size, start_method="forkserver")


def _rank(rank: int, size: int, port: int, work: Callable[..., None], args: tuple[object, ...]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=size)
    work(rank, *args)
    dist.barrier()  # whoever leads the group must be the last to go
    dist.destroy_process_group()

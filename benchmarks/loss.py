"""Time of the exact quintuplet loss, forward and backward, over all quintuplets of one batch; JSON out."""

import argparse
import json
import platform
import time

import torch

from raymask.losses.quintuplet import quintuplet_loss


def measure(people: int, repeats: int) -> dict[str, float]:
    """Best of `repeats` runs on `people` x (3 bare + 3 masked) photos of 512 values, mining all quintuplets."""
    generator = torch.Generator().manual_seed(0)
    identities = torch.arange(people).repeat_interleave(6)
    masked = torch.tensor([False] * 3 + [True] * 3).repeat(people)
    centres = torch.randn(people, 512, generator=generator)
    noise = torch.randn(len(identities), 512, generator=generator)
    embeddings = (0.3 * centres[identities] + noise).requires_grad_()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = quintuplet_loss(embeddings, identities, masked, mining="all")
        result.loss.backward()
        seconds.append(time.perf_counter() - start)
    return {
        "photos": len(identities),
        "quintuplets": int(result.valid),
        "active": int(result.active),
        "seconds": round(min(seconds), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2, help="CPU threads that torch uses")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each size; the best counts")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    sizes = [measure(people, options.repeats) for people in (20, 85, 342)]
    machine = {"processor": platform.machine(), "threads": options.threads, "torch": torch.__version__}
    print(json.dumps({"machine": machine, "sizes": sizes}, indent=1))


if __name__ == "__main__":
    main()

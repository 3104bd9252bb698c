"""Enrol a folder of photos, or prepared faces, in a gallery; what is enrolled already stays as it is."""

from raymask.cli import parse, run
from raymask.serve.on_ray.bulk_config import EnrolConfig


def main() -> None:
    config = parse(EnrolConfig, __doc__)
    from raymask.serve.on_ray.bulk import enrol

    done = enrol(config)
    print(f"{done.new:,} photos enrolled in {config.gallery}, {done.known:,} were there, {len(done.dropped):,} dropped")
    for item in done.dropped[:10]:
        print(f"  {item.image_id}: {item.reason}")
    if len(done.dropped) > 10:
        print(f"  and {len(done.dropped) - 10:,} more; --dropped FILE lists all")


if __name__ == "__main__":
    run(main)

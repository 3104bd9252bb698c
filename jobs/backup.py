"""Save a gallery as plain files, while it is in service or not."""

from raymask.cli import parse, run
from raymask.gallery.backup import BackupConfig, backup


def main() -> None:
    config = parse(BackupConfig, __doc__)
    about = backup(config)
    print(f"{about['embeddings']:,} embeddings are saved in {config.out}; jobs/restore.py brings them back")


if __name__ == "__main__":
    run(main)

"""Make an API key for the service, or take one back. The key is shown once; the file keeps its hash."""

from raymask.cli import parse, run
from raymask.serve.http.keys import KeysConfig, change_keys


def main() -> None:
    config = parse(KeysConfig, __doc__)
    key = change_keys(config)
    if key is None:
        print(f"the keys of {config.name} are taken back; a service that reads this file refuses them from now on")
    else:
        print(f"{key}\nis the key of {config.name}, who may {config.role}; it is not shown again. Send it as")
        print("Authorization: Bearer KEY; a service that reads this file knows it from now on")


if __name__ == "__main__":
    run(main)

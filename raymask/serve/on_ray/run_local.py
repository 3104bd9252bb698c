"""The graph on the cluster that this process is connected to, for as long as it is wanted."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raymask.cluster import connect
from raymask.errors import ConfigError, UnavailableError
from raymask.faces.images import media_type
from raymask.ray_private import deploy_applications, serve_runs

CONFIGURATION = Path(__file__).parent.parent.parent.parent / "serve_configs" / "identify.yaml"
_PATIENCE = 600
"""Seconds after which a service that still starts counts as stuck. A start takes 20 on a quiet machine of two cores; a
start that fails is known at once, from Serve."""
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks without the proxies of the environment, which do not lead back to this machine."""


@contextmanager
def running(args: Mapping[str, Any], *, port: int, configuration: Path = CONFIGURATION) -> Iterator[str]:
    """The address of the service, once every stage answers.

    Args:
        args: in place of the configuration's: models, gallery and whatever else `ServiceConfig` knows.
        port: on this machine, for this machine alone.
        configuration: file as `serve run` takes it.

    Raises:
        ConfigError: the port is in use.
        UnavailableError: it is not ready in time, or Ray serves something already, which would have to go.
    """
    import yaml
    from ray import serve

    check_free(port)
    connect()
    if serve_runs():
        raise UnavailableError("Ray serves something here already; end that first (`serve shutdown`)")
    document = yaml.safe_load(configuration.read_text())
    document["applications"][0]["args"] = dict(args)
    document["http_options"] |= {"host": "127.0.0.1", "port": port}
    serve.start(http_options=document["http_options"], logging_config=document["logging_config"])
    try:
        deploy(document)
        yield ready(f"http://127.0.0.1:{port}")
    finally:
        serve.shutdown()


def check_free(port: int) -> None:
    """Raise ConfigError if a server of this machine has the port; Serve would try it many times, with a traceback each.

    A port whose last connections have only just closed counts as free, as it does for Serve.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigError(
                f"port {port} of this machine cannot be used ({error.strerror}); name another, or end what "
                f"listens there"
            ) from None


def deploy(document: Mapping[str, Any], seconds: float = _PATIENCE) -> None:
    """As `serve deploy` does with a configuration file; returns when its applications run as it says.

    Raises:
        UnavailableError: they do not, with what Serve says of it.
    """
    from ray import serve

    deploy_applications(document)
    wanted = [application["name"] for application in document["applications"]]
    end = time.monotonic() + seconds
    while True:
        time.sleep(0.2)
        found = serve.status().applications
        states = [found[name].status if name in found else "DEPLOYING" for name in wanted]
        if all(state == "RUNNING" for state in states):
            return
        if "DEPLOY_FAILED" in states or time.monotonic() > end:
            said = "; ".join(found[name].message or found[name].status for name in wanted if name in found)
            raise UnavailableError(f"the service does not run ({said or 'nothing is known of it'})")


def ready(url: str, seconds: float = _PATIENCE) -> str:
    """The address, once every stage behind it answers. Raises UnavailableError."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with _DIRECT.open(f"{url}/readyz", timeout=5):
                return url
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            pass
        time.sleep(0.3)
    raise UnavailableError(f"{url} is not ready after {seconds:g} seconds; the logs of Ray's session say why")


def post_photo(url: str, photo: bytes) -> dict[str, Any]:
    """The service's answer to a photo's file. Raises UnavailableError with what it says of an error."""
    request = urllib.request.Request(url, photo, {"Content-Type": media_type(photo)}, method="POST")
    try:
        with _DIRECT.open(request, timeout=60) as answer:
            return dict(json.loads(answer.read()))
    except urllib.error.HTTPError as error:
        raise UnavailableError(f"{url} answered {error.code}: {error.read().decode(errors='replace')}") from None

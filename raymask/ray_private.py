"""What raymask uses of Ray beyond its public interface. No other module names such a thing (tests/test_layout.py).

Ray may change any of it without a word, so that pyproject.toml takes one minor version of it. On an upgrade, read the
notes below and run tests/serve/on_ray and tests/tune.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle

HEAD = "node:__internal_head__"
"""The resource that each cluster's head has one of.

Why: the driver of a search's trial belongs on the head, which outlives other machines, and takes no CPU there.
On an upgrade: `ray.cluster_resources()` of a local cluster names it; otherwise a search waits forever.
"""


def by_message(handle: DeploymentHandle) -> DeploymentHandle:
    """The handle with arguments and answers in gRPC messages.

    Why: with Ray's object store between them, a call takes the two processes three times as much work.
    On an upgrade: `DeploymentHandle.options` takes `_by_reference`, or has a public name for it; errors of such calls
    are those that `raymask.serve.on_ray.handles.asked` knows.
    """
    return handle.options(_by_reference=False)


def head_version(host: str, port: int, *, seconds: float) -> str:
    """The Ray version of the cluster whose head listens there, asked without joining it.

    Why: `ray.init` asks for minutes in C++ code, which says nothing and hears no signal.
    On an upgrade: the head answers `CheckAlive` with `ray_version`, without a token by UNAUTHENTICATED.

    Args:
        host: name or number of a machine.
        port: that of its head.
        seconds: how long to wait.

    Raises:
        TimeoutError: no answer in time.
        PermissionError: the cluster wants a token, and was given none or a wrong one.
        ConnectionError: something else answers.
    """
    import grpc
    from ray._private.grpc_utils import init_grpc_channel
    from ray.core.generated.gcs_service_pb2 import CheckAliveRequest
    from ray.core.generated.gcs_service_pb2_grpc import NodeInfoGcsServiceStub
    from ray.exceptions import AuthenticationError

    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    proxies = (("grpc.enable_http_proxy", 0),)  # as for Ray's own calls
    try:
        with init_grpc_channel(place, options=proxies) as channel:
            ask = NodeInfoGcsServiceStub(channel).CheckAlive
            return str(ask(CheckAliveRequest(), timeout=seconds, wait_for_ready=True).ray_version)
    except AuthenticationError:
        raise PermissionError("no token is known here") from None
    except grpc.RpcError as error:
        if error.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE):
            raise TimeoutError(error.details()) from None
        if error.code() is grpc.StatusCode.UNAUTHENTICATED:
            raise PermissionError(error.details()) from None
        raise ConnectionError(error.code().name) from None


def reachable_host(host: str) -> str:
    """The host as Ray looks for it: for localhost, this machine's address among others, at which heads listen.

    Why: a test of localhost itself might find something else than Ray then does.
    On an upgrade: `canonicalize_bootstrap_address` makes it of an address in the same way.
    """
    from ray._private.services import resolve_ip_for_localhost

    return str(resolve_ip_for_localhost(host))


def take_own_token() -> None:
    """Use the token in the user's home from here on, unless RAY_AUTH_MODE says otherwise.

    Why: `ray.init` does so where it finds a cluster on this machine by itself, not where it is given an address.
    On an upgrade: `ray.init` calls this for the address "auto".
    """
    from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available

    maybe_enable_token_auth_if_token_available(warn_if_disabled=False)


def makes_token() -> bool:
    """Whether Ray would write a token into the user's home as it starts a cluster.

    Why: in a home that cannot be written, it starts with a traceback.
    On an upgrade: `ensure_token_if_auth_enabled` generates one if `has_token` is false.
    """
    from ray._private.authentication.authentication_token_setup import AuthenticationTokenLoader

    mode = os.environ.get("RAY_AUTH_MODE", "token").lower()
    return mode == "token" and not AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True)


def request_id() -> str:
    """The id that Serve has given to the request which this task answers; empty outside of one.

    Why: every log line of every stage carries it, and the answer is to carry the same.
    On an upgrade: `ray.serve.context` has `_get_serve_request_context`, whose answer has `request_id`.
    """
    from ray.serve.context import _get_serve_request_context

    return str(_get_serve_request_context().request_id)


def serve_runs() -> bool:
    """Whether Serve runs on the cluster that this process is connected to.

    Why: `serve.status()` answers the same where Serve runs without applications and where it does not run.
    On an upgrade: `ray.serve.context` has `_get_global_client`, which takes `raise_if_no_controller_running`.
    """
    from ray.serve.context import _get_global_client

    return _get_global_client(raise_if_no_controller_running=False) is not None


def deploy_applications(document: Mapping[str, Any]) -> None:
    """Hand Serve, which runs, a configuration as in a file for `serve deploy`; returns before it is carried out.

    Why: the public way asks a dashboard over HTTP, which a local cluster need not have.
    On an upgrade: Serve's client has `deploy_apps`, which takes `ray.serve.schema.ServeDeploySchema`.
    """
    from ray.serve.context import _get_global_client
    from ray.serve.schema import ServeDeploySchema

    _get_global_client().deploy_apps(ServeDeploySchema.model_validate(document))

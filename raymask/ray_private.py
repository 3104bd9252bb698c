"""What raymask uses of Ray beyond its public interface. No other module names such a thing (tests/test_layout.py).

Ray may change any of it without a word, so that pyproject.toml takes one minor version of it. On an upgrade, read the
notes below and run tests/serve/on_ray and tests/tune.
"""

from __future__ import annotations

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

"""The files in serve_configs: what they say is known, and fits."""

import json
import re
from pathlib import Path

import pytest
import yaml

from raymask.serve.core.config import Policy, ServiceConfig, from_mapping
from raymask.serve.on_ray.graph import CPUS, _absolute, build
from raymask.serve.on_ray.stage_replica import BatchConfig

FOLDER = Path(__file__).parent.parent.parent / "serve_configs"
FILES = sorted(path.name for path in FOLDER.glob("*.yaml"))
WITHOUT_OPTIONS = ("GallerySearch", "GalleryWriter")


@pytest.mark.parametrize("name", FILES)
def test_serve_and_the_graph_know_all_of_it(name, tmp_path):
    from ray.serve.schema import ServeDeploySchema

    document = yaml.safe_load((FOLDER / name).read_text())
    ServeDeploySchema.model_validate(document)
    assert document["logging_config"]["enable_access_log"] is False, "paths name people"
    (application,) = document["applications"]
    here = {"gallery": str(tmp_path / "gallery"), "keys": None}
    args = {**application["args"], **here}
    api = build(args)._bound_deployment
    config = from_mapping(ServiceConfig, args, "args")
    assert set(config.stages) <= set(CPUS)
    deployments = {one["name"]: one for one in application["deployments"]}
    assert set(deployments) <= set(CPUS)
    for deployment, options in deployments.items():
        given = options.get("user_config", {})
        assert not given or deployment not in WITHOUT_OPTIONS
        policy = from_mapping(Policy if deployment == "Api" else BatchConfig, given, deployment)
        if deployment == "Api":
            most = options.get("max_ongoing_requests", api.max_ongoing_requests)
            assert most > 5 * policy.in_flight, "it is Api that refuses what is too much, and says when to come again"
    gpus = sum(
        options.get("num_replicas", 1) * options.get("ray_actor_options", {}).get("num_gpus", 0)
        for options in deployments.values()
    )
    assert 2 * gpus <= 1, "one GPU holds them all, and those that come in their place"
    assert {stage for stage, options in config.stages.items() if options.device == "cuda"} == {
        name for name, options in deployments.items() if options.get("ray_actor_options", {}).get("num_gpus")
    }
    only_here = "keys" not in application["args"]
    assert (document["http_options"]["host"] == "127.0.0.1") == only_here, "without keys nobody else is let in"


def test_the_graph_for_this_machine_starts_on_two_cores():
    document = yaml.safe_load((FOLDER / "identify.yaml").read_text())
    deployments = {one["name"]: one for one in document["applications"][0]["deployments"]}
    assert all("ray_actor_options" not in one for one in deployments.values())
    replicas = {name: deployments.get(name, {}).get("num_replicas", 1) for name in CPUS}
    assert sum(CPUS[name] * count for name, count in replicas.items()) <= 2


def test_the_grafana_dashboard_is_whole():
    dashboard = json.loads((FOLDER / "grafana.json").read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) >= 8
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    for panel in panels:
        assert panel["title"]
        assert panel["description"]
        for target in panel["targets"]:
            used = set(re.findall(r"\$\{?(\w+)", target["expr"] + target["datasource"]["uid"]))
            assert used <= variables | {"__rate_interval"}


def test_replicas_find_the_files_that_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "own.onnx").touch()
    named = {"detector": "yunet:own.onnx", "bare_embedder": "sface:a/own.onnx", "segmenter": "b"}
    config = _absolute(from_mapping(ServiceConfig, {"models": named, "gallery": "gallery"}, "args"))
    assert config.models.detector == f"yunet:{tmp_path}/own.onnx"
    assert config.models.bare_embedder == f"sface:{tmp_path}/a/own.onnx"
    assert config.models.segmenter == f"{tmp_path}/b"
    assert config.gallery == f"{tmp_path}/gallery"
    plain = from_mapping(ServiceConfig, {"gallery": "gallery"}, "args")
    assert _absolute(plain).models.detector == "yunet"

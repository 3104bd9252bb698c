"""API keys, and what may be asked with them."""

import asyncio
import json
import logging
import stat
import time

import pytest
from support.client import Client

from raymask.errors import ConfigError, DataError
from raymask.serve.core.config import Policy, ServiceConfig, ThresholdPair
from raymask.serve.core.plan import ModelsConfig
from raymask.serve.http.app import create_app
from raymask.serve.http.keys import KeyFile, KeysConfig, change_keys, known_key, read_keys
from raymask.serve.http.middleware import Guard, role_needed
from raymask.serve.on_ray.api_replica import ApiReplica


@pytest.fixture
def keys(tmp_path) -> dict[str, str]:
    file = str(tmp_path / "keys.json")
    return {
        role: change_keys(KeysConfig(file=file, name=f"the {role}", role=role))
        for role in ("identify", "enrol", "admin")
    }


def test_keys_are_kept_as_hashes(keys, tmp_path):
    file = tmp_path / "keys.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not any(key in file.read_text() for key in keys.values())
    known = read_keys(str(file))
    assert known_key(known, keys["enrol"]).name == "the enrol"
    assert known_key(known, keys["enrol"] + "x") is None
    assert known_key(known, "") is None


def test_a_key_is_taken_back(keys, tmp_path):
    file = str(tmp_path / "keys.json")
    assert change_keys(KeysConfig(file=file, name="the admin", revoke=True)) is None
    assert known_key(read_keys(file), keys["admin"]) is None
    with pytest.raises(DataError, match="no key of the admin"):
        change_keys(KeysConfig(file=file, name="the admin", revoke=True))


@pytest.mark.parametrize(
    "content", ["", "[]", '{"keys": []}', '{"keys": [{"name": "a", "role": "god", "sha256": "00"}]}']
)
def test_a_file_without_keys_is_named(tmp_path, content):
    (tmp_path / "keys.json").write_text(content)
    with pytest.raises(DataError, match=r"jobs/keys\.py"):
        read_keys(str(tmp_path / "keys.json"))
    with pytest.raises(DataError, match="cannot be read"):
        read_keys(str(tmp_path / "none.json"))


def test_behind_a_proxy_that_hides_the_clients_there_have_to_be_keys(monkeypatch, plan, fused_bundle, tmp_path):
    monkeypatch.setenv("RAY_SERVE_ENABLE_HA_PROXY", "1")
    config = ServiceConfig(models=ModelsConfig(fused=str(fused_bundle)), gallery=str(tmp_path))
    with pytest.raises(ConfigError, match="behind HAProxy"):
        ApiReplica(config, plan, {})


def test_a_role_may_what_it_says(service, keys, tmp_path):
    ask = Client(create_app(service, KeyFile(str(tmp_path / "keys.json"))), client="192.0.2.7", host="faces.example")

    def status(method: str, path: str, key: str | None) -> int:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return ask(method, path, headers=headers).status_code

    assert status("GET", "/healthz", None) == 200
    assert status("GET", "/v1/identities", None) == 401
    assert status("GET", "/v1/identities", "wrong") == 401
    assert status("GET", "/v1/identities", keys["identify"]) == 403
    assert status("GET", "/v1/identities", keys["enrol"]) == 200
    assert status("DELETE", "/v1/identities/ann", keys["enrol"]) == 403
    for method, path in (("GET", ""), ("GET", "/00"), ("DELETE", ""), ("DELETE", "/00"), ("GET", "/00/")):
        assert status(method, f"/v1/identities/ann/photos{path}", None) == 401
        assert status(method, f"/v1/identities/ann/photos{path}", keys["enrol"]) == 403
    assert status("GET", "/v1/identities/ann/photos", keys["admin"]) == 404
    assert status("DELETE", "/v1/identities/ann/photos/00", keys["admin"]) == 404
    assert status("DELETE", "/v1/identities/ann", keys["admin"]) == 404
    assert status("POST", "/v1/identities/ann/verify", None) == 401
    assert status("POST", "/v1/identities/ann/verify", keys["identify"]) == 400, "as the next"
    assert status("POST", "/v1/identify", keys["identify"]) == 400, "let in, and told that the photo is missing"
    answer = ask("GET", "/v1/identities")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_key_that_may_only_identify_is_shown_nobody_below_review(service, keys, tmp_path, faces_of):
    ask = Client(create_app(service, KeyFile(str(tmp_path / "keys.json"))))
    service.set_policy(Policy(bare=ThresholdPair(match=1.0, review=1.0)))

    def answer(path: str, role: str | None, photo: bytes, client: Client = ask) -> dict:
        headers = {"authorization": f"Bearer {keys[role]}"} if role else {}
        done = client("POST", path, files={"photo": photo}, headers=headers)
        assert done.status_code < 300, done.text
        return done.json()

    ann, bob = (faces_of(person)[0].read_bytes() for person in (0, 1))
    answer("/v1/identities/ann/photos", "enrol", ann)
    answer("/v1/identities/bob/photos", "enrol", bob)
    for photo, seen in ((ann, ["ann"]), (faces_of(2)[0].read_bytes(), [])):
        few = answer("/v1/identify", "identify", photo)["faces"][0]
        assert [one["identity"] for one in few["candidates"]] == seen
        assert (few["score"] is None) == (not seen)
        without_keys = Client(create_app(service, None))
        whole = [answer("/v1/identify", role, photo)["faces"][0] for role in ("enrol", "admin")]
        whole.append(answer("/v1/identify", None, photo, without_keys)["faces"][0])
        for face in whole:
            assert {one["identity"] for one in face["candidates"]} == {"ann", "bob"}
            assert face["score"] == face["candidates"][0]["score"]
    assert answer("/v1/identities/ann/verify", "identify", ann)["decision"] == "match"
    assert answer("/v1/identities/ann/verify", "identify", bob)["score"] is None
    assert answer("/v1/identities/ann/verify", "enrol", bob)["score"] < 1


@pytest.mark.parametrize("end", ["%0a", "%0d", "%00", "%e2%80%a8", "/", "//", "%2f"])
def test_no_spelling_of_a_path_goes_round_the_keys(service, keys, tmp_path, end):
    ask = Client(create_app(service, KeyFile(str(tmp_path / "keys.json"))))
    for method, path in (("GET", "/v1/identities"), ("POST", "/v1/identify"), ("DELETE", "/v1/identities/ann")):
        assert ask(method, path + end).status_code in (400, 401)
        assert ask(method, path + end, headers={"authorization": f"Bearer {keys['identify']}"}).status_code >= 300


def test_every_path_under_v1_needs_a_role(service):
    paths = [route for route in json.loads(json.dumps(_openapi(service)))["paths"] if route.startswith("/v1/")]
    assert len(paths) >= 7
    for path in paths:
        for method in ("GET", "POST", "DELETE", "PUT", "HEAD"):
            assert role_needed(method, path.replace("{identity}", "ann")) is not None
    assert role_needed("DELETE", "/v1/identities/ann") == "admin"
    assert role_needed("POST", "/v1/identities/ann/photos") == "enrol"
    assert role_needed("POST", "/v1/identities/ann/verify") == "identify"
    for method in ("GET", "HEAD", "DELETE", "PUT"):
        assert role_needed(method, "/v1/identities/ann/photos") == "admin"
        assert role_needed(method, "/v1/identities/ann/photos/00") == "admin"
    for public in ("/", "/docs", "/healthz", "/readyz", "/openapi.json", "/page/page.js"):
        assert role_needed("GET", public) is None
    for other in ("/v2/identify", "/page", "/healthz/", "/metrics", "/v1", "/\n"):
        assert role_needed("GET", other) is not None, "who adds a page decides who may see it"


def _openapi(service) -> dict:
    return Client(create_app(service, None))("GET", "/openapi.json").json()


def test_a_key_may_ask_so_often(service, keys, tmp_path):
    service.set_policy(Policy(per_minute=3))
    ask = Client(create_app(service, KeyFile(str(tmp_path / "keys.json"))))
    answers = [ask("GET", "/v1/identities", headers={"authorization": f"Bearer {keys['enrol']}"}) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert 0 < int(answers[3].headers["retry-after"]) <= 60
    other = ask("GET", "/v1/identities", headers={"authorization": f"Bearer {keys['admin']}"})
    assert other.status_code == 200, "each key has its own count"


def asgi(**more) -> dict:
    """A request, as a server passes it on."""
    headers = [(b"host", b"localhost"), (b"content-type", b"image/jpeg")]
    scope = {"type": "http", "method": "POST", "path": "/v1/identify", "query_string": b"", "headers": headers}
    return {**scope, "client": ("127.0.0.1", 1), **more}


async def answered(app, scope: dict, receive) -> tuple[int, dict[bytes, bytes], float]:
    """Status, headers and seconds; status 0 if nothing was answered."""
    sent = []
    begun = time.monotonic()

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    if not sent:
        return 0, {}, time.monotonic() - begun
    return sent[0]["status"], dict(sent[0]["headers"]), time.monotonic() - begun


async def never():
    await asyncio.sleep(60)


async def no_photo():
    return {"type": "http.request", "body": b"no photo", "more_body": False}


def test_more_than_can_be_done_is_refused_at_once():
    """Two requests are worked on; a third is told to come again."""

    async def slow(scope, receive, send):
        await asyncio.sleep(0.5)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    guard = Guard(slow, keys=None, policy=lambda: Policy(in_flight=2))

    async def three():
        return await asyncio.gather(*(answered(guard, asgi(), no_photo) for _ in range(3)))

    first, second, third = asyncio.run(three())
    assert (first[0], second[0], third[0]) == (200, 200, 503)
    assert third[1][b"retry-after"] == b"1"
    assert third[2] < 0.3


def test_who_uploads_slowly_keeps_nobody_from_being_answered(service):
    service.set_policy(Policy(in_flight=2, body_seconds=0.5))
    app = create_app(service, None)

    async def all_at_once():
        stalled = [answered(app, asgi(), never) for _ in range(7)]
        return await asyncio.gather(*stalled, answered(app, asgi(), no_photo), answered(app, asgi(), never))

    *stalled, whole, late = asyncio.run(all_at_once())
    assert {one[0] for one in stalled} == {408}
    assert max(one[2] for one in stalled) < 5, "who stalls in the middle of an upload is let go"
    assert whole[0] == 400, "it was looked at"
    assert late[0] == 408
    assert asyncio.run(answered_late(app)) == 503, "so many at most are on their way"


async def answered_late(app) -> int:
    waiting = [asyncio.create_task(answered(app, asgi(), never)) for _ in range(8)]
    await asyncio.sleep(0)
    status, *_ = await answered(app, asgi(), never)
    await asyncio.gather(*waiting)
    return status


def test_a_key_that_uploads_slowly_keeps_no_other_from_being_answered(service, keys, tmp_path):
    service.set_policy(Policy(in_flight=2, body_seconds=0.5))
    app = create_app(service, KeyFile(str(tmp_path / "keys.json")))

    def asking(role: str) -> dict:
        return asgi(headers=[(b"content-type", b"image/jpeg"), (b"authorization", f"Bearer {keys[role]}".encode())])

    async def all_at_once():
        stalled = [answered(app, asking("identify"), never) for _ in range(12)]
        return await asyncio.gather(*stalled, answered(app, asking("enrol"), no_photo))

    *stalled, other = asyncio.run(all_at_once())
    assert sorted(one[0] for one in stalled) == [408] * 4 + [503] * 8
    assert other[0] == 400, "it was looked at"


def test_who_goes_in_the_middle_of_an_upload_is_no_fault(service, caplog):
    async def goes():
        return {"type": "http.disconnect"}

    caplog.set_level(logging.INFO)
    assert asyncio.run(answered(create_app(service, None), asgi(), goes))[0] == 0
    (line,) = [json.loads(record.message) for record in caplog.records if record.name == "raymask.serve"]
    assert line["status"] == 499


def test_a_websocket_is_closed(service):
    sent = []

    async def send(message):
        sent.append(message)

    app = create_app(service, None)
    asyncio.run(app({"type": "websocket", "path": "/page/x", "headers": []}, never, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_a_prefix_goes_round_no_key(service, keys, tmp_path):
    app = create_app(service, KeyFile(str(tmp_path / "keys.json")))
    for path in ("/faces/v1/identities/ann", "/faces/v1/identities"):
        scope = asgi(method="DELETE", path=path, root_path="/faces")
        assert asyncio.run(answered(app, scope, no_photo))[0] == 401
    allowed = [(b"host", b"localhost"), (b"authorization", f"Bearer {keys['admin']}".encode())]
    scope = asgi(method="DELETE", path="/faces/v1/identities/ann", root_path="/faces", headers=allowed)
    assert asyncio.run(answered(app, scope, no_photo))[0] == 404, "let in: nobody has this name"
    assert asyncio.run(answered(app, asgi(method="GET", path="/faces/healthz", root_path="/faces"), no_photo))[0] == 200
    status, headers, _ = asyncio.run(answered(app, asgi(method="GET", path="/faces", root_path="/faces"), no_photo))
    assert (status, headers[b"location"]) == (307, b"http://localhost/faces/"), "the page asks from there"


@pytest.mark.parametrize("headers", [{"host": "["}, {"host": "[x]"}, {"origin": "http://["}, {"host": ""}])
def test_headers_that_name_no_host_are_refused(service, headers):
    given = {"host": "localhost", **headers}
    scope = asgi(method="GET", headers=[(name.encode(), value.encode()) for name, value in given.items()])
    assert asyncio.run(answered(create_app(service, None), scope, no_photo))[0] == 403


def test_a_key_that_is_taken_back_is_refused_from_then_on(service, keys, tmp_path, caplog):
    file = tmp_path / "keys.json"
    ask = Client(create_app(service, KeyFile(str(file))))

    def status() -> int:
        return ask("GET", "/v1/identities", headers={"authorization": f"Bearer {keys['enrol']}"}).status_code

    assert status() == 200
    whole = file.read_text()
    file.write_text("{")
    assert status() == 200, "a file that cannot be read takes no key back"
    assert "the keys of before stay" in caplog.text
    file.write_text(whole)
    change_keys(KeysConfig(file=str(file), name="the enrol", revoke=True))
    assert status() == 401
    file.write_text(whole)
    assert status() == 200
    file.unlink()
    assert status() == 401, "a file that is gone takes all back"

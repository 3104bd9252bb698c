"""How a service on this machine is asked by the process that has started it."""

import socket
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from support.ports import free_port

from raymask.errors import RaymaskError, UnavailableError
from raymask.serve.on_ray.run_local import post_photo, ready, running


class Answers(BaseHTTPRequestHandler):
    """Is not ready at first, and refuses what is sent as a PNG."""

    asked = 0

    def do_GET(self):
        Answers.asked += 1
        self._say(200 if Answers.asked > 2 else 503, b"{}")

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        good = self.headers["Content-Type"] == "image/jpeg"
        self._say(200 if good else 422, b'{"faces": []}' if good else b"no face")

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


@pytest.fixture
def url(monkeypatch):
    """Behind a proxy that leads nowhere, as far as the environment says."""
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(urllib.request, "_opener", None)
    server = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever).start()
    Answers.asked = 0
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_it_is_waited_for_whatever_proxy_there_is(url):
    assert ready(url, 30) == url
    assert Answers.asked == 3


def test_a_photo_is_posted_and_an_error_is_said(url):
    assert post_photo(url, b"\xff\xd8") == {"faces": []}
    with pytest.raises(UnavailableError, match="answered 422: no face"):
        post_photo(url, b"\x89PNG")


def test_what_never_answers_is_said(url):
    with pytest.raises(UnavailableError, match=r"is not ready after 0\.5 seconds"):
        ready(f"{url}1", 0.5)


def test_a_port_in_use_is_said_before_ray_is_asked_for(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "nowhere")
    with socket.create_server(("127.0.0.1", free_port())) as server:
        port = server.getsockname()[1]
        refused = pytest.raises(RaymaskError, match=f"port {port} of this machine cannot be used .*; name another, or")
        with refused, running({}, port=port):
            pass

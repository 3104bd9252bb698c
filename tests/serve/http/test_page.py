"""The page in a real browser: someone is enrolled, identified masked, erased, and unknown then."""

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import uvicorn
from support.ports import free_port
from support.tables import small_table

from raymask.serve.core.config import Policy
from raymask.serve.core.in_process import LocalGallery, LocalStages
from raymask.serve.core.plan import ModelsConfig, Plan
from raymask.serve.core.service import Service
from raymask.serve.http.app import create_app
from raymask.serve.http.keys import Key

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(
        CHROMIUM is None and "RAYMASK_CI" not in os.environ,
        reason="chromium is not installed: apt-get install chromium",
    ),
]


@pytest.fixture
def keys() -> Callable[[], tuple[Key, ...]] | None:
    """None: the service asks for no key."""
    return None


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Of the models that come with raymask, with thresholds by which they know a person in a mask."""
    return replace(Plan.of(ModelsConfig()), searches=small_table(lower=0.6))


@pytest.fixture(scope="module")
def stages(plan) -> LocalStages:
    return LocalStages(plan)


@pytest.fixture
def prefix() -> str:
    """Of the paths under which the service lies."""
    return ""


def under(prefix: str, app):
    """An ASGI application as Serve passes requests on to it: with the prefix in the path, and named."""

    async def asked(scope, receive, send):
        if scope["type"] == "http" and prefix:
            assert f"{scope['path']}/".startswith(f"{prefix}/"), f"{scope['path']} is another application's"
            scope = {**scope, "root_path": prefix}
        await app(scope, receive, send)

    return asked


@pytest.fixture
def address(plan, stages, tmp_path, keys, prefix) -> Iterator[str]:
    """The service under uvicorn."""
    gallery = LocalGallery(str(tmp_path / "gallery"), plan.space)
    service = Service(plan, stages, gallery, Policy())
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(under(prefix, create_app(service, keys)), port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://localhost:{port}{prefix}"
    server.should_exit = True
    thread.join()
    gallery.close()


@pytest.fixture
def browser() -> Iterator:
    from playwright.sync_api import sync_playwright

    assert CHROMIUM, "chromium is not installed, and CI cannot do without: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def screenshots(tmp_path) -> Path:
    """Where pictures of the page are put: RAYMASK_SCREENSHOTS, or nowhere that lasts."""
    folder = Path(os.environ.get("RAYMASK_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def opened(browser, address: str, path: str = "/", **options):
    """A page on which no error and no refused request goes unnoticed."""
    page = browser.new_page(**options)
    page.set_default_timeout(20_000)
    page.trouble = []
    page.on("pageerror", lambda error: page.trouble.append(str(error)))
    page.on(
        "console", lambda line: page.trouble.append(f"{line.text} {line.location}") if line.type == "error" else None
    )
    page.on("request", lambda request: page.trouble.append(request.url) if foreign(request.url, address) else None)
    page.goto(address + path)
    return page


def foreign(url: str, address: str) -> bool:
    return not url.startswith((address, "blob:", "data:"))


def wait_for_status(page, text: str) -> None:
    page.locator("#status", has_text=text).wait_for()


def test_someone_is_enrolled_identified_masked_erased_and_unknown(
    browser, address, faces_of, masked_png, tmp_path, screenshots
):
    page = opened(browser, address, viewport={"width": 1000, "height": 1100})
    page.get_by_text("Nobody is enrolled.").wait_for()

    page.set_input_files("#file", faces_of(1)[0])
    wait_for_status(page, "1 face found, none masked. Nobody enrolled is near enough.")
    assert page.locator(".grounds").count() == 0
    assert page.locator(".decision").inner_text() == "Nobody enrolled is near enough"
    page.fill("#name", "Ann O'Hara <b>")
    page.get_by_role("button", name="Enrol").click()
    wait_for_status(page, "Ann O'Hara <b> is enrolled.")
    page.locator("#people li", has_text="Ann O'Hara <b>, 1 photo").wait_for()

    masked = tmp_path / "masked.png"
    masked.write_bytes(masked_png(1, 1))
    page.set_input_files("#file", masked)
    wait_for_status(page, "1 face found, 1 masked. Looks like Ann O'Hara <b>.")
    page.locator("#unmasked-figure").wait_for(state="visible")
    assert page.locator(".decision").inner_text() == "Looks like Ann O'Hara <b>"
    grounds = "Of strangers, about 1 in 100 would be called a match among the 1 person enrolled (1 face)."
    assert page.locator(".grounds").inner_text() == grounds
    assert page.locator(".candidate").count() == 1
    assert page.evaluate("document.getElementById('unmasked').naturalWidth") > 100
    page.screenshot(path=screenshots / "page.png", full_page=True)
    drawn = "document.getElementById('photo').toDataURL()"
    with_map = page.evaluate(drawn)
    page.get_by_label("show masks").uncheck()
    without_map = page.evaluate(drawn)
    page.get_by_label("show masks").check()
    assert page.evaluate(drawn) == with_map != without_map

    page.get_by_role("button", name="Erase Ann O'Hara <b>").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep").click()
    assert page.locator("#people li").count() == 1
    page.get_by_role("button", name="Erase Ann O'Hara <b>").click()
    page.get_by_role("dialog").get_by_role("button", name="Erase").click()
    wait_for_status(page, "is erased.")
    page.get_by_text("Nobody is enrolled.").wait_for()
    page.set_input_files("#file", masked)
    wait_for_status(page, "1 face found, 1 masked")
    assert page.locator(".decision").inner_text() == "Nobody enrolled is near enough"
    assert page.locator(".candidate").count() == 0
    assert page.trouble == []


AMONG = "among the 340 people enrolled (1,512 faces)."
ESTIMATE = "This is an estimate beyond what was measured."
TWICE = "One person may be enrolled twice: have a person check."
TOO_MANY = "More people are enrolled than these thresholds were made for, so nobody is called a match"
SAID = {
    "a match": ({}, "Looks like ann", f"Of strangers, about 1 in 100 would be called a match {AMONG}"),
    "a review": (
        {"decision": "review", "score": 0.4, "candidates": [("ann", 0.4), ("bob", 0.3)]},
        "May be ann: have a person check",
        f"Of strangers, about 1 in 10 would come as near as this {AMONG}",
    ),
    "nobody": ({"decision": "unknown", "score": None, "candidates": []}, "Nobody enrolled is near enough", None),
    "a tie": (
        {"decision": "review", "tied": True, "candidates": [("ann", 0.7), ("bob", 0.7), ("cyd", 0.6)]},
        "ann and bob are equally near",
        f"{TWICE} Of strangers, about 1 in 10 would come as near as this {AMONG}",
    ),
    "a tie of which one is named": (
        {"decision": "review", "tied": True, "review_expected_fpir": 0.3},
        "Two people are equally near",
        f"{TWICE} Of strangers, about 1 in 3.3 would come as near as this {AMONG}",
    ),
    "an estimate": (
        {"extrapolated": True, "expected_fpir": 0.000071},
        "Looks like ann",
        f"Of strangers, about 1 in 14,000 would be called a match {AMONG} {ESTIMATE}",
    ),
    "too many enrolled": (
        {"decision": "review", "extrapolated": True, "expected_fpir": None, "review_expected_fpir": None},
        "May be ann: have a person check",
        f"{TOO_MANY}; calibrate on more strangers.",
    ),
    "thresholds of which nothing is known": (
        {"expected_fpir": None, "review_expected_fpir": None},
        "Looks like ann",
        "How many strangers would be called a match is not known.",
    ),
    "nobody named": (
        {"candidates": []},
        "Looks like somebody enrolled",
        f"Of strangers, about 1 in 100 would be called a match {AMONG}",
    ),
}
"""By what is answered of a face, where it differs from a plain match: the verdict, and why to trust it."""


def test_what_is_answered_is_said_in_words(browser, address, faces_of):
    page = opened(browser, address)
    face = {
        "box": [10, 10, 60, 60],
        "masked": False,
        "coverage": 0,
        "decision": "match",
        "score": 0.7,
        "threshold": 0.5,
        "review_threshold": 0.35,
        "expected_fpir": 0.01,
        "review_expected_fpir": 0.1,
        "extrapolated": False,
        "tied": False,
        "candidates": [("ann", 0.7)],
    }
    enrolled = {"people": 340, "embeddings": 1512}
    answer = {}
    page.route("**/v1/identify", lambda route: route.fulfill(json=answer))
    for what, (differs, verdict, grounds) in SAID.items():
        answered = face | differs
        candidates = [{"identity": name, "score": score} for name, score in answered["candidates"]]
        answer |= {"faces": [answered | {"candidates": candidates}], "enrolled": enrolled}
        page.set_input_files("#file", faces_of(0)[0])
        wait_for_status(page, f"1 face found, none masked. {verdict}.")
        assert page.locator(".decision").inner_text() == verdict, what
        assert page.locator(".grounds").all_inner_texts() == ([grounds] if grounds else []), what
    assert page.trouble == []


def test_a_file_that_is_no_photo_and_a_photo_without_a_face_are_said(browser, address, tmp_path):
    import numpy as np

    from raymask.faces.images import encode_png

    page = opened(browser, address)
    (tmp_path / "text.jpg").write_text("not a photo")
    page.set_input_files("#file", tmp_path / "text.jpg")
    wait_for_status(page, "This file is no photo")
    (tmp_path / "blank.png").write_bytes(encode_png(np.full((200, 200, 3), 128, np.uint8)))
    page.set_input_files("#file", tmp_path / "blank.png")
    wait_for_status(page, "no face was found")
    assert not page.locator("#found").is_visible()


def test_the_page_by_keyboard_on_a_phone_in_the_dark(browser, address, faces_of, screenshots):
    page = opened(browser, address, viewport={"width": 375, "height": 740}, color_scheme="dark")
    reached = []
    for _ in range(8):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
    assert {"API", "key-open", "file", "camera"} <= set(reached)
    page.set_input_files("#file", faces_of(0)[0])
    wait_for_status(page, "1 face found")
    page.focus("#name")
    page.keyboard.type("Bo")
    page.keyboard.press("Enter")
    wait_for_status(page, "Bo is enrolled.")
    page.locator("#people li", has_text="Bo, 1 photo").wait_for()
    page.get_by_role("button", name="Erase Bo").focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    assert page.locator("#people li").count() == 1
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    wait_for_status(page, "Bo is erased.")
    assert page.locator("#status").evaluate("one => one.getBoundingClientRect().bottom <= innerHeight"), (
        "it is in sight"
    )
    assert page.evaluate("document.activeElement.id") == "people-title"
    page.get_by_text("Nobody is enrolled.").wait_for()
    page.fill("#name", "a/b")
    assert not page.locator("#name").evaluate("one => one.checkValidity()")
    widest = page.evaluate("document.documentElement.scrollWidth")
    assert widest <= 375, "nothing reaches out to the side"
    page.screenshot(path=screenshots / "phone.png", full_page=True)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 24, 30)"
    assert page.trouble == []


def test_a_dialog_that_tells_twice_that_it_was_closed_erases_once(browser, address, faces_of):
    page = opened(browser, address)
    page.set_input_files("#file", faces_of(0)[0])
    wait_for_status(page, "1 face found")
    page.fill("#name", "Bo")
    page.get_by_role("button", name="Enrol").click()
    page.get_by_role("button", name="Erase Bo").click()
    dialog = page.get_by_role("dialog").element_handle()
    dialog.evaluate("one => { one.close('erase'); one.dispatchEvent(new Event('close')); }")
    wait_for_status(page, "Bo is erased.")
    page.get_by_text("Nobody is enrolled.").wait_for()
    assert page.trouble == []


def test_the_camera(browser, address):
    page = opened(browser, address)
    page.get_by_role("button", name="Use the camera").click()
    page.locator("#video").wait_for(state="visible")
    page.wait_for_function("document.getElementById('video').videoWidth > 0")
    page.get_by_role("button", name="Take the photo").click()
    wait_for_status(page, "no face was found")  # the browser's test picture shows nobody
    track = page.evaluate_handle("document.getElementById('video').srcObject.getTracks()[0]")
    assert track.evaluate("track => track.readyState") == "live"
    page.get_by_role("button", name="Stop the camera").click()
    assert not page.locator("#video").is_visible()
    assert track.evaluate("track => track.readyState") == "ended"
    assert page.evaluate("document.activeElement.id") == "camera"
    page.get_by_role("button", name="Use the camera").dblclick()
    page.locator("#video").wait_for(state="visible")
    track = page.evaluate_handle("document.getElementById('video').srcObject.getTracks()[0]")
    page.evaluate("dispatchEvent(new Event('pagehide'))")
    assert track.evaluate("track => track.readyState") == "ended", "who leaves the page is not filmed"


def test_what_was_found_stays_when_the_mask_cannot_be_taken_off(browser, address, masked_png, tmp_path):
    page = opened(browser, address)
    problem = {"status": 503, "content_type": "application/problem+json", "body": '{"detail": "Too much to do."}'}
    page.route("**/v1/unmask*", lambda route: route.fulfill(**problem))
    (tmp_path / "masked.png").write_bytes(masked_png(1, 1))
    page.set_input_files("#file", tmp_path / "masked.png")
    wait_for_status(page, "The mask cannot be shown taken off: Too much to do.")
    assert page.locator(".decision").inner_text() == "Nobody enrolled is near enough"
    assert page.locator("#enrol").is_visible()


def test_the_page_warns_of_a_gallery_that_breaks_the_promise(browser, address):
    page = browser.new_page()
    page.set_default_timeout(20_000)
    told = {"warning": "Too many are taken for somebody else.", "nearest": None}
    page.route("**/v1/gallery", lambda route: route.fulfill(json=told))
    page.goto(address)
    warning = page.locator("#gallery-warning")
    warning.wait_for()
    assert warning.inner_text() == "Too many are taken for somebody else."
    told["nearest"] = [{"identities": ["ann", "<b>bob</b>"], "score": 0.91234}]
    page.reload()
    page.get_by_text("Most alike: ann and <b>bob</b> (0.912).").wait_for()
    told["warning"] = None
    page.reload()
    page.get_by_text("Nobody is enrolled.").wait_for()
    page.wait_for_load_state("networkidle")
    assert not warning.is_visible()
    assert "ann" not in warning.inner_text()


class TestWithKeys:
    """A service that asks for a key."""

    @pytest.fixture
    def keys(self) -> Callable[[], tuple[Key, ...]]:
        key = Key(name="door", role="admin", sha256=hashlib.sha256(b"sesame").hexdigest())
        return lambda: (key,)

    def test_who_may_not_list_people_is_not_warned(self, browser, address):
        page = browser.new_page()
        page.set_default_timeout(20_000)
        asked = []
        page.on("request", lambda request: asked.append(request.url.removeprefix(address)))
        page.goto(address)
        page.get_by_role("dialog").wait_for()
        assert "/v1/identities?limit=50" in asked
        assert "/v1/gallery" not in asked
        page.get_by_role("dialog").get_by_label("Key").fill("sesame")
        page.keyboard.press("Enter")
        page.get_by_text("Nobody is enrolled.").wait_for()
        page.wait_for_load_state("networkidle")
        assert "/v1/gallery" in asked

    def test_the_key_is_asked_for_and_the_photo_sent_again(self, browser, address, faces_of):
        page = opened(browser, address)
        dialog = page.get_by_role("dialog")
        dialog.wait_for()
        page.keyboard.press("Escape")
        page.set_input_files("#file", faces_of(1)[0])
        dialog.get_by_label("Key").fill("sesame")
        page.keyboard.press("Enter")
        wait_for_status(page, "1 face found, none masked")
        page.get_by_text("Nobody is enrolled.").wait_for()
        page.get_by_role("button", name="Key").click()
        page.keyboard.press("Escape")
        page.set_input_files("#file", faces_of(1)[1])
        wait_for_status(page, "1 face found, none masked")
        assert page.evaluate("sessionStorage.getItem('key')") == "sesame", "Escape leaves the key as it is"


class TestUnderAPrefix:
    """Beside another application: nothing is asked of that one."""

    @pytest.fixture
    def prefix(self) -> str:
        return "/following"

    def test_page_and_documentation_ask_their_own_application(self, browser, address, faces_of):
        page = opened(browser, address)
        page.set_input_files("#file", faces_of(1)[0])
        wait_for_status(page, "1 face found, none masked")
        page.fill("#name", "Ann")
        page.get_by_role("button", name="Enrol").click()
        page.locator("#people li", has_text="Ann, 1 photo").wait_for()
        page.get_by_role("navigation").get_by_role("link", name="API").click()
        page.get_by_text("POST /v1/identify", exact=True).wait_for()
        assert f"{address}/v1/identities/ann" in page.locator("#operations").inner_text()
        page.get_by_role("link", name="The page").click()
        page.locator("#people li", has_text="Ann, 1 photo").wait_for()
        assert page.trouble == []


def test_the_documentation_is_readable(browser, address, screenshots):
    page = opened(browser, address, "/docs")
    page.get_by_text("POST /v1/identify", exact=True).wait_for()
    assert page.locator(".operation").count() >= 9
    assert (
        "curl -X POST -F photo=@photo.jpg"
        in page.locator(".operation", has_text="POST /v1/identify").first.inner_text()
    )
    page.screenshot(path=screenshots / "docs.png", full_page=True)
    assert page.trouble == []

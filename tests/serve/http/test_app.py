"""The HTTP API."""

import base64
import io
import json
import logging
import warnings

import numpy as np
import pytest
from PIL import Image
from support.client import Client
from support.galleries import files_holding
from support.hostile_photos import exif_of_faults, segment, with_segments
from support.tables import small_table

from raymask.errors import ConfigError, UnsavedError
from raymask.evaluate import load_recogniser
from raymask.faces.images import decode_photo, encode_jpeg
from raymask.serve.core.config import Policy, ThresholdPair
from raymask.serve.core.plan import ModelsConfig, Plan
from raymask.serve.core.service import Service
from raymask.serve.http.app import create_app

AS_JPEG = {"content-type": "image/jpeg"}


def jpeg(photo: bytes, **options) -> dict:
    return {"files": {"photo": ("me.jpg", photo, "image/jpeg")}, **options}


def problem_of(answer, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == {"type", "title", "status", "detail"}
    assert body["status"] == status
    return body["detail"]


def test_someone_is_enrolled_identified_masked_and_erased(ask, faces_of, masked_png):
    for person in range(3):
        answer = ask("POST", f"/v1/identities/p{person}/photos", **jpeg(faces_of(person)[0].read_bytes()))
        assert answer.status_code == 201, answer.text
        assert answer.json()["new"]
    again = ask("POST", "/v1/identities/p1/photos", **jpeg(faces_of(1)[0].read_bytes()))
    assert (again.status_code, again.json()["new"]) == (200, False)

    bare = ask("POST", "/v1/identify", content=faces_of(1)[0].read_bytes(), headers=AS_JPEG)
    assert bare.status_code == 200, bare.text
    face = bare.json()["faces"][0]
    assert (face["masked"], face["decision"], face["candidates"][0]["identity"]) == (False, "match", "p1")
    assert face["score"] == 1.0
    assert (face["threshold"], face["expected_fpir"], face["review_expected_fpir"]) == (
        threshold("bare", 1e-2, 3),
        0.01,
        0.1,
    )
    assert (len(face["candidates"]), face["tied"], face["extrapolated"]) == (3, False, False)
    assert bare.json()["enrolled"] == {"people": 3, "embeddings": 3}

    masked = ask("POST", "/v1/identify", **jpeg(masked_png(1, 1))).json()
    face = masked["faces"][0]
    assert face["masked"]
    masked_ones = (threshold("masked", 1e-2, 3), threshold("masked", 1e-1, 3))
    assert (face["threshold"], face["review_threshold"]) == masked_ones, "masked faces have thresholds of their own"
    assert {"detector", "segmenter", "inpainter", "masked_embedder", "bare_embedder", "gallery"} == set(
        masked["seconds"]
    )

    listed = ask("GET", "/v1/identities?limit=2").json()
    assert listed == {"people": [{"identity": "p0", "photos": 1}, {"identity": "p1", "photos": 1}], "next": "p1"}
    assert ask("GET", "/v1/identities?after=p1").json() == {"people": [{"identity": "p2", "photos": 1}], "next": None}
    assert ask("GET", "/v1/identities/p1").json()["photos"][0]["photo"] == again.json()["photo"]

    assert ask("DELETE", "/v1/identities/p1").json() == {"identity": "p1", "photos": 1}
    assert "nobody is enrolled as p1" in problem_of(ask("DELETE", "/v1/identities/p1"), 404)
    assert "nobody" in problem_of(ask("GET", "/v1/identities/p1"), 404)
    after = ask("POST", "/v1/identify", **jpeg(faces_of(1)[0].read_bytes())).json()
    assert "p1" not in {one["identity"] for one in after["faces"][0]["candidates"]}
    assert after["enrolled"] == {"people": 2, "embeddings": 2}
    assert after["faces"][0]["threshold"] < bare.json()["faces"][0]["threshold"], "of a smaller gallery"


def threshold(state: str, rate: float, enrolled: int) -> float:
    return round(small_table().threshold(state, rate, enrolled).score, 4)


def test_the_decision_is_evaluations(ask, fused_bundle, faces_of, masked_png):
    ask("POST", "/v1/identities/ann/photos", **jpeg(faces_of(0)[0].read_bytes()))
    recogniser = load_recogniser(f"fused:{fused_bundle}")
    enrolled, _ = recogniser.embed([decode_photo(faces_of(0)[0].read_bytes(), "enrolled")])
    for photo in (faces_of(0)[1].read_bytes(), masked_png(0, 1)):
        probe, found = recogniser.embed([decode_photo(photo, "probe")])
        assert found[0]
        face = ask("POST", "/v1/identify", **jpeg(photo)).json()["faces"][0]
        score = float(probe[0] @ enrolled[0])
        assert face["score"] == pytest.approx(score, abs=1e-4)
        state = "masked" if face["masked"] else "bare"
        expected = [threshold(state, rate, 1) for rate in (1e-2, 1e-1)]
        assert [face["threshold"], face["review_threshold"]] == expected
        decisions = ("unknown", "review", "match")
        assert face["decision"] == decisions[sum(face["score"] >= one for one in expected)]


def test_thresholds_change_in_place(ask, service, faces_of):
    ask("POST", "/v1/identities/ann/photos", **jpeg(faces_of(0)[0].read_bytes()))
    photo = jpeg(faces_of(0)[0].read_bytes())
    assert ask("POST", "/v1/identify", **photo).json()["faces"][0]["decision"] == "match"
    service.set_policy(Policy(bare=ThresholdPair(match=1.0, review=0.9), candidates=1))
    face = ask("POST", "/v1/identify", **photo).json()["faces"][0]
    assert (face["threshold"], face["review_threshold"]) == (1.0, 0.9)


def test_other_embedders_need_thresholds_of_their_own(fused_bundle, stages, service):
    plan = Plan.of(ModelsConfig(fused=str(fused_bundle), masked_embedder="dlib"))
    other = Service(plan, stages, service.gallery, Policy())
    with pytest.raises(ConfigError, match=r"no thresholds for these embedders on bare faces.*jobs/fuse\.py"):
        _ = other.decisions
    with pytest.raises(ConfigError, match="no thresholds"):
        other.set_policy(Policy(bare=ThresholdPair(match=0.5, review=0.4)))
    pair = ThresholdPair(match=0.5, review=0.4)
    other.set_policy(Policy(bare=pair, masked=pair))
    assert other.decisions.identifying("masked", 10).decide([0.45]) == ("review", False)


def test_the_stages_by_themselves(ask, faces_of, masked_png):
    masked = masked_png(0, 0)
    face = ask("POST", "/v1/segment", **jpeg(masked)).json()["faces"][0]
    mask_map = np.array(Image.open(io.BytesIO(base64.b64decode(face["mask_png"]))))
    assert mask_map.shape == (224, 224)
    assert face["coverage"] == pytest.approx((mask_map > 0).mean())
    left, top, side = face["square"]
    assert side >= face["box"][2] - face["box"][0]
    assert left <= face["box"][0]
    assert top <= face["box"][1]

    answer = ask("POST", "/v1/unmask", **jpeg(masked))
    assert (answer.headers["content-type"], answer.headers["x-masks"]) == ("image/png", "1")
    before, after = decode_photo(masked, "before"), decode_photo(answer.content, "after")
    changed = (before != after).any(axis=2)
    assert 0.01 < changed.mean() < 0.5
    bare = faces_of(0)[0].read_bytes()
    answer = ask("POST", "/v1/unmask?picture=jpeg", **jpeg(bare))
    assert (answer.headers["content-type"], answer.headers["x-masks"]) == ("image/jpeg", "0")

    embedded = ask("POST", "/v1/embed", **jpeg(bare)).json()
    assert np.linalg.norm(embedded["faces"][0]["embedding"]) == pytest.approx(1, abs=1e-5)

    photos = {"first": ("a.jpg", bare, "image/jpeg"), "second": ("b.png", masked, "image/png")}
    verified = ask("POST", "/v1/verify", files=photos).json()
    assert (verified["first"]["masked"], verified["second"]["masked"]) == (False, True)
    assert (verified["threshold"], verified["expected_fmr"]) == (threshold("masked", 1e-3, 1), 1e-3)
    assert verified["review_threshold"] == threshold("masked", 1e-2, 1)
    same = ask("POST", "/v1/verify", files={"first": photos["first"], "second": photos["first"]}).json()
    assert (same["decision"], same["score"]) == ("match", 1.0)


def test_somebody_enrolled_is_verified(ask, faces_of):
    photo = faces_of(0)[0].read_bytes()
    done = ask("POST", "/v1/identities/O'Hara/photos?with_masks=true", **jpeg(photo)).json()
    ask("POST", "/v1/identities/bob/photos", **jpeg(faces_of(1)[0].read_bytes()))
    verified = ask("POST", "/v1/identities/O'Hara/verify", **jpeg(photo)).json()
    assert (verified["identity"], verified["decision"], verified["score"]) == ("O'Hara", "match", 1.0)
    assert verified["embeddings"] == 1 + len(done["looks"]) > 1
    assert verified["threshold"] == threshold("bare", 1e-3, verified["embeddings"])
    assert verified["review_threshold"] == threshold("bare", 1e-2, verified["embeddings"])
    assert (verified["expected_fmr"], verified["extrapolated"]) == (1e-3, False)
    assert verified["face"]["box"]
    other = ask("POST", "/v1/identities/O'Hara/verify", content=faces_of(1)[0].read_bytes(), headers=AS_JPEG).json()
    assert -1 <= other["score"] < 1
    assert "nobody is enrolled as cyd" in problem_of(ask("POST", "/v1/identities/cyd/verify", **jpeg(photo)), 404)
    assert "printable" in problem_of(ask("POST", "/v1/identities/%20/verify", **jpeg(photo)), 400)
    blank = encode_jpeg(np.full((200, 200, 3), 128, np.uint8))
    assert "no face was found" in problem_of(ask("POST", "/v1/identities/bob/verify", **jpeg(blank)), 422)
    assert problem_of(ask("GET", "/v1/identities/bob/verify"), 405)


def test_of_a_photo_that_is_enrolled_twice_neither_name_is_a_match(ask, faces_of):
    photo = jpeg(faces_of(0)[0].read_bytes())
    for name in ("ann", "anne"):
        ask("POST", f"/v1/identities/{name}/photos", **photo)
    face = ask("POST", "/v1/identify", **photo).json()["faces"][0]
    assert (face["decision"], face["tied"], face["score"]) == ("review", True, 1.0)
    assert {one["identity"]: one["score"] for one in face["candidates"]} == {"ann": 1.0, "anne": 1.0}


def test_a_photo_turned_by_its_exif_tag_is_turned_back(ask, faces_of):
    upright = Image.open(faces_of(0)[0])
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees to the right
    for kind in ("JPEG", "PNG", "WEBP"):
        photos = [io.BytesIO(), io.BytesIO()]
        turned.save(photos[0], kind, exif=exif, lossless=True, quality=100, subsampling=0)
        upright.save(photos[1], kind, lossless=True, quality=100, subsampling=0)
        box, straight = (
            ask("POST", "/v1/segment", **jpeg(photo.getvalue())).json()["faces"][0]["box"] for photo in photos
        )
        assert box == pytest.approx(straight, abs=0.02 if kind != "JPEG" else 5)


def test_enrolling_with_masks_and_keeping_the_photo(ask, service, faces_of):
    photo = faces_of(0)[0].read_bytes()
    done = ask("POST", "/v1/identities/ann/photos?with_masks=true&keep=true", **jpeg(photo)).json()
    assert done["kept"]
    assert done["looks"]
    again = ask("POST", "/v1/identities/ann/photos", **jpeg(photo)).json()
    assert (again["new"], again["kept"], set(again["looks"])) == (False, True, set(done["looks"])), "what is there"
    shown = ask("GET", "/v1/identities/ann").json()["photos"]
    assert (len(shown), set(shown[0]["looks"]), shown[0]["kept"]) == (1, set(done["looks"]), True)


def test_kept_photos_are_listed_returned_and_deleted(ask, faces_of, masked_png, tmp_path):
    jpg, png = faces_of(0)[0].read_bytes(), masked_png(0, 1)
    ids = [ask("POST", "/v1/identities/ann/photos?keep=true", **jpeg(one)).json()["photo"] for one in (jpg, png)]
    ask("POST", "/v1/identities/ann/photos", **jpeg(faces_of(0)[2].read_bytes()))
    ask("POST", "/v1/identities/bob/photos", **jpeg(faces_of(1)[0].read_bytes()))

    listed = ask("GET", "/v1/identities/ann/photos").json()
    assert listed["identity"] == "ann"
    assert [(one["photo"], one["bytes"]) for one in listed["photos"]] == [*zip(ids, map(len, (jpg, png)), strict=True)]
    shown = {one["photo"]: one["added"] for one in ask("GET", "/v1/identities/ann").json()["photos"]}
    assert all(shown[one["photo"]] == one["added"] for one in listed["photos"])
    assert ask("GET", "/v1/identities/bob/photos").json() == {"identity": "bob", "photos": []}

    for photo, sent, kind in zip(ids, (jpg, png), ("image/jpeg", "image/png"), strict=True):
        answer = ask("GET", f"/v1/identities/ann/photos/{photo}")
        assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, kind, sent)
        assert answer.headers["cache-control"] == "no-store"

    assert ask("DELETE", f"/v1/identities/ann/photos/{ids[0]}").json() == {"identity": "ann", "photos": 1}
    assert not files_holding(tmp_path / "gallery", jpg[:2000])
    assert files_holding(tmp_path / "gallery", png[:2000])
    assert "no such photo of ann is kept" in problem_of(ask("GET", f"/v1/identities/ann/photos/{ids[0]}"), 404)
    assert ask("DELETE", "/v1/identities/ann/photos").json() == {"identity": "ann", "photos": 1}
    assert not files_holding(tmp_path / "gallery", png[:2000])
    assert ask("GET", "/v1/identities/ann/photos").json()["photos"] == []
    face = ask("POST", "/v1/identify", **jpeg(jpg)).json()["faces"][0]
    assert (face["candidates"][0]["identity"], face["score"]) == ("ann", pytest.approx(1, abs=1e-4)), "ann is enrolled"


def test_a_photo_that_is_not_kept_is_not_found(ask, faces_of):
    photo = faces_of(0)[0].read_bytes()
    known = ask("POST", "/v1/identities/ann/photos", **jpeg(photo)).json()["photo"]
    for method in ("GET", "DELETE"):
        for id in (known, "0" * 32, known.upper(), "photo", f"{known}%0a"):
            answer = ask(method, f"/v1/identities/ann/photos/{id}")
            if not id.endswith("%0a"):
                assert "no such photo of ann is kept" in problem_of(answer, 404)
            assert answer.status_code in (400, 404)
        assert "nobody is enrolled as bob" in problem_of(ask(method, f"/v1/identities/bob/photos/{known}"), 404)
        assert "nobody is enrolled as bob" in problem_of(ask(method, "/v1/identities/bob/photos"), 404)
        assert "printable" in problem_of(ask(method, "/v1/identities/%20/photos"), 400)
    assert "no such photo" in problem_of(ask("DELETE", "/v1/identities/ann/photos"), 404)


def test_masks_are_drawn_on_a_close_up_in_little_memory(ask, faces_of, monkeypatch):
    from raymask.serve.core import enrolment

    drawn_on, draw = [], enrolment.draw_mask
    monkeypatch.setattr(enrolment, "draw_mask", lambda photo, *rest: drawn_on.append(photo.shape) or draw(photo, *rest))
    image = Image.open(faces_of(0)[0]).convert("RGB")
    large = io.BytesIO()
    image.resize((8 * image.width, 8 * image.height)).save(large, "JPEG")
    done = ask("POST", "/v1/identities/ann/photos?with_masks=true", **jpeg(large.getvalue())).json()
    left, top, right, bottom = done["face"]["box"]
    assert max(right - left, bottom - top) > 512
    assert done["looks"]
    assert all(max(shape) < 8 * max(image.size) for shape in drawn_on)


def test_a_large_photo_in_a_form_goes_to_no_file(ask, faces_of, monkeypatch):
    def to_disk(_):
        raise AssertionError("the photo was written to a temporary file")

    monkeypatch.setattr("tempfile.SpooledTemporaryFile.rollover", to_disk)
    photo = faces_of(0)[0].read_bytes()
    answer = ask("POST", "/v1/identify", files={"photo": photo + b"\0" * 3_000_000})  # behind a JPEG's end is nothing
    assert answer.status_code == 200, answer.text


def test_an_idempotency_key_stands_for_the_photo(ask, faces_of):
    first = ask(
        "POST", "/v1/identities/ann/photos", headers={"Idempotency-Key": "k1"}, **jpeg(faces_of(0)[0].read_bytes())
    )
    other = ask(
        "POST", "/v1/identities/ann/photos", headers={"Idempotency-Key": "k1"}, **jpeg(faces_of(0)[1].read_bytes())
    )
    assert (first.status_code, other.status_code) == (201, 200)
    assert first.json()["photo"] == other.json()["photo"]
    assert ask("GET", "/v1/identities").json()["people"] == [{"identity": "ann", "photos": 1}]


def test_mistakes_are_problems_that_say_what_to_do(ask, service, faces_of):
    photo = faces_of(0)[0].read_bytes()
    assert "not a JPEG, PNG or WebP" in problem_of(ask("POST", "/v1/identify", **jpeg(b"not a photo")), 400)
    assert "damaged" in problem_of(ask("POST", "/v1/identify", **jpeg(photo[: len(photo) // 2])), 400)
    assert "empty" in problem_of(ask("POST", "/v1/identify", **jpeg(b"")), 400)
    assert "no file photo" in problem_of(ask("POST", "/v1/identify", files={"picture": photo}), 400)
    assert "form field `photo`" in problem_of(
        ask("POST", "/v1/identify", json={"url": "http://example.org/a.jpg"}), 400
    )
    blank = encode_jpeg(np.full((200, 200, 3), 128, np.uint8))
    assert "no face was found" in problem_of(ask("POST", "/v1/identify", **jpeg(blank)), 422)
    bad_name = problem_of(ask("POST", "/v1/identities/%0a/photos", **jpeg(photo)), 400)
    assert "printable" in bad_name
    assert "limit" in problem_of(ask("GET", "/v1/identities?limit=0"), 400)
    assert problem_of(ask("GET", "/v1/nothing"), 404)
    assert problem_of(ask("GET", "/v1/identify"), 405)
    service.set_policy(Policy(pixels=1000))
    assert "megapixels" in problem_of(ask("POST", "/v1/identify", **jpeg(photo)), 413)
    service.set_policy(Policy(body_bytes=1000))
    assert "1,000 bytes" in problem_of(ask("POST", "/v1/identify", **jpeg(photo)), 413)

    async def chunks():
        for start in range(0, len(photo), 500):
            yield photo[start : start + 500]

    unannounced = ask("POST", "/v1/identify", content=chunks(), headers={"content-type": "image/jpeg"})
    assert "1,000 bytes" in problem_of(unannounced, 413)


@pytest.mark.parametrize(
    "path", ["/v1/identify", "/v1/verify", "/v1/identities/ann/photos", "/v1/identities/ann/verify"]
)
@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("multipart/form-data; boundary=x", ""),
        ("multipart/form-data; boundary=x", "a photo"),
        ("multipart/form-data; boundary=x; charset=unicode_escape", "\\ud800"),
        ("multipart/form-data; boundary=x; charset=undefined", "a"),
        ("multipart/form-data; boundary=x; charset=nothing", "a"),
        ("multipart/form-data; boundary=x; charset=punycode", "zz-" + "a" * 500_000),  # would take minutes
    ],
)
def test_text_in_a_photos_place_is_said(ask, path, kind, text):
    parts = [f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name in ("photo", "first")]
    answer = ask("POST", path, content="".join([*parts, "--x--\r\n"]), headers={"content-type": kind})
    assert "form" in problem_of(answer, 400)


def test_what_fails_is_audited_too(ask, service, monkeypatch, caplog):
    async def fails(identity):
        raise UnsavedError("the disk of /srv/gallery is full")

    caplog.set_level(logging.INFO)
    monkeypatch.setattr(service.gallery, "erase", fails)
    assert "/srv/gallery" not in problem_of(ask("DELETE", "/v1/identities/ann"), 507)
    assert "the disk of /srv/gallery is full" in caplog.text
    (line,) = [json.loads(record.message) for record in caplog.records if record.name == "raymask.audit"]
    assert (line["event"], line["outcome"]) == ("erase", "UnsavedError")


def test_a_decompression_bomb_is_refused_before_it_is_decoded(ask):
    buffer = io.BytesIO()
    Image.new("L", (30_000, 30_000)).save(buffer, "PNG")
    assert len(buffer.getvalue()) < 2_000_000
    assert "megapixels" in problem_of(ask("POST", "/v1/identify", **jpeg(buffer.getvalue())), 413)


def test_nothing_of_a_photo_or_a_name_is_logged(ask, caplog, faces_of):
    caplog.set_level(logging.DEBUG)
    answer = ask("POST", "/v1/identities/Secret%20Name/photos", **jpeg(faces_of(0)[0].read_bytes()))
    ask("POST", "/v1/identify", **jpeg(faces_of(0)[0].read_bytes()))
    ask("GET", "/v1/identities/Secret%20Name/photos/00")
    ask("DELETE", "/v1/identities/Secret%20Name/photos/00")
    ask("DELETE", "/v1/identities/Secret%20Name/photos")
    ask("DELETE", "/v1/identities/Secret%20Name")
    ours = [record for record in caplog.records if record.name.startswith("raymask")]
    lines = [json.loads(record.message) for record in ours if record.name == "raymask.serve"]
    assert [line["route"] for line in lines] == [
        "/v1/identities/{identity}/photos",
        "/v1/identify",
        "/v1/identities/{identity}/photos/{photo}",
        "/v1/identities/{identity}/photos/{photo}",
        "/v1/identities/{identity}/photos",
        "/v1/identities/{identity}",
    ]
    assert lines[0]["request"] == answer.headers["x-request-id"]
    audited = [json.loads(record.message) for record in ours if record.name == "raymask.audit"]
    assert [(line["event"], line["request"]) for line in audited] == [
        ("enrol", lines[0]["request"]),
        ("read kept photo", lines[2]["request"]),
        ("delete kept photo", lines[3]["request"]),
        ("delete kept photos", lines[4]["request"]),
        ("erase", lines[5]["request"]),
    ]
    assert [line["outcome"] for line in audited] == ["done", *["UnknownPhotoError"] * 3, "done"]
    assert "Secret" not in " ".join(record.getMessage() for record in ours)


def test_a_request_writes_a_line_into_the_log_whatever_its_photo_holds(ask, caplog, faces_of):
    caplog.set_level(logging.INFO)
    exif = segment(0xE1, b"Exif\0\0" + exif_of_faults(5000))
    photo = with_segments(exif * 12, faces_of(0)[0].read_bytes())
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        answer = ask("POST", "/v1/segment", **jpeg(photo))
    logged = sum(len(record.getMessage()) for record in caplog.records if record.name.startswith(("raymask", "PIL")))
    logged += sum(len(str(one.message)) for one in warned if "PIL" in one.filename)
    assert (answer.status_code, logged < 300) == (200, True), f"{logged:,} bytes"


def test_a_request_keeps_the_id_that_it_brings(ask):
    assert ask("GET", "/healthz", headers={"X-Request-ID": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert ask("GET", "/healthz", headers={"X-Request-ID": "a b\t"}).headers["x-request-id"] != "a b\t"


def test_health_and_documentation(ask):
    assert ask("GET", "/healthz").json() == {"status": "ok"}
    ready = ask("GET", "/readyz")
    assert ready.status_code == 200
    assert ready.json()["ready"]
    document = ask("GET", "/openapi.json").json()
    paths = document["paths"]
    assert set(paths) >= {"/v1/identify", "/v1/verify", "/v1/unmask", "/v1/segment", "/v1/embed", "/v1/identities"}
    verify = paths["/v1/identities/{identity}/verify"]["post"]
    assert {"404", "422", "503"} <= set(verify["responses"])
    assert set(verify["requestBody"]["content"]) == {"multipart/form-data", "image/jpeg", "image/png", "image/webp"}
    body = paths["/v1/identify"]["post"]["requestBody"]["content"]
    assert set(body) == {"multipart/form-data", "image/jpeg", "image/png", "image/webp"}
    assert "HTTPValidationError" not in str(document), "a value that cannot be used is a problem with status 400"
    assert "422" not in paths["/v1/identities"]["get"]["responses"]
    photo = paths["/v1/identities/{identity}/photos/{photo}"]
    assert set(photo["get"]["responses"]["200"]["content"]) == {"image/jpeg", "image/png", "image/webp"}
    assert {"401", "403", "404"} <= set(photo["get"]["responses"]) & set(photo["delete"]["responses"])
    assert set(paths["/v1/identities/{identity}/photos"]) == {"get", "post", "delete"}
    assert "422" in paths["/v1/identify"]["post"]["responses"], "no face"
    assert document["components"]["schemas"]["Identified"]["examples"][0]["faces"][0]["decision"] == "match"


def test_every_answer_has_security_headers(ask):
    headers = ask("GET", "/healthz").headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"


def test_without_keys_only_this_machine_is_answered(service):
    app = create_app(service, None)
    assert Client(app)("GET", "/healthz").status_code == 200
    assert "only this machine" in problem_of(Client(app, client="192.0.2.7")("GET", "/v1/identities"), 403)
    assert "only this machine" in problem_of(Client(app, host="evil.example")("GET", "/v1/identities"), 403)
    other_site = {"origin": "http://evil.example"}
    assert "other sites" in problem_of(Client(app)("DELETE", "/v1/identities/ann", headers=other_site), 403)
    own = {"origin": "http://localhost"}
    assert Client(app)("GET", "/v1/identities", headers=own).status_code == 200
    passed_on = {"x-forwarded-for": "192.0.2.7"}
    assert "a proxy passes on" in problem_of(Client(app)("GET", "/v1/identities", headers=passed_on), 403)

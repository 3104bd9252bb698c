"""What the service answers about people whom a gallery of any size finds."""

import asyncio

import pytest
from support.tables import KNOWN, LOWEST, STEP, small_table

from raymask.errors import ConfigError, UnknownIdentityError
from raymask.gallery.view import Candidate, Found, GallerySize
from raymask.serve.core.config import Policy, ThresholdPair
from raymask.serve.core.schemas import FaceIdentified, Identified

MATCH, REVIEW, UNKNOWN = LOWEST["bare"] + 2.5 * STEP, LOWEST["bare"] + 1.5 * STEP, LOWEST["bare"] + 0.5 * STEP
"""Scores with ten embeddings enrolled."""


@pytest.fixture
def finds(service, faces_of, monkeypatch):
    """What is answered about a bare face where the gallery finds these scores among so many."""
    asked: list[int] = []

    def answer(*scores: float, enrolled: int = 10, below_review: bool = True) -> Identified:
        async def search(embeddings, people: int) -> Found:
            asked.append(people)
            found = [Candidate(f"p{place}", score) for place, score in enumerate(scores)][:people]
            return Found([found] * len(embeddings), GallerySize(enrolled, enrolled))

        monkeypatch.setattr(service.gallery, "search", search)
        return asyncio.run(service.identify(faces_of(0)[0].read_bytes(), below_review=below_review))

    answer.asked = asked
    return answer


def face(answer: Identified) -> FaceIdentified:
    (one,) = answer.faces
    return one


def test_the_decision_is_by_how_many_are_enrolled(finds):
    few, many, beyond = (finds(MATCH, enrolled=size) for size in (10, 1000, KNOWN + 1))
    assert [one.enrolled.embeddings for one in (few, many, beyond)] == [10, 1000, KNOWN + 1]
    assert (face(few).decision, face(many).decision) == ("match", "unknown")
    assert face(many).threshold == pytest.approx(face(few).threshold + 2 * STEP)
    assert (face(few).expected_fpir, face(few).review_expected_fpir) == (0.01, 0.1)
    assert (face(few).extrapolated, face(many).extrapolated) == (False, True)
    nearest = face(finds(1.0, enrolled=KNOWN + 1))
    assert (nearest.decision, nearest.expected_fpir, nearest.extrapolated) == ("review", None, True)
    assert face(finds(enrolled=0)).decision == "unknown"


def test_a_score_is_rounded_and_the_decision_is_that_of_what_is_shown(service, finds):
    one = face(finds(1.0000001, 0.99, -1.0000001))
    assert one.score == one.candidates[0].score == 1.0
    assert one.candidates[2].score == -1.0
    service.set_policy(Policy(bare=ThresholdPair(match=0.95, review=0.9)))
    one = face(finds(0.949951, 0.2))
    assert (one.score, one.threshold, one.decision) == (0.95, 0.95, "match")
    one = face(finds(0.949949, 0.2))
    assert (one.score, one.decision) == (0.9499, "review")


def test_of_two_equally_near_none_is_a_match(service, finds):
    one = face(finds(MATCH, MATCH - 1e-6))
    assert (one.decision, one.tied) == ("review", True)
    assert [candidate.score for candidate in one.candidates] == [round(MATCH, 4)] * 2
    assert not face(finds(MATCH, MATCH - 2e-4)).tied
    assert not face(finds(UNKNOWN, UNKNOWN)).tied, "who is unknown is nobody of the two"
    service.set_policy(Policy(candidates=1))
    one = face(finds(MATCH, MATCH))
    assert (one.decision, one.tied, len(one.candidates)) == ("review", True, 1), "though only one is named"


def test_nobody_needs_to_be_named(service, finds):
    service.set_policy(Policy(candidates=0))
    one = face(finds(MATCH, UNKNOWN))
    assert (one.decision, one.score, one.candidates) == ("match", round(MATCH, 4), [])
    assert finds.asked == [2], "a second one is looked for, in case it is as near"


def test_nothing_below_review_is_shown_to_who_may_only_identify(finds):
    for scores, named in (((MATCH, REVIEW, UNKNOWN), 2), ((REVIEW, UNKNOWN), 1)):
        some, all_ = face(finds(*scores, below_review=False)), face(finds(*scores))
        assert [one.identity for one in some.candidates] == [f"p{place}" for place in range(named)]
        assert len(all_.candidates) == len(scores)
        assert (some.decision, some.score) == (all_.decision, all_.score)
    stranger = face(finds(UNKNOWN, UNKNOWN, below_review=False))
    assert (stranger.decision, stranger.score, stranger.candidates, stranger.tied) == ("unknown", None, [], False)
    assert face(finds(UNKNOWN)).score == round(UNKNOWN, 4)


def test_somebody_enrolled_is_verified_alone(service, faces_of):
    photos = [path.read_bytes() for path in faces_of(1)[:3]]

    async def ask():
        for photo in photos[:2]:
            await service.enrol("ann", photo, key=None, with_masks=False, keep=False)
        await service.enrol("bob", faces_of(2)[0].read_bytes(), key=None, with_masks=False, keep=False)
        same = await service.verify_identity("ann", photos[1], below_review=False)
        other = await service.verify_identity("ann", photos[2], below_review=True)
        two = [await service.verify(photo, photos[2]) for photo in photos[:2]]
        with pytest.raises(UnknownIdentityError, match="nobody is enrolled as cyd"):
            await service.verify_identity("cyd", photos[0], below_review=True)
        with pytest.raises(ConfigError, match="printable"):
            await service.verify_identity("a/b", photos[0], below_review=True)
        return same, other, two

    same, other, two = asyncio.run(ask())
    assert (same.identity, same.decision, same.score, same.embeddings) == ("ann", "match", 1.0, 2)
    assert other.score == pytest.approx(max(one.score for one in two), abs=1e-4), "the nearest of all"
    alone, person = (small_table().threshold("bare", 1e-3, size) for size in (1, 2))
    assert (two[0].threshold, two[0].expected_fmr) == (round(alone.score, 4), 1e-3)
    assert (same.threshold, same.expected_fmr) == (round(person.score, 4), 1e-3)
    review = small_table().threshold("bare", 1e-2, 2)
    assert same.review_threshold == round(review.score, 4) < same.threshold
    assert {"detector", "segmenter", "gallery"} < set(same.seconds)


def test_the_score_of_who_is_another_is_not_shown_to_who_may_only_identify(service, faces_of):
    service.set_policy(Policy(bare=ThresholdPair(match=1.0, review=1.0)))

    async def ask(below_review: bool):
        return await service.verify_identity("ann", faces_of(2)[0].read_bytes(), below_review=below_review)

    async def both():
        await service.enrol("ann", faces_of(1)[0].read_bytes(), key=None, with_masks=False, keep=False)
        return await ask(False), await ask(True)

    hidden, shown = asyncio.run(both())
    assert (hidden.decision, hidden.score, shown.decision) == ("unknown", None, "unknown")
    assert -1 <= shown.score < 1


def test_every_decision_is_counted(service, finds):
    counted = []
    service._count = lambda decision, masked: counted.append((decision, masked))
    for score in (MATCH, REVIEW, UNKNOWN):
        finds(score)
    assert counted == [("match", False), ("review", False), ("unknown", False)]

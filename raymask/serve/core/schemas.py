"""What the service answers: the models behind its OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Decision = Literal["match", "review", "unknown"]


def example(**values: Any) -> ConfigDict:
    """An answer as the document shows it."""
    return ConfigDict(json_schema_extra={"examples": [values]})


Box = Annotated[
    list[float], Field(min_length=4, max_length=4, description="Left, top, right, bottom, pixels of the photo.")
]


class Candidate(BaseModel):
    """A person enrolled, and how near."""

    identity: str
    score: float = Field(description="Cosine similarity, -1 to 1, of the person's nearest photo; 4 digits.")


class FaceFound(BaseModel):
    """A face in a photo."""

    box: Box
    detection_score: float = Field(description="The detector's confidence, 0 to 1.")


class FaceSegmented(FaceFound):
    """A face, and what covers it."""

    masked: bool
    coverage: float = Field(description="Share of the face's square that a mask covers, 0 to 1.")


class FaceMap(FaceSegmented):
    """A face, and where a mask covers it."""

    square: list[int] = Field(
        min_length=3, max_length=3, description="Left, top and side of the map's square, pixels of the photo."
    )
    mask_png: str = Field(description="The map, PNG of 0 and 255 in base64, to be drawn over the square.")


class FaceEmbedded(FaceSegmented):
    """A face as numbers."""

    embedding: list[float] = Field(description="Length 1; the cosine of two is their similarity.")


_EXTRAPOLATED = (
    "Whether thresholds, or the rates that they imply, come from a fit instead of a measurement, or hold for fewer "
    "people than are enrolled."
)


class FaceIdentified(FaceSegmented):
    """A face, and who it may be."""

    decision: Decision = Field(
        description="What the score of the nearest person means. A match becomes review where two people are equally "
        "near, and where more are enrolled than the thresholds are known for."
    )
    score: float | None = Field(
        description="Of the nearest person; null if nobody is enrolled, and of somebody unknown for a key of the role "
        "identify."
    )
    threshold: float = Field(description="Score from which the decision is match.")
    review_threshold: float = Field(description="Score from which it is review, and below which it is unknown.")
    expected_fpir: float | None = Field(
        description="Share of strangers' searches that reach `threshold` among all who are enrolled (FPIR); null if it "
        "is not known."
    )
    review_expected_fpir: float | None = Field(description="The same of `review_threshold`.")
    extrapolated: bool = Field(description=_EXTRAPOLATED)
    tied: bool = Field(description="Whether two people are equally near; one person may be enrolled by two names.")
    candidates: list[Candidate] = Field(
        description="The nearest people, nearest first. A key of the role identify sees none below `review_threshold`."
    )


class GallerySize(BaseModel):
    """How much is enrolled."""

    people: int
    embeddings: int = Field(description="One of each photo, and one of each mask that was drawn on it to enrol it.")


_FACE = {
    "box": [96.2, 70.1, 160.9, 152.4],
    "detection_score": 0.9998,
    "masked": True,
    "coverage": 0.31,
}


class Timed(BaseModel):
    """An answer that says where its time went."""

    seconds: dict[str, float] = Field(
        description="Time until each stage had answered, waiting included; stages that run side by side overlap. A "
        "stage that was not asked is left out."
    )


class Identified(Timed):
    """Who is in a photo."""

    model_config = example(
        faces=[
            {
                **_FACE,
                "decision": "match",
                "score": 0.7132,
                "threshold": 0.4391,
                "review_threshold": 0.3614,
                "expected_fpir": 0.01,
                "review_expected_fpir": 0.1,
                "extrapolated": False,
                "tied": False,
                "candidates": [{"identity": "person_003", "score": 0.7132}],
            }
        ],
        enrolled={"people": 340, "embeddings": 512},
        seconds={"detector": 0.061, "segmenter": 0.008, "masked_embedder": 0.02, "gallery": 0.003},
    )
    faces: list[FaceIdentified]
    enrolled: GallerySize = Field(description="Among how many people the faces were searched.")


class Segmented(Timed):
    """Which faces of a photo wear masks, and where."""

    model_config = example(
        faces=[{**_FACE, "square": [79, 62, 99], "mask_png": "iVBORw0KGgo..."}],
        seconds={"detector": 0.061, "segmenter": 0.008},
    )
    faces: list[FaceMap]


class Embedded(Timed):
    """The faces of a photo as numbers."""

    model_config = example(
        faces=[{**_FACE, "embedding": [0.013, -0.044]}],
        model="5d0b4c1f9e3a",
        seconds={"detector": 0.061, "segmenter": 0.008, "masked_embedder": 0.02, "bare_embedder": 0.02},
    )
    faces: list[FaceEmbedded]
    model: str = Field(description="Digest of the networks; embeddings of another cannot be compared with these.")


class Compared(Timed):
    """Whether a face is one person's."""

    decision: Decision
    threshold: float = Field(description="Score from which the decision is match.")
    review_threshold: float = Field(description="Score from which it is review, and below which it is unknown.")
    expected_fmr: float | None = Field(
        description="Share of strangers who reach `threshold` (false-match rate); null if it is not known."
    )
    extrapolated: bool = Field(description=_EXTRAPOLATED)


_COMPARED = {
    "decision": "match",
    "score": 0.6615,
    "threshold": 0.3527,
    "review_threshold": 0.2884,
    "expected_fmr": 0.001,
    "extrapolated": False,
}


class Verified(Compared):
    """Whether two photos show one person."""

    model_config = example(
        **_COMPARED,
        first=_FACE,
        second={**_FACE, "masked": False, "coverage": 0.0},
        seconds={"detector": 0.12},
    )
    score: float = Field(description="Cosine similarity of the two photos' subjects, -1 to 1; 4 digits.")
    first: FaceSegmented
    second: FaceSegmented


class IdentityVerified(Compared):
    """Whether a photo shows somebody enrolled."""

    model_config = example(
        identity="person_003",
        **_COMPARED,
        embeddings=2,
        face=_FACE,
        seconds={"detector": 0.061, "segmenter": 0.008, "masked_embedder": 0.02, "gallery": 0.003},
    )
    identity: str
    score: float | None = Field(
        description="Cosine similarity, -1 to 1, of the person's nearest photo; 4 digits. Null if the decision is "
        "unknown, for a key of the role identify."
    )
    embeddings: int = Field(description="How many the person has, all of which were compared.")
    face: FaceSegmented


class Enrolled(BaseModel):
    """A photo that is enrolled; it is on disk."""

    model_config = example(
        identity="person_003",
        photo="6f1ed002ab5595859014ebf0951522d9",
        new=True,
        looks=[],
        kept=False,
        face=_FACE,
        other_faces=0,
    )
    identity: str
    photo: str = Field(description="By which the photo is known: a digest of its bytes, or of its Idempotency-Key.")
    new: bool = Field(description="Whether it was not enrolled before; if it was, nothing has changed.")
    looks: list[str] = Field(description="Masks that were drawn on it to enrol it once more each.")
    kept: bool = Field(description="Whether the photo itself is kept.")
    face: FaceSegmented
    other_faces: int = Field(description="Faces of the photo that were passed over.")


class Person(BaseModel):
    """Somebody enrolled."""

    identity: str
    photos: int = Field(description="How many are enrolled.")


class People(BaseModel):
    """Who is enrolled, by name."""

    model_config = example(people=[{"identity": "person_003", "photos": 2}], next="person_003")
    people: list[Person]
    next: str | None = Field(description="Where the next page begins: give it as `after`; null on the last page.")


class SearchShare(BaseModel):
    """Of the people enrolled, each searched among all others: those who are taken for somebody else."""

    expected: float = Field(description="Share that the threshold promises.")
    observed: float = Field(description="Share that reaches it.")
    exceeds: bool = Field(description="Whether it is more than twice as much, and hardly by chance.")


class PeopleAlike(BaseModel):
    """Two people enrolled; one person under two names, perhaps."""

    identities: list[str] = Field(min_length=2, max_length=2)
    score: float = Field(description="Cosine similarity, -1 to 1, of their nearest photos.")


class Gallery(BaseModel):
    """How many are enrolled, and whether the thresholds hold for them."""

    model_config = example(
        people=250,
        embeddings=262,
        checked="2026-01-01T12:00:00Z",
        searched=250,
        shares=[
            {"expected": 0.1, "observed": 0.112, "exceeds": False},
            {"expected": 0.01, "observed": 0.012, "exceeds": False},
        ],
        warning=None,
        nearest=[{"identities": ["person_003", "person_017"], "score": 0.62}],
    )
    people: int
    embeddings: int
    checked: datetime | None = Field(
        description="When the thresholds were checked; null below 200 people, or where they promise nothing."
    )
    searched: int = Field(description="People who were searched among all others then, 1,000 at most.")
    shares: list[SearchShare]
    warning: str | None = Field(description="What to do where a share is exceeded; else null.")
    nearest: list[PeopleAlike] | None = Field(
        description="At most 5 of the pairs that were nearest, nearest first; null for a key that is not an admin's."
    )


class PhotoEnrolled(BaseModel):
    """A photo of somebody enrolled."""

    photo: str
    added: datetime
    looks: list[str]
    kept: bool


class PersonPhotos(BaseModel):
    """Somebody enrolled, photo by photo."""

    model_config = example(
        identity="person_003",
        photos=[
            {
                "photo": "6f1ed002ab5595859014ebf0951522d9",
                "added": "2026-01-01T12:00:00Z",
                "looks": [],
                "kept": False,
            }
        ],
    )
    identity: str
    photos: list[PhotoEnrolled]


class Erased(BaseModel):
    """Somebody who is in no file of the gallery any more."""

    model_config = example(identity="person_003", photos=2)
    identity: str
    photos: int


class KeptPhoto(BaseModel):
    """A photo that was kept."""

    photo: str = Field(description="By which the photo is known, as in `Enrolled`.")
    added: datetime
    bytes: int = Field(description="Of its file.")


class KeptPhotos(BaseModel):
    """A person's photos that were kept."""

    model_config = example(
        identity="person_003",
        photos=[{"photo": "6f1ed002ab5595859014ebf0951522d9", "added": "2026-01-01T12:00:00Z", "bytes": 48213}],
    )
    identity: str
    photos: list[KeptPhoto]


class KeptPhotosDeleted(BaseModel):
    """Kept photos that are in no file of the gallery any more; the person is enrolled as before."""

    model_config = example(identity="person_003", photos=1)
    identity: str
    photos: int


class Ready(BaseModel):
    """Whether every stage can answer."""

    model_config = example(ready=True, stages={"detector": "ready", "gallery": "ready"})
    ready: bool
    stages: dict[str, str]


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = example(
        type="about:blank",
        title="No face",
        status=422,
        detail="no face was found; use a larger, sharper or more frontal photo",
    )
    type: str
    title: str
    status: int
    detail: str

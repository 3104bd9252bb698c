"""Group commits."""

import time

import numpy as np
import pytest
from support.galleries import SPACE, enrolment

from raymask.errors import ConfigError
from raymask.gallery.committer import GroupCommitter
from raymask.gallery.reader import GalleryReader
from raymask.gallery.rows import Enrolment, photo_key
from raymask.gallery.store import GalleryStore


def test_one_group_holds_what_came_meanwhile_and_ends_at_an_erasure(tmp_path):
    with GalleryStore(tmp_path, SPACE) as store:
        version = store._table.dataset.version
        committer = GroupCommitter(store)
        first = [committer.enrol(enrolment("ann", seed)) for seed in range(30)]
        erased = committer.erase("ann")
        again = [committer.enrol(enrolment("ann", seed)) for seed in range(5)]
        assert [one.result(20) for one in first] == [True] * 30
        assert erased.result(20) == 30
        assert [one.result(20) for one in again] == [True] * 5
        committer.close()
        assert len(store) == 5
        assert store._table.dataset.version - version < 20
        with pytest.raises(ConfigError, match="length 1"):
            committer.enrol(
                Enrolment(identity="ann", key=b"x" * 16, embeddings=np.zeros((1, 16), np.float32), looks=("",))
            )


def test_kept_photos_are_deleted_in_their_turn(tmp_path):
    with GalleryStore(tmp_path, SPACE) as store:
        committer = GroupCommitter(store)
        kept = [committer.enrol(enrolment("ann", seed, picture=b"OF-ANN")) for seed in range(3)]
        deleted = committer.delete_pictures("ann", None)
        later = committer.enrol(enrolment("ann", 3, picture=b"OF-ANN"))
        assert [one.result(20) for one in kept] == [True] * 3
        assert deleted.result(20) == 3
        assert later.result(20)
        assert committer.delete_pictures("ann", photo_key("ann", "3")).result(20) == 1
        assert committer.delete_pictures("ann", photo_key("ann", "3")).result(20) is None
        committer.close()
        assert len(store) == 4


def test_a_request_given_up_before_its_turn_does_nothing_and_harms_nobody(tmp_path, monkeypatch):
    with GalleryStore(tmp_path, SPACE) as store:
        store.enrol([enrolment("ann", 1)])
        committer = GroupCommitter(store)
        with store._turn:  # the writer waits
            first = committer.enrol(enrolment("bob", 2))
            while committer.waiting:
                time.sleep(0.01)
            given_up = [
                committer.enrol(enrolment("cyd", 3)),
                committer.erase("ann"),
                committer.enrol(enrolment("eve", 4)),
            ]
            last = committer.enrol(enrolment("dan", 5))
            assert all(one.cancel() for one in given_up)
        assert first.result(20)
        assert last.result(20)
        assert committer.alive
        monkeypatch.setattr(store, "maintain", _fails)
        assert committer.enrol(enrolment("bob", 6)).result(20)
        assert committer.erase("bob").result(20) == 2, "a failure beside its work does not end it"
        assert committer.enrol(enrolment("bob", 2)).result(20)
        committer.close()
        reader = GalleryReader(str(tmp_path), SPACE)
        assert [name for name, _ in reader.identities(after="", limit=9)] == ["ann", "bob", "dan"]


def _fails(*_: object) -> None:
    raise OSError(28, "no space left")

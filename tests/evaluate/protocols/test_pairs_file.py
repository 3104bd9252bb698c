"""Reading LFW's pairs: the forms of the header, folds, and every fault by file and line."""

import pytest

from raymask.data.prepare.photos import Photo
from raymask.errors import DataError
from raymask.evaluate.protocols.pairs_file import Tree, read_pairs

PHOTOS = [Photo(name, f"{name}/{name}_{number:04}.jpg") for name in ("Ann_Bee", "Cy_Dee") for number in (1, 2, 3)]
PHOTOS.append(Photo("Cy_Dee", "Cy_Dee/Cy_Dee_0012.png"))
SAME, OTHER = "Ann_Bee\t1\t3\n", "Ann_Bee\t2\tCy_Dee\t12\n"


def read(text):
    return read_pairs(text, "pairs.txt", Tree(PHOTOS, "ROOT"))


def test_same_and_different_lines():
    same, other = read(SAME + OTHER)
    assert same.same
    assert (same.first.image_id, same.second.image_id) == ("Ann_Bee/Ann_Bee_0001.jpg", "Ann_Bee/Ann_Bee_0003.jpg")
    assert not other.same
    assert other.second.image_id == "Cy_Dee/Cy_Dee_0012.png"  # any suffix will do
    assert (same.line, other.line) == (1, 2)


MASKED = Tree([Photo("Ann_Bee", "Ann_Bee/Ann_Bee_0001.jpg"), Photo("Cy_Dee", "Cy_Dee/x/7c.webp")], "WORN")


def test_lines_of_two_paths_name_any_photo_in_either_folder():
    lines = "masked/Ann_Bee/Ann_Bee_0001.jpg\tbare/Ann_Bee/Ann_Bee_0001.jpg\n"
    lines += "bare/Cy_Dee/Cy_Dee_0012.png\tmasked/Cy_Dee/x/7c.webp\n"
    one, two, three = read_pairs(lines + OTHER, "pairs.txt", Tree(PHOTOS, "ROOT"), MASKED)
    assert (one.first.image_id, one.second.image_id) == ("Ann_Bee/Ann_Bee_0001.jpg",) * 2
    assert (one.in_truth, two.in_truth, three.in_truth) == ((True, False), (False, True), (False, False))
    assert two.second == MASKED.photos[1]
    assert [pair.same for pair in (one, two, three)] == [True, True, False]
    assert [pair.line for pair in (one, two, three)] == [1, 2, 3]


def test_bare_paths_need_no_masked_photos():
    (pair,) = read("bare/Ann_Bee/Ann_Bee_0001.jpg\tbare/Cy_Dee/Cy_Dee_0002.jpg\n")
    assert not pair.same


@pytest.mark.parametrize(
    ("line", "masked", "said"),
    [
        ("masked/Cy_Dee/x/7c.webp\tbare/Cy_Dee/Cy_Dee_0002.jpg", None, "pairs.txt:1 names masked/.*--masked-images"),
        (
            "masked/Cy_Dee/x/8c.webp\tbare/Cy_Dee/Cy_Dee_0002.jpg",
            MASKED,
            "pairs.txt:1: there is no photo WORN/Cy_Dee/x/8c",
        ),
        (
            "masked/Cy_Dee/x/7c.webp\tbare/Cy_Dee/Cy_Dee_0009.jpg",
            MASKED,
            "there is no photo ROOT/Cy_Dee/Cy_Dee_0009.jpg",
        ),
        ("masked/Cy_Dee/x/7c.webp\tCy_Dee/Cy_Dee_0001.jpg", MASKED, "pairs.txt:1 is no pair; .* bare/... or masked/"),
        ("masked/Cy_Dee/x/7c.webp\tCy_Dee\t1", MASKED, "pairs.txt:1 is no pair"),
    ],
)
def test_faulty_paths(line, masked, said):
    with pytest.raises(DataError, match=said):
        read_pairs(line, "pairs.txt", Tree(PHOTOS, "ROOT"), masked)


def test_without_a_header_a_fold_is_a_run_of_same_and_the_run_of_different_pairs_after_it():
    folds = [pair.fold for pair in read(SAME * 2 + OTHER + SAME + OTHER * 3 + SAME)]
    assert folds == [0, 0, 0, 1, 1, 1, 1, 2]


@pytest.mark.parametrize(
    ("header", "body", "folds"),
    [
        ("2\t1\n", (SAME + OTHER) * 2, [0, 0, 1, 1]),
        ("2\n", SAME * 2 + OTHER * 2, [0, 0, 0, 0]),
        ("1\t2\r\n", (SAME * 2 + OTHER * 2).replace("\n", "\r\n"), [0, 0, 0, 0]),
        ("2\t1\n", SAME + OTHER + "\n" + SAME + OTHER + "\n", [0, 0, 1, 1]),
    ],
)
def test_headers(header, body, folds):
    assert [pair.fold for pair in read(header + body)] == folds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no pair"),
        ("10\t300\n", "holds no pair"),
        (SAME + "Ann_Bee 1 2\n", "pairs.txt:2 is no pair"),
        ("Ann_Bee\tone\t2\n", "pairs.txt:1 is no pair"),
        ("Ann_Bee\t1\t²\n", "pairs.txt:1 is no pair"),
        ("²\n" + SAME, "pairs.txt:1 is no pair"),
        ("Ann_Bee\t1\tCy_Dee\n", "pairs.txt:1 is no pair"),
        ("Ann_Bee\t1\t2\t3\t4\n", "pairs.txt:1 is no pair"),
        (SAME + OTHER + "Cy_Dee\t1\t9\n", "pairs.txt:3: there is no photo ROOT/Cy_Dee/Cy_Dee_0009.jpg"),
        ("Eve\t1\t2\n", "pairs.txt:1: there is no photo ROOT/Eve/Eve_0001.jpg"),
        ("2\t1\n" + SAME + OTHER, "4 in all, but it holds 2"),
        ("1\t1\n" + OTHER + SAME, "line 2"),
    ],
)
def test_faults_name_the_file_and_the_line(text, said):
    with pytest.raises(DataError) as raised:
        read(text)
    assert said in str(raised.value)

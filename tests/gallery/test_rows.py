"""Names that people have."""

import pytest

from raymask.errors import ConfigError
from raymask.gallery.rows import check_identity


@pytest.mark.parametrize("name", ["", " ann", "a/b", "a\nb", "x" * 129, "\x00", "J\ufffdrg"])
def test_names_that_nobody_can_have(name):
    with pytest.raises(ConfigError, match="printable"):
        check_identity(name)


def test_names_that_people_have():
    for name in ("Anna Müller-Lüdenscheidt", "O'Hara", "李振", "person_001", "a" * 128):
        assert check_identity(name) == name
    assert check_identity("Mu\u0308ller") == "M\u00fcller"

import pytest

from synth.errors import NotFoundError
from synth.families import FAMILIES, get_family


def test_an_unknown_family_is_answered_with_the_nearest_and_all_names():
    with pytest.raises(NotFoundError, match=r"'vea' \(did you mean 'vae'\?\)\. Families: .*vae"):
        get_family("vea")


@pytest.mark.parametrize("name", FAMILIES)
def test_every_part_of_a_family_can_be_imported(name):
    family = get_family(name)
    assert family.name == name
    assert family.summary
    for part in ("network", "program", "recipe", "module"):
        assert callable(family.load(part))

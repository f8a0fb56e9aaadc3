import pytest

from synth.errors import ConfigError, NotFoundError
from synth.families import FAMILIES, generates, get_family


def test_an_unknown_family_is_answered_with_the_nearest_and_all_names():
    with pytest.raises(NotFoundError, match=r"'vea' \(did you mean 'vae'\?\)\. Families: .*vae"):
        get_family("vea")


@pytest.mark.parametrize("name", FAMILIES)
def test_every_part_of_a_family_can_be_imported(name):
    family = get_family(name)
    assert family.name == name
    assert family.summary
    trained = ("recipe", "module") if family.trains else ()
    for part in ("network", *trained, *(("program",) if family.generates else ())):
        assert callable(family.load(part))


def test_a_family_that_is_not_trained_says_so():
    with pytest.raises(ConfigError, match="not trained here: adopt one with synth models import"):
        get_family("diffusers").load("recipe")


def test_an_encoder_makes_no_images_and_a_family_of_a_later_version_may():
    assert generates("vae")
    assert not generates("encoder")
    assert not FAMILIES["encoder"].translates
    assert generates("from-the-future")

import pytest

from synth.errors import ConfigError
from synth.training import fit
from synth.training.recipe import resolve_recipe


def test_images_too_small_for_the_network_are_refused_with_a_size_that_works(source, tiny):
    recipe = tiny.recipe("flow", widths=[8, 8, 8], patch=2)
    message = r"8 x 8, grey: a patch of 2 and 3 widths need sides of 16 pixels or more\. .*--size 16"
    with pytest.raises(ConfigError, match=message):
        fit("flow", source, recipe, name="small", device="cpu")
    tiny.fit(source, family="flow", recipe=tiny.recipe("flow", widths=[8, 8, 8], patch=1, images_seen=16))


@pytest.mark.parametrize(
    ("setting", "fault"),
    [
        ("widths=[7, 8]", "widths must be even"),
        ("widths=[]", "widths must be 1 to 8"),
        ("label_dropout=1.0", "less than 1"),
        ("student_share=-0.1", "greater than or equal to 0"),
    ],
)
def test_a_recipe_with_impossible_values_is_refused(setting, fault):
    with pytest.raises(ConfigError, match=fault):
        resolve_recipe("flow", overrides=[setting])

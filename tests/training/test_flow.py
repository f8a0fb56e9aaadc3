import copy

import pytest
import torch

from synth.data import ImageSet
from synth.errors import ConfigError
from synth.models.program import ImageShape
from synth.training import fit
from synth.training.flow import FlowModule
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
        ("student_share=1", "learns from a velocity that is there: name a model with --from"),
    ],
)
def test_a_recipe_with_impossible_values_is_refused(setting, fault):
    with pytest.raises(ConfigError, match=fault):
        resolve_recipe("flow", overrides=[setting])


def test_the_student_is_trained_from_the_averaged_velocity_which_then_stays(tiny):
    recipe = tiny.recipe("flow", student_share=0.5, ema_share=1.0)
    module = FlowModule(recipe, ImageShape(1, 8, 8), 2)
    images, labels = torch.rand(8, 1, 8, 8) * 2 - 1, torch.arange(8) % 2
    optimiser = module.configure_optimizers()
    velocities, students = [], []
    for number in range(4):
        module.progress = number / 4
        position = torch.arange(8 * number, 8 * number + 8)
        loss, figures = module.loss(images, labels, position)
        assert list(figures) == (["velocity"] if number < 2 else ["student"])
        if number == 2:
            assert equal(module.network.student, module.average.velocity)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        module.update_average(8 * number + 8, 8)
        velocities.append(copy.deepcopy(module.average.velocity))
        students.append(copy.deepcopy(module.average.student))
    assert not equal(velocities[0], velocities[1])
    assert equal(velocities[1], velocities[3])
    assert not equal(students[2], students[3])


def test_a_run_that_is_made_longer_goes_back_to_the_velocity(tiny):
    module = FlowModule(tiny.recipe("flow", student_share=0.2), ImageShape(1, 8, 8), 2)
    module.student_since.fill_(64)
    images, labels = torch.rand(8, 1, 8, 8) * 2 - 1, torch.arange(8) % 2
    module.progress = 0.5
    _, figures = module.loss(images, labels, torch.arange(80, 88))
    assert list(figures) == ["velocity"]
    assert module.learning_rate() > 0.3 * module.recipe.learning_rate
    module.progress = 0.9
    _, figures = module.loss(images, labels, torch.arange(160, 168))
    assert list(figures) == ["student"]
    assert int(module.student_since) == 160


@pytest.mark.parametrize(("share", "calls"), [(0.0, 2), (1e-9, 2), (0.5, 2), (0.5, 3)])
def test_the_student_alone_is_trained_of_an_earlier_model(source, tiny, share, calls):
    """Of one without, of one whose student was never trained, of one whose was, for as many calls or not."""
    first = tiny.fit(
        source, name="first", family="flow", recipe=tiny.recipe("flow", student_share=share)
    ).weights()
    alone = {"student_share": 1.0, "student_calls": calls, "warm_start": "first"}
    recipe = tiny.recipe("flow", **alone, images_seen=16, learning_rate=1e-9)
    second = tiny.fit(source, name="second", family="flow", recipe=recipe).weights()
    for name, weight in second.items():
        part, _, rest = name.partition(".")
        if part == "velocity":
            assert torch.equal(weight, first[name])
        elif part == "student":
            from_student = share == 0.5 and calls == 2
            began = first[name if from_student else f"velocity.{rest}"]
            torch.testing.assert_close(weight, began, atol=1e-6, rtol=0)
    if share:
        return
    longer = tiny.recipe("flow", **alone)
    third = tiny.fit(source, name="third", family="flow", recipe=longer).weights()
    assert all(torch.equal(third[name], first[name]) for name in first if name.startswith("velocity."))
    assert any(not torch.allclose(third[name], one, atol=1e-5) for name, one in second.items())


@pytest.mark.parametrize("flip", [False, True])
def test_the_model_brings_the_mean_image_of_each_class(tiny, flip):
    module = FlowModule(tiny.recipe("flow", flip=flip), ImageShape(1, 8, 8), 3)
    pixels = torch.randint(0, 256, (300, 1, 8, 8), dtype=torch.uint8)
    labels = 2 * (torch.arange(300) % 2)  # class 1 has none
    module.complete(ImageSet(pixels, labels, ("",) * 300, ("a", "b", "c"), (), "made"))
    real = pixels.double() / 127.5 - 1.0
    if flip:
        real = torch.cat([real, real.flip(3)])
        labels = labels.repeat(2)
    expected = torch.stack([real[labels == 0].mean(0), real.mean(0), real[labels == 2].mean(0), real.mean(0)])
    torch.testing.assert_close(module.average.means, expected.float())


def test_an_earlier_velocity_may_be_published_without_giving_up_the_student(tiny):
    module = FlowModule(tiny.recipe("flow"), ImageShape(1, 8, 8), 2)
    earlier = {name: torch.zeros_like(weight) for name, weight in module.average.state_dict().items()}
    student = copy.deepcopy(module.average.student)
    module.student_since.fill_(64)
    module.go_back(earlier)
    assert not any(weight.any() for weight in module.average.velocity.parameters())
    assert equal(module.average.student, student)


def equal(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))

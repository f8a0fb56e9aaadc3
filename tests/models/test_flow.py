from __future__ import annotations

import pytest
import torch

from synth.models.flow import Flow, FlowProgram, velocity_of
from synth.models.program import ImageShape
from synth.randomness import normals

CONFIG = {"widths": [8, 8], "blocks": 1, "patch": 2, "attention": False, "student_calls": 2}


def network(channels=1, height=8, width=8, classes=0, **changes) -> Flow:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Flow({**CONFIG, **changes}, ImageShape(channels, height, width), classes).requires_grad_(False)


def sample(program: FlowProgram, count: int = 4, **changes) -> torch.Tensor:
    parameters = {one.name: one.default for one in program.parameters} | changes
    network = program.network
    shape = (network.image.channels, network.image.height, network.image.width)
    noise = {"image": normals(0, torch.arange(count), 1, torch.Size(shape).numel()).view(count, *shape)}
    labels = torch.arange(count) % network.classes if network.classes else None
    state = program.begin(noise, labels, parameters)
    for i in range(program.steps(parameters)):
        state = program.step(i, state, labels, parameters)
    return program.image(state)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 13), (8, 31)])
@pytest.mark.parametrize("patch", [1, 2])
def test_any_size_goes_in_and_comes_out(height, width, patch):
    images = sample(FlowProgram(network(3, height, width, patch=patch)), solver="euler", steps=2)
    assert images.shape == (4, 3, height, width)
    assert images.isfinite().all()


@pytest.mark.parametrize(("solver", "calls"), [("multistep", 2), ("heun", 5), ("euler", 2), ("student", 2)])
def test_solvers_make_the_network_calls_that_they_say(solver, calls):
    made = network(classes=2)
    seen = []
    for unet in (made.velocity, made.student):
        unet.register_forward_hook(lambda *_: seen.append(1))
    sample(FlowProgram(made), solver=solver, steps=3)
    assert len(seen) == calls


@pytest.mark.parametrize("calls", [1, 3])
def test_a_student_makes_as_many_calls_as_it_was_made_for(calls):
    made = network(student_calls=calls)
    times = []
    made.student.register_forward_hook(lambda _, inputs, __: times.append(float(inputs[1][0])))
    sample(FlowProgram(made), solver="student")
    assert times == pytest.approx([i / calls for i in range(calls)])


def test_solvers_meet_at_many_steps_and_the_student_is_another_network():
    program = FlowProgram(network(classes=2))
    truth = sample(program, solver="heun", steps=100)
    for solver in ("multistep", "heun"):
        assert (sample(program, solver=solver, steps=40) - truth).abs().max() < 0.02
    assert (sample(program, solver="student") - truth).abs().max() > 0.02


def test_guidance_moves_along_the_difference_that_the_label_makes():
    made = network(classes=2)
    made.means.copy_(torch.rand_like(made.means))
    x, labels = torch.randn(4, 1, 8, 8), torch.arange(4) % 2
    later = [velocity_of(made.velocity, labels, g)(x, 0.5) for g in (0.0, 1.0, 2.0)]
    first = [made.first_slope(x, labels, g) for g in (0.0, 1.0, 2.0)]
    for none, one, two in (later, first):
        assert not torch.equal(none, one)
        torch.testing.assert_close(two - one, one - none, atol=1e-5, rtol=1e-3)


def test_the_first_slope_leads_to_the_mean_image_of_the_class_and_without_labels_to_that_of_all():
    made, x = network(classes=2), torch.randn(4, 1, 8, 8)
    made.means.copy_(torch.rand_like(made.means))
    labels = torch.tensor([1, 0, 0, 1])
    torch.testing.assert_close(x + made.first_slope(x, labels), made.means[labels])
    torch.testing.assert_close(x + made.first_slope(x, None), made.means[[2, 2, 2, 2]])


def test_without_a_student_or_classes_there_are_no_parameters_for_them():
    program = FlowProgram(network(student_calls=0))
    assert [one.name for one in program.parameters] == ["solver", "steps"]
    assert program.parameters[0].choices == ("multistep", "heun", "euler")

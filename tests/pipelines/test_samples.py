"""What adopted pipelines make: the same images as in diffusers, and by key."""

from __future__ import annotations

import pytest
import torch

from synth.errors import UsageError
from synth.models.schedules import SCHEDULERS
from synth.sampling import Sampler
from synth.sampling.rows import Rows
from tests.pipelines import tiny

pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning", "ignore::FutureWarning")

DETERMINISTIC = sorted(SCHEDULERS.keys() - {"ddpm", "euler-ancestral", "lcm"})


def run(program, state, labels, parameters) -> torch.Tensor:
    with torch.inference_mode():
        for i in range(program.steps(parameters)):
            state = program.step(i, state, labels, parameters)
        return program.image(state)


def settings(program, **changes):
    return {one.name: one.default for one in program.parameters} | changes


def loaded(folder, kind, scheduler="ddim"):
    """The pipeline as diffusers loads it, with another scheduler."""
    import diffusers

    pipeline = getattr(diffusers, kind).from_pretrained(folder)
    pipeline.scheduler = getattr(diffusers, SCHEDULERS[scheduler]).from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def noise(program, count):
    drawn = {spec.name: torch.rand(count, *spec.shape) for spec in program.noise}
    drawn["latents"] = torch.randn(drawn["latents"].shape, generator=torch.Generator().manual_seed(3))
    return drawn


def generator():
    return torch.Generator().manual_seed(3)


def close(ours, theirs):
    torch.testing.assert_close(ours / 2 + 0.5, theirs, atol=1e-4, rtol=0)


def test_pixels_from_noise_are_those_of_diffusers(saved, samplers):
    program = samplers["plain"]._core.program
    theirs = loaded(saved["plain"], "DDIMPipeline")(
        2, generator=generator(), num_inference_steps=4, output_type="pt", return_dict=False
    )[0]
    theirs = torch.as_tensor(theirs).permute(0, 3, 1, 2) if theirs.shape[-1] == 1 else torch.as_tensor(theirs)
    parameters = settings(program, steps=4)
    with torch.inference_mode():
        close(run(program, program.begin(noise(program, 2), None, parameters), None, parameters), theirs)


def test_pixels_by_class_are_those_of_diffusers(saved, samplers):
    program = samplers["class"]._core.program
    pipeline = loaded(saved["class"], "DiTPipeline")
    theirs = pipeline([1, 7], 3.0, generator(), 4, output_type="pt", return_dict=False)[0]
    parameters, labels = settings(program, steps=4, guidance=3.0), torch.tensor([1, 7])
    with torch.inference_mode():
        close(run(program, program.begin(noise(program, 2), labels, parameters), labels, parameters), theirs)


@pytest.mark.parametrize("scheduler", DETERMINISTIC)
def test_pixels_from_text_are_those_of_diffusers(saved, samplers, scheduler):
    program = samplers["text"]._core.program
    drawn, labels = noise(program, 2), torch.tensor([1, 0])
    parameters = settings(program, steps=4, scheduler=scheduler, guidance=5.0, negative_prompt="blurry")
    theirs = loaded(saved["text"], "StableDiffusionPipeline", scheduler)(
        ["a photo of a dog", "a photo of a cat"],
        negative_prompt=["blurry"] * 2,
        num_inference_steps=4,
        guidance_scale=5.0,
        latents=drawn["latents"].clone(),
        output_type="pt",
    ).images
    with torch.inference_mode():
        close(run(program, program.begin(drawn, labels, parameters), labels, parameters), theirs)


@pytest.mark.parametrize("scheduler", ["ddim", "pndm", "dpm-solver", "heun"])
def test_pixels_from_images_are_those_of_diffusers(saved, samplers, scheduler):
    program = samplers["image"]._core.program
    drawn = noise(program, 2)
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    parameters = settings(program, steps=5, strength=0.7, prompt="a cat", scheduler=scheduler)
    with torch.inference_mode():
        state = program.begin_from(images, drawn, None, parameters)
        ours = run(program, state, None, parameters)
        theirs = loaded(saved["image"], "StableDiffusionImg2ImgPipeline", scheduler)(
            ["a cat"] * 2,
            image=program.network.encode(images),  # theirs draws from the posterior
            strength=0.7,
            num_inference_steps=5,
            generator=generator(),
            output_type="pt",
        ).images
    close(ours, theirs)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_key_makes_the_same_image_in_any_batch_with_every_scheduler(samplers, scheduler):
    sampler = samplers["plain"]
    options = {"seed": 1, "steps": 4, "scheduler": scheduler}
    whole = sampler.generate(5, **options).images
    part = sampler.generate(2, start=3, **options).images
    assert (whole[3:].int() - part.int()).abs().max() <= 1
    assert len(whole.unique(dim=0)) == 5
    assert not torch.equal(whole, sampler.generate(5, **{**options, "seed": 2}).images)


def test_a_scheduler_that_draws_noise_draws_it_by_key_and_leaves_torchs_generator_alone(samplers):
    before = torch.get_rng_state()
    options = {"seed": 1, "steps": 3, "mode": "exact"}
    first, again = (samplers["plain"].generate(2, scheduler="ddpm", **options).images for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, samplers["plain"].generate(2, scheduler="ddim", **options).images)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("scheduler", ["pndm", "unipc", "heun"])
def test_rows_go_on_alike_when_others_are_given_up_between_steps(samplers, scheduler):
    core = samplers["plain"]._core
    rows = Rows.of(4, torch.arange(4))
    parameters = settings(core.program, steps=4, scheduler=scheduler)
    asked = iter([None, None, torch.tensor([True, False, True, False])])
    made = core.run(rows, "fast", parameters, lambda: next(asked, torch.tensor([True, False, True, False])))
    whole = core.run(rows, "fast", parameters)
    assert (made[::2].int() - whole[::2].int()).abs().max() <= 1


def test_modes_and_precisions_agree(store, samplers):
    options = {"seed": 3, "steps": 3, "labels": ["dog", "cat"]}
    exact = samplers["text"].generate(2, mode="exact", **options)
    assert torch.equal(
        exact.images[1:],
        samplers["text"].generate(1, mode="exact", seed=3, start=1, steps=3, labels="cat").images,
    )
    reduced = Sampler(store.open("text"), device="cpu", precision="bf16", warmup_seconds=0.01)
    assert reduced.precision == "bf16"
    difference = (reduced.generate(2, **options).images.float() - exact.images.float()).abs().mean()
    assert 0 < difference < 4


def test_labels_and_prompts_decide_the_image(samplers):
    sampler = samplers["text"]
    options = {"seed": 3, "steps": 2, "mode": "exact"}
    cat, dog = (sampler.generate(1, labels=label, **options) for label in ("cat", "dog"))
    assert not torch.equal(cat.images, dog.images)
    assert (cat.label_name(0), dog.label_name(0)) == ("cat", "dog")
    assert not torch.equal(cat.images, sampler.generate(1, labels=0, prompt="no {class}", **options).images)
    assert sampler.generate(4, labels="balanced", **options).labels.tolist() == [0, 1, 0, 1]
    assert set(sampler.generate(20, **{**options, "mode": "fast"}).labels.tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("text", {"prompt": "a photo"}, r"prompt must hold \{class\}, which stands for the class"),
        ("image", {"prompt": "a {class}"}, r"prompt may not hold \{class\}"),
        ("plain", {"steps": 2.5}, "steps must be a whole number from 1 to 1000"),
        ("plain", {"scheduler": "dimm"}, r"one of .*ddim.*not 'dimm' \(did you mean 'ddim'\?\)"),
        ("plain", {"prompt": "a cat"}, "no parameter 'prompt'"),
        ("text", {"prompt": "{class}" * 200}, "at most 1,000 characters"),
    ],
)
def test_parameters_that_cannot_be_are_refused(samplers, kind, options, message):
    with pytest.raises(UsageError, match=message):
        samplers[kind].generate(1, **options)


@pytest.mark.parametrize("kind", tiny.PIPELINES)
def test_every_pipeline_translates_by_strength(samplers, kind):
    sampler = samplers[kind]
    images = sampler.generate(2, steps=2, seed=8).images
    labels = None if sampler.card.classes is None else [0, 1]
    near, far = (
        sampler.translate(images, labels=labels, steps=10, strength=strength, seed=1).images.float()
        for strength in (0.0, 1.0)
    )
    same = sampler.translate(images, labels=labels, steps=10, strength=0.0, seed=2).images.float()
    assert torch.equal(near, same)
    assert not torch.equal(near, far)

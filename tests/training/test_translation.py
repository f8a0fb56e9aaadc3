"""What translators learn by, and what is measured of them."""

from __future__ import annotations

import re

import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from synth.artifacts import Metric, Store
from synth.data import load_images, open_source
from synth.evaluation.utility import SmallCNN
from synth.models.cyclegan import CycleGANProgram
from synth.models.program import ImageShape, Resizable
from synth.models.translation import PatchJudge, ResidualGenerator, blur, generator_of, judge_of, zoomed
from synth.sampling.load import load_network
from synth.training.adversarial import Pool, falling, verdict
from synth.training.contrast import Projection, patch_nce, places, rows_at
from synth.training.cut import CutModule
from synth.training.cyclegan import CycleGANModule
from synth.training.framing import zoom_between
from synth.training.preservation import Opinion, changed, inverted_too, structure_similarity
from synth.training.translation_guards import warnings


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(*shape) * 2 - 1


@pytest.mark.parametrize(
    ("channels", "size", "downs"), [(1, (28, 28), 1), (3, (19, 33), 2), (3, (64, 48), 0)]
)
def test_a_generator_takes_any_size_and_is_of_its_size(channels, size, downs):
    generator = ResidualGenerator(channels, width=4, downs=downs, blocks=1, grey=False).eval()
    assert generator.widths == tuple(each.shape[1] for each in generator.encode(noise(1, channels, *size)))
    made = generator(noise(2, channels, *size))
    assert made.shape == (2, channels, *size)
    assert made.abs().max() <= 1.0


@pytest.mark.parametrize(
    ("size", "downs", "message"),
    [
        ((5, 5), 0, "0 times need at least 8 pixels, not 5. Use --size 8"),
        ((4, 64), 1, "1 time need at least 8 pixels, not 4. Use --size 8"),
        ((12, 12), 2, "2 times need at least 16 pixels, not 12. Use fewer --set downs=..., or --size 16"),
    ],
)
def test_sizes_too_small_to_translate_are_refused(size, downs, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        generator_of({"width": 4, "downs": downs, "blocks": 1}, ImageShape(1, *size), grey=True)


@pytest.mark.parametrize(("size", "downs"), [((8, 8), 0), ((8, 64), 1)])
def test_the_smallest_sizes_are_translated_and_judged(size, downs):
    shape = ImageShape(1, *size)
    made = generator_of({"width": 4, "downs": downs, "blocks": 1}, shape, grey=True)(noise(2, 1, *size))
    assert judge_of(shape, width=4, layers=3)(made).shape[0] == 2


def test_no_pixel_depends_on_what_lies_further_away_than_the_context_but_by_the_norms(monkeypatch):
    monkeypatch.setattr("synth.models.translation.normalised", lambda x: x)  # they look at the whole image
    generator = ResidualGenerator(1, width=4, downs=2, blocks=1, grey=False).double()
    for weight in generator.parameters():
        torch.nn.init.uniform_(weight, 0.0, 0.02)  # with tanh and ReLU away from their flat parts
    images = torch.rand(1, 1, 128, 128, dtype=torch.float64, requires_grad=True)
    generator(images)[0, 0, 61, 66].backward()
    rows, columns = images.grad[0, 0].nonzero().unbind(dim=1)
    reach = max(int((rows - 61).abs().max()), int((columns - 66).abs().max()))
    assert reach == generator.context


def test_a_grey_domain_in_colour_is_made_of_equal_channels():
    made = ResidualGenerator(3, width=4, downs=1, blocks=1, grey=True)(noise(2, 3, 16, 16))
    assert torch.equal(made[:, :1].expand(-1, 3, -1, -1), made)


@pytest.mark.parametrize("grey", [False, True])
def test_a_residual_generator_begins_with_leaving_images_as_they_are(grey):
    given = noise(2, 3, 13, 18)
    if grey:
        given = given[:, :1].expand(-1, 3, -1, -1)
    made = ResidualGenerator(3, width=4, downs=1, blocks=1, grey=grey, residual=True)(given)
    assert torch.allclose(made, given, atol=1e-6)


def test_what_a_residual_translator_makes_beyond_white_is_white(tiny):
    recipe = tiny.recipe("cyclegan", residual=True)
    module = CycleGANModule(recipe, ImageShape(1, 12, 12), 0)
    assert module.network.a_to_b.residual
    assert module.network.b_to_a.residual
    torch.nn.init.constant_(module.network.a_to_b.leave.bias, 3.0)
    program = CycleGANProgram(module.network)
    state = program.begin_from(torch.zeros(1, 1, 12, 12), {}, None, {})
    for strength, value in ((1.0, 1.0), (0.5, 0.5)):
        parameters = {"strength": strength, "direction": "a_to_b"}
        assert torch.allclose(
            program.image(program.step(0, state, None, parameters)), torch.tensor(value), atol=1e-3
        )


def test_a_blur_leaves_no_frequency_that_half_the_pixels_could_not_show():
    finest = torch.tensor([1.0, -1.0]).repeat(8).expand(1, 1, 16, 16)
    assert blur(finest)[..., 1:-1].abs().max() < 1e-6
    assert torch.allclose(blur(torch.ones(1, 2, 8, 8)), torch.ones(1, 2, 8, 8))


def test_one_backward_pass_gives_each_network_the_gradient_of_its_own_loss():
    judge = PatchJudge(1, width=4, layers=2)
    real, fake = noise(3, 1, 16, 16), noise(3, 1, 16, 16).requires_grad_()
    old = noise(3, 1, 16, 16)
    both = verdict(judge, real, fake, old)
    (both.generator + both.judge).backward()
    own = (judge(fake) - 1).square().mean()
    assert torch.allclose(fake.grad, torch.autograd.grad(own, fake)[0], atol=1e-6)
    lost = 0.5 * ((judge(real) - 1).square().mean() + judge(old).square().mean())
    for weight, expected in zip(
        judge.parameters(), torch.autograd.grad(lost, list(judge.parameters())), strict=True
    ):
        torch.testing.assert_close(weight.grad, expected, rtol=1e-4, atol=1e-6)


def test_a_pool_gives_earlier_images_for_half_of_the_new_ones_by_key_and_goes_on_from_its_state():
    pool, again = Pool(20, (1, 2, 2)), Pool(20, (1, 2, 2))
    seen = []
    for step in range(12):
        fresh = torch.full((8, 1, 2, 2), step / 12.0)
        position = torch.arange(8 * step, 8 * step + 8)
        given = pool.exchange(fresh, seed=3, position=position, stream=7)
        if step == 6:
            again.load_state_dict(pool.state_dict())
        if step > 6:
            assert torch.equal(given, again.exchange(fresh, seed=3, position=position, stream=7))
        seen.append((given[:, 0, 0, 0] - step / 12.0).abs() > 0.01)
    assert not torch.cat(seen[:2]).any()  # it fills first
    assert 0.3 < torch.cat(seen[3:]).float().mean() < 0.6  # others were put in by the same step
    alone = pool.exchange(torch.zeros(30, 1, 2, 2), seed=3, position=torch.arange(30), stream=7)
    assert alone.shape == (30, 1, 2, 2)  # a batch may be larger than the pool


def test_the_rate_is_constant_and_then_falls_linearly():
    rates = [falling(1.0, at, warmup=0.1, decay=0.5) for at in (0.05, 0.1, 0.5, 0.75, 1.0)]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.5, 0.02], abs=0.01)


def test_patch_nce_is_least_where_each_place_says_what_the_original_says():
    maps = [noise(2, 6, 5, 7), noise(2, 4, 3, 3)]
    heads = Projection([6, 4])
    where = places(maps, 16, seed=1, position=32, stream=5)
    assert [len(each) for each in where] == [16, 9]
    assert all(len(each.unique()) == len(each) for each in where)
    rows = heads(rows_at(maps, where))
    assert torch.allclose(rows_at(maps, where)[0][1, 3], maps[0][1].flatten(1)[:, where[0][3]])
    same = patch_nce(rows[0], rows[0], 0.07)
    moved = patch_nce(rows[0], rows[0].roll(1, dims=1), 0.07)
    assert same < 0.5 * moved
    assert not torch.equal(where[0], places(maps, 16, seed=1, position=48, stream=5)[0])


@pytest.mark.parametrize(
    "changes",
    [
        {"identity_nce": True, "nce": 1.0},
        {"flip_equivariance": True},
        {"flip_equivariance": True, "identity_nce": True},
    ],
)
def test_every_setting_of_cut_teaches_every_weight(tiny, changes):
    module = CutModule(tiny.recipe("cut", **changes), ImageShape(1, 12, 12), 0)
    loss, figures = module.loss(noise(8, 1, 12, 12), None, torch.arange(4))
    loss.backward()
    assert all(weight.grad is not None for weight in module.learnt())
    assert {"fooled", "judged", "nce"} == figures.keys()


def test_without_identity_and_pool_cyclegan_still_learns_both_ways(tiny):
    module = CycleGANModule(tiny.recipe("cyclegan", identity=0.0, pool=0), ImageShape(3, 12, 12), 0)
    loss, figures = module.loss(noise(8, 3, 12, 12), None, torch.arange(4))
    loss.backward()
    assert "identity" not in figures
    assert all(weight.grad is not None for weight in module.learnt())


def photograph(count: int = 6) -> torch.Tensor:
    coarse = torch.rand(count, 1, 6, 6)
    return (F.interpolate(coarse, (32, 32), mode="bicubic").clamp(0, 1) * 255).to(torch.uint8)


def test_geometry_sees_what_moves_and_not_how_it_is_lit():
    before = photograph()
    lit = (before.float() * 0.5 + 90).to(torch.uint8)
    assert structure_similarity(before, lit).min() > 0.98
    assert structure_similarity(before, 255 - before).min() > 0.999
    assert structure_similarity(before, before.expand(-1, 3, -1, -1)).min() > 0.999
    assert structure_similarity(before, before.flip(3)).max() < 0.9
    assert structure_similarity(before, photograph()).mean() < 0.75
    flat = torch.zeros_like(before)
    assert torch.equal(structure_similarity(flat, flat), torch.ones(len(flat)))
    assert structure_similarity(before, flat).max() < 0.1


def test_the_classifiers_images_are_changed_by_key_and_stay_images():
    images = noise(16, 3, 9, 13)
    index = torch.arange(16)
    one = changed(images, 3, index)
    assert one.shape == images.shape
    assert one.isfinite().all()
    assert torch.equal(changed(images[5:6], 3, index[5:6]), one[5:6])
    assert not torch.allclose(changed(images, 4, index), one)
    small = block(12, 200).float() / 127.5 - 1.0
    spread = [
        float((changed(small, 3, torch.arange(200), zoom) > -0.5).float().mean()) for zoom in (0.6, 1.0, 1.6)
    ]
    assert spread == sorted(spread)
    assert spread[2] > 1.5 * spread[0]
    signs = inverted_too(images, 3, index) / one
    assert 2 < int((signs[:, 0, 0, 0] < 0).sum()) < 14


def test_an_opinion_counts_what_stays():
    before, after = Opinion(torch.tensor([0, 1, 2, 2])), Opinion(torch.tensor([0, 1, 2, 1]))
    assert before.kept(after) == 0.75


def block(side: int, count: int = 40) -> torch.Tensor:
    images = torch.zeros(count, 1, 32, 32, dtype=torch.uint8)
    low = 16 - side // 2
    images[:, :, low : low + side, low : low + side] = torch.randint(0, 256, (count, 1, side, side)).byte()
    return images


def test_contents_are_brought_to_the_size_that_they_have_in_the_target():
    small, large = block(12), block(18)
    assert zoom_between(small, large) == pytest.approx((1.5, 1.5), abs=0.05)
    assert zoom_between(large, block(18)) == (1.0, 1.0)
    assert zoom_between(torch.zeros_like(small), large) == (1.0, 1.0)  # nothing to measure
    filled = zoomed((small > 0).float(), (1.5, 1.5))
    assert filled[:, :, 8:24, 8:24].mean() > 0.95
    assert filled[:, :, :6].abs().max() == 0.0


def test_a_model_with_a_frame_of_its_own_says_so_and_takes_one_size(tiny, source, tmp_path):
    options = {"store": Store(tmp_path / "store"), "runs": tmp_path / "runs"}
    recipe = tiny.recipe("cyclegan", framing=True, zoom=(1.25, 1.5))
    artifact = tiny.fit(source, family="cyclegan", recipe=recipe, **options)
    assert artifact.manifest.network["zoom"] == [1.25, 1.5]
    assert not isinstance(CycleGANProgram(load_network(artifact)), Resizable)
    assert tiny.fit(source, family="cyclegan", name="plain", **options).manifest.network.keys() == {
        "width", "downs", "blocks", "grey"
    }  # fmt: skip


def metrics(**values: float) -> dict[str, Metric]:
    healthy = {"change": 0.2, "gap_closed": 0.9, "inverted": 0.0, "label_preservation": 0.99, "geometry": 0.9}
    return {name: Metric(value=value, how="") for name, value in {**healthy, **values}.items()}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, None),
        ({"change": 0.001}, "A -> B: the translator hardly leaves"),
        ({"gap_closed": -0.2}, "A -> B: the translator hardly leaves"),
        (
            {"inverted": 0.4},
            "A -> B: light and dark are exchanged in 40% of the images, and not in the others",
        ),
        ({"inverted": 1.0}, "A -> B: light and dark are exchanged; look at the preview"),
        ({"label_preservation": 0.9}, "A -> B: only 90.0% of the images keep their class"),
        ({"geometry": 0.3}, "A -> B: edges are not where they were"),
        ({"geometry_b_to_a": 0.3}, "B -> A: edges are not where they were"),
        ({"label_preservation_b_to_a": 0.3, "change_b_to_a": 0.3}, "B -> A: only 30.0% of the images"),
    ],
)
def test_what_no_loss_shows_is_told(values, said):
    found = warnings(metrics(**values))
    assert len(found) == (said is not None)
    assert said is None or found[0].startswith(said)


def test_figures_of_both_ways_are_in_the_model_and_on_curves_and_the_picture_shows_each_row(
    tiny, source, tmp_path, listen, monkeypatch
):
    monkeypatch.setattr("synth.training.translation_guards.warnings", lambda metrics: sorted(metrics)[:1])
    options = {"store": Store(tmp_path / "store"), "runs": tmp_path / "runs", "reporter": (told := listen())}
    artifact = tiny.fit(source, family="cyclegan", **options)
    found = artifact.manifest.metrics
    for name in ("label_preservation", "geometry", "change", "inverted", "gap_closed"):
        assert {name, f"{name}_b_to_a"} <= found.keys()
    assert 0.0 <= found["label_preservation"].value <= 1.0
    assert "no labels" in found["label_preservation_b_to_a"].how  # the target has none
    assert found["label_preservation_b_to_a"].value is None
    curves = (tmp_path / "runs/toy/0001/metrics.csv").read_text()
    assert "validation/geometry_b_to_a" in curves
    assert sorted(found)[0] in told.notes
    with Image.open(artifact.path / "preview.png") as picture:
        columns = min(len(load_images(open_source(source))), 10)
        assert picture.height == 6 * (6 * 9 - 1)
        assert picture.width % 6 == 0
        assert picture.width <= 6 * (columns * 9 - 1)


def test_the_classifier_sees_large_images_reduced(monkeypatch, tiny, tmp_path):
    from synth.training import preservation

    sizes = []

    def train(images, labels, classes, **_):
        sizes.append(tuple(images.shape[2:]))
        return SmallCNN(ImageShape(*images.shape[1:]), classes, 4).eval()

    monkeypatch.setattr(preservation, "train_classifier", train)
    images = load_images(open_source(tiny.source(tmp_path / "large.npz", count=16, size=(100, 160))))
    classifier = preservation.SourceClassifier(
        images, tiny.recipe("cut"), torch.device("cpu"), share=1.0, augment=changed
    )
    assert sizes == [(40, 64)]
    assert classifier.of(images.images).classes.shape == (16,)

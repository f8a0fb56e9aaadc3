"""Are the metrics right, do they see what is wrong, and are planted copies found?

Three parts, on Fashion-MNIST (10,000 training images; 5,000 of the test part as holdout, and 5,000 as honest
stand-ins for synthetic images):

- copies: 1, 5 and 10 % planted copies, exact and altered, and what is flagged where there are none
- agreement: Frechet and kernel distance beside torchmetrics, on the same features
- sensitivity: every figure at five strengths of blur, noise, dropped classes, repeated and copied images

    python benchmarks/evidence.py                   about five minutes on two cores
    python benchmarks/evidence.py --quick           a tenth of the images; the result is not kept
    python benchmarks/evidence.py --encoder mine@3  in the features of an encoder
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable
from typing import Any

import torch
from record import write_result
from torch import Tensor, nn
from torch.nn import functional as F

from synth.data import load_images, open_source
from synth.evaluation.extractor import Extractor
from synth.evaluation.figures import Estimate, Figure
from synth.evaluation.metrics import (
    CopyDetector,
    Look,
    duplicates_within,
    frechet_distance,
    frechet_extrapolated,
    kernel_distance,
    manifold,
    novelty,
    planted_copy_power,
    two_sample_test,
    vendi_ratio,
)

STRENGTHS = range(6)


class RandomNetwork:
    """An extractor that has learnt nothing: four convolutions, 256 features."""

    name = "random network"
    dimensions = 256

    def __init__(self, channels: int) -> None:
        random = torch.Generator().manual_seed(0)
        layers: list[nn.Module] = []
        for width, stride in ((32, 2), (64, 2), (64, 1), (64, 1)):
            layer = nn.Conv2d(channels, width, 3, stride, 1)
            nn.init.normal_(layer.weight, std=(2 / layer.weight[0].numel()) ** 0.5, generator=random)
            nn.init.zeros_(layer.bias)
            layers += [layer, nn.ReLU()]
            channels = width
        self.network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten())
        digest = hashlib.sha256()
        for weight in self.network.state_dict().values():
            digest.update(weight.numpy().tobytes())
        self.digest = digest.hexdigest()

    @torch.inference_mode()
    def features(self, images: Tensor) -> Tensor:
        batches = [self.network(batch.float() / 127.5 - 1) for batch in torch.split(images, 500)]
        return torch.cat(batches).clone()


def main() -> None:
    """Measure the three parts, print them, and keep the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="fashion-mnist", help="a built-in with a :test part")
    parser.add_argument("--encoder", help="an extractor, as `synth evaluate` takes it; else a random network")
    parser.add_argument("--training", type=int, default=10_000)
    parser.add_argument("--held", type=int, default=5_000, help="holdout images, and as many stand-ins")
    parser.add_argument("--count", type=int, default=10_000, help="images that copies are planted among")
    parser.add_argument("--quick", action="store_true", help="a tenth of all; the result is not kept")
    options = parser.parse_args()
    if options.quick:
        options.training, options.held, options.count = 1_000, 500, 1_000
    training = load_images(open_source(options.data)).images[: options.training]
    test = load_images(open_source(f"{options.data}:test"))
    assert test.labels is not None
    holdout, stand_ins = test.images[: options.held], test.images[options.held : 2 * options.held]
    labels = test.labels[options.held : 2 * options.held]
    extractor = open_encoder(options.encoder, training.shape[1])
    figures: dict[str, Any] = {
        "settings": {key: value for key, value in vars(options).items() if key != "quick"},
        "extractor": {
            "name": extractor.name,
            "digest": extractor.digest,
            "dimensions": extractor.dimensions,
        },
    }
    began = time.process_time()
    features = extractor.features(training), extractor.features(holdout), extractor.features(stand_ins)
    figures["copies"] = copies((training, holdout, stand_ins), features, extractor, options.count)
    figures["agreement"] = agreement(features[0], features[2])
    figures["sensitivity"] = sensitivity((training, stand_ins, labels), features, extractor)
    figures["cpu_seconds"] = round(time.process_time() - began, 1)
    print(f"{figures['cpu_seconds']} s of processor time")
    if not options.quick:
        write_result("evidence", figures)


def open_encoder(reference: str | None, channels: int) -> Extractor:
    """The extractor that the reference names, or a random network."""
    if reference is None:
        return RandomNetwork(channels)
    from synth.evaluation.extractors import open_extractor

    return open_extractor(reference)


def copies(
    images: tuple[Tensor, Tensor, Tensor],
    features: tuple[Tensor, Tensor, Tensor],
    extractor: Extractor,
    count: int,
) -> dict[str, Any]:
    """Recall of planted copies and false alarms, with pixels and without."""
    found: dict[str, Any] = {}
    for name, pixels in (("features and pixels", True), ("features alone", False)):
        looks = [Look(f, i if pixels else None) for f, i in zip(features, images, strict=True)]
        detector = CopyDetector(looks[0], looks[1])
        powers = planted_copy_power(*features[:2], images[:2], extractor, count=count, detector=detector)
        honest = novelty(*features, images=images if pixels else None, detector=detector)
        found[name] = {
            "honest_images_flagged": plain(honest.copies),
            "honest_images_nearer_to_training": plain(honest.nearer_to_training),
            "planted": [
                {
                    "share": power.share,
                    "planted": power.planted,
                    "recall": plain(power.recall),
                    "false_alarms": plain(power.false_alarms),
                    "by_kind": {kind: plain(figure)["value"] for kind, figure in power.by_kind.items()},
                }
                for power in powers
            ],
        }
        print(f"copies, by {name}: {brief(honest.copies)} of honest images flagged")
        for power in powers:
            print(
                f"  {power.share:4.0%}: recall {brief(power.recall)}, false alarms "
                f"{brief(power.false_alarms)};",
                ", ".join(f"{kind} {brief(figure)}" for kind, figure in power.by_kind.items()),
            )
    return found


class Given(nn.Module):
    """An extractor for torchmetrics that takes features in place of images."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

    def forward(self, features: Tensor) -> Tensor:
        return features


def agreement(real: Tensor, synthetic: Tensor) -> dict[str, Any]:
    """Relative differences from torchmetrics, on equally many images."""
    import warnings

    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.kid import KernelInceptionDistance

    count = min(len(real), len(synthetic), 2_000)
    a, b = real[:count].double(), synthetic[:count].double() * 1.05
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that features are held in memory
        references = {
            "frechet": FrechetInceptionDistance(feature=Given(a.shape[1])).set_dtype(torch.float64),
            "kernel": KernelInceptionDistance(feature=Given(a.shape[1]), subsets=1, subset_size=count),
        }
    for reference in references.values():
        reference.update(a, real=True)
        reference.update(b, real=False)
    theirs = {
        "frechet": float(references["frechet"].compute()),
        "kernel": float(references["kernel"].compute()[0]),
    }
    kernel = kernel_distance(a, b)
    assert isinstance(kernel, Estimate)
    ours = {"frechet": frechet_distance(a, b), "kernel": kernel.value}
    result = {
        name: {
            "ours": ours[name],
            "torchmetrics": theirs[name],
            "relative": abs(ours[name] / theirs[name] - 1),
        }
        for name in ours
    }
    for name, row in result.items():
        print(f"{name} distance: differs from torchmetrics by {row['relative']:.1e}")
    return result


def blur(images: Tensor, strength: int) -> Tensor:
    """A box of 3 x 3, as many times as the strength."""
    blurred = images.float()
    for _ in range(strength):
        blurred = F.avg_pool2d(F.pad(blurred, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return blurred.round().to(torch.uint8)


def noise(images: Tensor, strength: int) -> Tensor:
    """Normal noise of 15 levels for each strength."""
    random = torch.Generator().manual_seed(1)
    added = 15 * strength * torch.randn(images.shape, generator=random)
    return (images + added).round().clamp(0, 255).to(torch.uint8)


def sensitivity(
    images: tuple[Tensor, Tensor, Tensor], features: tuple[Tensor, Tensor, Tensor], extractor: Extractor
) -> dict[str, list[dict[str, float | None]]]:
    """Figures at strength 0 (honest images) to 5, for each fault."""
    training, honest, labels = images
    few = honest[: len(honest) // 5]

    def partly(others: Tensor, strength: int) -> Tensor:
        return torch.cat([others[: len(few) * 4 * strength // 25], few[len(few) * 4 * strength // 25 :]])

    faults: dict[str, Callable[[int], Tensor]] = {
        "blur": lambda strength: blur(few, strength),
        "noise": lambda strength: noise(few, strength),
        "dropped classes": lambda strength: honest[labels < (10, 8, 6, 4, 3, 2)[strength]][: len(few)],
        "repeated images": lambda strength: partly(few[-1:].repeat(len(few), 1, 1, 1), strength),
        "copied images": lambda strength: partly(training, strength),
    }
    tables = {}
    for name, fault in faults.items():
        tables[name] = [figures_of(extractor.features(fault(strength)), features) for strength in STRENGTHS]
        print(f"\n{name:18}" + "".join(f"{strength:>10}" for strength in STRENGTHS))
        for metric in tables[name][0]:
            values = [row[metric] for row in tables[name]]
            print(f"  {metric:16}" + "".join(f"{'-' if v is None else format(v, '.4f'):>10}" for v in values))
    return tables


def figures_of(made: Tensor, features: tuple[Tensor, Tensor, Tensor]) -> dict[str, float | None]:
    """Every figure of one set; the reference has as many images, and for novelty all of them."""
    training, holdout, _ = features
    real = training[-max(len(made), 2 * made.shape[1]) :]
    balls, told = manifold(real, made), two_sample_test(real, made)
    new = novelty(training, holdout, made)
    figures: dict[str, Figure] = {
        "kernel": kernel_distance(real, made),
        "frechet": frechet_extrapolated(real, made),
        "accuracy": told.accuracy,
        "precision": balls.precision,
        "density": balls.density,
        "recall": balls.recall,
        "coverage": balls.coverage,
        "vendi ratio": vendi_ratio(real, made),
        "duplicates": duplicates_within(made, reference=real),
        "copies": new.copies,
        "nearer to training": new.nearer_to_training,
    }
    return {name: figure.value if isinstance(figure, Estimate) else None for name, figure in figures.items()}


def plain(figure: Figure) -> dict[str, Any]:
    """A figure for JSON; its value is None where it was not measured."""
    return {"value": None, **figure.model_dump(exclude={"kind"})}


def brief(figure: Figure) -> str:
    return f"{figure.value:.4f}" if isinstance(figure, Estimate) else "not measured"


if __name__ == "__main__":
    main()

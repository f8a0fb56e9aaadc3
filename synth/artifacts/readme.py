"""README.md of an artifact: what people are told of a model, in the form that model hubs read."""

from __future__ import annotations

import json
from collections.abc import Iterable

from synth.artifacts.manifest import Manifest, Metric
from synth.families import generates, makes_images
from synth.text import plural

_CLASSES_SHOWN = 100


def readme(manifest: Manifest, *, preview: bool) -> str:
    """README.md of an artifact, in Markdown with the front matter that model hubs read."""
    end = (_use, _limits) if generates(manifest.family) else (_use_translation, _limits_of_translation)
    if not makes_images(manifest.family):
        end = (_use_features, _limits_of_features)
    sections = (data, figures, *end)
    return "\n".join(
        [*_head(manifest, preview), *(line for section in sections for line in section(manifest))]
    )


def _head(manifest: Manifest, preview: bool) -> list[str]:
    image = manifest.image
    kind = "grey" if image.channels == 1 else "RGB"
    labelled = "without classes" if manifest.classes is None else f"of {len(manifest.classes)} classes"
    what = f"A `{manifest.family}` generator of {kind} images {labelled},"
    task, shown = "unconditional-image-generation", "Samples"
    if not makes_images(manifest.family):
        what = f"A self-supervised `{manifest.family}`: features of {kind} images of"
        task, shown = "image-feature-extraction", "Nearest neighbours"
    elif not generates(manifest.family):
        what = f"A `{manifest.family}` translator: {kind} images from images, trained at"
        task, shown = "image-to-image", "Images before and after"
    lines = [
        "---",
        "library_name: synth",
        f"pipeline_tag: {task}",
        f"tags: [synth, synthetic-data, {manifest.family}]",
        "---",
        f"# {manifest.reference}",
        "",
        f"{what} {image.height} x {image.width} pixels (height x width), with "
        f"{manifest.weights.parameters:,} parameters.",
        "",
    ]
    if preview:
        lines += [f"![{shown}](preview.png)", ""]
    return [*lines, *made(manifest)]


def made(manifest: Manifest) -> list[str]:
    """When, by which versions, and the digest."""
    return [
        f"- made: {manifest.created:%Y-%m-%d %H:%M} UTC",
        f"- digest: `{manifest.digest}`",
        f"- made with: {', '.join(f'{name} {version}' for name, version in manifest.libraries.items())}",
        "",
    ]


def data(manifest: Manifest) -> list[str]:
    """The section on the training images."""
    training = manifest.training
    if not training.images:
        return [
            "## Training data",
            "",
            f"It was adopted from `{_plain(training.source)}`; what it was trained on is not known here, so "
            "that an evaluation on its training images is not found out.",
            "",
        ]
    lines = [
        "## Training data",
        "",
        f"{plural(training.images, 'image')} from `{_plain(training.source)}`; "
        f"{training.images_seen:,} images seen in {training.seconds:,.0f} seconds. Mean per channel "
        f"{_numbers(training.pixel_mean)}, standard deviation {_numbers(training.pixel_std)} (0 to 1).",
        "`training_ids.safetensors` holds the ids (8 bytes of each content hash) of these images, so that an "
        "evaluation on them is found out.",
        "",
    ]
    if training.target is not None:
        lines += [
            f"It leads to the domain of {plural(training.target.images, 'image')} from "
            f"`{_plain(training.target.source)}`: mean per channel {_numbers(training.target.pixel_mean)}, "
            f"standard deviation {_numbers(training.target.pixel_std)}. The ids are those of both.",
            "",
        ]
    if manifest.origin is not None:
        lines += [
            f"Training started from the weights of `{manifest.origin.reference}` (digest "
            f"`{manifest.origin.digest}`); the ids hold the images which that model was trained on, too.",
            "",
        ]
    if manifest.classes is not None:
        rows = list(zip(manifest.classes, training.class_counts or (), strict=True))
        lines += _table(("class", "images"), ((name, f"{count:,}") for name, count in rows[:_CLASSES_SHOWN]))
        if len(rows) > _CLASSES_SHOWN:
            lines += [f"... and {len(rows) - _CLASSES_SHOWN} more in `manifest.json`.", ""]
    return lines


def figures(manifest: Manifest) -> list[str]:
    """The section on what was measured, with the recipe."""
    lines = ["## Figures", ""]
    if manifest.metrics:
        rows = ((name, figure(metric), metric.how) for name, metric in manifest.metrics.items())
        lines += _table(("figure", "value", "how it was measured"), rows)
    else:
        lines += ["Nothing was measured.", ""]
    recipe = json.dumps(manifest.recipe, indent=2, ensure_ascii=False)
    return [*lines, "The recipe that made it:", "", "```json", recipe, "```", ""]


def _use(manifest: Manifest) -> list[str]:
    labels = "any" if manifest.classes is None else "balanced"
    request = json.dumps({"model": manifest.reference, "count": 64, "labels": labels, "seed": 0})
    return [
        "## Use",
        "",
        "```sh",
        f"synth generate {manifest.reference} --count 1000 --labels {labels} --seed 0 --out out",
        "```",
        "",
        "```python",
        "from synth import Sampler",
        "",
        f'sampler = Sampler.open("{manifest.reference}")',
        f'batch = sampler.generate(64, labels="{labels}", seed=0)  # batch.images: uint8 [N, C, H, W]',
        "```",
        "",
        "```sh",
        "synth serve &",
        "curl http://127.0.0.1:8000/v1/images/generations -H 'Content-Type: application/json' \\",
        f"  -H 'Accept: application/x-tar' -d '{request}' -o samples.tar",
        "```",
        "",
        "The same seed and index give the same image, whichever way it is asked for.",
        "",
    ]


def _use_translation(manifest: Manifest) -> list[str]:
    return [
        "## Use",
        "",
        "```sh",
        f"synth translate {manifest.reference} --data FOLDER --seed 0 --out out",
        "```",
        "",
        "```python",
        "from synth import Sampler",
        "",
        f'sampler = Sampler.open("{manifest.reference}")',
        "batch = sampler.translate(images, seed=0)  # uint8 [N, C, H, W], as are batch.images",
        "```",
        "",
        "```sh",
        "synth serve &",
        "curl http://127.0.0.1:8000/v1/images/translations \\",
        f"  -F model={manifest.reference} -F images=@photo.png -F seed=0 -o translated.png",
        "```",
        "",
        "The same image, seed and index give the same image, whichever way it is asked for.",
        "",
    ]


def _limits_of_translation(manifest: Manifest) -> list[str]:
    return [
        "## Limits",
        "",
        "- It knows the two domains above and nothing else: what neither shows, it may change at will.",
        "- Labels survive only as far as was measured: see `label_preservation` among the figures, for "
        "classes, and `geometry`, for boxes and masks.",
        "- Whether its images help a model must be measured on real images of the domain that is aimed at.",
        "",
    ]


def _use_features(manifest: Manifest) -> list[str]:
    return [
        "## Use",
        "",
        "```python",
        "from synth.evaluation import open_extractor",
        "",
        f'extractor = open_extractor("{manifest.reference}")',
        "features = extractor.features(images)  # uint8 [N, C, H, W] to float32 [N, D]",
        "```",
        "",
    ]


def _limits_of_features(manifest: Manifest) -> list[str]:
    return [
        "## Limits",
        "",
        "- It was trained without labels, on the images above: what they lack it does not tell apart.",
        "- It looks through what its training changed at random: see the views in the recipe.",
        "- Figures in its features compare only with figures under the same digest.",
        f"- It takes images of {manifest.image.height} x {manifest.image.width} pixels and no other size.",
        "",
    ]


def _limits(manifest: Manifest) -> list[str]:
    return [
        "## Limits",
        "",
        "- It knows nothing but the images above: its samples lack what they lack, and share their bias.",
        "- Samples may come close to training images. Treat them as you treat the data, privacy included.",
        "- Whether its samples help a model must be measured on real images that it was not trained on.",
        f"- It makes images of {manifest.image.height} x {manifest.image.width} pixels and no other size.",
        "",
    ]


def figure(metric: Metric) -> str:
    """A metric's value for people."""
    return "not measured" if metric.value is None else f"{metric.value:.4g}"


def _numbers(values: Iterable[float]) -> str:
    return " / ".join(f"{value:.3f}" for value in values)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [head, ("---",) * len(head), *(tuple(_cell(cell) for cell in row) for row in rows)]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]


def _plain(text: str) -> str:
    """Text for one line of inline code."""
    return " ".join(text.replace("`", "'").split())


def _cell(text: str) -> str:
    """Text of a user for a table cell: one line, and no Markdown or HTML of its own."""
    escaped = "".join(f"\\{char}" if char in "\\`*_[]|" else char for char in " ".join(text.split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;")

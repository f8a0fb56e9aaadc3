"""The model card of a classifier: which classes it tells, and what its labels are good for."""

from __future__ import annotations

from synth.artifacts import readme
from synth.artifacts.manifest import Manifest

_ADAPTED = ("coral", "dann")


def is_adapted(manifest: Manifest) -> bool:
    """Whether a classifier has learnt from images of a domain without labels, too."""
    return manifest.recipe.get("adaptation") in _ADAPTED and "target_information" in manifest.metrics


def classifier_readme(manifest: Manifest, *, preview: bool) -> str:
    """README.md of a classifier, in Markdown with the front matter that model hubs read."""
    kind = "grey" if manifest.image.channels == 1 else "RGB"
    what = f"A `classifier` of {kind} images into {len(manifest.classes or ())} classes,"
    shown = "![Images by the class that they are taken for, the surest on the left](preview.png)"
    return "\n".join(
        [
            "---",
            "library_name: synth",
            "pipeline_tag: image-classification",
            "tags: [synth, classifier]",
            "---",
            f"# {manifest.reference}",
            "",
            f"{what} {manifest.image.height} x {manifest.image.width} pixels (height x width), with "
            f"{manifest.weights.parameters:,} parameters.",
            "",
            *([shown, ""] if preview else []),
            *readme.made(manifest),
            *readme.data(manifest),
            *readme.figures(manifest),
            *_use(manifest),
            *_limits(manifest),
        ]
    )


def _use(manifest: Manifest) -> list[str]:
    return [
        "## Use",
        "",
        "```sh",
        f"synth check SOURCE --classifier {manifest.reference}",
        f"synth robustness {manifest.reference} --data SOURCE",
        "```",
        "",
        "```python",
        "from synth import open_source",
        "from synth.evaluation.classifiers import open_classifier",
        "",
        f'classifier = open_classifier("{manifest.reference}")',
        'images = classifier.load(open_source("photos")).images',
        "probabilities = classifier.probabilities(images)  # float32 [N, K], K as in classifier.classes",
        "```",
        "",
    ]


def _limits(manifest: Manifest) -> list[str]:
    lines = [
        "## Limits",
        "",
        "- It knows the classes above alone, and takes one of them for every image, whatever it shows.",
        "- Its accuracy is that on images like those it was trained on. Labels that it gives are opinions: "
        "let somebody look at those that it is not sure of.",
    ]
    if is_adapted(manifest):
        lines += [
            "- It was adapted to images without labels. No label of theirs was looked at: how right it is on "
            "them only labelled images of that domain can tell.",
            "- Its statistics are those of that domain; on images of the first one it is worse than "
            "its accuracy says.",
        ]
    return [*lines, ""]

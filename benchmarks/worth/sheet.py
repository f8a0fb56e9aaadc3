"""A contact sheet, for a person to look at."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from synth.data import ImageSet

_COLUMNS = 20


def contact_sheet(images: ImageSet, path: Path) -> None:
    """The first 20 images of each class, one row a class, as PNG; as it comes where there are no labels."""
    labels = images.labels
    if labels is None:
        labels = torch.arange(len(images)) % 10
    channels, height, width = images.images.shape[1:]
    classes = labels.unique().tolist()
    sheet = torch.full((channels, height * len(classes), width * _COLUMNS), 255, dtype=torch.uint8)
    for row, label in enumerate(classes):
        line = torch.cat(list(images.images[labels == label][:_COLUMNS]), dim=2)
        sheet[:, row * height : (row + 1) * height, : line.shape[2]] = line
    pixels = sheet.permute(1, 2, 0).numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(path)

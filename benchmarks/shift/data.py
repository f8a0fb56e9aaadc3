"""The real data of the measurements: found beside the checkout, and brought to where ``synth`` looks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from worth.parts import MissingDataError

from shift.textures import on_textures
from synth.data.idx import find_idx, read_idx

SHARED = Path(__file__).parents[3] / "shared" / "data"
"""The folder next to the checkout; ``--shared`` names another one."""
_PARTS = ("train", "test")
_QUICK = {"train": 1_500, "test": 300}


def folder(shared: Path, name: str) -> Path:
    """``shared/name``; MissingDataError where it is not there."""
    found = shared / name
    if not found.is_dir():
        raise MissingDataError(
            f"skipped: it needs {name}, and {found} is not there; --shared DIR names its folder"
        )
    return found


def mnist(shared: Path, out: Path, quick: bool) -> Path:
    """MNIST as .npz with both parts."""
    return _kept(out, "mnist", quick, lambda: _arrays(folder(shared, "mnist"), quick))


def usps(shared: Path, out: Path, quick: bool) -> Path:
    """USPS as .npz with both parts, 16 x 16."""

    def read() -> dict[str, np.ndarray]:
        with np.load(folder(shared, "usps") / "usps.npz") as arrays:
            return {
                name: arrays[name][: _QUICK[name.partition("_")[2]] if quick else None]
                for name in arrays.files
            }

    return _kept(out, "usps", quick, read)


def mnist_m(shared: Path, out: Path, quick: bool) -> Path:
    """MNIST on procedural textures in colour; other textures in the test part."""

    def make() -> dict[str, np.ndarray]:
        arrays = _arrays(folder(shared, "mnist"), quick)
        for seed, part in enumerate(_PARTS):
            digits = torch.from_numpy(arrays[f"x_{part}"].copy())[:, None]
            arrays[f"x_{part}"] = on_textures(digits, seed=seed).permute(0, 2, 3, 1).contiguous().numpy()
        return arrays

    return _kept(out, "mnist-m", quick, make)


def _arrays(place: Path, quick: bool) -> dict[str, np.ndarray]:
    """``x_train`` uint8 [N, 28, 28], ``y_train`` and so on."""
    found = {}
    for part in _PARTS:
        paths = find_idx(place, part)
        if paths is None:
            raise MissingDataError(f"skipped: the idx files of MNIST are not in {place}")
        images, labels = (read_idx(path)[: _QUICK[part] if quick else None] for path in paths)
        found |= {f"x_{part}": np.ascontiguousarray(images), f"y_{part}": labels}
    return found


def _kept(out: Path, name: str, quick: bool, make: object) -> Path:
    """The file of that name in ``out``, made when it is first asked for."""
    path = out / "data" / f"{name}{'-quick' if quick else ''}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        assert callable(make)
        draft = path.with_suffix(".draft.npz")
        np.savez(draft, **make())
        draft.rename(path)
    return path

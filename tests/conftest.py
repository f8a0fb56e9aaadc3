"""What every test gets: a SYNTH_HOME of its own, one thread, and generators that are trained in a second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from synth.artifacts import Artifact, Draft, ImageInfo, Store
from synth.families import get_family
from synth.models.program import ImageShape


@pytest.fixture(autouse=True)
def synth_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SYNTH_HOME that does not exist yet, so that no test sees or touches the user's models."""
    home = tmp_path / "synth-home"
    monkeypatch.setenv("SYNTH_HOME", str(home))
    monkeypatch.delenv("SYNTH_DEBUG", raising=False)
    return home


@pytest.fixture(autouse=True, scope="session")
def _one_thread(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tiny networks gain nothing from a second thread, and on a busy machine it costs them tenfold."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # of processes that tests start
        patch.setenv("SYNTH_HOME", str(tmp_path_factory.mktemp("home")))  # of fixtures that outlive a test
        yield


class Tiny:
    """Sources and recipes for trainings that take about a second."""

    SETTINGS: ClassVar[dict[str, dict[str, Any]]] = {
        "vae": {"widths": [8, 8], "blocks": 1, "latent": 4, "components": 2},
        "flow": {"widths": [8, 8], "blocks": 1, "patch": 2, "attention": False, "student_steps": 1},
        "gan": {"widths": [8, 8], "expansion": 1, "group_width": 8, "latent": 4, "watch_images": 32},
        "cut": {"width": 4, "downs": 1, "blocks": 1, "judge_width": 4, "patches": 16},
        "cyclegan": {"width": 4, "downs": 1, "blocks": 1, "judge_width": 4, "pool": 20},
        "style": {"predictor": [4], "widths": [4, 6], "blocks": 1, "embedding": 4, "features": "trained"},
        "encoder": {"stem": 4, "widths": [8, 8], "blocks": 1, "projection": 8},
        "classifier": {"width": 8, "most": 8, "blocks": 1, "features": 8, "domain_hidden": 8},
    }
    """By family: the smallest network. A new family is put here and is then held to the contract."""

    def source(
        self,
        path: Path,
        *,
        count: int = 40,
        size: tuple[int, int] = (8, 8),
        channels: int = 1,
        classes: int = 2,
        seed: int = 0,
    ) -> Path:
        """An .npz file of ``count`` images: a bright block at a random place, brighter with the class."""
        random = np.random.default_rng(seed)
        labels = np.arange(count) % max(classes, 1)
        images = random.integers(0, 40, (count, *size, channels), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            top, left = random.integers(0, size[0] - 3), random.integers(0, size[1] - 3)
            image[top : top + 3, left : left + 3] = 120 + 100 * label // max(classes, 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        if classes:
            names = [f"kind{number}" for number in range(classes)]
            np.savez(path, images=images, labels=labels, class_names=names)
        else:
            np.savez(path, images=images)
        return path

    def target_of(self, source: Path) -> Path:
        """Beside the source, another domain of as many images of that shape, without labels."""
        count, height, width, channels = np.load(source)["images"].shape
        path = source.with_name(f"target-of-{source.name}")
        return self.source(path, count=count, size=(height, width), channels=channels, classes=0, seed=1_000)

    def recipe(self, family: str = "vae", **changes: Any) -> Any:
        """Six steps of 16 images, in float32."""
        values = {"batch_size": 16, "images_seen": 96, "precision": "32", **self.SETTINGS[family], **changes}
        return get_family(family).load("recipe").model_validate(values)

    def flags(self, family: str = "vae", **changes: Any) -> list[str]:
        """The same for the command line."""
        recipe = self.recipe(family, **changes).model_dump(mode="json")
        names = {"batch_size", "images_seen", "precision", *self.SETTINGS[family], *changes}
        return [word for name in sorted(names) for word in ("--set", f"{name}={recipe[name]}")]

    def untrained(
        self, store: Store, name: str = "toys", classes: Sequence[str] | None = ("kind0", "kind1")
    ) -> Artifact:
        """A vae that has learnt nothing: grey 8 x 8 images, in no time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = get_family("vae").load("network")(
                self.SETTINGS["vae"], ImageShape(1, 8, 8), len(classes or ())
            )
        draft = Draft(
            family="vae",
            network=self.SETTINGS["vae"],
            image=ImageInfo(channels=1, height=8, width=8),
            classes=None if classes is None else list(classes),
            weights=network.state_dict(),
            parameters=1,
            recipe={},
            source="nothing",
            images=1,
            images_seen=0,
            seconds=0.0,
            ids=["00" * 32],
            class_counts=None if classes is None else [1] + [0] * (len(classes) - 1),
            pixel_mean=[0.5],
            pixel_std=[0.2],
        )
        return store.publish(draft, name)

    def fit(self, source: str | Path, *, name: str = "toy", family: str = "vae", **options: Any) -> Artifact:
        """Train on the CPU; ``options`` are those of ``synth.fit``."""
        from synth.training import fit

        recipe = options.pop("recipe", None) or self.recipe(family)
        if get_family(family).needs_target:
            options.setdefault("target", self.target_of(Path(source)))
        return fit(family, source, recipe, name=name, **{"device": "cpu", "save_seconds": 0.0, **options})


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    return Tiny()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked ``cuda`` are skipped where there is none."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("cuda"):
                item.add_marker(pytest.mark.skip(reason="there is no CUDA device"))

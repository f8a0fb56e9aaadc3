"""Drift at inference: what a server makes and is sent, compared with what its models were trained on.

Of each model the newest images count, a sliding window of them. A thread of its own looks at some of the
images that pass by, and rests so long in between that it takes no more than a given share of the time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from torch import Tensor

from synth.artifacts import Artifact
from synth.evaluation.drift import stability_index
from synth.evaluation.figures import Estimate
from synth.evaluation.reference import CLASSES, Reference
from synth.evaluation.statistics import image_statistics

What = Literal["made", "sent"]
Key = tuple[str, What]
"""NAME@VERSION, and whether its server made the images or was sent them."""

WINDOW = 2_000
"""Images."""
_MOST_AT_ONCE = 32
_MOST_BYTES_AT_ONCE = 2**20
_MOST_KEYS = 64

_log = logging.getLogger(__name__)


class DriftMonitor:
    """For any thread. ``seen`` takes microseconds, raises nothing, and forgets most of what it is told."""

    def __init__(self, find: Callable[[str], Artifact], *, share: float = 0.01, window: int = WINDOW) -> None:
        """
        Args:
            find: the artifact of a NAME@VERSION, from any thread.
            share: of the time, that is spent on looking at images at the most; 0: at none.
            window: images that count, of each model.
        """
        self._find, self._share, self._size = find, share, window
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._waiting: OrderedDict[Key, tuple[Tensor, Tensor | None]] = OrderedDict()
        """At most one part of a batch for each key, so that a busy model leaves the others their turn."""
        self._windows: OrderedDict[Key, _Window | None] = OrderedDict()
        """None: there is nothing to compare with."""
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def seen(self, what: What, model: str, images: Tensor, labels: Tensor | None = None) -> None:
        """Images have passed by: uint8 [N, C, H, W] on the CPU, labels int64 [N] of the model's classes."""
        if self._share <= 0.0 or not len(images):
            return
        key = model, what
        try:
            with self._lock:
                hopeless = key in self._windows and self._windows[key] is None
                if self._stopping.is_set() or key in self._waiting or hopeless:
                    return
                self._waiting[key] = _some(images, labels)
                if self._thread is None:
                    self._thread = threading.Thread(target=self._work, name="drift", daemon=True)
                    self._thread.start()
                self._wake.notify()
        except Exception:  # no request may fail for this
            _log.warning("Images of %s cannot be compared", model, exc_info=True)

    def drift(self) -> Mapping[tuple[str, ...], float]:
        """Population stability index by (model, what, statistic), of those of which enough has been seen."""
        return {
            (*key, statistic): value
            for key, window in self._snapshot().items()
            for statistic, value in window.drift().items()
        }

    def images(self) -> Mapping[tuple[str, ...], float]:
        """How many images the figures are of, by (model, what)."""
        return {key: float(window.count) for key, window in self._snapshot().items()}

    def close(self) -> None:
        """Look at nothing more."""
        with self._lock:
            self._stopping.set()
            self._wake.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    def wait_until_idle(self) -> None:
        """Return once everything that was kept has been looked at."""
        with self._lock:
            self._wake.wait_for(lambda: not self._waiting or self._stopping.is_set())

    def _snapshot(self) -> dict[Key, _Window]:
        with self._lock:
            return {key: window for key, window in self._windows.items() if window is not None}

    def _work(self) -> None:
        while True:
            with self._lock:
                self._wake.wait_for(lambda: bool(self._waiting) or self._stopping.is_set())
                if self._stopping.is_set():
                    return
                key, (images, labels) = next(iter(self._waiting.items()))
            began = time.monotonic()
            try:
                self._look(key, images, labels)
            except Exception:  # a damaged reference, or a defect: it shows in the log, and in no answer
                _log.warning("Images of %s cannot be compared", key[0], exc_info=True)
                with self._lock:
                    self._windows[key] = None
            with self._lock:
                del self._waiting[key]
                self._wake.notify_all()
            spent = time.monotonic() - began
            self._stopping.wait(spent * (1.0 / self._share - 1.0))

    def _look(self, key: Key, images: Tensor, labels: Tensor | None) -> None:
        with self._lock:
            known, window = key in self._windows, self._windows.get(key)
        if not known:
            reference = Reference.read(self._find(key[0]))
            window = None if reference is None else _Window(reference, self._size)
        if window is not None:
            window.add(image_statistics(images), None if labels is None else labels.numpy())
        with self._lock:
            self._windows[key] = window
            self._windows.move_to_end(key)
            while len(self._windows) > _MOST_KEYS:
                self._windows.popitem(last=False)


class _Window:
    """The bins that the newest images of one model fall into."""

    def __init__(self, reference: Reference, size: int) -> None:
        self._reference, self._size = reference, size
        self._lock = threading.Lock()
        self._bins = {name: np.full(size, -1, dtype=np.int32) for name in reference.statistics}
        if reference.class_counts is not None:
            self._bins[CLASSES] = np.full(size, -1, dtype=np.int32)
        self._seen = 0

    @property
    def count(self) -> int:
        """Images."""
        return min(self._seen, self._size)

    def add(self, values: Mapping[str, np.ndarray], labels: np.ndarray | None) -> None:
        """Take images in, and the oldest out."""
        count = len(next(iter(values.values())))
        with self._lock:
            places = np.arange(self._seen, self._seen + count) % self._size
            for name, bins in self._bins.items():
                if name == CLASSES:
                    bins[places] = -1 if labels is None else labels
                else:
                    bins[places] = self._reference.statistics[name].bins(values[name])
            self._seen += count

    def drift(self) -> dict[str, float]:
        """By statistic; without those of which too few images have been seen."""
        with self._lock:
            bins = {name: row[row >= 0] for name, row in self._bins.items()}
        found = {}
        for name, row in bins.items():
            if name == CLASSES:
                counts = np.asarray(self._reference.class_counts)
            else:
                counts = np.asarray(self._reference.statistics[name].counts)
            figure = stability_index(counts, np.bincount(row, minlength=len(counts)), interval=False)
            if isinstance(figure, Estimate):
                found[name] = figure.value
        return found


def _some(images: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Copies of a few, evenly spread: what was passed by may be gone or written over soon."""
    count = len(images)
    few = max(1, min(count, _MOST_AT_ONCE, _MOST_BYTES_AT_ONCE // max(1, images[0].numel())))
    rows = [number * count // few for number in range(few)]
    return images[rows].clone(), None if labels is None else labels[rows].clone()

"""What the server counts, for Prometheus: one collection for each application, none for the process.

Names and units follow Prometheus: seconds and bytes, ``_total`` for what only grows. What engine, memory and
registry know anyway is read when somebody asks (``read``); only what would be lost is counted as it happens.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, ParamSpec, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

import synth

P = ParamSpec("P")
T = TypeVar("T")

UNMATCHED = "(unmatched)"
"""Route of all requests that reached none: unknown paths, and those refused before."""

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SAMPLES = tuple(float(2**power) for power in range(13))
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Reading = (
    Callable[[], float] | Callable[[], Mapping[str, float]] | Callable[[], Mapping[tuple[str, ...], float]]
)
"""A number, or one for each value of a label, or for several labels together."""


class Metrics:
    """Counts what happens; its methods are for any thread, and take microseconds."""

    def __init__(self) -> None:
        own = self._registry = CollectorRegistry()
        self._readings = _Readings(own)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=own)
        Info("synth_build", "Version of the server.", registry=own).info({"version": synth.__version__})
        self._requests = Histogram(
            "synth_http_request_seconds",
            "From a request's arrival to the last byte of its answer.",
            ["method", "route", "status"],
            buckets=_SECONDS,
            registry=own,
        )
        self._sent = Counter("synth_http_response_bytes", "Bytes of bodies that were sent.", registry=own)
        self._problems = Counter(
            "synth_problems",
            "Requests that were refused or failed, by the code of the problem.",
            ["code", "status"],
            registry=own,
        )
        self._waits = Histogram(
            "synth_wait_seconds",
            "From the acceptance of a request to the start of its first batch.",
            buckets=_SECONDS,
            registry=own,
        )
        self._batches = Histogram(
            "synth_batch_samples", "Samples in a batch.", buckets=_SAMPLES, registry=own
        )
        self._encodings = Histogram(
            "synth_encode_seconds",
            "Encoding of one batch for an answer.",
            ["form"],
            buckets=_SECONDS,
            registry=own,
        )
        self._augmented = Counter(
            "synth_augmented_images", "Images that pipelines have changed.", registry=own
        )
        self._augmenting = Histogram(
            "synth_augment_seconds",
            "Augmentation of some images of a request on one thread.",
            buckets=_SECONDS,
            registry=own,
        )
        self._loads = Histogram(
            "synth_model_load_seconds",
            "Loading and warming up a model.",
            buckets=(*_SECONDS, 300.0),
            registry=own,
        )
        self._load_failures = Counter(
            "synth_model_load_failures", "Models that could not be loaded.", registry=own
        )
        self._known: dict[tuple[str, str, int], Histogram] = {}

    def request(self, method: str, route: str | None, status: int, *, seconds: float, sent: int) -> None:
        """A request has ended. ``route``: its template, never its path; None if it reached none."""
        key = (method if method in _METHODS else "other", route or UNMATCHED, status)
        known = self._known.get(key)
        if known is None:  # looking up labels costs more than counting
            known = self._known[key] = self._requests.labels(*key)
        known.observe(seconds)
        self._sent.inc(sent)

    def problem(self, code: str, status: int) -> None:
        """A request was answered with a problem."""
        self._problems.labels(code, status).inc()

    def waited(self, seconds: float) -> None:
        """The first batch of a request has begun."""
        self._waits.observe(seconds)

    def batch(self, samples: int) -> None:
        """A batch was computed."""
        self._batches.observe(samples)

    def encoded(self, form: str, seconds: float) -> None:
        """An answer was encoded."""
        self._encodings.labels(form).observe(seconds)

    def augmented(self, samples: int, seconds: float) -> None:
        """Images were changed by a pipeline."""
        self._augmented.inc(samples)
        self._augmenting.observe(seconds)

    def counting_loads(self, load: Callable[P, T]) -> Callable[P, T]:
        """``load``, with its calls timed and its failures counted."""

        def counted(*args: P.args, **kwargs: P.kwargs) -> T:
            began = time.monotonic()
            try:
                loaded = load(*args, **kwargs)
            except Exception:
                self._load_failures.inc()
                raise
            self._loads.observe(time.monotonic() - began)
            return loaded

        return counted

    def read(
        self,
        kind: Literal["gauge", "counter"],
        name: str,
        about: str,
        read: Reading,
        label: str | Sequence[str] = (),
    ) -> None:
        """Show what ``read`` returns whenever the metrics are asked for.

        With ``label``, ``read`` returns a number for each of its values, of which there must be few; with
        several labels, for tuples of theirs.
        """
        self._readings.add(kind, name, about, read, [label] if isinstance(label, str) else list(label))

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self._registry)


class _Readings(Collector):
    """Metrics that are known elsewhere."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._all: list[Callable[[], GaugeMetricFamily | CounterMetricFamily]] = []
        registry.register(self)

    def add(self, kind: str, name: str, about: str, read: Reading, labels: list[str]) -> None:
        family = GaugeMetricFamily if kind == "gauge" else CounterMetricFamily

        def made() -> GaugeMetricFamily | CounterMetricFamily:
            metric = family(name, about, labels=labels)
            for values, number in _labelled(read()):
                metric.add_metric(values, number)
            return metric

        self._all.append(made)

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        for made in self._all:
            yield made()


def _labelled(
    value: float | Mapping[str, float] | Mapping[tuple[str, ...], float],
) -> Iterable[tuple[list[str], float]]:
    if isinstance(value, Mapping):
        return [
            ([names] if isinstance(names, str) else list(names), number) for names, number in value.items()
        ]
    return [([], value)]

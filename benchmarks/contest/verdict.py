"""From the rounds to the table: ratios of medians, held against what was aimed at."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

Round = Mapping[str, Any]
"""What ``contest.rounds.measure`` found; for ours with ``core``."""

_NEARLY_MOST = 0.97
"""Of the most images per second: fewer clients that reach so much are a server's best."""


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    what: str
    target: str
    value: float | None
    met: bool | None
    """None: not measured, or without a target."""
    how: str = ""


@dataclass(frozen=True)
class Saturated:
    """Images per second at equal or lower p99: ours and theirs, and with how many clients."""

    ours: float
    our_clients: int
    our_p99_ms: float
    theirs: float
    their_clients: int
    their_p99_ms: float


def saturated(ours: Sequence[Round], theirs: Sequence[Round], load: str) -> Saturated | None:
    """Theirs at their best: the fewest clients with nearly the most images per second. Ours: the most that it
    reaches with any number of clients whose p99 is at or below theirs; None if there is none.
    """
    their_rates, their_p99 = medians(theirs, load, "images_per_second"), medians(theirs, load, "p99_ms")
    most = max(their_rates.values())
    if not most:
        return None
    best = min(clients for clients, rate in their_rates.items() if rate >= _NEARLY_MOST * most)
    our_rates, our_p99 = medians(ours, load, "images_per_second"), medians(ours, load, "p99_ms")
    fitting = [clients for clients, p99 in our_p99.items() if p99 <= their_p99[best]]
    if not fitting:
        return None
    chosen = max(fitting, key=lambda clients: our_rates[clients])
    return Saturated(our_rates[chosen], chosen, our_p99[chosen], their_rates[best], best, their_p99[best])


def medians(rounds: Sequence[Round], load: str, figure: str) -> dict[int, float]:
    """By number of clients, over the rounds."""
    return {
        clients: statistics.median(_or_never(one[load][clients][figure]) for one in rounds)
        for clients in rounds[0][load]
    }


def _or_never(latency: float | None) -> float:
    """The latency of no answer at all is infinite."""
    return float("inf") if latency is None else latency


def table(rounds: Mapping[str, Sequence[Round]]) -> tuple[list[Line], dict[str, Any]]:
    """All lines for which there are figures, and what the ratios of throughput were made of."""
    ours, lines, pairs = rounds.get("ours", ()), [], {}
    if not ours:
        return [], {}
    for name, load, target in (
        ("litserve eager", "closed", 3.0),
        ("litserve tuned", "closed", 1.2),
        ("ray eager", "closed", 4.0),
        ("ray tuned", "closed", 1.5),
        ("naive eager", "mixed", 5.0),
        ("naive tuned", "mixed", None),
    ):
        if theirs := rounds.get(name):
            pair = saturated(ours, theirs, load)
            pairs[name] = None if pair is None else asdict(pair)
            lines.append(_throughput(name, load, pair, target))
    for name in ("litserve eager", "litserve tuned"):
        if theirs := rounds.get(name):
            mine, other = (_median(one, lambda r: r["single"]["p50_ms"]) for one in (ours, theirs))
            ratio = mine / other if mine and other else None
            how = f"{mine:.1f} and {other:.1f} ms for one image" if mine and other else ""
            lines.append(_most(f"unloaded p50, ours / {name}", 0.5, ratio, how))
    return lines + _own(ours), pairs


def _throughput(name: str, load: str, pair: Saturated | None, target: float | None) -> Line:
    images = "16 images each" if load == "closed" else "1 to 16 images each"
    what = f"images/s saturated at equal or lower p99 ({images}), ours / {name}"
    wanted = f">= {target:g}" if target else ""
    if pair is None:
        return Line(what, wanted, None, False if target else None, "our p99 is above theirs throughout")
    how = (
        f"{pair.ours:,.0f} ({pair.our_clients} clients, p99 {pair.our_p99_ms:.0f} ms), "
        f"{pair.theirs:,.0f} ({pair.their_clients} clients, p99 {pair.their_p99_ms:.0f} ms)"
    )
    ratio = pair.ours / pair.theirs
    return Line(what, wanted, ratio, ratio >= target if target else None, how)


def _own(ours: Sequence[Round]) -> list[Line]:
    """What ours is measured at by itself."""
    core = _median(ours, lambda r: r["core"]["images_per_second"])
    beside = _median(ours, lambda r: r["core"].get("beside_clients_per_second"))
    http = _median(ours, lambda r: max(one["images_per_second"] for one in r["closed"].values()))
    how = "" if not (core and http) else f"{http:,.0f} and {core:,.0f} images/s"
    how += "" if not beside else f"; {beside:,.0f} beside a process as busy as the clients"
    share = http / core if http and core else None
    late = sum(r["overload"]["late"] for r in ours)
    served = sum(r["overload"]["statuses"].get("200", 0) for r in ours)
    goodput = _median(ours, lambda r: r["overload"]["goodput_to_capacity"])
    refusal = _median(ours, lambda r: r["overload"]["refusal_p99_ms"])
    nobody = _median(ours, lambda r: r["hang_ups"].get("for_nobody_to_abandoned"))
    idle = _median(ours, lambda r: r["idle_cpu"])
    return [
        _least("HTTP raw images/s (16 per request, saturated) / sampler core alone", 0.9, share, how),
        _least("overload at 2 x capacity: goodput / capacity", 0.95, goodput),
        _most("overload: p99 of refusals, ms", 10.0, refusal),
        _most("overload: answers after their deadline", 0, late, f"of {served:,}"),
        _most("half of the clients hang up: samples computed for nobody / abandoned", 0.05, nobody),
        _most("idle CPU, share of one processor", 0.01, idle),
    ]


def _median(rounds: Sequence[Round], figure: Callable[[Round], float | None]) -> float | None:
    """None unless there is a figure in some round."""
    values = [value for one in rounds if (value := figure(one)) is not None]
    return statistics.median(values) if values else None


def _least(what: str, target: float, value: float | None, how: str = "") -> Line:
    return Line(what, f">= {target:g}", value, None if value is None else value >= target, how)


def _most(what: str, target: float, value: float | None, how: str = "") -> Line:
    return Line(what, f"<= {target:g}", value, None if value is None else value <= target, how)


def markdown(lines: Sequence[Line]) -> str:
    """The table for docs/results.md."""
    rows = ["| what | target | obtained | |", "| --- | --- | --- | --- |"]
    for line in lines:
        value = "none" if line.value is None else f"{line.value:.3g}"
        missed = ", **missed**" if line.met is False else ""
        rows.append(f"| {line.what} | {line.target} | {value}{missed} | {line.how} |")
    return "\n".join(rows)

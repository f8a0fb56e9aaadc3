from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from synth.serving.lanes import Lanes
from synth.serving.tickets import Ticket
from tests.serving.fakes import IndexSampler, work


def ticket(sampler: IndexSampler, count: int, client: str = "a", **options) -> Ticket:
    return Ticket(sampler, work(count, **options), client, lambda: None)


def drain(lanes: Lanes, batches: int = 10**6) -> list[list[tuple[Ticket, int]]]:
    """Batches as lists of (ticket, row)."""
    taken = []
    while len(taken) < batches and (bucket := lanes.next()) is not None:
        taken.append(
            [(one.ticket, row) for one in bucket.pieces for row in range(one.rows.start, one.rows.stop)]
        )
    return taken


@given(
    st.lists(
        st.tuples(st.integers(1, 70), st.sampled_from("abc"), st.integers(0, 2), st.booleans()), max_size=30
    ),
    st.integers(1, 40),
)
def test_every_row_is_computed_once_in_order_or_dropped(requests, bucket):
    samplers = [IndexSampler(bucket=bucket, seconds=0.001 * number) for number in range(3)]
    lanes = Lanes()
    tickets = [ticket(samplers[number], count, client) for count, client, number, _ in requests]
    for each in tickets:
        lanes.add(each)
    begun = drain(lanes, 3)
    gone = {id(each) for each, (*_, leaves) in zip(tickets, requests, strict=True) if leaves}
    waiting = sum(each.waiting for each in tickets)
    dropped = sum(lanes.drop(each) for each in tickets if id(each) in gone)
    assert lanes.rows == waiting - dropped
    rest = drain(lanes)
    assert all(id(owner) not in gone for batch in rest for owner, _ in batch)
    for batch in begun + rest:
        assert 1 <= len(batch) <= bucket
        assert len({owner.lane for owner, _ in batch}) == 1
    order = [row for batch in begun + rest for row in batch]
    for each in tickets:
        rows = [row for owner, row in order if owner is each]
        assert rows == list(range(len(rows)))
        assert each.abandoned or len(rows) == len(each.work)
    assert lanes.rows == 0
    assert lanes.seconds == 0


def test_lanes_get_equal_device_time_whatever_their_samples_cost():
    dear, cheap = IndexSampler(bucket=10, seconds=0.004), IndexSampler(bucket=10, seconds=0.001)
    lanes = Lanes()
    for sampler in (dear, cheap):
        lanes.add(ticket(sampler, 10_000))
    made = Counter(owner.sampler.seconds for batch in drain(lanes, 100) for owner, _ in batch)
    seconds = {each: count * each for each, count in made.items()}
    assert 0.8 < seconds[0.004] / seconds[0.001] < 1.25


def test_clients_of_a_lane_get_equal_shares_however_many_requests_they_have():
    sampler = IndexSampler(bucket=32)
    lanes = Lanes()
    for _ in range(9):
        lanes.add(ticket(sampler, 200, "many"))
    lanes.add(ticket(sampler, 1000, "one"))
    made = Counter(owner.client for batch in drain(lanes, 20) for owner, _ in batch)
    assert 0.8 < made["many"] / made["one"] < 1.25


def test_a_lane_that_was_idle_has_saved_nothing_up():
    busy, idle = IndexSampler(bucket=10, seconds=0.002), IndexSampler(bucket=10, seconds=0.002)
    lanes = Lanes()
    lanes.add(ticket(busy, 10_000))
    drain(lanes, 50)
    lanes.add(ticket(idle, 10_000))
    made = Counter(owner.sampler is idle for batch in drain(lanes, 50) for owner, _ in batch)
    assert 0.8 < made[True] / made[False] < 1.25

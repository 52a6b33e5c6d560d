"""Properties of the schedule with random services, pauses, reloads and clock changes."""

from collections import Counter
from time import thread_time

from hypothesis import given
from hypothesis import strategies as st

from prober.schedule import GRACE_MS, Schedule, Slot, grace_ms, phase_ms, slot_after

EPOCH_MS = 1_790_000_000_000
MINUTE_MS = 60_000

ids = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=50)
intervals = st.sampled_from([1000, 5000, 60_000, 90_000, 3_600_000])
fleets = st.dictionaries(ids, intervals, min_size=1, max_size=20)
steps = st.lists(st.integers(1, 200_000), min_size=1, max_size=60)


def run(schedule: Schedule, now_ms: int, until_ms: int) -> list[Slot]:
    """Reads the due slots at each due time, like a prober that is never late."""
    slots = []
    while (next_ms := schedule.next_ms()) is not None and next_ms <= until_ms:
        now_ms = max(now_ms, next_ms)
        slots += schedule.due(now_ms)
    return slots


def after_first_checks(fleet: dict[str, int]) -> Schedule:
    """A schedule after the first checks, which are not on the grid."""
    schedule = Schedule()
    schedule.replace(fleet, EPOCH_MS)
    schedule.due(EPOCH_MS + 10_000)
    schedule.missed = 0
    return schedule


@given(ids, intervals, st.integers(0, 4_000_000_000_000))
def test_the_grid_of_a_service_never_changes(service_id: str, interval_ms: int, now_ms: int) -> None:
    slot = slot_after(service_id, interval_ms, now_ms)

    assert now_ms < slot <= now_ms + interval_ms
    assert slot % interval_ms == phase_ms(service_id, interval_ms)
    assert slot_after(service_id, interval_ms, slot) == slot + interval_ms


def test_the_phase_is_the_same_in_every_process() -> None:
    # The keys of stored rows depend on the phase, so the hash must not change.
    assert phase_ms("id-recognition", MINUTE_MS) == 32_590
    assert phase_ms("id-recognition", 1000) == 590


@given(fleets)
def test_every_slot_is_returned_once_and_in_order(fleet: dict[str, int]) -> None:
    schedule = after_first_checks(fleet)
    begin = EPOCH_MS + 10_000
    end = begin + 400_000

    slots = run(schedule, begin, end)

    assert [slot.at_ms for slot in slots] == sorted(slot.at_ms for slot in slots)
    assert schedule.missed == 0
    for service_id, interval_ms in fleet.items():
        own = [slot.at_ms for slot in slots if slot.service_id == service_id]
        assert own == list(range(slot_after(service_id, interval_ms, begin), end + 1, interval_ms))


@given(fleets, steps)
def test_each_slot_is_started_once_or_counted_as_missed(fleet: dict[str, int], pauses: list[int]) -> None:
    schedule = after_first_checks(fleet)
    begin = now = EPOCH_MS + 10_000
    slots: list[Slot] = []
    for pause in pauses:
        now += pause
        slots += schedule.due(now)

    expected = sum((now - slot_after(key, interval, begin)) // interval + 1 for key, interval in fleet.items())
    assert len(slots) + schedule.missed == expected
    assert max(Counter((slot.service_id, slot.at_ms) for slot in slots).values(), default=1) == 1
    for slot in slots:
        assert slot.at_ms % fleet[slot.service_id] == phase_ms(slot.service_id, fleet[slot.service_id])


@given(fleets, st.integers(1, 100_000_000))
def test_slots_missed_in_a_pause_are_not_started(fleet: dict[str, int], pause: int) -> None:
    schedule = after_first_checks(fleet)
    now = EPOCH_MS + 10_000 + pause

    slots = schedule.due(now)

    assert max(Counter(slot.service_id for slot in slots).values(), default=1) == 1
    for slot in slots:
        assert 0 <= now - slot.due_ms <= grace_ms(fleet[slot.service_id]) <= GRACE_MS
    assert (schedule.next_ms() or 0) > now


@given(fleets, fleets, st.integers(1, 200_000))
def test_a_reload_does_not_affect_unchanged_services(fleet: dict[str, int], other: dict[str, int], pause: int) -> None:
    schedule, undisturbed = after_first_checks(fleet), after_first_checks(fleet)
    begin = EPOCH_MS + 10_000
    changed = {**fleet, **other}

    slots = run(schedule, begin, begin + pause)
    schedule.replace(changed, begin + pause)
    slots += run(schedule, begin + pause, begin + 400_000)

    kept = {key for key, interval in fleet.items() if changed[key] == interval}
    expected = [slot for slot in run(undisturbed, begin, begin + 400_000) if slot.service_id in kept]
    assert [slot for slot in slots if slot.service_id in kept] == expected
    assert (
        max(Counter((slot.service_id, slot.at_ms) for slot in slots if slot.service_id in kept).values(), default=1)
        == 1
    )


@given(fleets)
def test_a_removed_service_has_no_slots(fleet: dict[str, int]) -> None:
    schedule = after_first_checks(fleet)
    removed = next(iter(fleet))

    schedule.replace({key: interval for key, interval in fleet.items() if key != removed}, EPOCH_MS + 10_000)

    assert removed not in {slot.service_id for slot in run(schedule, EPOCH_MS + 10_000, EPOCH_MS + 200_000)}


@given(fleets, st.integers(1001, 10**10))
def test_after_the_clock_is_set_back_all_services_have_slots(fleet: dict[str, int], back: int) -> None:
    schedule = after_first_checks(fleet)
    now = EPOCH_MS + 10_000 - back

    assert schedule.due(now) == []

    slots = run(schedule, now, now + max(fleet.values()))
    assert {slot.service_id for slot in slots} == set(fleet)


@given(fleets, st.integers(60_000, 10**10))
def test_slots_skipped_by_setting_the_clock_forward_are_counted(fleet: dict[str, int], forward: int) -> None:
    schedule = after_first_checks(fleet)
    begin = EPOCH_MS + 10_000

    slots = schedule.due(begin + forward)

    skipped = sum(len(range(slot_after(key, i, begin), begin + forward + 1, i)) for key, i in fleet.items())
    assert len(slots) + schedule.missed == skipped


def test_a_new_service_is_due_at_once_for_its_current_slot() -> None:
    schedule = Schedule()
    schedule.replace({"a": MINUTE_MS, "b": MINUTE_MS, "daily": 86_400_000}, EPOCH_MS)

    slots = schedule.due(EPOCH_MS + 100)

    assert {slot.service_id for slot in slots} == {"a", "b"}
    for slot in slots:
        assert EPOCH_MS - MINUTE_MS < slot.at_ms <= EPOCH_MS <= slot.due_ms
        assert slot.at_ms % MINUTE_MS == phase_ms(slot.service_id, MINUTE_MS)
    assert schedule.missed == 0


def test_ten_thousand_services_are_spread_evenly_at_a_low_cost() -> None:
    schedule = Schedule()
    schedule.replace({f"service-{number}": MINUTE_MS for number in range(10_000)}, EPOCH_MS)
    schedule.due(EPOCH_MS + MINUTE_MS)

    began = thread_time()
    slots = run(schedule, EPOCH_MS + MINUTE_MS, EPOCH_MS + 2 * MINUTE_MS)
    seconds = thread_time() - began

    per_second = Counter(slot.at_ms // 1000 for slot in slots)
    assert len(slots) == 10_000
    assert max(per_second.values()) < 250  # 167 on average
    assert seconds / len(slots) < 100e-6  # about 3 µs of CPU time; the limit is for slow machines

import asyncio

import pytest

from phash_dagster.images.turns import PARKED_PER_SLOT, Slots, StrangersRoom, Turn


def test_a_parked_turn_leaves_its_slot_to_another() -> None:
    async def run() -> list[bool]:
        slots = Slots(1, on_release=lambda: None)
        turn = await slots.begin()
        seen = [slots.free]
        async with turn.parked():
            seen.append(slots.free)
        return [*seen, slots.free]

    assert asyncio.run(run()) == [False, True, False]


def test_a_parked_turn_waits_for_a_slot_before_it_goes_on() -> None:
    async def run() -> list[str]:
        slots, events = Slots(1, on_release=lambda: None), list[str]()
        first = await slots.begin()

        async def park() -> None:
            async with first.parked():
                events.append("parked")
            events.append("back")

        task = asyncio.create_task(park())
        second = await slots.begin()
        await asyncio.sleep(0)
        events.append("second done")
        slots.end(second)
        await task
        return events

    assert asyncio.run(run()) == ["parked", "second done", "back"]


def test_a_turn_that_ends_while_parked_gives_no_slot_twice() -> None:
    async def run() -> bool:
        slots = Slots(1, on_release=lambda: None)
        turn = await slots.begin()
        turn.give()
        turn.give()
        slots.end(turn)
        await slots.begin()
        return slots.free

    assert asyncio.run(run()) is False


def test_only_so_many_images_may_be_parked() -> None:
    async def run() -> int:
        slots, begun = Slots(2, on_release=lambda: None), 0
        while slots.free:
            (await slots.begin()).give()
            begun += 1
        return begun

    assert asyncio.run(run()) == 2 * (1 + PARKED_PER_SLOT)


def test_a_slot_that_gets_free_is_announced() -> None:
    async def run() -> int:
        announced: list[None] = []
        slots = Slots(1, on_release=lambda: announced.append(None))
        slots.end(await slots.begin())
        return len(announced)

    assert asyncio.run(run()) == 1


def test_a_host_gets_no_more_requests_at_once_than_allowed() -> None:
    async def run() -> tuple[int, int]:
        room = StrangersRoom(in_all=5, per_host=2)
        running = {"a": 0, "b": 0}
        most = dict(running)

        async def ask(name: str) -> None:
            async with room.at(name, Turn()):
                running[name] += 1
                most[name] = max(most[name], running[name])
                await asyncio.sleep(0)
                running[name] -= 1

        await asyncio.gather(*(ask(name) for name in "ab" * 10))
        return most["a"], most["b"]

    assert asyncio.run(run()) == (2, 2)


def test_all_hosts_together_get_no_more_requests_than_allowed() -> None:
    async def run() -> int:
        room = StrangersRoom(in_all=3, per_host=2)
        running = most = 0

        async def ask(number: int) -> None:
            nonlocal running, most
            async with room.at(f"host-{number}", Turn()):
                running += 1
                most = max(most, running)
                await asyncio.sleep(0)
                running -= 1

        await asyncio.gather(*(ask(number) for number in range(20)))
        return most

    assert asyncio.run(run()) == 3


def test_who_waits_for_a_full_host_does_not_hold_a_slot() -> None:
    async def run() -> bool:
        slots = Slots(2, on_release=lambda: None)
        room = StrangersRoom(in_all=5, per_host=1)
        first, second = await slots.begin(), await slots.begin()
        async with room.at("slow", first):
            waiting = asyncio.create_task(room.at("slow", second).__aenter__())
            await asyncio.sleep(0)
            free = slots.free
        await waiting
        return free

    assert asyncio.run(run()) is True


def test_the_deadline_of_a_turn_does_not_move() -> None:
    async def run() -> bool:
        turn = Turn()
        first = turn.deadline(10)
        await asyncio.sleep(0.01)
        return turn.deadline(10) == first

    assert asyncio.run(run())


def test_no_slots_are_none() -> None:
    with pytest.raises(ValueError, match="at least 1, not 0"):
        Slots(0, on_release=lambda: None)

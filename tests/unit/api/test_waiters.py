"""Agents that wait: woken by the right notification, from any thread, and let go at the end."""

from __future__ import annotations

import asyncio
import threading

from underlace.api.waiters import Waiters

LIMIT = 10.0


def _from_a_thread(call: object, *args: object) -> None:
    thread = threading.Thread(target=call, args=args)  # type: ignore[arg-type]
    thread.start()
    thread.join()


def test_a_notification_wakes_those_who_wait_for_the_device_and_nobody_else() -> None:
    async def scene() -> None:
        waiters = Waiters()
        waiters.bind()
        with waiters.waiting("leaf1") as one, waiters.waiting("leaf1") as two, waiters.waiting("leaf2") as other:
            _from_a_thread(waiters.notify, {"leaf1", "leaf9"})
            await asyncio.wait_for(one.wait(), LIMIT)
            assert two.is_set()
            assert not other.is_set()

    asyncio.run(scene())


def test_a_notification_between_the_look_and_the_wait_is_not_lost() -> None:
    async def scene() -> None:
        waiters = Waiters()
        waiters.bind()
        with waiters.waiting("leaf1") as event:
            _from_a_thread(waiters.notify, {"leaf1"})
            await asyncio.sleep(0)
            await asyncio.wait_for(event.wait(), LIMIT)

    asyncio.run(scene())


def test_who_has_gone_is_forgotten() -> None:
    async def scene() -> None:
        waiters = Waiters()
        waiters.bind()
        with waiters.waiting("leaf1"), waiters.waiting("leaf1"):
            pass
        assert waiters._waiting == {}
        waiters.notify({"leaf1"})
        await asyncio.sleep(0)

    asyncio.run(scene())


def test_the_end_lets_everybody_go() -> None:
    async def scene() -> None:
        waiters = Waiters()
        waiters.bind()
        with waiters.waiting("leaf1") as one, waiters.waiting("leaf2") as two:
            _from_a_thread(waiters.stop)
            await asyncio.wait_for(asyncio.gather(one.wait(), two.wait()), LIMIT)
        assert waiters.stopped

    asyncio.run(scene())


def test_before_and_after_the_loop_nothing_happens() -> None:
    waiters = Waiters()
    waiters.notify({"leaf1"})

    async def scene() -> None:
        waiters.bind()

    asyncio.run(scene())
    waiters.notify({"leaf1"})
    waiters.stop()

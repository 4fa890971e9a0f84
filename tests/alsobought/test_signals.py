"""Ctrl-C and SIGTERM reach a command at every moment."""

import asyncio
import os
import signal
import sys
import threading
import weakref

import pytest

from alsobought.signals import interruptible, run_until_signalled


class Thing:
    """An object for the garbage collector."""


def wait_in_vain() -> None:
    """Wait, and return only if no signal ends the waiting."""
    threading.Event().wait(30)


def send(number: int) -> None:
    os.kill(os.getpid(), number)
    wait_in_vain()


def collect(thing: list[Thing]) -> None:
    thing.clear()
    wait_in_vain()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_raises_keyboard_interrupt(number: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), interruptible():
        send(number)
    assert signal.getsignal(number) is before


def test_a_signal_is_not_lost_in_a_callback_of_the_garbage_collector() -> None:
    hook = sys.unraisablehook
    called = []

    def collected(_: object) -> None:
        called.append(True)
        send(signal.SIGTERM)

    thing = [Thing()]
    watching = weakref.ref(thing[0], collected)
    with pytest.raises(KeyboardInterrupt), interruptible():
        collect(thing)
    assert called == [True]
    assert watching() is None
    assert sys.unraisablehook is hook
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_coroutine_of_a_loop_and_lets_it_clean_up(number: int) -> None:
    done = []

    async def beside() -> None:
        try:
            while True:
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            done.append("beside")

    async def main() -> None:
        other = asyncio.create_task(beside())
        await asyncio.sleep(0.01)
        try:
            os.kill(os.getpid(), number)
            await asyncio.sleep(30)
        finally:
            os.kill(os.getpid(), number)  # a command that is stopping is not stopped again
            await asyncio.sleep(0.01)
            other.cancel()
            await other
            done.append("main")

    with interruptible():
        before = signal.getsignal(number)
        with pytest.raises(KeyboardInterrupt):
            run_until_signalled(main())
        assert signal.getsignal(number) is before
    assert done == ["beside", "main"]


def test_the_result_or_error_of_a_coroutine_is_kept() -> None:
    async def answer(error: BaseException | None) -> int:
        if error is not None:
            raise error
        return 7

    assert run_until_signalled(answer(None)) == 7
    for error in (ValueError("wrong"), asyncio.CancelledError()):
        with pytest.raises(type(error)):
            run_until_signalled(answer(error))

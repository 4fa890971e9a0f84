"""Ctrl-C and SIGTERM reach a command at whatever moment they come."""

import os
import signal
import sys
import threading
import weakref

import pytest

from alsobought.signals import interruptible


class Thing:
    """Something to collect."""


def wait_in_vain() -> None:
    """Return only if no signal ends the waiting."""
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

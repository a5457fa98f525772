"""Tells a service that it must stop at once, while the server still waits for its connections."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_signal_calls(callback: Callable[[], None]) -> Iterator[None]:
    """Call `callback` in the running event loop when SIGTERM or SIGINT comes.

    The server that set a handler before keeps it: ours calls it too. Without this, answers that
    never end by themselves would hold up the server, which shuts a service down only when the
    last connection is closed. Outside of the main thread nothing is changed: no signal comes there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    former: dict[int, Any] = {number: signal.getsignal(number) for number in _SIGNALS}

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(callback)
        before = former[number]
        if callable(before):
            before(number, frame)
        elif before == signal.SIG_DFL:  # nobody else would end the process
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    for number in _SIGNALS:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for name, before in former.items():
            if signal.getsignal(name) is handle:
                signal.signal(name, before)

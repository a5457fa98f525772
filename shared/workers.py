"""Runs slow pure work in processes of their own, which end when ours does, however it ends."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from importlib import import_module
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from threading import Thread
from typing import TypeVar

_Result = TypeVar("_Result")


class Workers:
    """Runs slow pure work in other processes, or in threads where there are to be none."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._pool = self._new_pool()

    async def __call__(self, work: Callable[..., _Result], *arguments: object) -> _Result:
        """Return what `work` returns; a process that dies takes only its own work with it."""
        pool = self._pool
        if pool is None:
            return await asyncio.to_thread(work, *arguments)
        try:
            call = partial(work, *arguments)
            return await asyncio.get_running_loop().run_in_executor(pool, call)
        except BrokenProcessPool:
            if self._pool is pool:
                self._pool = self._new_pool()
            raise

    def warm_up(self, module: str) -> None:
        """Start the processes now, with `module` imported, so that no work has to wait for it."""
        if self._pool is not None:
            for _ in range(self._processes):
                self._pool.submit(import_module, module)

    def close(self) -> None:
        """End the processes; work under way is dropped."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _new_pool(self) -> ProcessPoolExecutor | None:
        if self._processes == 0:
            return None
        # Spawned, not forked: a fork would copy the threads' locks in whatever state they are.
        return ProcessPoolExecutor(
            self._processes, mp_context=get_context("spawn"), initializer=_end_with_parent
        )


def _end_with_parent() -> None:
    """Watch the parent: a worker whose parent was killed would wait for work for ever."""
    Thread(target=_wait_for_parents_end, name="parent watch", daemon=True).start()


def _wait_for_parents_end() -> None:
    parent = parent_process()
    assert parent is not None, "a worker has been spawned by somebody"
    wait([parent.sentinel])
    os._exit(1)  # not sys.exit: this is not the main thread, and that one may be deep in work

"""The bounded queue in front of the committer; its bound counts commands, not requests."""

import asyncio
from collections import deque
from dataclasses import dataclass

from ledger_service.domain.batch import Group, Outcome
from shared.errors import AppError, QueueFull


@dataclass(slots=True, eq=False)
class Pending:
    """A group in the queue with the future that its caller waits on."""

    group: Group
    future: asyncio.Future[list[Outcome]]
    is_started: bool = False

    def resolve(self, outcomes: list[Outcome] | AppError) -> None:
        if self.future.done():
            return
        if isinstance(outcomes, AppError):
            self.future.set_exception(outcomes)
            self.future.exception()  # a caller that has left must not count as an error of ours
        else:
            self.future.set_result(outcomes)


class Intake:
    """Takes groups while there is room, and gives them out in the order of their arrival."""

    def __init__(self, commands_max: int) -> None:
        self._commands_max = commands_max
        self._waiting: deque[Pending] = deque()
        self._commands = 0
        self.is_closed = False
        self._changed = asyncio.Event()

    def put(self, *groups: Group, is_admitted: bool = False) -> list[Pending]:
        """Let all groups wait; raise QueueFull if there is no room or no more work is taken.

        `is_admitted` is for what belongs to a request whose first part was taken already. What is
        larger than the bound is taken when nothing else waits.
        """
        if self.is_closed:
            raise QueueFull("the service is shutting down")
        more = sum(len(group.asked) for group in groups)
        if self._commands and self._commands + more > self._commands_max and not is_admitted:
            raise QueueFull(f"{self._commands} commands are waiting", queue_max=self._commands_max)
        loop = asyncio.get_running_loop()
        added = [Pending(group, loop.create_future()) for group in groups]
        self._waiting.extend(added)
        self._commands += more
        self._changed.set()
        return added

    def close(self) -> None:
        """Take no more; what waits is still given out."""
        self.is_closed = True
        self._changed.set()

    async def take(self, commands_max: int) -> list[Pending]:
        """Return what waits as soon as anything does, nothing when the intake is closed and empty.

        Groups are taken whole until they hold `commands_max` commands. Those whose callers have
        been answered meanwhile are left out.
        """
        while True:
            if taken := self._drain(commands_max):
                return taken
            if self.is_closed:
                return []
            await self._change()

    async def take_many(self, commands_min: int, commands_max: int) -> list[Pending]:
        """Return what waits once it is at least `commands_min` commands."""
        while self._commands < commands_min:
            await self._change()
        return self._drain(commands_max)

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _drain(self, commands_max: int) -> list[Pending]:
        taken, commands = [], 0
        while self._waiting and commands < commands_max:
            pending = self._waiting.popleft()
            more = len(pending.group.asked)
            self._commands -= more
            if not pending.future.done():
                commands += more
                pending.is_started = True
                taken.append(pending)
        return taken

"""
Virtual time: an integer of nanoseconds, and timers that fire when it is moved on.

Nothing in svcsim reads a real clock. Time stands still while a packet is carried and moves only when its owner says so.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from svcsim.errors import ConfigError

__all__ = ["MILLISECOND", "SECOND", "Clock", "Timer"]

MILLISECOND = 1_000_000
SECOND = 1_000_000_000
_NEVER = 1 << 100


class Timer:
    """
    A call at a *deadline* (nanoseconds), which may be put off, brought forward or cancelled at any time.

    Putting it off is an assignment: the queue entry stays where it is and finds the new deadline when it comes up.
    """

    __slots__ = ("_clock", "arguments", "deadline", "function", "queued")

    def __init__(
        self, clock: Clock, deadline: int, function: Callable[..., object], arguments: tuple[Any, ...]
    ) -> None:
        self._clock = clock
        self.deadline: int | None = deadline
        self.function = function
        self.arguments = arguments
        self.queued = deadline  # when its queue entry comes up
        clock.push(self)

    def reset(self, deadline: int) -> None:
        """Fire at *deadline* instead."""
        self.deadline = deadline
        if deadline < self.queued:
            self.queued = deadline
            self._clock.push(self)

    def cancel(self) -> None:
        """Do not fire."""
        self.deadline = None

    @property
    def pending(self) -> bool:
        """Whether it will still fire."""
        return self.deadline is not None


class Clock:
    """
    One time for everything that shares it; timers fire in (deadline, sequence) order while it advances.

    >>> clock = Clock()
    >>> timer = clock.call_at(2 * SECOND, lambda: print("at", clock.now // SECOND))
    >>> clock.advance(SECOND)
    >>> timer.reset(3 * SECOND)
    >>> clock.advance(5 * SECOND)
    at 3
    >>> clock.now // SECOND
    6
    """

    def __init__(self, now: int = 0) -> None:
        self.now = now
        self._queue: list[tuple[int, int, Timer]] = []
        self._sequence = 0
        self.next_due = _NEVER  # when the first queue entry comes up; it may find its timer put off

    def call_at(self, deadline: int, function: Callable[..., object], *arguments: Any) -> Timer:
        """Call *function* with *arguments* when time reaches *deadline*."""
        return Timer(self, deadline, function, arguments)

    def call_after(self, delay: int, function: Callable[..., object], *arguments: Any) -> Timer:
        """Call *function* with *arguments* when *delay* nanoseconds have passed."""
        return Timer(self, self.now + delay, function, arguments)

    def advance(self, duration: int) -> None:
        """Let *duration* nanoseconds pass; what falls due fires at its own time."""
        if duration < 0:
            raise ConfigError(f"time does not run backwards: {duration} ns")
        end = self.now + duration
        queue = self._queue
        while queue and queue[0][0] <= end:
            queued, _, timer = heappop(queue)
            self.next_due = queue[0][0] if queue else _NEVER
            if queued != timer.queued:
                continue  # brought forward since: an earlier entry spoke for it
            timer.queued = _NEVER
            deadline = timer.deadline
            if deadline is None:
                continue
            if deadline > queued:
                timer.reset(deadline)
                continue
            self.now = queued
            timer.deadline = None
            timer.function(*timer.arguments)
        self.now = end

    @property
    def pending(self) -> int:
        """How many timers will still fire."""
        return len({id(timer) for _, _, timer in self._queue if timer.pending})

    def push(self, timer: Timer) -> None:
        """Queue *timer* anew; for timers alone."""
        due = timer.queued
        self._sequence += 1
        heappush(self._queue, (due, self._sequence, timer))
        if due < self.next_due:
            self.next_due = due

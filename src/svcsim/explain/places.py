"""
Where each event of a trace happened: at which hook, or between hooks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from svcsim.hooks import Hook
from svcsim.trace import Delivered, Left, Routed, Stage, TraceEvent

__all__ = ["placed"]


def placed(trace: Sequence[TraceEvent]) -> Iterator[tuple[Hook | None, TraceEvent]]:
    """
    Give each event the hook at which it happened, None between hooks.

    A stage is recorded when it is through, so what it did stands before it: back to the stage before it in the same
    hook, or in a hook that comes before this one. What it sent passed hooks in between, and was placed there already.
    """
    hooks: list[Hook | None] = [None] * len(trace)
    for end, stage in enumerate(trace):
        if not isinstance(stage, Stage):
            continue
        hook = stage.hook
        before = next((i for i in reversed(range(end)) if _precedes(trace[i], hook)), -1)
        start = before + 1
        if hook is Hook.LOCAL_OUT and (before < 0 or trace[before].hook is not hook):  # type: ignore[union-attr]
            start = next((i for i in range(start, end) if isinstance(trace[i], Routed)), start)
        for i in range(start, end + 1):
            if hooks[i] is None and not _between(trace[i]):
                hooks[i] = hook
    return zip(hooks, trace, strict=True)


def _between(event: TraceEvent) -> bool:
    """Whether it happens between hooks, as routing does but where a hook function asks for it."""
    return isinstance(event, Left | Delivered) or (isinstance(event, Routed) and not event.again)


#: The hooks that a packet has passed right before one; whatever was there before, if none is named.
_PREDECESSORS = {
    Hook.LOCAL_IN: {Hook.LOCAL_IN, Hook.PRE_ROUTING},
    Hook.FORWARD: {Hook.FORWARD, Hook.PRE_ROUTING},
    Hook.POST_ROUTING: {Hook.POST_ROUTING, Hook.FORWARD, Hook.LOCAL_OUT},
}


def _precedes(event: TraceEvent, hook: Hook) -> bool:
    return isinstance(event, Stage) and event.hook in _PREDECESSORS.get(hook, Hook)

"""Pools of processes: those of `multiprocessing`, over our queues."""

from __future__ import annotations

import multiprocessing.pool as _std
from multiprocessing.pool import ThreadPool
from typing import Any

__all__ = ["Pool", "ThreadPool"]


class Pool(_std.Pool):
    """A pool of processes whose tasks and results go through shared memory."""

    def __init__(
        self,
        processes: int | None = None,
        initializer: Any = None,
        initargs: Any = (),
        maxtasksperchild: int | None = None,
        context: Any = None,
    ) -> None:
        if context is None:
            from .context import _default_context

            context = _default_context.get_context()
        super().__init__(processes, initializer, initargs, maxtasksperchild, context)

    @staticmethod
    def _help_stuff_finish(inqueue: Any, task_handler: Any, size: int) -> None:
        # Workers take no lock to get a task, so each try may find that one was faster.
        while task_handler.is_alive():
            try:
                inqueue._reader.recv(timeout=0.01)
            except (TimeoutError, EOFError, OSError):
                return


def __getattr__(name: str) -> Any:
    return getattr(_std, name)

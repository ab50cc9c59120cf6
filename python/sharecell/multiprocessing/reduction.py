"""The standard library's `multiprocessing.reduction`, whose descriptors go over our connections, too."""

from __future__ import annotations

import multiprocessing.reduction as _std
from typing import Any


def send_handle(conn: Any, handle: int, destination_pid: int | None) -> None:
    """Sends a descriptor over a connection."""
    if _is_ours(conn):
        conn.send(_std.DupFd(handle))
    else:
        _std.send_handle(conn, handle, destination_pid)


def recv_handle(conn: Any) -> int:
    """Receives a descriptor over a connection."""
    return int(conn.recv().detach() if _is_ours(conn) else _std.recv_handle(conn))


def _is_ours(conn: Any) -> bool:
    from .connection import PipeConnection

    return isinstance(conn, PipeConnection)


def __getattr__(name: str) -> Any:
    return getattr(_std, name)

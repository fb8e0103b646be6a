"""Messages between the pool and its workers: a JSON header and raw arrays over a socket pair."""

from __future__ import annotations

import json
import math
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PREFIX = struct.Struct(">IQ")
_DTYPES = {"uint8", "int64", "float32", "float64"}
MAX_PAYLOAD = 4 << 30

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Message:
    """`head["type"]` says what it is."""

    head: dict[str, Any]
    arrays: Arrays = field(default_factory=dict)


def send(
    sock: socket.socket, head: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]] | None = None
) -> None:
    """Send one message; blocks until the other side has taken it."""
    blocks, table = [], []
    for name, array in (arrays or {}).items():
        array = np.ascontiguousarray(array)
        if array.dtype.name not in _DTYPES:
            raise TypeError(f"{name}: arrays are one of {sorted(_DTYPES)}, not {array.dtype}")
        table.append([name, array.dtype.name, list(array.shape)])
        blocks.append(array)
    text = json.dumps({**head, "arrays": table}).encode()
    sock.sendall(_PREFIX.pack(len(text), sum(b.nbytes for b in blocks)) + text)
    for block in blocks:
        if block.nbytes:
            sock.sendall(block.reshape(-1).view(np.uint8).data)


class Receiver:
    """Collects bytes and cuts whole messages out of them."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> Message | None:
        """The next whole message, if there is one. Raises `ValueError` for what no worker would send."""
        if len(self._buffer) < _PREFIX.size:
            return None
        text_size, payload_size = _PREFIX.unpack_from(self._buffer)
        if payload_size > MAX_PAYLOAD:
            raise ValueError("message too large")
        end = _PREFIX.size + text_size + payload_size
        if len(self._buffer) < end:
            return None
        body = bytes(memoryview(self._buffer)[_PREFIX.size : end])
        del self._buffer[:end]
        head = json.loads(body[:text_size])
        arrays: Arrays = {}
        at = text_size
        for name, dtype, shape in head.pop("arrays"):
            if dtype not in _DTYPES:
                raise ValueError(f"array type {dtype!r}")
            count = math.prod(shape)
            arrays[name] = np.frombuffer(body, np.dtype(dtype), count, at).reshape(shape)
            at += arrays[name].nbytes
        return Message(head, arrays)


def receive(sock: socket.socket, receiver: Receiver) -> Message | None:
    """Block for the next message; None at the end of the file."""
    while (message := receiver.next()) is None:
        data = sock.recv(1 << 20)
        if not data:
            return None
        receiver.feed(data)
    return message

"""The feature store: extractors' arrays in immutable safetensors shards.

A shard is committed by write, fsync and rename, so a reader sees whole shards or none. A tensor is called
`<feature key>/<array name>` and has its checksum in the shard's header. The key is a hash of all that shaped
the array, so an array is never updated, and two shards that hold one key hold the same numbers.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from evals.errors import RunError
from evals.runs.bulk import bulk
from evals.runs.journal import write_atomically
from evals.runs.segments import MAIN

OPEN = 8  # shards that are held open
Features = dict[str, NDArray[Any]]
"""Arrays by name, as one extractor gives them for one video or text."""
_Place = tuple[Path, tuple[str, ...]]  # a shard and the names of a key's arrays in it


def _checksum(name: str, array: NDArray[Any]) -> str:
    """Of a tensor's name, type, shape and bytes."""
    header = f"{name}\n{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(header + np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


class FeatureStore:
    """Features by key. `put` collects, `commit` makes what was collected permanent."""

    def __init__(self, folder: Path, writer: str = MAIN) -> None:
        """Shards that are written are called after the `writer`."""
        self.folder = folder
        self._collected = ShardWriter(folder, writer)
        self._adopted: set[str] = set()
        self._places: dict[str, _Place] = {}
        self._alike: dict[_Place, _Place] = {}  # one for all keys of a shard with these names
        self._opened: OrderedDict[Path, tuple[Any, Mapping[str, str]]] = OrderedDict()
        with bulk():
            for path in sorted(folder.glob("*.safetensors")):
                self._read_index(path)

    def _read_index(self, path: Path) -> None:
        try:
            with path.open("rb"):
                pass
        except OSError as error:
            raise RunError(f"{path}: cannot be read: {error.strerror}") from None
        try:
            with safe_open(str(path), framework="numpy") as shard:
                tensors = list(shard.keys())
        except (SafetensorError, OSError) as error:
            raise RunError(
                f"{path}: not a readable feature shard ({error}); delete it to recompute"
            ) from None
        keys: dict[str, list[str]] = {}
        for tensor in tensors:
            key, _, name = tensor.partition("/")
            keys.setdefault(key, []).append(name)
        for key, names in keys.items():
            if key not in self._places:
                self._index(key, path, names)

    def _index(self, key: str, path: Path, names: Iterable[str]) -> None:
        place = path, tuple(sorted(names))
        self._places[key] = self._alike.setdefault(place, place)

    def adopt(self, name: str) -> None:
        """Take in a shard that another process wrote into the folder."""
        if name not in self._adopted:
            self._read_index(self.folder / name)
            self._adopted.add(name)

    def __contains__(self, key: str) -> bool:
        return key in self._collected.pending or key in self._places

    def get(self, key: str) -> Features:
        """Features of one key; `KeyError` where there are none."""
        if key in self._collected.pending:
            return self._collected.pending[key]
        path, _ = self._places[key]
        if path not in self._opened:
            shard: Any = safe_open(str(path), framework="numpy")
            self._opened[path] = shard, shard.metadata() or {}
            if len(self._opened) > OPEN:
                self._opened.popitem(last=False)
        self._opened.move_to_end(path)
        return self._checked(path, *self._opened[path], key)

    def _checked(self, path: Path, shard: Any, checksums: Mapping[str, str], key: str) -> Features:
        features = {name: shard.get_tensor(f"{key}/{name}") for name in self._places[key][1]}
        for name, array in features.items():
            if checksums.get(f"{key}/{name}") != _checksum(f"{key}/{name}", array):
                raise RunError(f"{path}: is damaged (its bytes have changed); delete it to recompute")
        return features

    def read(self, keys: Iterable[str]) -> Iterator[tuple[str, Features]]:
        """The features of those keys that are there, each shard opened once; in the order of shards."""
        wanted: dict[Path | None, list[str]] = {}
        for key in dict.fromkeys(keys):
            if key in self:
                pending = key in self._collected.pending
                wanted.setdefault(None if pending else self._places[key][0], []).append(key)
        for path, mine in wanted.items():
            if path is None:
                yield from ((key, self._collected.pending[key]) for key in mine)
                continue
            with safe_open(str(path), framework="numpy") as shard:
                checksums = shard.metadata() or {}
                for key in mine:
                    yield key, self._checked(path, shard, checksums, key)

    def put(self, key: str, features: Mapping[str, NDArray[Any]]) -> None:
        """Collect features for the next commit: at least one array, which may be empty."""
        self._collected.put(key, features)

    @property
    def pending_bytes(self) -> int:
        return self._collected.bytes

    def commit(self) -> None:
        """Write what was collected as one new shard."""
        new = {k: list(arrays) for k, arrays in self._collected.pending.items() if k not in self._places}
        if (name := self._collected.commit(new)) is not None:
            for key, names in new.items():
                self._index(key, self.folder / name, names)


class ShardWriter:
    """Collects features and writes them as shards, called after the `writer`."""

    def __init__(self, folder: Path, writer: str = MAIN) -> None:
        self.folder, self.writer, self._written = folder, writer, 0
        self.pending: dict[str, Features] = {}

    def put(self, key: str, features: Mapping[str, NDArray[Any]]) -> None:
        """Collect features for the next commit: at least one array, which may be empty."""
        if not features:
            raise ValueError(f"feature {key} holds no arrays")
        self.pending[key] = {name: np.ascontiguousarray(value) for name, value in features.items()}

    @property
    def bytes(self) -> int:
        """Of what was collected."""
        return sum(a.nbytes for arrays in self.pending.values() for a in arrays.values())

    def commit(self, keys: Iterable[str] | None = None) -> str | None:
        """Write what was collected (or some of it) as one new shard and begin anew; gives its name, None
        where there is nothing to write."""
        chosen = sorted(self.pending if keys is None else keys)
        tensors = {f"{key}/{name}": array for key in chosen for name, array in self.pending[key].items()}
        self.pending = {}
        if not tensors:
            return None
        while (path := self.folder / f"{self.writer}-{self._written:06d}.safetensors").exists():
            self._written += 1
        checksums = {name: _checksum(name, array) for name, array in tensors.items()}
        write_atomically(path, save(tensors, checksums))
        return path.name

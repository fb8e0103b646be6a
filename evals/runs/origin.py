"""Which files outside of a run its own user put there.

A run of a folder's clips names files that lie elsewhere. A run that somebody else made could name any file of
this machine, so a sample's path to the outside is signed with a secret of the user who recorded it. Only
paths with this user's signature are opened without being asked for.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from evals.runs.secrets import recordable

_BYTES = 32
_OF_THIS_PROCESS = secrets.token_bytes(_BYTES)  # where no secret can be kept


def _key_file() -> Path:
    """`$XDG_STATE_HOME/t2v-evals/key`, by default below `~/.local/state`."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "t2v-evals" / "key"


def _key(make: bool) -> bytes:
    """This user's secret; one that ends with the process where none can be kept."""
    try:
        path = _key_file()
        if make and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_bytes(_BYTES))
        found = path.read_bytes()
    except FileExistsError:  # another process made it first
        return _key(make=False)
    except (OSError, RuntimeError):  # no home, or a read-only one
        return _OF_THIS_PROCESS
    return found if len(found) == _BYTES else _OF_THIS_PROCESS


def signed(path: Path) -> str:
    """This user's signature of a path."""
    return _signature(_key(make=True), path)


def is_ours(path: Path, signature: str) -> bool:
    """Whether this user recorded a path."""
    return hmac.compare_digest(_signature(_key(make=False), path).encode(), recordable(signature).encode())


def _signature(key: bytes, path: Path) -> str:
    return hmac.new(key, os.fsencode(path), hashlib.sha256).hexdigest()[:32]

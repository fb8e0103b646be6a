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

_BYTES = 32


def _key_file() -> Path:
    """`$XDG_STATE_HOME/t2v-evals/key`, by default below `~/.local/state`."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "t2v-evals" / "key"


def _key(make: bool) -> bytes:
    """This user's secret; empty where there is none and none can be kept."""
    try:
        path = _key_file()
        if make and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_bytes(_BYTES))
        found = path.read_bytes()
    except (OSError, RuntimeError):  # no home, a read-only one, or another process made it first
        return b""
    return found if len(found) == _BYTES else b""


def signed(path: Path) -> str:
    """This user's signature of a path; empty where no secret can be kept."""
    key = _key(make=True) or _key(make=False)
    return _signature(key, path) if key else ""


def is_ours(path: Path, signature: str) -> bool:
    """Whether this user recorded a path."""
    key = _key(make=False) if signature else b""
    return bool(key) and hmac.compare_digest(_signature(key, path), signature)


def _signature(key: bytes, path: Path) -> str:
    return hmac.new(key, os.fsencode(path), hashlib.sha256).hexdigest()[:32]

"""Keeps a session with the PDS from one run to the next, in a file for its owner's eyes alone.

A PDS takes 30 logins in five minutes and 300 a day; runs begin every few seconds. What is kept is
as powerful as an app password, so it is kept like one: in a file that nobody else may read from
its first byte on, or not at all.
"""

import hashlib
import hmac
import json
import logging
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

_OWNER_ONLY: Final = 0o600
_MOST_BYTES: Final = 64_000
"""A session has about one kilobyte."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SessionFile:
    """The kept session of one account at one PDS.

    A file of another account, PDS or password counts as none, and so does one that others may
    read, that belongs to somebody else, that is a link, or that is damaged. The next `save` takes
    its place.
    """

    path: Path
    pds: str
    handle: str
    password: SecretStr

    def load(self) -> str | None:
        """The session string that was kept; None if there is none that can be trusted."""
        try:
            content = json.loads(self._read())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            # Only the kind: the text of the error may quote what the file holds.
            _log.warning("%s is not used (%s): logging in anew", self.path, type(error).__name__)
            return None
        if not isinstance(content, dict) or not self._is_ours(content):
            return None
        session = content.get("session")
        return session if isinstance(session, str) else None

    def save(self, session: str) -> bool:
        """Keep a session; False if that cannot be done without letting others read it."""
        salt = secrets.token_hex(16)
        content = {
            "pds": self.pds,
            "handle": self.handle,
            "salt": salt,
            "password": self._fingerprint(salt),
            "session": session,
        }
        try:
            self._write(json.dumps(content).encode())
        except OSError as error:
            _log.warning("the session is not kept in %s: %s", self.path, error.strerror or error)
            return False
        return True

    def forget(self) -> None:
        """Remove what is kept."""
        with suppress(OSError):
            self.path.unlink()

    def _is_ours(self, content: dict[str, Any]) -> bool:
        if (content.get("pds"), content.get("handle")) != (self.pds, self.handle):
            return False
        salt, fingerprint = content.get("salt"), content.get("password")
        if not isinstance(salt, str) or not isinstance(fingerprint, str):
            return False
        return hmac.compare_digest(self._fingerprint(salt).encode(), fingerprint.encode())

    def _fingerprint(self, salt: str) -> str:
        """Tells whether AUTOMOD_PASSWORD has changed; by scrypt, since it may be a weak one."""
        password = self.password.get_secret_value().encode()
        return hashlib.scrypt(password, salt=salt.encode(), n=2**14, r=8, p=1, dklen=32).hex()

    def _read(self) -> bytes:
        # Opened first and looked at then, so that nobody can put another file in its place.
        descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            _require_private(os.fstat(descriptor))
            return file.read(_MOST_BYTES)

    def _write(self, content: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(draft, flags, _OWNER_ONLY)
        try:
            with os.fdopen(descriptor, "wb") as file:
                # Some file systems know no permissions: better no file than one for all to read.
                _require_private(os.fstat(descriptor))
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            draft.replace(self.path)
        except BaseException:
            with suppress(OSError):
                draft.unlink()
            raise


def _require_private(found: os.stat_result) -> None:
    """Refuse a file that others may read or have made.

    Raises:
        PermissionError: It is such a file.
    """
    if not stat.S_ISREG(found.st_mode):
        raise PermissionError(0, "it is no ordinary file")
    if found.st_uid != os.geteuid():
        raise PermissionError(0, "it belongs to somebody else")
    if stat.S_IMODE(found.st_mode) & ~_OWNER_ONLY:
        raise PermissionError(0, "others may read it")

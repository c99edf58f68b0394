"""The file of a backup: a zip archive, with a manifest that holds the checksum of every file."""

import hashlib
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Final

import msgspec

from phash_dagster.backup.manifest import FileEntry, Manifest

MANIFEST: Final = "manifest.json"
_CHUNK: Final = 1 << 20
_COMPRESSED: Final = (".parquet", ".zst", ".webp", ".jpg", ".png")
"""Suffixes of files that would not get smaller."""

_FASTEST: Final = 1


class BackupError(Exception):
    """A backup cannot be made, read or restored; the text says why and what to do."""


class ArchiveWriter:
    """Adds files and keeps their checksums."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.files: dict[str, FileEntry] = {}

    def add(self, path: Path, name: str) -> None:
        """Add a file under a name, once.

        Raises:
            FileNotFoundError: It is gone.
        """
        if name in self.files:
            return
        with path.open("rb") as source:
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o600 << 16
            stored = path.name.endswith(_COMPRESSED)
            info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            with self._archive.open(info, "w", force_zip64=True) as target:
                size, digest = _copy(source, target)
            self.files[name] = FileEntry(size, digest, os.fstat(source.fileno()).st_mtime_ns)

    def finish(self, manifest: Manifest) -> None:
        """Add the manifest, which has to name the files."""
        text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        self._archive.writestr(MANIFEST, text)


@contextmanager
def new_archive(target: Path) -> Iterator[ArchiveWriter]:
    """Write an archive that appears under its name when it is complete and durable.

    It is for its owner's eyes only: it holds who was acted upon and why.

    Raises:
        BackupError: There is a file of that name.
    """
    if target.exists():
        raise BackupError(f"{target} exists already; name another file")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            with zipfile.ZipFile(file, "w", allowZip64=True, compresslevel=_FASTEST) as archive:
                yield ArchiveWriter(archive)
            file.flush()
            os.fsync(file.fileno())
        _give_name(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _give_name(temporary: Path, target: Path) -> None:
    """Rename a file, and overwrite none that somebody made meanwhile."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise BackupError(f"{target} exists already; name another file") from None
    except OSError:
        temporary.rename(target)  # some shares and sticks have no second names


class ArchiveReader:
    """Reads a backup; what it gives out is checked."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path = path
        self._archive = archive
        self.manifest = self._read_manifest()

    def _read_manifest(self) -> Manifest:
        try:
            return msgspec.json.decode(self._archive.read(MANIFEST), type=Manifest)
        except (KeyError, msgspec.MsgspecError, zipfile.BadZipFile) as error:
            raise BackupError(f"{self._path} is no backup of phash-dagster ({error})") from None

    def extract(self, folder: Path, on_file: Callable[[str], None]) -> None:
        """Write every file into a folder, and hold it against its checksum.

        Raises:
            BackupError: A file is damaged or missing, or has a name that leads elsewhere.
        """
        for name in self.manifest.files:
            target = folder / _inner(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                self._write(name, file)
                file.flush()
                os.fsync(file.fileno())
            time_ns = self.manifest.files[name].time_ns
            os.utime(target, ns=(time_ns, time_ns))
            on_file(name)

    def verify(self, on_file: Callable[[str], None]) -> None:
        """Hold every file against its checksum.

        Raises:
            BackupError: As for `extract`.
        """
        with Path(os.devnull).open("wb") as nowhere:
            for name in self.manifest.files:
                _inner(name)
                self._write(name, nowhere)
                on_file(name)

    def _write(self, name: str, target: IO[bytes]) -> None:
        try:
            with self._archive.open(name) as source:
                found = _copy(source, target)
        except (KeyError, zipfile.BadZipFile, EOFError, OSError) as error:
            raise BackupError(f"{self._path}: {name} cannot be read ({error})") from None
        entry = self.manifest.files[name]
        if found != (entry.size, entry.sha256):
            raise BackupError(f"{self._path}: {name} is damaged: its checksum is another")


@contextmanager
def opened_archive(path: Path) -> Iterator[ArchiveReader]:
    """Open a backup.

    Raises:
        BackupError: It is none, or is incomplete.
    """
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise BackupError(f"{path}: there is no such file") from None
    except (zipfile.BadZipFile, OSError) as error:
        raise BackupError(f"{path} is no complete backup ({error})") from None
    with archive:
        yield ArchiveReader(path, archive)


def _copy(source: IO[bytes], target: IO[bytes]) -> tuple[int, str]:
    """Copy all of a file; return its size in bytes and its SHA-256."""
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
        target.write(chunk)
    return size, digest.hexdigest()


def _inner(name: str) -> PurePosixPath:
    """A name that stays inside of the folder it is written to."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise BackupError(f"the backup names a file outside of its folder: {name!r}")
    return path

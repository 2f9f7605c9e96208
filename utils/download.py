"""Fetches a file from the first of several mirrors that has it right, and keeps it."""

import gzip
import io
import os
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import Any

import pooch
from tqdm import tqdm

TIMEOUT = (10, 30)  # seconds until a server answers at all, and between two pieces of what it sends


class DownloadError(RuntimeError):
    """No mirror delivered the file, or it could not be kept; the message says what each of them did."""


class _Unzipped(pooch.HTTPDownloader):
    """Writes what a .gz unpacks to, since mirrors compress the same bytes differently: the checksum is of the bytes."""

    def __call__(self, url: str, output_file: str | os.PathLike, pooch: Any, check_only: bool = False) -> None:
        packed = io.BytesIO()
        super().__call__(url, packed, pooch)
        packed.seek(0)
        with gzip.open(packed) if url.endswith(".gz") else packed as plain, open(output_file, "wb") as kept:
            shutil.copyfileobj(plain, kept)
            kept.flush()
            os.fsync(kept.fileno())  # a full disk says so here at the latest, before the file gets its name


def fetch(mirrors: list[str], path: Path, known_hash: str) -> Path:
    """Return the path of a file, fetched from the first mirror that has it right unless it is there already.

    `mirrors` are addresses of one file, each perhaps compressed (.gz); `known_hash` is "sha256:..." or "md5:..." of
    the uncompressed bytes. The file appears whole or not at all; one that is there with other bytes is fetched again.
    Two processes may fetch the same file at once.

    Errors: DownloadError, with what each mirror did, or why the file could not be written.
    """
    import requests  # not above: it adds a filter for warnings

    pooch.get_logger().setLevel("ERROR")
    faults = []
    try:
        if right(path, known_hash):
            return path
        made = [folder for folder in (path.parent, *path.parent.parents) if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        for folder in made:
            folder.chmod(0o755)  # others may share it, whatever this reader's umask is
    except OSError as error:
        raise _unusable(path, error) from error
    for url in mirrors:
        try:
            with (
                tqdm(desc=path.name, total=1, unit="B", unit_scale=True, leave=False, disable=None) as bar,
                tempfile.TemporaryDirectory(dir=path.parent, prefix=".fetch-") as folder,
            ):
                downloader = _Unzipped(progressbar=bar, timeout=TIMEOUT)
                new = Path(pooch.retrieve(url, known_hash, fname=path.name, path=folder, downloader=downloader))
                new.chmod(0o644)  # others may share it; pooch leaves what it makes to its owner alone
                os.replace(new, path)
            return path
        except requests.RequestException as error:
            faults.append(f"{url}: {_reason(error)}")
        except (EOFError, gzip.BadGzipFile, zlib.error):
            faults.append(f"{url}: it broke off, or is no .gz")
        except ValueError:  # how pooch says that the checksum differs
            faults.append(f"{url}: its bytes are not those of the file")
        except OSError as error:
            raise _unusable(path, error) from error
    raise DownloadError("; ".join(faults))


def right(path: Path, known_hash: str) -> bool:
    """Return whether a file is here and has the bytes of that checksum."""
    algorithm, _, wanted = known_hash.partition(":")
    return path.is_file() and pooch.file_hash(path, algorithm) == wanted


def _unusable(path: Path, error: OSError) -> DownloadError:
    what = "read" if path.exists() and not os.access(path, os.R_OK) else "written"
    return DownloadError(f"{path} could not be {what}: {error.strerror or error}")


def _reason(error: Any) -> str:
    import requests

    if error.response is not None:
        return f"answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "did not answer in time"
    if isinstance(error, requests.ConnectionError):
        return "stalled or broke off" if "Read timed out" in str(error) else "could not be reached"
    return "broke off"

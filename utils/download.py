"""Fetches a file from the first of several mirrors that has it right, and keeps it."""

import contextlib
import gzip
import hashlib
import io
import os
import re
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import Any

import pooch
from tqdm import tqdm

TIMEOUT = (10, 30)  # seconds until a server answers at all, and between two pieces of what it sends
GZIP = b"\x1f\x8b"  # how a .gz begins
HALF = ".fetch-"  # how the folders begin in which files grow
OTHER_BYTES = "its bytes are not those of the file"


class DownloadError(RuntimeError):
    """No mirror delivered the file, or it could not be kept; the message says what each of them did."""


class _Unzipped(pooch.HTTPDownloader):
    """Writes what an address or a file holds, unpacked: mirrors compress anew, and the checksum is of the bytes."""

    def __call__(self, url: str, output_file: str | os.PathLike, pooch: Any, check_only: bool = False) -> None:
        packed = io.BytesIO()
        if "://" in url:
            super().__call__(url, packed, pooch)
        else:
            packed.write(Path(url).read_bytes())
        packed.seek(0)
        with gzip.open(packed) if packed.getvalue()[:2] == GZIP else packed as plain, open(output_file, "wb") as kept:
            shutil.copyfileobj(plain, kept)
            kept.flush()
            os.fsync(kept.fileno())  # a full disk says so here at the latest, before the file gets its name


def fetch(mirrors: list[str], path: Path, known_hash: str) -> Path:
    """Return the path of a file, fetched from the first mirror that has it right unless it is there already.

    `mirrors` are addresses of one file, each perhaps compressed (.gz); `known_hash` is "sha256:..." or "md5:..." of
    the uncompressed bytes. A file that somebody put into its folder is taken before any mirror is asked, whatever its
    name, packed or not. The file appears whole or not at all; one that is there with other bytes is fetched again. Two
    processes may fetch the same file at once.

    Errors: DownloadError, with what each mirror did, or why the file could not be written.
    """
    import requests  # not above: it adds a filter for warnings

    pooch.get_logger().setLevel("ERROR")
    try:
        if right(path, known_hash):
            return path
        created = [folder for folder in (path.parent, *path.parent.parents) if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        for folder in created:
            folder.chmod(0o755)  # others may share it, whatever this reader's umask is
    except OSError as error:
        raise _unusable(path, error) from error
    named = (path, path.with_name(f"{path.name}.gz"))
    faults = [f"{other} is here, but {OTHER_BYTES}" for other in named if other.is_file()]
    for url in [*_put_there(path.parent, known_hash), *mirrors]:
        try:
            with (
                tqdm(desc=path.name, total=1, unit="B", unit_scale=True, leave=False, disable=None) as bar,
                tempfile.TemporaryDirectory(dir=path.parent, prefix=HALF) as folder,
            ):
                downloader = _Unzipped(progressbar=bar, timeout=TIMEOUT)
                new = Path(pooch.retrieve(url, known_hash, fname=path.name, path=folder, downloader=downloader))
                new.chmod(0o644)  # others may share it; pooch leaves what it makes to its owner alone
                os.replace(new, path)
            return path
        except requests.RequestException as error:
            faults.append(f"{url}: {_reason(error)}{_proxy(url)}")
        except (EOFError, gzip.BadGzipFile, zlib.error):
            faults.append(f"{url}: it broke off{_proxy(url)}")
        except ValueError:  # how pooch says that the checksum differs
            faults.append(f"{url}: {OTHER_BYTES}{_proxy(url)}")
        except OSError as error:
            if error.errno is None:  # of requests, which found no certificates where REQUESTS_CA_BUNDLE says
                faults.append(f"{url}: {error}")
                continue
            raise _unusable(path, error) from error
    raise DownloadError(_told(faults))


def right(path: Path, known_hash: str) -> bool:
    """Return whether a file is here and has the bytes of that checksum."""
    return path.is_file() and _holds(path, known_hash)


def _holds(path: Path, known_hash: str, opened: Any = open) -> bool:
    algorithm, _, wanted = known_hash.partition(":")
    with opened(path, "rb") as content:
        return hashlib.file_digest(content, algorithm).hexdigest() == wanted


def _put_there(folder: Path, known_hash: str) -> list[str]:
    """Find one file in a folder, or below it, that has the bytes of that checksum, packed or not."""
    for place, _, names in os.walk(folder):
        if Path(place).name.startswith(HALF):  # another process fetches there
            continue
        for name in sorted(names):
            for opened in (open, gzip.open):
                with contextlib.suppress(OSError, EOFError, zlib.error):
                    if _holds(Path(place, name), known_hash, opened):
                        return [str(Path(place, name))]
    return []


def _unusable(path: Path, error: OSError) -> DownloadError:
    what = "read" if path.exists() and not os.access(path, os.R_OK) else "written"
    return DownloadError(f"{path} could not be {what}: {error.strerror or error}")


def _reason(error: Any) -> str:
    from requests import exceptions

    if error.response is not None:
        return f"answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, exceptions.Timeout):
        return "did not answer in time"
    if isinstance(error, exceptions.SSLError):
        why = re.search(r"certificate verify failed: ([^(\"]+)", str(error))
        cause = f"its certificate is not trusted ({why[1].strip()})" if why else "no safe connection could be made"
        return f"{cause}; REQUESTS_CA_BUNDLE names a file of certificates to trust"
    if refused := re.search(r"Tunnel connection failed: ([^')]+)", str(error)):
        return f"was refused ({refused[1]})"
    if isinstance(error, exceptions.ConnectionError):
        return "stalled or broke off" if "Read timed out" in str(error) else "could not be reached"
    if isinstance(error, exceptions.InvalidSchema):  # a proxy of another kind
        return f"could not be asked ({error})"
    return "could not be asked" if isinstance(error, exceptions.InvalidURL) else "broke off"


def _proxy(url: str) -> str:
    """Say through which proxy an address is asked, without a password; nothing where it is asked directly."""
    from requests import utils

    with contextlib.suppress(ValueError):  # what is no address has no proxy
        if proxy := utils.select_proxy(url, utils.get_environ_proxies(url)):
            return " through the proxy " + re.sub(r"^(\w+://)?.*@", r"\1", proxy)
    return ""


def _told(faults: list[str]) -> str:
    """Join what each mirror did, without a mirror's password, and say where a proxy comes from."""
    told = re.sub(r"(?<=://)[^/\s]*@", "", "; ".join(faults))
    if " through the proxy " not in told:
        return told
    return f"{told}; HTTPS_PROXY, HTTP_PROXY, ALL_PROXY or the system names the proxy: accepted is http://HOST:PORT"

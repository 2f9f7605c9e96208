"""Downloads against a web server on the loopback interface that misbehaves in every way that servers do."""

import gzip
import hashlib
import http.server
import os
import re
import shutil
import ssl
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from utils import data, download

CONTENT = bytes(range(256)) * 400
HASH = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves what `server.answers` says of a path: bytes, or a function that misbehaves."""

    def do_GET(self):
        self.server.asked.append(self.path)
        answer = self.server.answers.get(self.path)
        if answer is None:
            self.send_error(404)
        elif callable(answer):
            answer(self)
        else:
            self.deliver(answer)

    def deliver(self, body, announced=None):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) if announced is None else announced))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        serving.daemon_threads = True
        serving.answers, serving.asked, serving.stop = {}, [], threading.Event()
        serving.url = f"http://127.0.0.1:{serving.server_address[1]}"
        threading.Thread(target=serving.serve_forever, args=(0.01,), daemon=True).start()
        yield serving
        serving.stop.set()
        serving.shutdown()


def truncated(handler):
    body = gzip.compress(CONTENT)
    handler.deliver(body[: len(body) // 2], announced=len(body))


def cut_without_saying(handler):
    handler.deliver(gzip.compress(CONTENT)[:-20])


def stalls(handler):
    handler.deliver(gzip.compress(CONTENT)[:100], announced=10_000)
    handler.wfile.flush()
    handler.server.stop.wait(20)


MISBEHAVIOURS = {
    "truncated": (truncated, "broke off"),
    "truncated-gz": (cut_without_saying, "it broke off"),
    "not-a-gz": (b"<html>Please log in to this network</html>", "its bytes are not those of the file"),
    "wrong-bytes": (gzip.compress(CONTENT[:-1] + b"!"), "its bytes are not those of the file"),
    "missing": (None, "answered 404 Not Found"),
    "stalls": (stalls, "stalled or broke off"),
}


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", (2, 0.3))


@pytest.mark.parametrize("kind", MISBEHAVIOURS)
def test_a_mirror_that_misbehaves_is_passed_over_for_the_next(server, tmp_path, quick, kind):
    server.answers |= {"/bad/file.gz": MISBEHAVIOURS[kind][0], "/good/file.gz": gzip.compress(CONTENT, 1)}
    path = download.fetch([f"{server.url}/bad/file.gz", f"{server.url}/good/file.gz"], tmp_path / "set" / "file", HASH)
    assert path.read_bytes() == CONTENT
    assert server.asked == ["/bad/file.gz", "/good/file.gz"]
    assert [entry.name for entry in path.parent.iterdir()] == ["file"], "nothing half-fetched is left"


@pytest.mark.parametrize("kind", MISBEHAVIOURS)
def test_without_another_mirror_the_error_says_what_happened_and_leaves_nothing(server, tmp_path, quick, kind):
    server.answers["/file.gz"], cause = MISBEHAVIOURS[kind]
    with pytest.raises(download.DownloadError) as error:
        download.fetch([f"{server.url}/file.gz"], tmp_path / "file", HASH)
    assert str(error.value).startswith(f"{server.url}/file.gz: ")
    assert cause in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_mirror_that_is_down_is_passed_over(server, tmp_path):
    server.answers["/file"] = CONTENT
    assert download.fetch(["http://127.0.0.1:9/file", f"{server.url}/file"], tmp_path / "file", HASH).is_file()
    with pytest.raises(download.DownloadError, match="could not be reached"):
        download.fetch(["http://127.0.0.1:9/file"], tmp_path / "other" / "file", HASH)


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_what_was_fetched_can_be_read_by_others(server, tmp_path):
    server.answers["/file"] = CONTENT
    before = os.umask(0o077)
    try:
        path = download.fetch([f"{server.url}/file"], tmp_path / "shared" / "set" / "file", HASH)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o444 == 0o444
    assert all(folder.stat().st_mode & 0o755 == 0o755 for folder in (path.parent, path.parent.parent))


def test_what_is_here_and_right_is_not_fetched_again(server, tmp_path):
    (tmp_path / "file").write_bytes(CONTENT)
    assert download.fetch([f"{server.url}/file"], tmp_path / "file", HASH) == tmp_path / "file"
    assert server.asked == []


def test_what_is_here_and_broken_is_fetched_again(server, tmp_path):
    server.answers["/file"] = CONTENT
    (tmp_path / "file").write_bytes(CONTENT[:1000])  # as an interrupted copy leaves it
    assert download.fetch([f"{server.url}/file"], tmp_path / "file", HASH).read_bytes() == CONTENT


def test_what_is_here_and_broken_stays_when_no_mirror_has_better(server, tmp_path):
    (tmp_path / "file").write_bytes(b"a reader's own")
    with pytest.raises(download.DownloadError, match="file is here, but its bytes are not those of the file; http"):
        download.fetch([f"{server.url}/file"], tmp_path / "file", HASH)
    assert (tmp_path / "file").read_bytes() == b"a reader's own"


@pytest.mark.parametrize("name", ["file.gz", "file", "fi.le", "file (1).gz", "archive/raw/file.gz"])
@pytest.mark.parametrize("pack", [gzip.compress, bytes], ids=["packed", "plain"])
def test_what_somebody_put_there_is_taken_whatever_its_name_and_nobody_is_asked(server, tmp_path, name, pack):
    folder = tmp_path / "set"
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / "another.gz").write_bytes(gzip.compress(b"another"))
    (folder / name).write_bytes(pack(CONTENT))
    assert download.fetch([f"{server.url}/file.gz"], folder / "file", HASH).read_bytes() == CONTENT
    assert server.asked == [] and (folder / name).exists(), "what is somebody's stays"


@pytest.mark.parametrize("half", [gzip.compress(CONTENT)[:-20], b"", b"\x1f\x8b", gzip.compress(b"other")])
def test_what_somebody_put_there_by_half_is_said_and_the_mirror_has_it(server, tmp_path, half):
    (tmp_path / "file.gz").write_bytes(half)
    with pytest.raises(download.DownloadError, match=r"file\.gz is here, but its bytes .*; .* answered 404"):
        download.fetch([f"{server.url}/file.gz"], tmp_path / "file", HASH)
    server.answers["/file.gz"] = CONTENT  # unpacked under way
    assert download.fetch([f"{server.url}/file.gz"], tmp_path / "file", HASH).read_bytes() == CONTENT


# What a reader's network is like ----------------------------------------------------------------------------------

PROXIES = {
    "socks://127.0.0.1:9": "could not be asked (Missing dependencies for SOCKS support.)",
    "socks5h://127.0.0.1:9": "could not be asked (Missing dependencies for SOCKS support.)",
    "http://127.0.0.1:9": "could not be reached",
    "127.0.0.1:9": "could not be reached",
    "ftp://127.0.0.1:9": "could not be asked",
    "http://127.0.0.1:port": "could not be asked",
    "http://[::1": "could not be asked",
    "http://": "could not be asked",
}


@pytest.fixture
def direct(monkeypatch):
    """Forget what this machine says of proxies and certificates."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        for each in (name, name.lower()):
            monkeypatch.delenv(each, raising=False)


@pytest.mark.parametrize("variable", ["ALL_PROXY", "http_proxy"])
@pytest.mark.parametrize("proxy", PROXIES)
def test_a_proxy_that_does_not_serve_is_named(direct, server, tmp_path, monkeypatch, proxy, variable):
    monkeypatch.setenv(variable, proxy)
    with pytest.raises(download.DownloadError) as error:
        download.fetch([f"{server.url}/file"], tmp_path / "file", HASH)
    assert str(error.value) == (
        f"{server.url}/file: {PROXIES[proxy]} through the proxy {proxy}; HTTPS_PROXY, HTTP_PROXY, ALL_PROXY or the "
        "system names the proxy: accepted is http://HOST:PORT"
    )
    assert server.asked == [] and list(tmp_path.iterdir()) == []


def test_what_a_proxy_answers_is_laid_to_it(direct, server, tmp_path, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", server.url)
    server.answers["http://mirror.example/file"] = b"<html>Please log in</html>"
    with pytest.raises(download.DownloadError) as error:
        download.fetch(["http://mirror.example/file", "https://mirror.example/file"], tmp_path / "file", HASH)
    plain, safe, _ = str(error.value).split("; ")
    assert plain.endswith(f"/file: its bytes are not those of the file through the proxy {server.url}")
    assert safe.startswith("https://mirror.example/file: was refused (501 Unsupported method")


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_no_password_is_shown(direct, server, tmp_path, monkeypatch, scheme):
    monkeypatch.setenv("ALL_PROXY", f"{scheme}anna:se@cret@127.0.0.1:9")
    with pytest.raises(download.DownloadError) as error:
        download.fetch(["http://bert:secret@mirror.example/file"], tmp_path / "file", HASH)
    assert not re.search("anna|bert|cret", str(error.value))
    assert f"through the proxy {scheme}127.0.0.1:9;" in str(error.value)
    assert "http://mirror.example/file: " in str(error.value)


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")
def test_a_certificate_that_nobody_signed_is_named_and_may_be_trusted(direct, server, tmp_path, monkeypatch):
    key, own = tmp_path / "key.pem", tmp_path / "own.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=here -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*command.split(), "-keyout", key, "-out", own], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.answers["/file"], url = CONTENT, server.url.replace("http:", "https:")
    cause = "its certificate is not trusted (self-signed certificate); REQUESTS_CA_BUNDLE names a file of certificates"
    with pytest.raises(download.DownloadError, match=re.escape(cause)):
        download.fetch([f"{url}/file"], tmp_path / "set" / "file", HASH)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "nowhere"))
    with pytest.raises(download.DownloadError, match=r"/file: Could not find a suitable TLS CA certificate bundle"):
        download.fetch([f"{url}/file"], tmp_path / "set" / "file", HASH)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(own))
    assert download.fetch([f"{url}/file"], tmp_path / "set" / "file", HASH).read_bytes() == CONTENT


@pytest.mark.parametrize("address", ["http://[/file", "http://host:port/file", "http://ho st/file", "http://.x/file"])
def test_a_mirror_that_is_no_address_is_passed_over(direct, tmp_path, address):
    with pytest.raises(download.DownloadError, match="could not be asked"):
        download.fetch([address], tmp_path / "file", HASH)


def fetch_elsewhere(url, path, before="", **kwargs):
    """Start a process of its own that fetches."""
    code = f"from utils import download; {before}\nfrom pathlib import Path\n"
    code += f"print(download.fetch([{url!r}], Path({str(path)!r}), {HASH!r}))"
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs)


def slowly(pieces, handler):
    body = gzip.compress(CONTENT)
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    for start in range(0, len(body), len(body) // pieces + 1):
        handler.wfile.write(body[start : start + len(body) // pieces + 1])
        handler.wfile.flush()
        handler.server.stop.wait(0.1)


def test_two_processes_that_fetch_at_once_both_get_it_whole(server, tmp_path):
    server.answers["/file.gz"] = partial(slowly, 5)
    both = [fetch_elsewhere(f"{server.url}/file.gz", tmp_path / "file") for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_an_interrupted_fetch_is_done_again(server, tmp_path):
    server.answers["/file.gz"] = stalls
    process = fetch_elsewhere(f"{server.url}/file.gz", tmp_path / "file")
    deadline = time.monotonic() + 60
    while not server.asked and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not (tmp_path / "file").exists()
    server.answers["/file.gz"] = gzip.compress(CONTENT)
    assert download.fetch([f"{server.url}/file.gz"], tmp_path / "file", HASH).read_bytes() == CONTENT


@pytest.mark.skipif(os.name == "nt", reason="limits of a process are POSIX's")
def test_a_full_disk_is_said_in_a_sentence_and_leaves_nothing(server, tmp_path):
    """A limit on a file's size stops the writing where a full disk would."""
    server.answers["/file.gz"] = gzip.compress(CONTENT)
    limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))"
    process = fetch_elsewhere(f"{server.url}/file.gz", tmp_path / "file", before=limit)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.splitlines()[-1].endswith(f"DownloadError: {tmp_path / 'file'} could not be written: File too large")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def sets():
    """Make a set of MNIST's shape with known pictures: the arrays, their files, and the files packed."""
    generator = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 60_000), ("t10k", 10_000)):
        pictures = np.tile(generator.integers(0, 256, (100, 28, 28), np.uint8), (count // 100, 1, 1))
        labels = np.tile(generator.permutation(100).astype(np.uint8) % 10, count // 100)
        arrays |= {f"{part}-images-idx3-ubyte": pictures, f"{part}-labels-idx1-ubyte": labels}
    files = {
        name: bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes() + values.tobytes()
        for name, values in arrays.items()
    }
    return arrays, files, {f"/mnist/{name}.gz": gzip.compress(content, 1) for name, content in files.items()}


@pytest.fixture
def small(monkeypatch, server, tmp_path, sets):
    """Serve that set under COURSE_DATA_URL in the place of MNIST."""
    arrays, files, packed = sets
    hashes = {name: "md5:" + hashlib.md5(content).hexdigest() for name, content in files.items()}
    monkeypatch.setitem(data.FETCHED, "mnist", {**data.FETCHED["mnist"], "files": hashes})
    server.answers |= packed
    monkeypatch.setenv("COURSE_DATA_URL", f"{server.url}/")
    monkeypatch.setenv("COURSE_DATA_DIR", str(tmp_path / "cache"))
    return arrays


def test_mnist_is_fetched_once_and_loaded_as_plain_tensors(small, server, tmp_path):
    parts = data.load("mnist")
    assert sorted(server.asked) == sorted(f"/mnist/{name}.gz" for name in small)
    for tensor, name in zip(parts, small, strict=True):
        wanted = small[name]
        ours = tensor[:, 0] * 255 if tensor.ndim == 4 else tensor
        assert tensor.dtype == (torch.float32 if tensor.ndim == 4 else torch.int64)
        np.testing.assert_allclose(ours[::997].numpy(), wanted[::997], atol=1e-4)
        assert len(tensor) == len(wanted)
    assert (parts.train_x.min(), parts.train_x.max()) == (0, 1)
    server.answers.clear()  # the network is gone
    halves = data.load("mnist", split="random", seed=1)
    assert halves.train_x.shape == halves.test_x.shape == (35_000, 1, 28, 28)
    assert (halves.train_y.bincount() - halves.test_y.bincount()).abs().max() <= 1


def test_a_file_with_other_bytes_is_not_loaded(small, server, tmp_path):
    broken = data.fetch("mnist") / "t10k-labels-idx1-ubyte"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:-1] + b"\x03")
    server.asked.clear()
    data.load("mnist")
    assert (broken.read_bytes(), server.asked) == (whole, ["/mnist/t10k-labels-idx1-ubyte.gz"])
    broken.write_bytes(whole[:-1] + b"\x03")
    server.answers["/mnist/t10k-labels-idx1-ubyte.gz"] = gzip.compress(b"other")
    with pytest.raises(download.DownloadError, match="its bytes are not those of the file"):
        data.load("mnist")


def test_fashion_is_a_set_of_its_own(small, server, monkeypatch):
    monkeypatch.setitem(data.FETCHED, "fashion_mnist", data.FETCHED["mnist"])
    server.answers |= {f"/fashion_mnist/{name}.gz": server.answers[f"/mnist/{name}.gz"] for name in small}
    assert len(data.load("fashion_mnist").train_y) == 60_000
    assert sorted(server.asked) == sorted(f"/fashion_mnist/{name}.gz" for name in small)


def test_without_a_server_of_ones_own_the_public_mirrors_are_asked_in_turn(small, server, monkeypatch):
    monkeypatch.delenv("COURSE_DATA_URL")
    mirrors = [f"{server.url}/gone/{{file}}.gz", f"{server.url}/mnist/{{file}}.gz"]
    monkeypatch.setitem(data.FETCHED, "mnist", {**data.FETCHED["mnist"], "mirrors": mirrors})
    assert len(data.load("mnist").test_y) == 10_000


def test_four_packed_files_put_there_by_hand_are_mnist(small, server, tmp_path, sets, capsys):
    folder = tmp_path / "cache" / "mnist"
    folder.mkdir(parents=True)
    for address, packed in sets[2].items():
        (folder / Path(address).name).write_bytes(packed)
    assert len(data.load("mnist").test_y) == 10_000
    assert server.asked == []
    assert data.main(["list"]) == 0
    assert f"mnist: in {folder}" in capsys.readouterr().out


def test_shakespeare_is_text(server, monkeypatch, tmp_path):
    play = "First Citizen:\nBefore we proceed any further\n"
    known = {"mirrors": data.FETCHED["shakespeare"]["mirrors"], "files": {}}
    known["files"] = {
        file: "md5:" + hashlib.md5(play.encode()).hexdigest() for file in data.FETCHED["shakespeare"]["files"]
    }
    monkeypatch.setitem(data.FETCHED, "shakespeare", known)
    monkeypatch.setenv("COURSE_DATA_URL", server.url)
    monkeypatch.setenv("COURSE_DATA_DIR", str(tmp_path))
    server.answers["/shakespeare/input.txt"] = play.encode()
    assert data.text("shakespeare") == play


@pytest.mark.skipif(os.name == "nt", reason="HOME is for other systems")
def test_the_folder_may_be_in_the_home_or_relative_to_the_project(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COURSE_DATA_DIR", "~/sets")
    assert data.cache() == tmp_path / "sets"
    monkeypatch.setenv("COURSE_DATA_DIR", "sets")
    monkeypatch.chdir(tmp_path)
    assert data.cache() == Path(data.__file__).parent.parent / "sets", "a notebook and a terminal mean the same"
    monkeypatch.setenv("COURSE_DATA_DIR", "~nobody at all/sets")
    with pytest.raises(ValueError, match="COURSE_DATA_DIR was '~nobody at all/sets'"):
        data.cache()


@pytest.mark.parametrize("address", ["example", "/mnt/sets", "file:///tmp/sets", "ftp://host/sets", "http://"])
def test_what_is_no_address_is_named(small, monkeypatch, address):
    monkeypatch.setenv("COURSE_DATA_URL", address)
    with pytest.raises(ValueError, match="accepted is an address that begins with http:// or https://") as error:
        data.load("mnist")
    assert repr(address) in str(error.value)


def test_offline_one_sentence_names_the_command_and_the_default(small, server, monkeypatch):
    server.answers.clear()
    with pytest.raises(download.DownloadError) as error:
        data.load("mnist")
    message = str(error.value)
    assert "'mnist'" in message and "answered 404" in message
    assert message.endswith(
        "With a network: python -m utils.data fetch mnist. Without: put train-images-idx3-ubyte, "
        "train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, packed (.gz) or not, into "
        f"{data.cache() / 'mnist'}, or keep the default, which needs none."
    )
    assert len(message.splitlines()) == 1


def test_a_cache_that_cannot_be_written_is_said_in_a_sentence(small, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COURSE_DATA_DIR", str(tmp_path / "file"))  # no folder can be made under a file, even by root
    with pytest.raises(download.DownloadError, match="could not be written: Not a directory"):
        data.load("mnist")


def test_a_cache_that_is_only_read_serves_what_it_has(small, server, tmp_path):
    data.fetch("mnist")
    for entry in [*(tmp_path / "cache").rglob("*"), tmp_path / "cache"]:
        entry.chmod(0o555 if entry.is_dir() else 0o444)
    try:
        assert len(data.load("mnist").test_y) == 10_000
    finally:
        for entry in [tmp_path / "cache", *(tmp_path / "cache").iterdir()]:
            entry.chmod(0o755)


def test_a_set_that_may_not_be_read_gets_a_line(small, monkeypatch, capsys):
    def refused(path, known_hash):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(download, "right", refused)
    assert data.main(["list"]) == 0
    assert "cannot be read: Permission denied" in capsys.readouterr().out


def test_the_command_fetches_and_lists(small, capsys, tmp_path):
    assert data.main(["list"]) == 0
    assert "mnist: python -m utils.data fetch mnist" in capsys.readouterr().out
    assert data.main(["fetch", "mnist"]) == 0
    assert data.main(["list"]) == 0
    assert f"mnist: in {tmp_path / 'cache' / 'mnist'}" in capsys.readouterr().out
    (tmp_path / "cache" / "mnist" / "t10k-labels-idx1-ubyte").write_bytes(b"")
    assert data.main(["list"]) == 0
    assert "mnist: python -m utils.data fetch mnist" in capsys.readouterr().out


def test_the_command_says_what_it_accepts(small, server, capsys):
    with pytest.raises(SystemExit):
        data.main(["fetch", "cifar"])
    assert "invalid choice: 'cifar' (choose from" in capsys.readouterr().err
    server.answers.clear()
    assert data.main(["fetch", "mnist"]) == 1
    assert "answered 404" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content, sentence",
    [
        (
            b"\x00\x00\x0d\x01\x00\x00\x00\x02ab",
            "begins with 00 00 0d 01; an idx file of bytes with 1 axes",
        ),
        (b"\x00\x00\x08\x01\x00\x00\x00\x03abc", r"says that its shape is \(3,\); wanted is \(2,\)"),
        (b"\x00\x00\x08\x01\x00\x00\x00\x02abc", "holds 3 bytes of data; its shape wants 2"),
        (b"", "begins with ;"),
    ],
)
def test_an_idx_file_that_is_none_is_named(tmp_path, content, sentence):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        data.idx(tmp_path / "file", (2,))


def test_an_unknown_text_lists_those_accepted():
    with pytest.raises(ValueError, match="TEXT was 'goethe'; accepted are 'manual', 'shakespeare'."):
        data.text("goethe")
    assert data.text() == data.english()

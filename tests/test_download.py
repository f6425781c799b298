from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from skworm.datasets import fetch as download
from skworm.datasets import fetch_kato2015, fetch_nichols2017, save_recordings
from skworm.recording import Recording

CONTENT = np.random.default_rng(0).bytes(600_000)
OTHER = np.random.default_rng(1).bytes(len(CONTENT))
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Remote:
    """What the test server serves, and how it misbehaves."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    etag: str | None = '"v1"'
    size: int | None = None
    says_length: bool = True
    retry_after: str | None = None
    honours_range: bool = True
    honours_if_range: bool = True
    break_after: list[int] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    in_the_middle: list[Callable[[], None]] = field(default_factory=list)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        self.requests.append((handler.path, wanted))
        content = self.files.get(handler.path)
        status = self.failures.pop(0) if self.failures else 200 if content is not None else 404
        if status != 200 or content is None:
            handler.send_response(status)
            handler.send_header("Content-Length", "0")
            if self.retry_after:
                handler.send_header("Retry-After", self.retry_after)
            handler.end_headers()
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.honours_range else 0
        if self.honours_if_range and handler.headers.get("If-Range") not in (None, self.etag):
            start = 0
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if self.etag:
            handler.send_header("ETag", self.etag)
        if self.says_length:
            handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        limit = self.break_after.pop(0) if self.break_after else len(content)
        self.sent.append(len(content[start:][:limit]))
        rest = content[start:][:limit]
        # A client that refuses the file hangs up.
        with contextlib.suppress(ConnectionError):
            handler.wfile.write(rest[: len(rest) // 2])
            if self.in_the_middle:
                self.in_the_middle.pop(0)()
            handler.wfile.write(rest[len(rest) // 2 :])
        handler.close_connection = True


@pytest.fixture
def remote(monkeypatch) -> Iterator[Remote]:
    served = Remote()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.answer(self)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(download, "_BACKOFF_SECONDS", 0)
    monkeypatch.setattr(download, "OSF_API", f"{served.url}/v2")
    monkeypatch.setattr(download, "OSF_FILES", f"{served.url}/files")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(remote: Remote, folder: Path, known_hash: str | None = SHA256) -> Path:
    return download.fetch_file(
        folder / "data.mat",
        lambda: download.RemoteFile(f"{remote.url}/data", remote.size),
        origin="https://example.org/page",
        known_hash=known_hash,
    )


def break_off(remote: Remote, folder: Path, after: int = 100_000) -> None:
    remote.files["/data"] = CONTENT
    remote.break_after = [after, 0, 0, 0]
    with pytest.raises(ConnectionError, match=r"data\.mat is wanted in .*download failed"):
        fetch(remote, folder)
    assert [path.name for path in folder.iterdir() if path.name == "data.mat"] == []
    remote.break_after = []
    remote.requests.clear()
    remote.sent.clear()


def test_file_is_downloaded_once(remote, tmp_path):
    remote.files["/data"] = CONTENT
    folder = tmp_path / "new"
    assert fetch(remote, folder).read_bytes() == CONTENT
    assert [path.name for path in folder.iterdir()] == ["data.mat"]
    fetch(remote, folder)
    assert len(remote.requests) == 1


def test_broken_connections_are_resumed_at_once(remote, tmp_path):
    remote.files["/data"] = CONTENT
    remote.break_after = [300_000, 200_000]
    assert fetch(remote, tmp_path).read_bytes() == CONTENT
    starts = [0 if wanted is None else int(wanted[6:-1]) for _, wanted in remote.requests]
    assert len(starts) == 3
    assert 0 < starts[1] <= 300_000 < starts[2] <= 500_000


def test_later_call_resumes(remote, tmp_path):
    break_off(remote, tmp_path)
    assert fetch(remote, tmp_path).read_bytes() == CONTENT
    kept = len(CONTENT) - remote.sent[0]
    assert remote.requests == [("/data", f"bytes={kept}-")]
    assert 0 < kept <= 100_000
    assert [path.name for path in tmp_path.iterdir()] == ["data.mat"]


@pytest.mark.parametrize(
    "change",
    [
        {"honours_range": False},
        {"etag": '"v2"'},
        {"etag": '"v2"', "honours_if_range": False},
        {"etag": None, "honours_if_range": False},
    ],
)
@pytest.mark.parametrize("known_hash", [hashlib.sha256(OTHER).hexdigest(), None])
def test_download_restarts_unless_the_same_version_continues(remote, tmp_path, change, known_hash):
    break_off(remote, tmp_path)
    remote.files["/data"] = OTHER
    for name, value in change.items():
        setattr(remote, name, value)
    assert fetch(remote, tmp_path, known_hash).read_bytes() == OTHER


@pytest.mark.parametrize("etag", [None, 'W/"v1"'])
def test_download_without_a_mark_of_the_version_restarts(remote, tmp_path, etag):
    remote.etag = etag
    break_off(remote, tmp_path)
    assert fetch(remote, tmp_path).read_bytes() == CONTENT
    assert remote.requests == [("/data", None)]


def test_damaged_part_restarts(remote, tmp_path):
    break_off(remote, tmp_path)
    part = tmp_path / "data.mat.part"
    whole = part.read_bytes()
    for damaged in (CONTENT + b"more", whole[:-1], whole[:-60], whole[-100:], b"", b"\0", b"[]\0\0\0\2"):
        part.write_bytes(damaged)
        assert fetch(remote, tmp_path).read_bytes() == CONTENT
        assert [path.name for path in tmp_path.iterdir()] == ["data.mat"]
        (tmp_path / "data.mat").unlink()


def test_passing_failures_are_retried(remote, tmp_path):
    remote.files["/data"] = CONTENT
    remote.failures = [503, 429]
    assert fetch(remote, tmp_path).read_bytes() == CONTENT
    assert len(remote.requests) == 3


def test_two_downloads_at_once_do_not_write_into_each_other(remote, tmp_path):
    break_off(remote, tmp_path)
    halfway, finished = threading.Event(), threading.Event()

    def wait_in_the_middle() -> None:
        halfway.set()
        finished.wait(20)

    remote.in_the_middle = [wait_in_the_middle, lambda: None]
    slow = threading.Thread(target=fetch, args=(remote, tmp_path))
    slow.start()
    assert halfway.wait(20)
    path = fetch(remote, tmp_path)
    assert path.read_bytes() == CONTENT
    with path.open("rb") as verified:
        finished.set()
        slow.join()
        assert verified.read() == CONTENT
    assert path.read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["data.mat"]


def test_no_link_is_followed(remote, tmp_path):
    private, folder = tmp_path / "private", tmp_path / "folder"
    folder.mkdir()
    for name in ("data.mat.part", "data.mat.part.json"):
        private.write_text("mine")
        (folder / name).symlink_to(private)
    remote.files["/data"] = CONTENT
    remote.break_after = [100_000, 0, 0, 0]
    with pytest.raises(ConnectionError):
        fetch(remote, folder)
    assert private.read_text() == "mine"
    assert fetch(remote, folder).read_bytes() == CONTENT
    (folder / "data.mat").unlink()
    (folder / "data.mat").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"data\.mat is wanted .*a link to .*elsewhere.*remove the link"):
        fetch(remote, folder)
    assert not (tmp_path / "elsewhere").exists()


def test_a_part_behind_a_link_is_not_continued(remote, tmp_path):
    break_off(remote, tmp_path)
    (tmp_path / "data.mat.part").rename(tmp_path / "elsewhere")
    (tmp_path / "data.mat.part").symlink_to(tmp_path / "elsewhere")
    kept = (tmp_path / "elsewhere").read_bytes()
    assert fetch(remote, tmp_path).read_bytes() == CONTENT
    assert remote.requests == [("/data", None)]
    assert (tmp_path / "elsewhere").read_bytes() == kept


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"says_length": False}, "does not say its size, so a part could pass for the whole"),
        ({"size": 5}, "has 600000 bytes, and 5 are expected"),
    ],
)
@pytest.mark.parametrize("known_hash", [SHA256, None])
def test_size_is_checked_before_the_content_comes(remote, tmp_path, change, problem, known_hash):
    remote.files["/data"] = CONTENT
    for name, value in change.items():
        setattr(remote, name, value)
    with pytest.raises(ConnectionError, match=rf"data\.mat is wanted .*{problem}.*example\.org/page and put it there"):
        fetch(remote, tmp_path, known_hash)
    assert list(tmp_path.iterdir()) == []
    assert len(remote.requests) == 1


def test_size_is_bounded(remote, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_MOST_BYTES", 1000)
    remote.files["/data"] = CONTENT
    with pytest.raises(ConnectionError, match="has 600000 bytes, and at most 1000 are expected"):
        fetch(remote, tmp_path, None)
    assert list(tmp_path.iterdir()) == []


def in_seconds(seconds: int) -> str:
    return formatdate(time.time() + seconds, usegmt=True)


@pytest.mark.parametrize("asked", ["3600", in_seconds(3600), "9" * 400], ids=["seconds", "date", "endless"])
def test_a_long_wait_that_the_server_asks_for_is_said_and_not_waited(remote, tmp_path, monkeypatch, asked):
    remote.files["/data"] = CONTENT
    remote.failures, remote.retry_after = [429], asked
    waits: list[float] = []
    monkeypatch.setattr(download, "time", SimpleNamespace(sleep=waits.append, time=time.time))
    with pytest.raises(ConnectionError, match=r"the server asks to come back in (\d+|inf) seconds.*example\.org/page"):
        fetch(remote, tmp_path)
    assert waits == []
    assert len(remote.requests) == 1


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [("7", 7), ("-7", 0), ("soon", 0), (in_seconds(-9), 0)],
    ids=["seconds", "past", "word", "date"],
)
def test_a_short_wait_that_the_server_asks_for_is_printed(remote, tmp_path, monkeypatch, capsys, asked, seconds):
    remote.files["/data"] = CONTENT
    remote.failures, remote.retry_after = [503], asked
    waits: list[float] = []
    monkeypatch.setattr(download, "time", SimpleNamespace(sleep=waits.append, time=time.time))
    assert fetch(remote, tmp_path).read_bytes() == CONTENT
    assert waits == [seconds]
    assert f"trying again in {seconds} seconds" in capsys.readouterr().err


def test_a_pause_of_the_server_does_not_lose_what_has_arrived(remote, tmp_path):
    break_off(remote, tmp_path)
    remote.failures = [503]
    assert fetch(remote, tmp_path).read_bytes() == CONTENT
    assert remote.sent[0] < len(CONTENT)


def test_interrupted_download_is_kept(remote, tmp_path, monkeypatch):
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    remote.files["/data"] = CONTENT
    remote.break_after = [100_000]
    monkeypatch.setattr(download, "time", SimpleNamespace(sleep=interrupt))
    with pytest.raises(KeyboardInterrupt):
        fetch(remote, tmp_path)
    assert "data.mat.part" in [path.name for path in tmp_path.iterdir()]
    assert fetch(remote, tmp_path).read_bytes() == CONTENT
    assert remote.sent[1] < len(CONTENT)


def test_a_page_in_place_of_the_file_of_nichols_is_refused(remote, tmp_path):
    osf_id = "5d24867945253a001939ac2c"
    remote.files[f"/files/kbf38/providers/osfstorage/{osf_id}"] = b"<html>Log in to the network</html>"
    described = json.dumps({"data": file_entry("n2_prelet.mat", "x", CONTENT)}).encode()
    remote.files[f"/v2/files/{osf_id}/"] = described
    with pytest.raises(ConnectionError, match=r"n2_prelet\.mat is wanted .*has 34 bytes, and 600000 are expected"):
        fetch_nichols2017(tmp_path, strain="n2")
    remote.files[f"/files/kbf38/providers/osfstorage/{osf_id}"] = OTHER
    with pytest.raises(ValueError, match=r"n2_prelet\.mat.*does not match"):
        fetch_nichols2017(tmp_path, strain="n2")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("failures", [[404], [503] * 4])
def test_failed_download_says_what_where_and_from_where(remote, tmp_path, failures):
    remote.failures = failures
    with pytest.raises(ConnectionError) as caught:
        fetch(remote, tmp_path)
    message = str(caught.value)
    assert message.startswith(f"data.mat is wanted in {tmp_path}, but its download failed (")
    assert message.endswith("try again, or get it from https://example.org/page and put it there")
    assert "\n" not in message
    assert list(tmp_path.iterdir()) == []


def test_wrong_checksum_names_both_sums_and_leaves_nothing(remote, tmp_path):
    remote.files["/data"] = OTHER
    with pytest.raises(ValueError, match=rf"(?s)data\.mat.*{SHA256}.*{hashlib.sha256(OTHER).hexdigest()}"):
        fetch(remote, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_wrong_checksum_of_a_file_that_was_there(remote, tmp_path):
    path = tmp_path / "data.mat"
    path.write_bytes(OTHER)
    with pytest.raises(ValueError, match=rf"data\.mat has the SHA-256 .*, not {SHA256}; .*move it away"):
        fetch(remote, tmp_path)
    assert path.read_bytes() == OTHER


@pytest.mark.parametrize(
    ("fetcher", "message"),
    [
        (fetch_kato2015, r"WT_NoStim\.mat is wanted in .*get it from https://osf\.io/2395t and put it there"),
        (fetch_nichols2017, r"n2_prelet\.mat is wanted in .*get it from https?://.*5d24867945253a001939ac2c and put"),
    ],
)
def test_offline(tmp_path, monkeypatch, fetcher, message):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "_BACKOFF_SECONDS", 0)
    monkeypatch.setattr(download, "OSF_API", "http://127.0.0.1:9/v2")
    monkeypatch.setattr(download, "OSF_FILES", "http://127.0.0.1:9/files")
    with pytest.raises(ConnectionError, match=message):
        fetcher(tmp_path)
    with pytest.raises(FileNotFoundError, match=message):
        fetcher(tmp_path, download_if_missing=False)
    assert list(tmp_path.iterdir()) == []


def test_data_home_is_given_or_from_the_environment_or_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SKWORM_DATA", str(tmp_path))
    assert download.data_folder() == tmp_path
    assert download.data_folder(tmp_path / "given") == tmp_path / "given"
    monkeypatch.delenv("SKWORM_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert download.data_folder().name == "skworm"


def folder_entry(link: str) -> dict[str, Any]:
    related = {"files": {"links": {"related": {"href": link}}}}
    return {"attributes": {"kind": "folder", "name": "data"}, "relationships": related}


def file_entry(name: str, link: str, content: bytes = b"") -> dict[str, Any]:
    hashes = {"md5": "x", "sha256": hashlib.sha256(content).hexdigest()}
    attributes = {"kind": "file", "name": name, "size": len(content), "extra": {"hashes": hashes}}
    return {"attributes": attributes, "links": {"download": link}}


def listing(*entries: dict[str, Any], next_page: str | None = None) -> bytes:
    return json.dumps({"data": entries, "links": {"next": next_page}}).encode()


def serve_osf(remote: Remote, content: bytes) -> None:
    start, second, folder = "/v2/nodes/2395t/files/osfstorage/", "/page2", "/folder"
    remote.files |= {
        start: listing(file_entry("readme.txt", "x"), next_page=remote.url + second),
        second: listing(folder_entry(remote.url + folder)),
        folder: listing(file_entry("WT_Stim.mat", "x"), file_entry("WT_NoStim.mat", f"{remote.url}/get", content)),
        "/get": content,
    }


def matlab_file(path: Path, name: str, n_worms: int) -> bytes:
    traces, names = np.empty((1, n_worms), dtype=object), np.empty((1, n_worms), dtype=object)
    for worm in range(n_worms):
        traces[0, worm] = np.arange(10.0).reshape(5, 2) + worm
        names[0, worm] = np.array(["AVAL", "2"], dtype=object)
    savemat(path, {name: {"traces": traces, "IDs": names, "fps": np.full((1, n_worms), 3.0)}})
    content = path.read_bytes()
    path.unlink()
    return content


def test_kato_is_found_by_name_on_osf(remote, tmp_path, monkeypatch):
    content = matlab_file(tmp_path / "a.mat", "WT_NoStim", 5)
    monkeypatch.setattr(download, "_KATO_SHA256", hashlib.sha256(content).hexdigest())
    serve_osf(remote, content)
    for _ in range(2):
        worms = fetch_kato2015(tmp_path)
        assert [worm.worm for worm in worms] == [f"kato-{number}" for number in range(5)]
        assert {worm.dataset for worm in worms} == {"kato2015"}
        assert worms[3].traces[0, 0] == 3
    assert [path for path, _ in remote.requests].count("/get") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["WT_NoStim.mat"]


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        (listing(file_entry("other.mat", "x")), "lists no file WT_NoStim.mat"),
        (b'{"errors": []}', "not an OSF file listing"),
        (b"<html>", "download failed"),
    ],
)
def test_changed_osf_listing(remote, tmp_path, page, problem):
    remote.files["/v2/nodes/2395t/files/osfstorage/"] = page
    with pytest.raises(
        ConnectionError, match=rf"WT_NoStim\.mat is wanted.*{problem}.*get it from https://osf.io/2395t"
    ):
        fetch_kato2015(tmp_path)


def test_kato_from_a_folder_of_npz_files(tmp_path):
    worms = [Recording(f"worm_{number}", np.ones((4, 1)) * number, ["AVAL"], fps=3) for number in range(5)]
    save_recordings(worms, tmp_path / "kato2015")
    found = fetch_kato2015(tmp_path, download_if_missing=False)
    assert [(worm.worm, worm.dataset, worm.traces[0, 0]) for worm in found] == [
        (f"kato-{number}", "kato2015", number) for number in range(5)
    ]
    (tmp_path / "kato2015" / "worm_2.npz").unlink()
    with pytest.raises(ValueError, match="kato2015 holds 4 worms instead of 5; put all"):
        fetch_kato2015(tmp_path)


def test_nichols(remote, tmp_path):
    for file, osf_id, n_worms in (("n2", "5d24867945253a001939ac2c", 3), ("npr1", "5d24866f1c5b4a001b9bde6e", 2)):
        content = matlab_file(tmp_path / "a.mat", f"{file}_prelet", n_worms)
        remote.files[f"/files/kbf38/providers/osfstorage/{osf_id}"] = content
        remote.files[f"/v2/files/{osf_id}/"] = json.dumps({"data": file_entry(f"{file}.mat", "x", content)}).encode()
    worms = fetch_nichols2017(tmp_path, strain="npr1")
    assert [worm.worm for worm in worms] == ["npr1-0", "npr1-1"]
    worms = fetch_nichols2017(tmp_path)
    assert [worm.worm for worm in worms] == ["n2-0", "n2-1", "n2-2", "npr1-0", "npr1-1"]
    assert {worm.dataset for worm in worms} == {"nichols2017"}
    assert len(remote.requests) == 4
    with pytest.raises(ValueError, match=r"strain='n3' is unknown; choose one of \['both', 'n2', 'npr1'\]"):
        fetch_nichols2017(tmp_path, strain="n3")


@pytest.mark.usefixtures("kato2015_folder")
def test_kato_recordings_of_the_environment():
    worms = fetch_kato2015(download_if_missing=False)
    assert [worm.worm for worm in worms] == ["kato-0", "kato-1", "kato-2", "kato-3", "kato-4"]
    assert [worm.n_neurons for worm in worms] == [109, 135, 131, 125, 129]

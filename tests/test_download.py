from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from skworm.datasets import fetch as download
from skworm.datasets import fetch_kato2015, fetch_nichols2017, save_recordings
from skworm.recording import Recording

# pooch leaves the connection of a failed download to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CONTENT = np.random.default_rng(0).bytes(600_000)
OTHER = np.random.default_rng(1).bytes(len(CONTENT))
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Remote:
    """What the test server serves, and how it misbehaves."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    break_after: list[int] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append(handler.path)
        content = self.files.get(handler.path)
        status = self.failures.pop(0) if self.failures else 200 if content is not None else 404
        handler.send_response(status)
        body = content if status == 200 and content is not None else b""
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        with contextlib.suppress(ConnectionError):
            handler.wfile.write(body[: self.break_after.pop(0)] if self.break_after else body)
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
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)
    monkeypatch.setattr(download, "OSF_API", f"{served.url}/v2")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(remote: Remote, folder: Path) -> Path:
    return download.fetch_file(
        folder / "data.mat",
        lambda: (f"{remote.url}/data", SHA256),
        origin="https://example.org/page",
        known_hash=SHA256,
    )


def test_file_is_downloaded_once(remote, tmp_path):
    remote.files["/data"] = CONTENT
    folder = tmp_path / "new"
    assert fetch(remote, folder).read_bytes() == CONTENT
    assert [path.name for path in folder.iterdir()] == ["data.mat"]
    fetch(remote, folder)
    assert len(remote.requests) == 1


def test_a_broken_connection_is_tried_again_and_leaves_nothing_where_it_stays_broken(remote, tmp_path):
    remote.files["/data"] = CONTENT
    remote.break_after = [100_000]
    assert fetch(remote, tmp_path).read_bytes() == CONTENT
    assert len(remote.requests) == 2
    (tmp_path / "data.mat").unlink()
    remote.break_after = [100_000, 0, 0]
    with pytest.raises(ConnectionError, match=r"data\.mat is wanted in .*download failed"):
        fetch(remote, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_passing_failures_are_retried(remote, tmp_path):
    remote.files["/data"] = CONTENT
    remote.failures = [503, 429]
    assert fetch(remote, tmp_path).read_bytes() == CONTENT
    assert len(remote.requests) == 3


def test_a_page_in_place_of_the_file_of_nichols_is_refused(remote, tmp_path):
    osf_id = "5d24867945253a001939ac2c"
    remote.files["/get"] = b"<html>Log in to the network</html>"
    described = json.dumps({"data": file_entry("n2_prelet.mat", f"{remote.url}/get", CONTENT)}).encode()
    remote.files[f"/v2/files/{osf_id}/"] = described
    with pytest.raises(ValueError, match=r"n2_prelet\.mat.*does not match"):
        fetch_nichols2017(tmp_path, strain="n2")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("failures", [[404] * 3, [503] * 3])
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
        (fetch_nichols2017, r"n2_prelet\.mat is wanted in .*get it from https://osf\.io/kbf38 and put"),
    ],
)
def test_offline(tmp_path, monkeypatch, fetcher, message):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "OSF_API", "http://127.0.0.1:9/v2")
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
    assert remote.requests.count("/get") == 1
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
        remote.files[f"/get/{osf_id}"] = content
        entry = file_entry(f"{file}.mat", f"{remote.url}/get/{osf_id}", content)
        remote.files[f"/v2/files/{osf_id}/"] = json.dumps({"data": entry}).encode()
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

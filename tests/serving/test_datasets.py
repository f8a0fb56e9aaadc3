"""Data sets of jobs, fetched whole and in parts."""

from __future__ import annotations

import hashlib
import io
import itertools
import tarfile

import pytest
import torch

from synth.batch import Batch, Fingerprint
from synth.data.writers import open_writer
from synth.jobs.kinds import KINDS
from synth.serving.archive import DatasetArchive

CLASSES = ("cat", "a" * 110, "großer hund")


def make(folder, form="imagefolder", count=9):
    """A data set whose class names need every kind of tar header."""
    images = torch.arange(count * 4 * 5).reshape(count, 1, 4, 5).to(torch.uint8)
    batch = Batch(
        images=images,
        labels=torch.arange(count) % 3,
        index=torch.arange(count),
        seed=1,
        fingerprint=Fingerprint("pets@1", "ab" * 32, "2.11", "cpu", "32", "fast"),
        classes=CLASSES,
        parameters={},
    )
    with open_writer(form, folder, plan={"model": "pets@1"}) as writer:
        writer.write(batch)


@pytest.fixture
def queue(client):
    return client.app.state.services.jobs


@pytest.fixture
def url(client, queue, synth_home):
    """Of a data set that a job has made."""
    client.put("/v1/jobs/mine", json={"kind": "generate", "model": "pets", "count": 9})
    make(synth_home / "jobs" / "mine" / "dataset")
    queue.succeed(queue.claim("w", KINDS), {"dataset": "mine"}, None)
    assert client.get("/v1/jobs/mine").json()["archive"] == "/v1/datasets/mine/archive"
    return "/v1/datasets/mine/archive"


def test_the_archive_holds_the_files_sorted_of_nobody_and_at_no_time(client, url, synth_home):
    answer = client.get(url)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/x-tar")
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert answer.headers["Content-Disposition"] == 'attachment; filename="mine.tar"'
    folder = synth_home / "jobs" / "mine" / "dataset"
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        members = tar.getmembers()
        assert [member.name for member in members] == sorted(files)
        assert {(member.mtime, member.uid, member.uname, member.mode) for member in members} == {
            (0, 0, "", 0o644)
        }
        for member in members:
            assert tar.extractfile(member).read() == files[member.name].read_bytes()
    assert len(answer.content) % tarfile.RECORDSIZE == 0


def test_every_part_is_a_part_of_the_whole(client, url):
    whole = client.get(url).content
    size = len(whole)
    cuts = sorted({0, 1, 511, 512, 513, 1023, 1024, 2000, *range(0, size, 997), size - 10_240, size - 1})
    for start, after in itertools.pairwise(cuts):
        part = client.get(url, headers={"Range": f"bytes={start}-{after - 1}"})
        assert part.status_code == 206
        assert part.headers["Content-Range"] == f"bytes {start}-{after - 1}/{size}"
        assert part.headers["Content-Length"] == str(after - start)
        assert part.content == whole[start:after]


def test_open_and_last_parts_are_understood_and_what_is_no_range_is_passed_over(client, url):
    whole = client.get(url).content
    size = len(whole)
    for header, start, stop in [
        ("bytes=100-", 100, size), ("bytes=-700", size - 700, size), ("bytes=0-0", 0, 1),
        ("BYTES=5-9", 5, 10),
        (f"bytes=9-{10**17}", 9, size), (f"bytes=-{10**17}", 0, size),
    ]:  # fmt: skip
        part = client.get(url, headers={"Range": header})
        assert (part.status_code, part.content == whole[start:stop]) == (206, True), header
    for header in (
        "bytes=5-4",
        "bytes=1-2,4-5",
        "bytes=x-",
        "bytes=-",
        "lines=1-2",
        "bytes=" + "9" * 40 + "-",
        "",
    ):
        part = client.get(url, headers={"Range": header})
        assert (part.status_code, len(part.content)) == (200, size), header


@pytest.mark.parametrize("header", ["bytes=999999999-", "bytes=-0"])
def test_a_part_beyond_the_end_is_416_with_the_size(client, url, header):
    size = client.head(url).headers["Content-Length"]
    answer = client.get(url, headers={"Range": header})
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{size}")
    assert answer.json()["code"] == "range-not-satisfiable"


def test_a_download_goes_on_only_if_the_data_set_is_still_the_same(client, url):
    tag = client.get(url).headers["ETag"]
    headers = {"Range": "bytes=10-"}
    assert client.get(url, headers=headers | {"If-Range": tag}).status_code == 206
    for other in ('"other"', f"W/{tag}", "Wed, 21 Oct 2015 07:28:00 GMT"):
        assert client.get(url, headers=headers | {"If-Range": other}).status_code == 200
    for condition in (tag, f'"x", W/{tag}', "*"):
        unchanged = client.get(url, headers={"If-None-Match": condition})
        assert (unchanged.status_code, unchanged.content, unchanged.headers["ETag"]) == (304, b"", tag)
    assert client.get(url, headers={"If-None-Match": '"x"'}).status_code == 200


def test_head_tells_the_size_and_sends_nothing(client, url):
    head, whole = client.head(url), client.get(url)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == whole.headers["Content-Length"]
    assert head.headers["ETag"] == whole.headers["ETag"]
    assert head.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize("form", ["webdataset", "npz"])
def test_equal_data_sets_are_equal_archives(tmp_path, form, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    for name in ("one", "other"):
        make(tmp_path / name, form)
    one, other = (DatasetArchive(tmp_path / name) for name in ("one", "other"))
    assert one.read(0, one.size) == other.read(0, other.size)
    assert one.etag == other.etag
    make(tmp_path / "third", form, count=8)
    assert DatasetArchive(tmp_path / "third").etag != one.etag


def test_what_has_no_data_set_is_404(client, queue, synth_home):
    client.put("/v1/jobs/waiting", json={"kind": "generate", "model": "pets", "count": 9})
    client.put("/v1/jobs/gone", json={"kind": "generate", "model": "pets", "count": 9})
    queue.cancel("waiting")
    queue.succeed(queue.claim("w", KINDS), {"dataset": "gone"}, None)
    client.put("/v1/jobs/model", json={"kind": "train", "family": "vae", "data": "digits", "name": "x"})
    queue.succeed(queue.claim("w", KINDS), {"model": "x@1"}, None)
    for id, says in [
        ("nobody", "There is no job"), ("waiting", "is cancelled"), ("gone", "no longer there"),
        ("model", "(train)"),
    ]:  # fmt: skip
        answer = client.get(f"/v1/datasets/{id}/archive")
        assert (answer.status_code, says in answer.json()["detail"]) == (404, True)


def test_a_data_set_that_lost_a_file_breaks_off_instead_of_lying(url, client, synth_home):
    whole = client.get(url).content
    (synth_home / "jobs" / "mine" / "dataset" / "metadata.jsonl").unlink()
    assert client.get(url, headers={"Range": "bytes=0-99"}).content == whole[:100]
    answer = client.get(url)
    assert len(answer.content) < len(whole)


def test_a_damaged_manifest_is_the_servers_fault(url, client, synth_home):
    (synth_home / "jobs" / "mine" / "dataset" / "manifest.json").write_text("{")
    assert client.get(url).status_code == 507


def test_files_are_listed_page_by_page_with_sizes_and_digests(client, url, synth_home):
    page = client.get("/v1/datasets/mine", params={"limit": 4}).json()
    assert (page["id"], page["format"], page["count"], page["total"]) == ("mine", "imagefolder", 9, 10)
    assert (page["classes"], page["class_counts"], page["archive"]) == (list(CLASSES), [3, 3, 3], url)
    files = list(page["files"])
    while page["next"] is not None:
        page = client.get("/v1/datasets/mine", params={"limit": 4, "cursor": page["next"]}).json()
        files += page["files"]
    folder = synth_home / "jobs" / "mine" / "dataset"
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {file["path"] for file in files} == there - {"manifest.json"}
    assert len(files) == 10
    for file in files:
        content = client.get(file["url"]).content
        assert content == (folder / file["path"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file["bytes"], file["sha256"])
    assert client.get("/v1/datasets/mine", params={"cursor": 99}).json()["files"] == []


def test_a_file_comes_whole_in_parts_or_not_at_all_if_it_is_known(client, url):
    file = client.get("/v1/datasets/mine").json()["files"][3]["url"]
    whole = client.get(file)
    assert (whole.status_code, whole.headers["Content-Type"]) == (200, "image/png")
    part = client.get(file, headers={"Range": "bytes=5-9"})
    assert (part.status_code, part.content) == (206, whole.content[5:10])
    assert part.headers["Content-Range"] == f"bytes 5-9/{len(whole.content)}"
    assert client.get(file, headers={"Range": "bytes=99999-"}).status_code == 416
    tag = whole.headers["ETag"]
    assert client.get(file, headers={"If-None-Match": tag}).status_code == 304
    assert client.get(file, headers={"Range": "bytes=5-9", "If-Range": '"x"'}).status_code == 200
    head = client.head(file)
    assert (head.headers["Content-Length"], head.content) == (str(len(whole.content)), b"")


@pytest.mark.parametrize(
    "path",
    [
        "../../../keys.json", "..%2f..%2f..%2fsecret.txt", "%2e%2e/%2e%2e/secret.txt", "/etc/passwd",
        "%2fetc%2fpasswd", "cat%2f..%2fmetadata.jsonl", "%2e%2fmetadata.jsonl", "cat//000000000000.png",
        "metadata.jsonl%00", "METADATA.JSONL", "cat", "", "secret.txt", "manifest.json",
    ],
)  # fmt: skip
def test_only_what_the_manifest_names_is_served(client, url, synth_home, path):
    (synth_home / "secret.txt").write_text("secret")
    (synth_home / "jobs" / "mine" / "dataset" / "secret.txt").write_text("secret")
    answer = client.get(f"/v1/datasets/mine/files/{path}")
    assert answer.status_code in (404, 405), answer.text
    assert "secret\n" not in answer.text


def test_a_link_in_place_of_a_file_is_not_followed(client, url, synth_home, tmp_path):
    (tmp_path / "secret").write_text("secret")
    file = client.get("/v1/datasets/mine").json()["files"][0]
    path = synth_home / "jobs" / "mine" / "dataset" / file["path"]
    path.unlink()
    path.symlink_to(tmp_path / "secret")
    assert b"secret" not in client.get(file["url"]).content


def test_lists_and_files_of_what_has_no_data_set_are_404(client, queue):
    client.put("/v1/jobs/waiting", json={"kind": "generate", "model": "pets", "count": 9})
    for path in ("nobody", "waiting", "waiting/files/metadata.jsonl"):
        assert client.get(f"/v1/datasets/{path}").status_code == 404


def test_a_removed_job_has_neither_files_nor_a_name(client, url, synth_home):
    for removed in (True, False):
        answer = client.post("/v1/jobs/mine/remove")
        assert (answer.status_code, answer.json()) == (200, {"id": "mine", "removed": removed})
    assert client.get(url).status_code == client.get("/v1/jobs/mine").status_code == 404
    assert list((synth_home / "jobs").iterdir()) == []
    client.put("/v1/jobs/waiting", json={"kind": "generate", "model": "pets", "count": 9})
    refused = client.post("/v1/jobs/waiting/remove")
    assert (refused.status_code, refused.json()["code"]) == (409, "job-active")

"""Drift that a server measures of what it makes and is sent."""

from __future__ import annotations

import json
import threading
import urllib.request

import pytest
import torch

from synth.artifacts import Draft, ImageInfo, Store
from synth.cli import main
from synth.evaluation.reference import Reference
from synth.serving.drift import DriftMonitor

SHAPE = ImageInfo(channels=1, height=4, width=6)


def pictures(count=400, *, seed=0, brighter=0):
    random = torch.Generator().manual_seed(seed)
    base = torch.randint(0, 150, (count, 1, 1, 1), generator=random)
    noise = torch.randint(0, 50, (count, 1, 4, 6), generator=random)
    return (base + noise + brighter).clamp(0, 255).to(torch.uint8)


def publish(store: Store, name="pets", *, images=None, **changes):
    """A generator of 4 x 6 images with the statistics of ``pictures``."""
    reference = Reference.of(pictures() if images is None else images, [300, 100])
    fields = {
        "family": "vae", "network": {}, "image": SHAPE, "classes": ["cat", "dog"],
        "weights": {"weight": torch.arange(8.0)}, "parameters": 8, "recipe": {}, "source": "photos",
        "images": 400, "images_seen": 30, "seconds": 1.0, "ids": ["00" * 32], "class_counts": [300, 100],
        "pixel_mean": [0.5], "pixel_std": [0.2], "statistics": reference.model_dump(), **changes,
    }  # fmt: skip
    return store.publish(Draft(**fields), name)


@pytest.fixture
def monitor(store):
    """Looks without resting."""
    publish(store)
    made = DriftMonitor(store.find, share=1.0, window=500)
    yield made
    made.close()


def show(monitor, images, labels=None, *, what="made", model="pets@1"):
    for at in range(0, len(images), 20):
        rows = slice(at, at + 20)
        monitor.seen(what, model, images[rows], None if labels is None else labels[rows])
        monitor.wait_until_idle()


def test_images_like_those_of_training_do_not_drift_and_brighter_ones_do(monitor):
    show(monitor, pictures(seed=1), torch.tensor([0, 0, 0, 1] * 100))
    show(monitor, pictures(seed=2, brighter=80), what="sent")
    drift = monitor.drift()
    assert drift["pets@1", "made", "brightness"] < 0.25 < 1.0 < drift["pets@1", "sent", "brightness"]
    assert drift["pets@1", "made", "classes"] == pytest.approx(0.0, abs=0.01)
    assert ("pets@1", "sent", "classes") not in drift  # nobody said what they show
    assert {name for *_, name in drift} == {"brightness", "contrast", "sharpness", "classes"}
    assert monitor.images() == {("pets@1", "made"): 400.0, ("pets@1", "sent"): 400.0}


def test_only_the_newest_images_count(monitor):
    show(monitor, pictures(500, seed=1, brighter=80))
    before = monitor.drift()["pets@1", "made", "brightness"]
    show(monitor, pictures(500, seed=2))
    assert monitor.drift()["pets@1", "made", "brightness"] < 0.25 < before
    assert monitor.images()["pets@1", "made"] == 500


def test_of_few_images_nothing_is_said(monitor):
    show(monitor, pictures(40))
    assert (monitor.drift(), monitor.images()) == ({}, {("pets@1", "made"): 40.0})


def test_what_cannot_be_compared_harms_nobody_and_is_not_tried_again(monitor, store, caplog):
    broken = publish(store, "broken")
    (broken.path / "reference.json").write_text("{}")
    publish(store, "old", statistics=None)
    for model in ("broken@1", "old@1", "gone@1"):
        show(monitor, pictures(60), model=model)
    assert monitor.images() == {}
    logged = [record.getMessage() for record in caplog.records]
    assert logged == [f"Images of {name} cannot be compared" for name in ("broken@1", "gone@1")]
    show(monitor, pictures(60))
    assert monitor.images() == {("pets@1", "made"): 60.0}


def test_a_busy_model_leaves_the_others_their_turn(store):
    for name in ("busy", "rare"):
        publish(store, name)
    asked = threading.Event()

    def find(reference):
        assert asked.wait(10)
        return store.find(reference)

    monitor = DriftMonitor(find, share=1.0)
    for _ in range(100):
        monitor.seen("made", "busy@1", pictures(20))
    monitor.seen("made", "rare@1", pictures(20))
    asked.set()
    monitor.wait_until_idle()
    assert monitor.images() == {("busy@1", "made"): 20.0, ("rare@1", "made"): 20.0}
    monitor.close()


def test_of_a_large_batch_a_few_images_are_looked_at(monitor):
    monitor.seen("made", "pets@1", pictures(4000))
    monitor.wait_until_idle()
    assert monitor.images()["pets@1", "made"] == 32


def test_images_may_be_written_over_at_once(monitor):
    images = pictures(20)
    monitor.seen("made", "pets@1", images)
    images.zero_()
    monitor.wait_until_idle()
    show(monitor, pictures(60, seed=3))
    assert monitor.drift()["pets@1", "made", "brightness"] < 0.6


def ask(client, count=64, times=3):
    for start in range(times):
        body = {"model": "pets", "count": count, "seed": 1, "start": start * count, "format": "raw"}
        assert client.post("/v1/images/generations", json=body).status_code == 200
        client.app.state.services.telemetry.drift.wait_until_idle()


def test_a_server_tells_the_drift_of_what_it_makes(serve, store):
    publish(store)
    client = serve(drift_share=1.0)
    assert "synth_drift{" not in client.get("/metrics").text
    ask(client)
    text = client.get("/metrics").text
    assert 'synth_drift_images{model="pets@1",what="made"} 96.0' in text
    assert 'synth_drift{model="pets@1",statistic="brightness",what="made"}' in text


def test_a_server_may_be_told_to_compare_nothing(serve, store):
    publish(store)
    client = serve(drift_share=0)
    body = {"model": "pets", "count": 64}
    assert client.post("/v1/images/generations", json=body).status_code == 200
    assert "synth_drift" not in client.get("/metrics").text


def test_the_command_reads_the_drift_of_a_running_server(listen, store, capsys):
    publish(store, images=pictures(brighter=100))
    url = listen(drift_share=1.0)
    assert main(["monitor", "--server", url]) == 0
    assert "has not compared any images" in capsys.readouterr().err

    def post(start):
        body = json.dumps({"model": "pets", "count": 32, "seed": 1, "start": start, "format": "raw"}).encode()
        request = urllib.request.Request(
            f"{url}/v1/images/generations", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            answer.read()

    for start in range(0, 32 * 200, 32):
        post(start)
        assert main(["monitor", "--server", url, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        if found and found[0]["drift"]:
            break
    assert (found[0]["model"], found[0]["drift"].keys()) == ("pets@1", {"made"})
    assert main(["monitor", "pets", "--server", url, "--fail-over", "brightness=0.25"]) == 1
    captured = capsys.readouterr()
    assert "pets@1 made brightness: the drift is" in captured.err
    assert captured.out.splitlines()[0].split() == ["MODEL", "WHAT", "IMAGES", "STATISTIC", "DRIFT"]
    assert main(["monitor", "pets@1", "--server", url, "--fail-over", "any=1000"]) == 0
    assert main(["monitor", "dogs", "--server", url]) == 0
    assert "of dogs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--server", "file:///etc/passwd"], 2, "no address of a server"),
        (["--server", "localhost:1"], 2, "no address of a server"),
        (["--server", "http://127.0.0.1:1"], 1, "cannot be asked"),
        (["--server", "http://[::1"], 2, "no address of a server"),
        ([], 2, "either --data SOURCE"),
        (["pets", "--data", "digits", "--server", "http://127.0.0.1:1"], 2, "either --data SOURCE"),
        (["--data", "digits"], 2, "Say which model"),
    ],
)
def test_a_server_that_cannot_be_asked_is_said(capsys, words, code, says):
    assert main(["monitor", *words]) == code
    assert says in capsys.readouterr().err

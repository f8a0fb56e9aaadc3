"""From real images to a served generator in a few minutes: what ``make quickstart`` runs.

Every step is a command that you can type yourself; each is printed before it runs. Running it again makes
the next version of the model and replaces the data set and the picture.
"""

from __future__ import annotations

import argparse
import io
import json
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import numpy as np
from PIL import Image

from synth.data import builtin_is_local, open_source

NAME = "quickstart"
ROWS = 4
"""Of real images, and of synthetic ones below them."""
GAP = 6
"""Pixels between the two, before enlarging."""
START_SECONDS = 60.0


def main() -> None:
    """Train, generate, serve, fetch, compare."""
    options = _options()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)  # so that the server is stopped then too
    began = time.monotonic()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    data = options.data or _choose_data()

    _step("Train a generator on real images, and publish it")
    train = [
        "train",
        "vae",
        "--data",
        data,
        "--name",
        NAME,
        "--minutes",
        f"{options.minutes:g}",
        "--seed",
        "0",
    ]
    model = _synth(*train).strip()

    _step("Generate a labelled data set")
    folder = out / "data"
    _synth(
        "generate",
        model,
        "--count",
        "1000",
        "--labels",
        "balanced",
        "--seed",
        "1",
        "--out",
        str(folder),
        "--overwrite",
    )

    _step("Serve it, and fetch a batch over HTTP")
    with _server(out / "server.log") as address:
        batch = _fetch(address, model)

    _step("Compare")
    picture = out / "real-above-synthetic.png"
    _compare(data, batch).save(picture)
    _say_what_next(model, folder, picture, time.monotonic() - began)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("quickstart"), help="where results go (%(default)s)")
    parser.add_argument("--data", choices=("fashion-mnist", "digits"), help="real images (what is there)")
    parser.add_argument("--minutes", type=float, default=2.0, help="training time (%(default)s)")
    return parser.parse_args()


def _choose_data() -> str:
    """Fashion-MNIST if it is on this machine, otherwise the digits, which always are."""
    if builtin_is_local("fashion-mnist"):
        print("Real images: Fashion-MNIST, 60,000 pictures of clothes in 10 classes.")
        return "fashion-mnist"
    print("Real images: scikit-learn's 1,797 handwritten digits, since Fashion-MNIST is not on this machine.")
    print(
        "For Fashion-MNIST: apt install dataset-fashion-mnist (Debian, Ubuntu), then make quickstart again."
    )
    return "digits"


def _step(title: str) -> None:
    print(f"\n== {title}", flush=True)


def _synth(*words: str) -> str:
    """Run one synth command, its progress shown as it comes, and return what it says on stdout."""
    print(f"$ {shlex.join(['synth', *words])}", flush=True)
    done = subprocess.run(
        _command(words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False
    )
    print(done.stdout, end="", flush=True)
    if done.returncode:
        sys.exit(f"quickstart stopped: synth {words[0]} ended with exit code {done.returncode}; see above.")
    return done.stdout


def _command(words: Sequence[str]) -> list[str]:
    """``synth`` of this very environment, whether or not it is on the PATH."""
    return [sys.executable, "-m", "synth", *words]


@contextmanager
def _server(log: Path) -> Iterator[str]:
    """A server on a free port while the block runs; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    words = ["serve", "--port", str(port)]
    print(f"$ {shlex.join(['synth', *words])} &", flush=True)
    with log.open("w", encoding="utf-8") as lines:
        server = subprocess.Popen(_command(words), stdin=subprocess.DEVNULL, stdout=lines, stderr=lines)
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_until_ready(server, address, log)
            yield address
        finally:
            server.terminate()
            try:
                server.wait(timeout=30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    if server.returncode:
        _server_failed(f"ended with exit code {server.returncode}", log)
    print("(server stopped)")


def _wait_until_ready(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            _server_failed(f"ended with exit code {server.returncode}", log)
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=5):
                return
        except OSError:  # nobody listens yet, or 503 while it starts
            time.sleep(0.2)
    _server_failed(f"was not ready within {START_SECONDS:.0f} seconds", log)


def _server_failed(what: str, log: Path) -> NoReturn:
    sys.exit(f"quickstart stopped: the server {what}. It said:\n{log.read_text(encoding='utf-8')}")


def _fetch(address: str, model: str) -> dict[str, np.ndarray]:
    """``ROWS`` images of every class, as the arrays of the npz form."""
    body = {"model": model, "count": 10 * ROWS, "labels": "balanced", "seed": 2}
    url = f"{address}/v1/images/generations"
    headers = {"Content-Type": "application/json", "Accept": "application/x-npz"}
    print(f"$ curl {url} -H 'Content-Type: application/json' \\")
    print(f"    -H 'Accept: application/x-npz' -d '{json.dumps(body)}' -o batch.npz", flush=True)
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            content = response.read()
    except urllib.error.HTTPError as error:
        sys.exit(
            f"quickstart stopped: the server answered {error.code}: {error.read().decode(errors='replace')}"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)


def _compare(data: str, batch: dict[str, np.ndarray]) -> Image.Image:
    """Real images above, synthetic ones below, a column for each class; at least three times enlarged."""
    height, width, channels = batch["images"].shape[1:]
    source = open_source(data)
    assert source.info.classes is not None
    assert source.labels is not None
    columns = []
    for number, name in enumerate(batch["class_names"]):
        rows = np.flatnonzero(source.labels == source.info.classes.index(str(name)))[:ROWS]
        real = [_fit(source[int(row)].image, height, width, channels) for row in rows]
        gap = np.full((GAP, width, channels), 255, dtype=np.uint8)
        columns.append(np.concatenate([*real, gap, *batch["images"][batch["labels"] == number][:ROWS]]))
    picture = _picture(np.concatenate(columns, axis=1))
    factor = max(3, round(84 / width))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def _fit(image: np.ndarray, height: int, width: int, channels: int) -> np.ndarray:
    """A real image in the size that the model makes."""
    picture = _picture(image).convert("L" if channels == 1 else "RGB")
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC)).reshape(
        height, width, channels
    )


def _picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)


def _say_what_next(model: str, folder: Path, picture: Path, seconds: float) -> None:
    body = json.dumps({"model": NAME, "count": 64, "labels": "balanced", "seed": 3})
    print(
        f"""
Done in {seconds / 60:.1f} minutes.

  {picture}    real images above, synthetic ones below
  {folder}    1,000 labelled images and metadata.jsonl
  {model}    the model: synth models show {model}

What next (synth is in .venv/bin):

  synth generate {NAME} --count 10000 --labels balanced --format webdataset --out out
  synth serve &
  curl http://127.0.0.1:8000/v1/images/generations -H 'Content-Type: application/json' \\
    -H 'Accept: application/x-tar' -d '{body}' -o batch.tar
  python -c 'from synth import Sampler; print(Sampler.open("{NAME}").generate(8, seed=4).images.shape)'
  synth train vae --data YOUR/FOLDER --name mine --size 64 --minutes 10"""
    )


def _stop(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("quickstart interrupted; type make quickstart to start again.")

"""LitServe: requests are batched in a worker process."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import litserve
from fastapi import Response

from contest.forms import FORMS, Wanted


class Images(litserve.LitAPI):
    """Batches whole requests, as many as have come, up to ``max_batch_size``."""

    def __init__(self, form: str, artifact: Path, max_batch_size: int, batch_timeout: float) -> None:
        super().__init__(max_batch_size=max_batch_size, batch_timeout=batch_timeout)
        self._form, self._artifact = form, artifact

    def setup(self, device: str) -> None:
        self._model = FORMS[self._form](self._artifact, device)

    # No annotations: LitServe looks at those of this method and the last, and without any sends plain JSON.
    def decode_request(self, request):
        return Wanted.model_validate(request)

    def batch(self, inputs: Sequence[Wanted]) -> Sequence[Wanted]:
        return inputs

    def predict(self, x: Sequence[Wanted]) -> list[bytes]:
        return self._model.generate(x)

    def unbatch(self, output: list[bytes]) -> list[bytes]:
        return output

    def encode_response(self, output):
        return Response(output, media_type="application/octet-stream")


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--form", choices=FORMS, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--max-batch-size", type=int, required=True)
    parser.add_argument("--batch-timeout", type=float, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--fast-queue", type=int, choices=(0, 1), required=True)
    options = parser.parse_args()
    api = Images(options.form, options.artifact, options.max_batch_size, options.batch_timeout)
    server = litserve.LitServer(
        api,
        accelerator=options.device,
        devices=1,
        workers_per_device=options.workers,
        fast_queue=bool(options.fast_queue),
    )
    server.run(
        host="127.0.0.1",
        port=options.port,
        log_level="warning",
        access_log=False,
        num_api_servers=1,
        generate_client_file=False,
    )


if __name__ == "__main__":
    main()

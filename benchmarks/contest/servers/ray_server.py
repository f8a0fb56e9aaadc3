"""Ray Serve: requests are batched by ``serve.batch`` in a replica, behind Ray's proxy."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from contest.forms import FORMS, Wanted


def application(options: argparse.Namespace) -> serve.Application:
    """The deployment; ``serve.batch`` takes its sizes where the method is defined."""
    gpus = 1 / options.replicas if options.device == "cuda" else 0

    @serve.deployment(
        num_replicas=options.replicas,
        max_ongoing_requests=1024,  # the default of 5 would leave batches small
        ray_actor_options={"num_cpus": 1, "num_gpus": gpus},
    )
    class Images:
        def __init__(self) -> None:
            self._model = FORMS[options.form](options.artifact, options.device)

        @serve.batch(max_batch_size=options.max_batch_size, batch_wait_timeout_s=options.batch_wait)
        async def _generate(self, wanted: list[Wanted]) -> list[bytes]:
            return self._model.generate(wanted)

        async def __call__(self, request: Request) -> Response:
            pixels = await self._generate(Wanted.model_validate_json(await request.body()))
            return Response(pixels, media_type="application/octet-stream")

    return Images.bind()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--form", choices=FORMS, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--max-batch-size", type=int, required=True)
    parser.add_argument("--batch-wait", type=float, required=True)
    parser.add_argument("--replicas", type=int, required=True)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: exit(0))  # its exit handlers end Ray's processes
    # Logical CPUs, which Ray only counts: the proxy and the replicas share what there is.
    ray.init(num_cpus=8, include_dashboard=False, object_store_memory=2**28, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": options.port})
    serve.run(application(options), route_prefix="/predict")
    signal.pause()


if __name__ == "__main__":
    main()

"""Plain FastAPI: a thread for each request, and no batching."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Response

from contest.forms import FORMS, Wanted


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--form", choices=FORMS, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    model = FORMS[options.form](options.artifact, options.device)
    app = FastAPI()

    @app.post("/predict")
    async def predict(wanted: Wanted) -> Response:
        pixels = await asyncio.to_thread(model.generate, [wanted])
        return Response(pixels[0], media_type="application/octet-stream")

    uvicorn.run(app, port=options.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()

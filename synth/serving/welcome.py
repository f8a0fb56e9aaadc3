"""``/``: a page for people who open the server in a browser. It loads nothing from elsewhere."""

from __future__ import annotations

import asyncio
import json
from html import escape

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from synth.artifacts import Entry
from synth.families import generates, makes_images
from synth.serving.services import InjectedServices

router = APIRouter(include_in_schema=False)

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>synth</title>
<style>body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }}
pre {{ overflow-x: auto; padding: 1rem; background: #8882 }}</style>
<h1>synth</h1>
<h2>Models</h2>
{models}
<h2>Ask for images</h2>
{commands}
<p>The same seed always gives the same images. <a href="/docs">All of the API</a></p>
</html>
"""


@router.get("/")
async def welcome(request: Request, services: InjectedServices) -> HTMLResponse:
    """The models, and commands that ask for images."""
    entries = await asyncio.to_thread(services.registry.entries)
    commands = "\n".join(f"<pre>{escape(one, quote=False)}</pre>" for one in _commands(request, entries))
    return HTMLResponse(_PAGE.format(models=_models(entries), commands=commands))


def _commands(request: Request, entries: list[Entry]) -> list[str]:
    """For what the newest models can: images from nothing, unless all need images, and images from images.

    Augmentation needs no model.
    """
    known = [entry for entry in entries if entry.card is not None and makes_images(entry.card.family)]
    makers = [entry.name for entry in known if entry.card is not None and generates(entry.card.family)]
    translators = [entry.name for entry in known if entry.name not in makers]
    commands = []
    if makers or not translators:
        body = json.dumps(
            {"model": makers[-1] if makers else "NAME", "count": 16, "seed": 7, "format": "tar"}
        )
        commands.append(
            f"curl {request.url_for('generate')} \\\n"
            f"  -H 'Content-Type: application/json' \\\n  -d '{body}' -o images.tar"
        )
    if translators:
        commands.append(
            f"curl {request.url_for('translate')} \\\n"
            f"  -F model={translators[-1]} -F images=@photo.png -F seed=7 -o translated.png"
        )
    commands.append(
        f"curl {request.url_for('augment')} \\\n"
        "  -F pipeline=basic -F images=@photo.png -F copies=8 -F seed=7 -F format=tar -o augmented.tar"
    )
    return commands


def _models(entries: list[Entry]) -> str:
    if not entries:
        return "<p>None yet. Make one: <code>synth train vae --data fashion-mnist --name fashion</code></p>"
    return f"<ul>{''.join(f'<li>{escape(_line(entry))}</li>' for entry in entries)}</ul>"


def _line(entry: Entry) -> str:
    if entry.error is not None or entry.card is None:
        return f"{entry.reference}: damaged. {entry.error}"
    card = entry.card
    kind = "grey" if card.image.channels == 1 else "RGB"
    classes = f"; classes: {', '.join(card.classes)}" if card.classes else ""
    does = "" if generates(card.family) or not makes_images(card.family) else ", makes images from images"
    return f"{card.reference}: {card.family}, {card.image.height} x {card.image.width}, {kind}{does}{classes}"

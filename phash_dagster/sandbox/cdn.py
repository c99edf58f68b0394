"""The CDN: images re-encoded to the format asked for, no larger than the preset allows."""

import io
from collections.abc import Mapping

from PIL import Image, ImageOps
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from phash_dagster.sandbox.world import World

MAX_SIDE: Mapping[str, int] = {
    "feed_fullsize": 2000,
    "feed_thumbnail": 1000,
    "avatar": 1000,
    "banner": 3000,
}
"""Pixels of the longer side, by preset."""

FORMATS = ("jpeg", "png", "webp")
_READABLE = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
_QUALITY = 85


def cdn_app(world: World) -> Starlette:
    """The CDN, answering at `/img/{preset}/plain/{did}/{cid}@{format}`."""

    async def image(request: Request) -> Response:
        preset, did = request.path_params["preset"], request.path_params["did"]
        cid, _, output = request.path_params["name"].partition("@")
        if preset not in MAX_SIDE or output not in FORMATS:
            return JSONResponse({"message": "Invalid path"}, status_code=400)
        blob = world.repositories.served_by_cdn(did, cid)
        data = None
        if blob is not None:
            data = await run_in_threadpool(render, blob.data, output, MAX_SIDE[preset])
        if data is None:
            return JSONResponse({"message": "Image not found"}, status_code=404)
        return Response(data, media_type=f"image/{output}")

    return Starlette(routes=[Route("/img/{preset}/plain/{did}/{name}", image)])


def render(data: bytes, output: str, max_side: int) -> bytes | None:
    """The first frame, upright, in another format; None if the bytes are no readable image."""
    try:
        with Image.open(io.BytesIO(data), formats=_READABLE) as opened:
            image = ImageOps.exif_transpose(opened)
            image.thumbnail((max_side, max_side))
            target = image.convert("RGB") if output == "jpeg" else image.convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    rendered = io.BytesIO()
    target.save(rendered, format=output, quality=_QUALITY)
    return rendered.getvalue()

"""A service as a user may have one, for uvicorn. It is copied into an image."""

import json
import os


async def app(scope, receive, send):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    status, answer = 200, b"hello"
    if scope["path"] == "/double":
        note = os.environ.get("NOTE", "")
        answer = json.dumps({"double": 2 * json.loads(body)["x"], "note": note}).encode()
    elif scope["path"] == "/failing":
        answer = b'{"error": "out of luck"}'
    elif scope["path"] != "/":
        status, answer = 404, b"not here"
    length = str(len(answer)).encode()
    await send(
        {"type": "http.response.start", "status": status, "headers": [(b"content-length", length)]}
    )
    await send({"type": "http.response.body", "body": answer})

"""uvicorn with an application that sends one constant response: the upper limit of the API's request rate.

The event loop and the HTTP parser are those of the API.
"""

from base64 import b64decode
from typing import Any

import uvicorn

from bench.programs.messages import arguments, respond


def application(headers: list[list[str]], body: bytes) -> Any:
    start = {
        "type": "http.response.start",
        "status": 200,
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
    }
    end = {"type": "http.response.body", "body": body}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start)
        await send(end)

    return app


def main(port: int, headers: list[list[str]], body: str) -> None:
    """`body` is in Base64."""
    respond({})
    uvicorn.run(
        application(headers, b64decode(body)),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )


if __name__ == "__main__":
    main(**arguments())

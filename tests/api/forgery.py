"""Tokens made by hand, good and bad: no library keeps a forger from anything."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from typing import Any
from uuid import uuid4

from tests.api.conftest import JWT_SECRET, Someone

Claims = dict[str, Any]
HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
MINUTE, HOUR = 60, 3600


def claims(of: Someone, **changed: Any) -> Claims:
    """Those of a good access token of this user, but for `changed`; None leaves one out."""
    now = int(time.time())
    good: Claims = {
        "iss": "sla-monitor",
        "aud": "sla-monitor-api",
        "typ": "access",
        "sub": str(of.user_id),
        "sid": str(of.session_id),
        "jti": secrets.token_hex(16),
        "iat": now,
        "exp": now + HOUR,
    }
    return {name: value for name, value in (good | changed).items() if value is not None}


def signed(body: object, key: str = JWT_SECRET, algorithm: str = "HS256", **head: Any) -> str:
    """Signed with `algorithm`, whatever `alg` the head is made to say."""
    said = encoded({"alg": algorithm, "typ": "JWT", **head}) + "." + encoded(body)
    return said + "." + base64url(hmac.digest(key.encode(), said.encode(), HASHES[algorithm]))


def unsigned(body: object, algorithm: str) -> str:
    return encoded({"alg": algorithm, "typ": "JWT"}) + "." + encoded(body) + "."


def encoded(part: object) -> str:
    return base64url(json.dumps(part).encode())


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def forged(admin: Someone, viewer: Someone) -> dict[str, str]:
    """Tokens that would be the admin's, if they were looked at less closely; by what is wrong with them."""
    good, now = claims(admin), int(time.time())
    head, payload, signature = signed(good).split(".")
    tokens = {f"algorithm {name!r}": unsigned(good, name) for name in ("none", "None", "nOnE", "", "HS256")}
    tokens |= {f"algorithm {name}": signed(good, algorithm=name) for name in ("HS384", "HS512")}
    tokens |= {f"called {name}": signed(good, alg=name) for name in ("HS512", "RS256", "ES256", "none", None, 1)}
    for name in good:
        tokens[f"without {name}"] = signed(claims(admin, **{name: None}))
        values: list[Any] = ["", "x", "\0", -1, True, [], {}, [good[name]], 10**400]
        for value in values:
            if name not in ("jti", "iat"):  # nothing rests on what they say
                tokens[f"{name} {value!r:.20}"] = signed({**good, name: value})
    return tokens | {
        "other key": signed(good, key=secrets.token_urlsafe(48)),
        "empty key": signed(good, key=""),
        "name of a file as key": signed(good, key="", kid="../../../../dev/null"),
        "own key within": signed(good, key="mine", jwk={"kty": "oct", "k": base64url(b"mine")}),
        "own key elsewhere": signed(good, key="mine", jku="http://evil.example/keys", x5u="http://evil.example/x"),
        "unknown extension": signed(good, crit=["x"], x=1),
        "expired": signed(claims(admin, exp=now - MINUTE)),
        "expiry as text": signed(claims(admin, exp="never")),
        "not yet good": signed(claims(admin, nbf=now + HOUR)),
        "from the future": signed(claims(admin, iat=now + HOUR)),
        "refresh token": signed(claims(admin, typ="refresh")),
        "type in capitals": signed(claims(admin, typ="ACCESS")),
        "one audience of two": signed(claims(admin, aud=["sla-monitor-api", "another"])),
        "session of somebody else": signed(claims(viewer, sub=str(admin.user_id))),
        "user of another session": signed(claims(admin, sub=str(viewer.user_id))),
        "session of nobody": signed(claims(admin, sid=str(uuid4()))),
        "claims that are no object": signed([good]),
        "payload of another": ".".join([head, payload, signed(claims(viewer)).split(".")[2]]),
        "no signature": f"{head}.{payload}.",
        "cut signature": f"{head}.{payload}.{signature[:-4]}",
        "a fourth part": f"{head}.{payload}.{signature}.x",
        "two parts": f"{head}.{payload}",
        "dots": "..",
        "words": "null undefined [object Object]",
        "very long": "x" * 60_000,
        "deep head": base64url(b"[" * 1000) + f".{payload}.{signature}",
        "api token of nobody": "slam_" + secrets.token_urlsafe(32),
        "api token, empty": "slam_",
        "api token with a wildcard": "slam_%",
        "api token with a quote": "slam_' OR true --",
    }

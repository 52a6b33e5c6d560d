"""JSON Web Tokens, valid and forged, encoded without a library that would refuse invalid ones."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from typing import Any
from uuid import uuid4

from tests.api.conftest import JWT_SECRET, User

Claims = dict[str, Any]
HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
MINUTE, HOUR = 60, 3600


def claims(user: User, **changed: Any) -> Claims:
    """Returns the claims of a valid access token of this user with `changed` ones; None removes a claim."""
    now = int(time.time())
    valid: Claims = {
        "iss": "sla-monitor",
        "aud": "sla-monitor-api",
        "typ": "access",
        "sub": str(user.user_id),
        "sid": str(user.session_id),
        "jti": secrets.token_hex(16),
        "iat": now,
        "exp": now + HOUR,
    }
    return {name: value for name, value in (valid | changed).items() if value is not None}


def signed(body: object, key: str = JWT_SECRET, algorithm: str = "HS256", **head: Any) -> str:
    """Returns a token signed with `algorithm`; `head` can name another one as `alg`."""
    message = encoded({"alg": algorithm, "typ": "JWT", **head}) + "." + encoded(body)
    return message + "." + base64url(hmac.digest(key.encode(), message.encode(), HASHES[algorithm]))


def unsigned(body: object, algorithm: str) -> str:
    return encoded({"alg": algorithm, "typ": "JWT"}) + "." + encoded(body) + "."


def encoded(part: object) -> str:
    return base64url(json.dumps(part).encode())


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def forged(admin: User, viewer: User) -> dict[str, str]:
    """Returns forged tokens of the admin by the kind of forgery. An incomplete verification would accept them."""
    valid, now = claims(admin), int(time.time())
    head, payload, signature = signed(valid).split(".")
    tokens = {f"algorithm {name!r}": unsigned(valid, name) for name in ("none", "None", "nOnE", "", "HS256")}
    tokens |= {f"algorithm {name}": signed(valid, algorithm=name) for name in ("HS384", "HS512")}
    tokens |= {f"called {name}": signed(valid, alg=name) for name in ("HS512", "RS256", "ES256", "none", None, 1)}
    for name in valid:
        tokens[f"without {name}"] = signed(claims(admin, **{name: None}))
        values: list[Any] = ["", "x", "\0", -1, True, [], {}, [valid[name]], 10**400]
        for value in values:
            if name not in ("jti", "iat"):  # these claims are not verified
                tokens[f"{name} {value!r:.20}"] = signed({**valid, name: value})
    return tokens | {
        "other key": signed(valid, key=secrets.token_urlsafe(48)),
        "empty key": signed(valid, key=""),
        "name of a file as key": signed(valid, key="", kid="../../../../dev/null"),
        "embedded key": signed(valid, key="mine", jwk={"kty": "oct", "k": base64url(b"mine")}),
        "key at a URL": signed(valid, key="mine", jku="http://evil.example/keys", x5u="http://evil.example/x"),
        "unknown extension": signed(valid, crit=["x"], x=1),
        "expired": signed(claims(admin, exp=now - MINUTE)),
        "expiry as text": signed(claims(admin, exp="never")),
        "not yet valid": signed(claims(admin, nbf=now + HOUR)),
        "from the future": signed(claims(admin, iat=now + HOUR)),
        "refresh token": signed(claims(admin, typ="refresh")),
        "type in capitals": signed(claims(admin, typ="ACCESS")),
        "one audience of two": signed(claims(admin, aud=["sla-monitor-api", "another"])),
        "session of another user": signed(claims(viewer, sub=str(admin.user_id))),
        "user of another session": signed(claims(admin, sub=str(viewer.user_id))),
        "session that does not exist": signed(claims(admin, sid=str(uuid4()))),
        "claims in an array": signed([valid]),
        "signature of another token": ".".join([head, payload, signed(claims(viewer)).split(".")[2]]),
        "no signature": f"{head}.{payload}.",
        "cut signature": f"{head}.{payload}.{signature[:-4]}",
        "a fourth part": f"{head}.{payload}.{signature}.x",
        "two parts": f"{head}.{payload}",
        "dots": "..",
        "words": "null undefined [object Object]",
        "very long": "x" * 60_000,
        "deep head": base64url(b"[" * 1000) + f".{payload}.{signature}",
        "unknown api token": "slam_" + secrets.token_urlsafe(32),
        "api token, empty": "slam_",
        "api token with a wildcard": "slam_%",
        "api token with a quote": "slam_' OR true --",
    }

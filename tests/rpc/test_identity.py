"""Only a token signed by the issuer, for us, in time, proves an identity."""

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.rpc import code_pb2
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from rpc.errors import StatusError
from rpc.identity import (
    LEEWAY_SECONDS,
    Identity,
    TokenVerifier,
    acting_as,
    current_identity,
)
from rpc.issuer import LocalIssuer

ISSUER = "https://id.example.cn"
OFFICER = Identity(
    "li", "李", frozenset({"officer", "verifier"}), agency="11150203MB0000001X", enterprise=""
)
ED = Ed25519PrivateKey.generate()
OTHER = Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
MAKERS = {Ed25519PrivateKey: OKPAlgorithm, rsa.RSAPrivateKey: RSAAlgorithm}


def jwk(key, key_id: str, **more: str) -> dict:
    maker = ECAlgorithm if isinstance(key, ec.EllipticCurvePrivateKey) else None
    maker = maker or next(m for kind, m in MAKERS.items() if isinstance(key, kind))
    return maker.to_jwk(key.public_key(), as_dict=True) | {"kid": key_id} | more


def write(path: Path, *keys: dict) -> Path:
    path.write_text(json.dumps({"keys": keys}))
    return path


def token(key=ED, alg="EdDSA", key_id="ed", headers=None, drop=(), **claims) -> str:
    body = {
        "sub": "li",
        "name": "李",
        "roles": ["officer", "verifier"],
        "agency": "11150203MB0000001X",
        "enterprise": "",
        "iss": ISSUER,
        "aud": "bihuan",
        "iat": int(time.time()),
        "exp": int(time.time()) + 60,
    } | claims
    body = {name: value for name, value in body.items() if name not in drop}
    return jwt.encode(body, key, algorithm=alg, headers=headers or {"kid": key_id})


def public_key_as_hmac_secret() -> str:
    """The algorithm confusion attack, by hand since PyJWT refuses to make it."""

    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    claims = token().split(".")[1]
    signed = part(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "ed"}).encode()) + "." + claims
    secret = ED.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return f"{signed}.{part(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


@pytest.fixture
def jwks(tmp_path) -> Path:
    secret = {"kty": "oct", "k": base64.urlsafe_b64encode(b"s" * 32).decode(), "kid": "oct"}
    return write(
        tmp_path / "jwks.json",
        jwk(ED, "ed"),
        jwk(RSA, "rsa"),
        jwk(RSA, "pss", alg="PS256"),
        jwk(RSA, "enc", use="enc"),
        jwk(EC, "ec"),
        secret,
    )


async def refusal(verifier: TokenVerifier, text: str) -> StatusError:
    with pytest.raises(StatusError) as refused:
        await verifier.verify(text)
    return refused.value


async def test_a_token_signed_by_the_issuer_proves_its_identity(jwks):
    verifier = TokenVerifier(jwks, ISSUER)
    just_expired = token(exp=int(time.time()) - 2)  # clocks differ by some seconds
    for text in (token(), token(RSA, "RS256", "rsa"), just_expired):
        assert await verifier.verify(text) == OFFICER


FORGED = {
    "garbage": lambda: "garbage",
    "empty": lambda: "",
    "not ascii": lambda: "令.牌.x",
    "no signature": lambda: token().rpartition(".")[0] + ".",
    "signature of other claims": lambda: (
        token(sub="x").rpartition(".")[0] + "." + token().split(".")[2]
    ),
    "alg none": lambda: token(None, "none"),
    "HS256 with the public key": public_key_as_hmac_secret,
    "HS256 with a secret in the set": lambda: token(b"s" * 32, "HS256", "oct"),
    "a stranger's key under our key id": lambda: token(OTHER),
    "RS256 under the key id of Ed25519": lambda: token(RSA, "RS256", "ed"),
    "PS256 with a PS256 key": lambda: token(RSA, "PS256", "pss"),
    "PS256 with an RS256 key": lambda: token(RSA, "PS256", "rsa"),
    "a key for encryption": lambda: token(RSA, "RS256", "enc"),
    "ES256": lambda: token(EC, "ES256", "ec"),
    "unknown key id": lambda: token(OTHER, key_id="other"),
    "no key id": lambda: token(headers={"typ": "JWT"}),
    "a key sent along": lambda: token(OTHER, headers={"kid": "x", "jwk": jwk(OTHER, "x")}),
    "wrong audience": lambda: token(aud="another"),
    "wrong issuer": lambda: token(iss="https://evil.example"),
    "not yet valid": lambda: token(nbf=int(time.time()) + 60),
    "issued in the future": lambda: token(iat=int(time.time()) + 60),
    "no expiry": lambda: token(drop=["exp"]),
    "no audience": lambda: token(drop=["aud"]),
    "no issuer": lambda: token(drop=["iss"]),
    "no subject": lambda: token(drop=["sub"]),
    "empty subject": lambda: token(sub=""),
    "roles as text": lambda: token(roles="officer"),
    "a role that is a number": lambda: token(roles=[1]),
    "an enterprise that is a list": lambda: token(enterprise=["x"]),
    "a subject with a NUL": lambda: token(sub="a\x00b"),
    "a subject with a new line": lambda: token(sub="a\nb"),
    "a subject that is half a character": lambda: token(sub="\ud800"),
    "a subject longer than the log takes": lambda: token(sub="x" * 501),
    "an enterprise with a NUL": lambda: token(enterprise="\x00"),
    "a role with a NUL": lambda: token(roles=["\x00"]),
    "an expiry beyond all numbers": lambda: token(exp=float("inf")),
    "an expiry that is no float": lambda: token(exp=10**400),
    "claims nested beyond all bounds": lambda: f"{'W1tb' * 900}.e30.e30",
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
async def test_a_forged_token_is_refused_without_saying_why(jwks, forge):
    error = await refusal(TokenVerifier(jwks, ISSUER), forge())
    assert str(error) == "UNAUTHENTICATED TOKEN_INVALID: the token is not valid"
    assert error.__cause__ is None


async def test_an_enterprises_people_are_refused_unless_the_token_says_which_enterprise(jwks):
    verifier = TokenVerifier(jwks, ISSUER)
    people = {"roles": ["enterprise", "officer"]}
    for claims in (people, people | {"drop": ["enterprise"]}):
        error = await refusal(verifier, token(**claims))
        assert (error.code, error.reason) == (code_pb2.UNAUTHENTICATED, "ENTERPRISE_MISSING")
    uscc = "91150203MA0KDL0112"
    assert (await verifier.verify(token(**people, enterprise=uscc))).enterprise == uscc


def test_there_is_no_identity_of_an_enterprises_people_without_the_enterprise():
    with pytest.raises(ValueError, match="credit code"):
        Identity("zhang", roles=frozenset({"enterprise"}))


async def test_an_identity_lasts_as_long_as_its_token_is_taken(jwks):
    until = int(time.time()) + 60
    identity = await TokenVerifier(jwks, ISSUER).verify(token(exp=until))
    assert identity.expires_at == until + LEEWAY_SECONDS


async def test_an_expired_token_is_told_apart(jwks):
    error = await refusal(TokenVerifier(jwks, ISSUER), token(exp=int(time.time()) - 60))
    assert error.reason == "TOKEN_EXPIRED"


async def test_a_forged_token_that_has_expired_too_tells_nothing(jwks):
    error = await refusal(TokenVerifier(jwks, ISSUER), token(OTHER, exp=int(time.time()) - 60))
    assert error.reason == "TOKEN_INVALID"


async def test_a_key_added_is_trusted_as_soon_as_a_token_names_it(jwks):
    verifier = TokenVerifier(jwks, ISSUER, refresh_seconds=0)
    await verifier.verify(token())
    write(jwks, jwk(ED, "ed"), jwk(OTHER, "new"))
    assert await verifier.verify(token(OTHER, key_id="new")) == OFFICER


async def test_a_key_taken_out_is_no_longer_trusted_once_the_keys_are_old(jwks):
    verifier = TokenVerifier(jwks, ISSUER, refresh_seconds=0, max_age_seconds=0.05)
    await verifier.verify(token())
    write(jwks, jwk(OTHER, "new"))
    await asyncio.sleep(0.06)
    assert (await refusal(verifier, token())).reason == "TOKEN_INVALID"


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    seen: list[str] = []
    import rpc.identity

    read = rpc.identity._read
    monkeypatch.setattr(rpc.identity, "_read", lambda source: seen.append(source) or read(source))
    return seen


async def test_unknown_key_ids_cannot_make_us_read_the_keys_more_often(jwks, reads):
    verifier = TokenVerifier(jwks, ISSUER, refresh_seconds=60)
    forged = [token(OTHER, key_id=f"k{n}") for n in range(50)]
    await asyncio.gather(*(refusal(verifier, text) for text in forged))
    assert len(reads) == 1


async def test_calls_that_come_at_once_wait_for_one_reading_of_the_keys(jwks, reads):
    verifier = TokenVerifier(jwks, ISSUER)
    found = await asyncio.gather(*(verifier.verify(token()) for _ in range(50)))
    assert set(found) == {OFFICER}
    assert len(reads) == 1


async def test_keys_that_cannot_be_read_are_unavailable_not_a_bad_token(tmp_path):
    error = await refusal(TokenVerifier(tmp_path / "none.json", ISSUER), token())
    assert (error.reason, error.retry_seconds) == ("KEYS_UNAVAILABLE", 1.0)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"keys": 1}', '{"keys": []}'])
async def test_a_key_file_that_holds_no_keys_is_unavailable(tmp_path, content):
    (tmp_path / "jwks.json").write_text(content)
    error = await refusal(TokenVerifier(tmp_path / "jwks.json", ISSUER), token())
    assert error.reason == "KEYS_UNAVAILABLE"


async def test_known_keys_stay_while_the_issuer_is_away(jwks):
    verifier = TokenVerifier(jwks, ISSUER, max_age_seconds=0)
    await verifier.verify(token())
    jwks.unlink()
    assert await verifier.verify(token()) == OFFICER


class Web:
    """A web server that answers with `answer`, raw bytes, whatever it is asked."""

    def __init__(self) -> None:
        self.answer = b""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/jwks?api-key=hunter2"
        threading.Thread(target=self._serve, daemon=True).start()

    def give(self, body: bytes, length: int | None = None) -> None:
        length = len(body) if length is None else length
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (length, body)

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection, suppress(OSError):
                connection.recv(4096)
                connection.sendall(self.answer)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def web() -> Iterator[Web]:
    server = Web()
    yield server
    server.close()


async def test_keys_are_read_from_a_url(jwks, web):
    web.give(jwks.read_bytes())
    assert await TokenVerifier(web.url, ISSUER).verify(token()) == OFFICER


# How a server of keys can fail, by what it sends.
FAILURES = {
    "an answer cut short": lambda keys, web: web.give(keys[:10], 9999),
    "no HTTP": lambda keys, web: setattr(web, "answer", b"\x16\x03\x01 not http\r\n\r\n"),
    "nothing": lambda keys, web: setattr(web, "answer", b""),
    "not UTF-8": lambda keys, web: web.give(b"\xff\xfe"),
    "a key that is a number": lambda keys, web: web.give(b'{"keys": [5]}'),
    "a key id that is a list": lambda keys, web: web.give(
        keys.replace(b'"kid": "ed"', b'"kid": ["ed"]')
    ),
    "nesting beyond all bounds": lambda keys, web: web.give(b"[" * 5000),
    "more than anybody has keys": lambda keys, web: web.give(keys + b" " * (1 << 20)),
}


@pytest.mark.parametrize("fail", FAILURES.values(), ids=FAILURES)
async def test_keys_that_cannot_be_fetched_leave_those_known_and_are_unavailable_without(
    jwks, web, fail, caplog
):
    keys = jwks.read_bytes()
    web.give(keys)
    warm = TokenVerifier(web.url, ISSUER, max_age_seconds=0)
    assert await warm.verify(token()) == OFFICER
    fail(keys, web)
    assert await warm.verify(token()) == OFFICER
    error = await refusal(TokenVerifier(web.url, ISSUER), token())
    assert (error.code, error.reason) == (code_pb2.UNAVAILABLE, "KEYS_UNAVAILABLE")
    assert "cannot read the token keys from http://127.0.0.1" in caplog.text
    assert "hunter2" not in caplog.text


async def test_a_server_of_keys_that_drips_is_given_up(jwks, web, monkeypatch):
    monkeypatch.setattr("rpc.identity.FETCH_SECONDS", 0.2)
    monkeypatch.setattr("rpc.identity._read", lambda source: time.sleep(1))
    began = time.monotonic()
    error = await refusal(TokenVerifier(web.url, ISSUER), token())
    assert error.reason == "KEYS_UNAVAILABLE"
    assert time.monotonic() - began < 0.9


async def test_the_local_issuer_is_believed_by_a_verifier_of_its_keys(tmp_path):
    issuer = LocalIssuer(tmp_path)
    assert await TokenVerifier(issuer.jwks, issuer.name).verify(issuer.issue(OFFICER)) == OFFICER
    error = await refusal(
        TokenVerifier(issuer.jwks, issuer.name), issuer.issue(OFFICER, timedelta(minutes=-5))
    )
    assert error.reason == "TOKEN_EXPIRED"


async def test_the_local_issuer_keeps_its_key_to_itself_and_over_restarts(tmp_path):
    old = LocalIssuer(tmp_path / "keys").issue(OFFICER)
    again = LocalIssuer(tmp_path / "keys")
    assert await TokenVerifier(again.jwks, again.name).verify(old) == OFFICER
    assert stat.S_IMODE((tmp_path / "keys" / "issuer.pem").stat().st_mode) == 0o600
    assert sorted(p.name for p in (tmp_path / "keys").iterdir()) == ["issuer.pem", "jwks.json"]


async def test_issuers_that_start_at_once_share_the_key_of_the_first(tmp_path, monkeypatch):
    with monkeypatch.context() as both_find_no_key:
        both_find_no_key.setattr(Path, "exists", lambda path: False)
        tokens = [LocalIssuer(tmp_path).issue(OFFICER) for _ in range(2)]
    issuer = LocalIssuer(tmp_path)
    verifier = TokenVerifier(issuer.jwks, issuer.name)
    assert [await verifier.verify(text) for text in tokens] == [OFFICER, OFFICER]


def test_there_is_no_identity_outside_a_call():
    with pytest.raises(LookupError):
        current_identity()
    with acting_as(OFFICER):
        assert current_identity() == OFFICER

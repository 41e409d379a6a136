"""A client loads few root certificates, and trusts whom aiobotocore's own trusts: no more, and no fewer."""

from __future__ import annotations

import asyncio
import gc
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiohttp.abc import AbstractResolver
from amazon_tls import HOST, Authority, tls_before
from botocore.exceptions import SSLError
from botocore.httpsession import get_cert_path

from warmkit import Environment
from warmkit.resources import s3_client
from warmkit.resources.aws.roots import Few, amazon_roots

if TYPE_CHECKING:
    from warmkit.local.s3_server import S3Server

BUNDLE = Path(get_cert_path(True))
ELSEWHERE = "https://s3.example.com"


class Here(AbstractResolver):
    """Every name is this machine's."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[Any]:
        return [
            {
                "hostname": host,
                "host": HOST,
                "port": self.port,
                "family": family,
                "proto": 0,
                "flags": 0,
            }
        ]

    async def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many certificates each bundle had that a client has loaded, in order."""
    numbers: list[int] = []
    load = ssl.SSLContext.load_verify_locations

    def noting(self: ssl.SSLContext, *args: Any, **kwargs: Any) -> None:
        load(self, *args, **kwargs)
        numbers.append(self.cert_store_stats()["x509_ca"])

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", noting)
    return numbers


def fetch(
    s3: S3Server,
    bucket: str,
    authority: Authority,
    *,
    bundle: Path,
    url: str | None,
    times: int = 1,
) -> list[bytes]:
    """Gets an object from a server that the authority vouches for, as one who trusts the bundle."""
    s3.put_objects(bucket, {"key": b"value"})

    async def main() -> list[bytes]:
        async with tls_before(s3.port, authority) as port:
            config = AioConfig(
                connector_args={"resolver": Here(port)},
                s3={"addressing_style": "virtual"},
                ignore_configured_endpoint_urls=True,
                retries={"total_max_attempts": 1},
            )
            recipe = s3_client(config=config, endpoint_url=url, verify=str(bundle))
            async with Environment() as environment:
                client = await environment.get(recipe)
                found = []
                for _ in range(times):
                    answer = await client.get_object(Bucket=bucket, Key="key")
                    async with answer["Body"] as body:
                        found.append(await body.read())
                return found

    return asyncio.run(main())


def bundle_with(authority: Authority, folder: Path) -> Path:
    bundle = folder / "bundle.pem"
    bundle.write_bytes(BUNDLE.read_bytes() + authority.root.read_bytes())
    return bundle


def held() -> int:
    """How many files this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def number_of(text: bytes) -> int:
    return text.count(b"BEGIN CERTIFICATE")


def test_amazons_own_endpoints_need_amazons_roots_only(
    s3: S3Server, bucket: str, tmp_path: Path, loaded: list[int]
) -> None:
    authority = Authority(tmp_path)
    bundle = bundle_with(authority, tmp_path)
    assert fetch(s3, bucket, authority, bundle=bundle, url=None) == [b"value"]
    assert loaded == [number_of(amazon_roots(bundle.read_bytes()))]
    assert loaded[0] < number_of(bundle.read_bytes()) / 10


def test_an_endpoint_of_amazons_whose_root_is_another_is_trusted_as_far_as_the_bundle_does(
    s3: S3Server,
    bucket: str,
    tmp_path: Path,
    loaded: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[str] = []
    send = AIOHTTPSession.send

    async def noting(self: AIOHTTPSession, request: Any) -> Any:
        sent.append(request.method)
        return await send(self, request)

    monkeypatch.setattr(AIOHTTPSession, "send", noting)
    authority = Authority(tmp_path, "Corporate Inspection")
    bundle = bundle_with(authority, tmp_path)
    assert fetch(s3, bucket, authority, bundle=bundle, url=None, times=2) == [b"value"] * 2
    assert loaded[0] < loaded[1] == number_of(bundle.read_bytes())
    assert (len(loaded), len(sent)) == (2, 3)  # found out once


def test_elsewhere_all_roots_are_loaded_at_once(
    s3: S3Server, bucket: str, tmp_path: Path, loaded: list[int]
) -> None:
    authority = Authority(tmp_path, "Somebody")
    bundle = bundle_with(authority, tmp_path)
    assert fetch(s3, bucket, authority, bundle=bundle, url=ELSEWHERE) == [b"value"]
    assert loaded == [number_of(bundle.read_bytes())]


@pytest.mark.parametrize("url", [None, ELSEWHERE])
@pytest.mark.parametrize("name", ["Amazon Root CA 1", "Somebody"])
def test_a_root_that_is_not_in_the_bundle_is_not_trusted(
    s3: S3Server, bucket: str, tmp_path: Path, name: str, url: str | None
) -> None:
    with pytest.raises(SSLError, match="certificate verify failed"):
        fetch(s3, bucket, Authority(tmp_path, name), bundle=BUNDLE, url=url)


def test_a_bundle_without_amazons_roots_is_loaded_whole(
    s3: S3Server, bucket: str, tmp_path: Path, loaded: list[int]
) -> None:
    authority = Authority(tmp_path, "Corporate Inspection")
    assert fetch(s3, bucket, authority, bundle=authority.root, url=None) == [b"value"]
    assert loaded == [1]


def test_amazons_roots_are_found_in_the_bundle_that_is_installed() -> None:
    few = Few.of(str(BUNDLE))
    assert few is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(few.path)
    names = {
        dict(part[0] for part in root["subject"])["commonName"] for root in context.get_ca_certs()
    }
    assert names >= {f"Amazon Root CA {number}" for number in (1, 2, 3, 4)}
    assert len(names) < 8


def test_what_is_no_certificate_is_no_root() -> None:
    broken = b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n"
    assert amazon_roots(b"Amazon Root CA 1\n" + broken) == b""
    assert Few.of("/nowhere/bundle.pem") is None


def test_the_file_in_memory_is_given_back() -> None:
    gc.collect()
    before = held()
    few, other = Few.of(str(BUNDLE)), Few.of(str(BUNDLE))
    assert few is not None
    assert held() == before + 2
    few.close()
    few.close()
    del other
    assert held() == before


def test_the_session_of_a_client_that_is_closed_holds_nothing(
    s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    bundle = bundle_with(authority, tmp_path)
    fetch(s3, bucket, authority, bundle=bundle, url=None)
    before = held()
    fetch(s3, bucket, authority, bundle=bundle, url=None)
    assert held() == before

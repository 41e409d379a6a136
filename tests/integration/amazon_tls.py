"""Stands in for the TLS of Amazon's endpoints: a root certificate of a chosen name, and a server that it vouches for.

The server passes all it receives on to one on 127.0.0.1 that knows no TLS. As a program, for the benchmark, it prints
its port and where its root certificate lies, and serves until its input ends.

    python tests/integration/amazon_tls.py PORT FOLDER
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HOST = "127.0.0.1"
NAMES = ("*.s3.amazonaws.com", "*.s3.us-east-1.amazonaws.com", "s3.example.com", "*.s3.example.com")
_DAY = dt.timedelta(days=1)
_PEM = serialization.Encoding.PEM


class Authority:
    """A root certificate, and a context for a server with a certificate by it."""

    def __init__(self, folder: Path, name: str = "Amazon Root CA 1") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        root = self._certificate(self._name, self._key, ca=True)
        self.root = folder / "root.pem"
        self.root.write_bytes(root.public_bytes(_PEM))
        key = ec.generate_private_key(ec.SECP256R1())
        text = key.private_bytes(
            _PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        chain = folder / "chain.pem"
        chain.write_bytes(self._certificate(x509.Name([]), key, ca=False).public_bytes(_PEM) + text)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(chain)

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, ca: bool
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        names = x509.SubjectAlternativeName([x509.DNSName(name) for name in NAMES])
        identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        builder = (
            x509.CertificateBuilder(self._name, subject, key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
                critical=False,
            )
        )
        if ca:
            builder = builder.add_extension(identifier, critical=False)
        else:
            builder = builder.add_extension(names, critical=True)
        return builder.sign(self._key, hashes.SHA256())


@contextlib.asynccontextmanager
async def tls_before(port: int, authority: Authority) -> AsyncIterator[int]:
    """Serves TLS in front of a server on a port, and yields its own."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ssl.SSLError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other_reader, other_writer = await asyncio.open_connection(HOST, port)
        await asyncio.gather(pass_on(reader, other_writer), pass_on(other_reader, writer))

    server = await asyncio.start_server(serve, HOST, 0, ssl=authority.context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def main(port: str, folder: str) -> None:
    authority = Authority(Path(folder))
    async with tls_before(int(port), authority) as own:
        print(own, authority.root, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

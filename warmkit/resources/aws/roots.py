"""Finds, in a bundle of root certificates, those that vouch for Amazon's own endpoints. Knows nothing of HTTP.

OpenSSL takes 0.12 ms for each certificate that it is given, and a bundle has some 140.
"""

import os
import re
import weakref
from binascii import Error, a2b_base64
from pathlib import Path
from typing import Self

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----([^-]+)-----END CERTIFICATE-----")
_AMAZONS = (b"Amazon Root CA ", b"Starfield Services Root Certificate Authority")
"""Names of the roots from which all that Amazon uses for its endpoints descends.

Source: https://www.amazontrust.com/repository/
"""


def amazon_roots(bundle: bytes) -> bytes:
    """Returns those of a bundle's certificates that are Amazon's; a name that only contains theirs does no harm."""
    found = [match[0] for match in _CERTIFICATE.finditer(bundle) if _is_amazons(match[1])]
    return b"\n".join(found)


def _is_amazons(encoded: bytes) -> bool:
    try:
        certificate = a2b_base64(encoded)
    except Error:
        return False
    return any(name in certificate for name in _AMAZONS)


class Few:
    """Amazon's roots of one bundle, as a file that is in memory and has no name. It lives until it is closed.

    Attributes:
        path: What opens it, in this process and those that it forks.
    """

    def __init__(self, roots: bytes) -> None:
        descriptor = os.memfd_create("roots")
        self._close = weakref.finalize(self, os.close, descriptor)
        self.path = f"/proc/self/fd/{descriptor}"
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(roots)

    @classmethod
    def of(cls, bundle: str) -> Self | None:
        """Returns them; None where the bundle has none, or there are no such files: only Linux has them."""
        try:
            roots = amazon_roots(Path(bundle).read_bytes())
            few = cls(roots) if roots else None
        except (OSError, AttributeError):
            return None
        return few if few is not None and Path(few.path).exists() else None

    def close(self) -> None:
        """Gives the file back."""
        self._close()

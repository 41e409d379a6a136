"""An internal extension that does nothing: for its sake the platform sends SIGTERM before it ends the environment.

Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

import logging

from warmkit.runtime import protocol
from warmkit.runtime.lines import Line

_log = logging.getLogger("warmkit")


async def register(line: Line) -> bool:
    """Registers in the init phase; returns whether the platform took it. Nothing here fails an environment.

    It asks for its next event, which never comes, as it wants none: init is not over until every extension has asked.
    The line must stay open.
    """
    try:
        answer = await line.exchange(protocol.REGISTER, limit=1.0)
        identifier = answer.headers.get(b"lambda-extension-identifier", b"").decode("latin-1")
        if answer.status == 200 and identifier:  # noqa: PLR2004  OK
            await line.leave(protocol.next_event(identifier))
            return True
        said = f"{answer.status} {answer.body[:200].decode('utf-8', 'replace')}"
    except OSError as error:
        said = str(error)
    _log.info("SIGTERM will not be announced: %s", said)
    return False

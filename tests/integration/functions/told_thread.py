"""A Lambda function whose handler is declared in another thread than the main one."""

import threading

from warmkit import resource, warm_handler


@resource
async def connection():
    yield "connection"


declared = []


def declare():
    @warm_handler(connection=connection)
    async def handler(event, context, connection):
        return connection

    declared.append(handler)


thread = threading.Thread(target=declare, name="importer")
thread.start()
thread.join()
(handler,) = declared

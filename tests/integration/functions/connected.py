"""A Lambda function that keeps a connection in a global, as people do."""

import socket

connection = None


def handler(event, context):
    global connection  # noqa: PLW0603
    if "connect" in event:
        connection = socket.create_connection(("127.0.0.1", event["connect"]))
        return "connected"
    connection.settimeout(5)
    return connection.recv(100).decode()

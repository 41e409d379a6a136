"""A Lambda function behind a URL: it answers as its event's path says."""

import base64


def handler(event, context):
    answers = {
        "/echo": {"statusCode": 200, "body": event},
        "/plain": "just a text",
        "/whole": {
            "statusCode": 201,
            "headers": {"X-Mine": "yes", "content-type": "text/plain"},
            "cookies": ["a=1", "b=2; Secure"],
            "body": "hello",
        },
        "/binary": {
            "statusCode": 200,
            "isBase64Encoded": True,
            "headers": {"content-type": "image/png"},
            "body": base64.b64encode(bytes(range(256))).decode(),
        },
        "/wrong": {"statusCode": "many"},
    }
    if event["rawPath"] == "/fail":
        raise ValueError("no luck")
    return answers[event["rawPath"]]

"""An invocation is taken whatever the network does, and answered once."""

import asyncio
import logging

import pytest
from lambda_platform import Cut, Platform, answer, event

from warmkit.runtime import api as api_module
from warmkit.runtime.api import ApiGoneError, RuntimeApi
from warmkit.runtime.failure import Failure
from warmkit.runtime.lines import LoopLine

FAILURE = Failure("Function.Oops", "Oops", "no")


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """The same number of attempts, without the pauses."""
    monkeypatch.setattr(api_module, "PAUSES", (0.0,) * len(api_module.PAUSES))


def talk(scenario, *items, on_post=None):
    async def main():
        async with Platform().listening() as platform:
            platform.put(*items)
            if on_post is not None:
                posts = iter(on_post)
                platform.on_post = lambda request: next(posts)
            api = RuntimeApi(LoopLine(platform.address))
            try:
                return await scenario(api, platform)
            finally:
                api.close()

    return asyncio.run(main())


async def take(api, platform):
    return await api.next()


def test_everything_that_the_platform_says_of_an_invocation_is_there():
    said = event(
        "id-1",
        b'{"a": 1}',
        deadline_ms=123,
        Content_Type="application/json",
        Lambda_Runtime_Invoked_Function_Arn="arn:aws:lambda:eu-west-1:1:function:f:live",
        Lambda_Runtime_Trace_Id="Root=1-5759e988-bd862e3fe1be46a994272793",
        Lambda_Runtime_Aws_Tenant_Id="tenant",
        Lambda_Runtime_Client_Context="{}",
        Lambda_Runtime_Cognito_Identity="null",
        Lambda_Runtime_Invocation_Id="nonce",
    )
    assert talk(take, said) == (
        "id-1",
        123,
        b'{"a": 1}',
        "application/json",
        "arn:aws:lambda:eu-west-1:1:function:f:live",
        "Root=1-5759e988-bd862e3fe1be46a994272793",
        "tenant",
        "{}",
        "null",
        "nonce",
    )


@pytest.mark.parametrize(
    "first",
    [
        Cut(),
        Cut(event("lost")[:-5]),
        answer(500, b"container"),
        answer(403),
        event(""),
        event("../../../etc"),
        event("id", deadline_ms="soon"),
        event("id", deadline_ms=""),
        answer(),
    ],
    ids=repr,
)
def test_what_is_no_invocation_is_logged_and_asked_for_again(first, caplog):
    """On a new connection: what else came on the old one would be taken for an answer."""

    async def scenario(api, platform):
        return (await api.next()).request_id, platform.connections

    assert talk(scenario, first, event("id-2")) == ("id-2", 2)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_platform_that_gives_nothing_but_errors_is_given_up():
    attempts = len(api_module.PAUSES) + 1

    async def scenario(api, platform):
        with pytest.raises(ApiGoneError, match="gives no invocations: 500 broken"):
            await api.next()
        return len(platform.asked)

    assert talk(scenario, *[answer(500, b"broken")] * attempts) == attempts


def answered(on_post, caplog):
    """Answers one invocation; returns how often it was posted."""

    async def scenario(api, platform):
        received = await api.next()
        await api.respond(received, b"1", "application/json")
        return [item.path for item in platform.posts()]

    caplog.set_level(logging.WARNING)
    path = "/2018-06-01/runtime/invocation/id/response"
    posted = talk(scenario, event("id", Lambda_Runtime_Invocation_Id="nonce"), on_post=on_post)
    assert set(posted) == {path}
    return len(posted), [record.levelname for record in caplog.records]


def test_an_answer_is_posted_once(caplog):
    assert answered([answer(202)], caplog) == (1, [])


@pytest.mark.parametrize("status", [400, 403, 410, 413])
def test_an_answer_that_is_not_taken_is_logged_and_survived(status, caplog):
    assert answered([answer(status)], caplog) == (1, ["WARNING"])


def test_an_answer_whose_exchange_broke_is_sent_again(caplog):
    assert answered([Cut(), answer(202)], caplog) == (2, ["WARNING"])


def test_an_answer_that_had_arrived_all_the_same_is_not_reported_as_refused(caplog):
    assert answered([Cut(), answer(400)], caplog) == (2, ["WARNING"])


def test_an_answer_that_breaks_twice_is_told_and_survived(caplog):
    assert answered([Cut(), Cut()], caplog) == (2, ["WARNING", "ERROR"])


def test_a_platform_that_never_takes_the_answer_is_not_waited_for_for_ever(caplog, monkeypatch):
    monkeypatch.setattr(api_module, "POST_TIMEOUT", 0.01)
    assert answered([b"", b""], caplog) == (2, ["WARNING", "ERROR"])


def test_a_platform_that_says_it_is_broken_is_given_up(caplog):
    with pytest.raises(ApiGoneError, match="500 container"):
        answered([answer(500, b"container")], caplog)


def test_a_failure_is_reported_with_its_type_its_cause_and_the_invocation_id():
    async def scenario(api, platform):
        await api.fail(await api.next(), FAILURE)
        return platform.posts()

    (request,) = talk(scenario, event("id", Lambda_Runtime_Invocation_Id="nonce"))
    assert request.path == "/2018-06-01/runtime/invocation/id/error"
    assert request.json == {
        "errorMessage": "no",
        "errorType": "Oops",
        "requestId": "id",
        "stackTrace": [],
    }
    assert request.headers["lambda-runtime-function-error-type"] == "Function.Oops"
    assert request.headers["lambda-runtime-invocation-id"] == "nonce"
    assert (
        '"exceptions": [{"type": "Oops", "message": "no"'
        in (request.headers["lambda-runtime-function-xray-error-cause"])
    )


def test_a_failure_of_the_init_phase_is_reported():
    async def scenario(api, platform):
        await api.fail_init(FAILURE)
        return platform.posts()

    (request,) = talk(scenario)
    assert request.path == "/2018-06-01/runtime/init/error"
    assert request.headers["lambda-runtime-function-error-type"] == "Function.Oops"

"""Endpoint data reads as if all of it had been parsed, and little of it has."""

import json

import pytest
from botocore.loaders import Loader

from warmkit.resources.aws.endpoints import Services, read_endpoints
from warmkit.resources.aws.reading import DATA

TEXT = (DATA / "endpoints.json").read_bytes()
WHOLE = json.loads(TEXT)
SMALL = {
    "partitions": [
        {
            "partition": "aws",
            "regions": {"eu-west-1": {"description": "Europe"}},
            "services": {
                "s3": {"endpoints": {"eu-west-1": {}}},
                "sqs": {"endpoints": {"eu-west-1": {"protocols": ["http"]}}},
            },
        }
    ],
    "version": 3,
}


def as_botocore_writes(data):
    [partition] = data["partitions"]
    text = json.dumps(partition, indent=2, separators=(",", " : ")).replace("\n", "\n  ")
    return f'{{\n  "partitions" : [ {text} ],\n  "version" : {data["version"]}\n}}'.encode()


def services_of(text):
    return read_endpoints(text)["partitions"][0]["services"]


def test_each_service_of_botocores_own_data_is_the_same():
    ours = read_endpoints(TEXT)
    for mine, theirs in zip(ours["partitions"], WHOLE["partitions"], strict=True):
        assert isinstance(mine["services"], Services) or not theirs["services"]
        for name, service in theirs["services"].items():
            assert mine["services"][name] == service, name
        assert list(mine["services"]) == list(theirs["services"])
    assert ours == WHOLE == Loader().load_data("endpoints")


def test_what_is_not_asked_for_is_not_parsed():
    text = as_botocore_writes(SMALL).replace(b'"protocols"', b"protocols")  # in sqs
    services = services_of(text)
    assert services["s3"] == {"endpoints": {"eu-west-1": {}}}
    assert services["s3"] is services["s3"]
    assert "s3" in services
    with pytest.raises(json.JSONDecodeError):
        services["sqs"]


def test_it_reads_as_the_dict_that_it_is():
    services, same = services_of(as_botocore_writes(SMALL)), SMALL["partitions"][0]["services"]
    sqs = services["sqs"]
    assert ("nothing" in services, services.get("nothing")) == (False, None)
    with pytest.raises(KeyError, match="nothing"):
        services["nothing"]
    assert services == same
    assert (list(services), len(services), repr(services)) == (["s3", "sqs"], 2, repr(same))
    assert dict(services)["sqs"] is sqs


def test_a_service_without_anything_is_found():
    services = services_of(b'{"partitions": [{\n    "services" : {\n      "s3" : { }\n    }}]}')
    assert isinstance(services, Services)
    assert services["s3"] == {}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(SMALL).encode(),
        json.dumps(SMALL, indent=4).encode(),
        json.dumps(SMALL, indent="\t", separators=(",", " : ")).encode(),
        as_botocore_writes(SMALL).replace(b"\n    }", b"}"),
        as_botocore_writes(SMALL).replace(b"\n      }", b"\n}"),
    ],
    ids=["one line", "wide", "tabs", "services not closed", "service not closed"],
)
def test_another_layout_is_read_too(text):
    data = read_endpoints(text)
    assert data["partitions"][0]["services"]["sqs"] == SMALL["partitions"][0]["services"]["sqs"]
    assert data == SMALL


def test_what_is_no_json_is_refused_as_ever():
    with pytest.raises(json.JSONDecodeError):
        read_endpoints(TEXT[:-2])

"""Our loader finds what botocore's finds, and the clients made of it talk to the same places."""

from __future__ import annotations

import asyncio
import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore import register_initializer, unregister_initializer
from botocore.exceptions import DataNotFoundError, UnknownServiceError
from botocore.loaders import Loader
from hypothesis import given, settings
from hypothesis import strategies as st

from warmkit import Environment, StartError
from warmkit.resources import aws_client
from warmkit.resources.aws.models import QuickLoader
from warmkit.resources.aws.session import aws_session

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = Path(botocore.__file__).parent / "data"
SERVICES = sorted(path.name for path in DATA.iterdir() if path.is_dir())
WITH_EXTRAS = sorted({path.parents[1].name for path in DATA.rglob("*.sdk-extras.json")})
TYPES = ["service-2", "endpoint-rule-set-1", "paginators-1", "waiters-2", "examples-1"]
A_FEW = SERVICES[7::25]


def outcome_of(loader: Loader, *request: Any) -> object:
    try:
        return loader.load_service_model(*request)
    except DataNotFoundError as error:
        return type(error), str(error)


@pytest.fixture(scope="module")
def loaders() -> tuple[QuickLoader, Loader]:
    stock = Loader()
    return QuickLoader.like(stock), stock


@pytest.mark.parametrize(
    "service", sorted({*A_FEW, *WITH_EXTRAS[::6], "s3", "dynamodb", "sqs", "nothing"})
)
def test_every_model_is_the_same(loaders: tuple[QuickLoader, Loader], service: str) -> None:
    ours, stock = loaders
    for kind in TYPES:
        assert outcome_of(ours, service, kind) == outcome_of(stock, service, kind)


@pytest.mark.parametrize("name", ["endpoints", "partitions", "_retry", "sdk-default-configuration"])
def test_what_is_common_to_all_services_is_the_same(
    loaders: tuple[QuickLoader, Loader], name: str
) -> None:
    ours, stock = loaders
    assert ours.load_data_with_path(name) == stock.load_data_with_path(name)


def test_the_services_and_versions_are_the_same(loaders: tuple[QuickLoader, Loader]) -> None:
    ours, stock = loaders
    assert ours.list_available_services("service-2") == stock.list_available_services("service-2")
    for service in ("cloudfront", "dynamodb", "s3"):
        request = service, "service-2"
        assert ours.list_api_versions(*request) == stock.list_api_versions(*request)
        assert ours.load_service_model(
            *request, ours.list_api_versions(*request)[0]
        ) == stock.load_service_model(*request, stock.list_api_versions(*request)[0])


def test_a_users_own_models_go_first(tmp_path: Path) -> None:
    mine = tmp_path / "s3" / "2999-01-01"
    mine.mkdir(parents=True)
    (mine / "service-2.json").write_text('{"metadata": {"serviceId": "mine"}}')
    (mine / "service-2.sdk-extras.json").write_text('{"merge": {"metadata": {"extra": "é"}}}')
    stock = Loader(extra_search_paths=[str(tmp_path)])
    ours = QuickLoader.like(stock)
    for _ in range(2):
        model = ours.load_service_model("s3", "service-2")
        assert model == {"metadata": {"serviceId": "mine", "extra": "é"}}
    assert model == stock.load_service_model("s3", "service-2")


class Recording(QuickLoader):
    """Keeps the names of what is asked of its files."""

    def load_data(self, name: str) -> Any:
        vars(self).setdefault("asked", []).append(name)
        return super().load_data(name)


def test_what_is_loaded_is_kept() -> None:
    ours = Recording.like(Loader())
    model = ours.load_service_model("s3", "service-2")
    asked: list[str] = vars(ours)["asked"]
    assert [Path(name).name for name in asked] == ["service-2", "service-2.sdk-extras"]
    asked.clear()
    assert ours.load_service_model("s3", "service-2") is model
    assert asked == []


def test_models_are_looked_for_where_botocore_looks(loaders: tuple[QuickLoader, Loader]) -> None:
    ours, stock = loaders
    assert ours.search_paths == stock.search_paths


def session_loader() -> object:
    async def main() -> object:
        async with Environment() as environment:
            session = await environment.get(aws_session)
            return session.get_component("data_loader")

    return asyncio.run(main())


def test_the_session_has_our_loader(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    loader = session_loader()
    assert isinstance(loader, QuickLoader)
    assert loader.search_paths[0] == str(tmp_path)


def test_a_loader_of_the_users_own_stays() -> None:
    class Mine(Loader):
        pass

    def initialize(session: Any) -> None:
        session.register_component("data_loader", Mine())

    register_initializer(initialize)
    try:
        assert type(session_loader()) is Mine
    finally:
        unregister_initializer(initialize)


def test_an_unknown_service_is_refused_as_botocore_does(
    loaders: tuple[QuickLoader, Loader],
) -> None:
    ours, _ = loaders
    with pytest.raises(UnknownServiceError):
        ours.load_service_model("nothing", "service-2")


# -- where requests go

REGIONS = [
    "us-east-1",
    "eu-west-1",
    "ap-southeast-7",
    "cn-north-1",
    "us-gov-west-1",
    "us-iso-east-1",
    "us-isob-east-1",
    "eusc-de-east-1",
    "fips-us-gov-west-1",
    "aws-global",
    "xx-nowhere-1",
    None,
]
REQUESTS: list[tuple[str, str, dict[str, str]]] = [
    ("dynamodb", "list_tables", {}),
    ("sqs", "list_queues", {}),
    ("sqs", "purge_queue", {"QueueUrl": "https://sqs.eu-west-1.amazonaws.com/1/q"}),
    ("sns", "list_topics", {}),
    ("sts", "get_caller_identity", {}),
    ("iam", "list_users", {}),
    ("lambda", "list_functions", {}),
    ("ec2", "describe_regions", {}),
    ("kms", "list_keys", {}),
    ("secretsmanager", "list_secrets", {}),
    ("route53", "list_hosted_zones", {}),
    ("events", "list_rules", {}),
    ("events", "put_events", {"Entries": [], "EndpointId": "abc.xyz"}),  # type: ignore[dict-item]
    ("cloudfront", "list_distributions", {}),
    ("s3control", "list_jobs", {"AccountId": "123456789012"}),
    *(
        ("s3", "get_object", {"Bucket": bucket, "Key": "a b/c"})
        for bucket in (
            "plain-bucket",
            "dotted.bucket",
            "Capital_Bucket",
            "express--use1-az4--x-s3",
            "arn:aws:s3:us-west-2:123456789012:accesspoint/mine",
            "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint/mine",
            "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap",
            "arn:aws:s3-object-lambda:us-east-1:123456789012:accesspoint/banner",
            "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-01/accesspoint/mine",
        )
    ),
    ("s3", "list_buckets", {}),
]
CONFIGS: list[dict[str, Any]] = [
    {},
    {"use_fips_endpoint": True},
    {"use_dualstack_endpoint": True},
    {"use_fips_endpoint": True, "use_dualstack_endpoint": True},
    {"s3": {"addressing_style": "path"}},
    {"s3": {"addressing_style": "virtual"}},
    {"s3": {"use_accelerate_endpoint": True}},
    {"s3": {"use_arn_region": False}},
    {"s3": {"us_east_1_regional_endpoint": "legacy"}},
    {"sigv4a_signing_region_set": "*"},
]
URLS = [None, None, None, "http://127.0.0.1:9000", "https://proxy.example/base"]
PLAIN = {"retries": {"total_max_attempts": 1, "mode": "standard"}, "max_pool_connections": 10}
TIMES = {"connect_timeout": 1, "read_timeout": 1}


class CapturedError(Exception):
    """A request on the point of being sent."""


async def shown(client: Any, operation: str, parameters: dict[str, Any]) -> object:
    """Returns where the request goes and as what it is signed, or what was wrong with it."""

    def capture(request: Any, **_: Any) -> None:
        raise CapturedError(request)

    client.meta.events.register("before-send", capture)
    try:
        await getattr(client, operation)(**parameters)
    except CapturedError as captured:
        (request,) = captured.args
    except Exception as error:  # noqa: BLE001  whatever it is, it must be the same
        return type(error).__name__, str(error)
    signature = request.headers.get("Authorization", b"").decode()
    names = sorted(set(request.headers) - {"X-Amz-Date", "Authorization", "amz-sdk-invocation-id"})
    scope = "/".join(signature.partition("Credential=")[2].partition(",")[0].split("/")[2:])
    return request.method, request.url, scope, names, request.body


class Both:
    """A stock session, and an environment with ours, on one loop."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.environment = Environment()
        self.stock = get_session()
        self.loop.run_until_complete(self.environment.__aenter__())

    def close(self) -> None:
        self.loop.run_until_complete(self.environment.aclose())
        self.loop.close()

    async def ours(self, service: str, region: str | None, url: str | None, config: Any) -> Any:
        recipe = aws_client(service, region=region, endpoint_url=url, config=config)
        try:
            return await self.environment.get(recipe)
        except StartError as error:
            return error.__cause__

    async def compare(
        self,
        request: tuple[str, str, dict[str, Any]],
        region: str | None,
        options: dict[str, Any],
        url: str | None,
    ) -> None:
        service, operation, parameters = request
        config = AioConfig(**PLAIN, **TIMES, **options)
        ours = await self.ours(service, region, url, config)
        try:
            stock = await self.stock.create_client(
                service, region_name=region, endpoint_url=url, config=config
            ).__aenter__()
        except Exception as error:  # noqa: BLE001  whatever it is, it must be the same
            stock = error
        if isinstance(stock, Exception):
            assert (type(ours), str(ours)) == (type(stock), str(stock))
            return
        assert ours.meta.endpoint_url == stock.meta.endpoint_url
        assert ours.meta.region_name == stock.meta.region_name
        assert ours.meta.partition == stock.meta.partition
        mine = await shown(ours, operation, dict(parameters))
        assert mine == await shown(stock, operation, dict(parameters))
        await stock.close()


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    saved = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    }
    pair = Both()
    yield pair
    pair.close()
    os.environ.clear()
    os.environ |= saved


@settings(max_examples=100)
@given(
    request=st.sampled_from(REQUESTS),
    region=st.sampled_from(REGIONS),
    options=st.sampled_from(CONFIGS),
    url=st.sampled_from(URLS),
)
def test_a_request_goes_where_a_stock_clients_goes(
    both: Both, request: Any, region: str | None, options: dict[str, Any], url: str | None
) -> None:
    both.loop.run_until_complete(both.compare(request, region, options, url))


def test_so_it_does_in_every_partition_and_for_every_kind_of_bucket(both: Both) -> None:
    usual = [REQUESTS[number] for number in (0, 1, 4, 5)]
    buckets = [request for request in REQUESTS if request[0] == "s3"]
    cases = [
        *itertools.product(usual, REGIONS, [{}]),
        *itertools.product(buckets, ["us-west-2"], CONFIGS),
    ]
    for request, region, options in cases:
        both.loop.run_until_complete(both.compare(request, region, options, None))

"""The networks that the contract tests run against.

Each test says what a server answers; whatever the sandbox says, real servers must say too: with
TESTNET=1 each test runs against both. Where the two differ, the real servers are right.
Tests create nothing but moderation events on subjects of their own, and records of the stranger.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from phash_dagster.sandbox import Account, Failure, Sandbox
from phash_dagster.sandbox.world import World
from tests.contract.network import Addresses, Faults, Member, Members, Network
from tests.testnet.network import TeamAccount
from tests.testnet.testnet import Author, Testnet

MANY = 1_000_000
HANGING_SECONDS = 12.0
"""Two seconds more than a PDS waits."""


def pytest_configure(config: pytest.Config) -> None:
    """Make the `testnet` fixture known here, the same instance as elsewhere."""
    config.pluginmanager.import_plugin("tests.testnet.plugin")


@pytest.fixture(
    scope="session", params=["sandbox", pytest.param("testnet", marks=pytest.mark.testnet)]
)
def addresses(request: pytest.FixtureRequest) -> Iterator[Addresses]:
    if request.param == "testnet":
        yield _testnet_addresses(request.getfixturevalue("testnet"))
        return
    with Sandbox() as sandbox:
        yield _sandbox_addresses(sandbox)


@pytest.fixture(scope="session")
def client() -> Iterator[httpx.Client]:
    # Node ends a connection after five idle seconds, which the next request may not notice in time.
    limits = httpx.Limits(keepalive_expiry=2)
    with httpx.Client(timeout=30, trust_env=False, limits=limits) as client:
        yield client


@pytest.fixture(scope="session")
def members(addresses: Addresses, client: httpx.Client) -> Members:
    return Members(addresses, client)


@pytest.fixture
def network(members: Members, request: pytest.FixtureRequest) -> Network:
    return Network(members, request.node.name)


def _sandbox_addresses(sandbox: Sandbox) -> Addresses:
    world = sandbox.world
    admin, triage = world.create_account("admin.test"), world.create_account("triage.test")
    world.moderation.set_role(admin.did, "admin")
    world.moderation.set_role(triage.did, "triage")
    return Addresses(
        pds_url=sandbox.pds_url,
        plc_url=sandbox.plc_url,
        labeler_did=world.labeler_did,
        members={
            "moderator": _member(world.automod),
            "admin": _member(admin),
            "triage": _member(triage),
            "stranger": _member(world.create_account("stranger.test")),
        },
        jwt_secret=world.sessions.secret,
        faults=_sandbox_faults(world),
    )


def _sandbox_faults(world: World) -> Faults:
    @contextmanager
    def failing(failure: Failure) -> Iterator[None]:
        world.fail_next("ozone", MANY, failure)
        yield
        world.traffic.clear_failures()

    unreachable = world.create_labeler_elsewhere("http://127.0.0.1:9")
    return Faults(
        no_database=lambda: failing(Failure(status=500)),
        hanging=lambda: failing(Failure(status=200, delay=HANGING_SECONDS)),
        unreachable_labeler_did=unreachable,
    )


def _testnet_addresses(testnet: Testnet) -> Addresses:
    return Addresses(
        pds_url=testnet.pds_url,
        plc_url=testnet.plc_url,
        labeler_did=testnet.labeler_did,
        members={
            "moderator": _member(testnet.automod),
            "admin": _member(testnet.admin),
            "triage": _member(testnet.triage),
            "stranger": _member(testnet.create_author("stranger")),
        },
        jwt_secret=testnet.pds_secrets.jwt_secret,
        faults=Faults(
            no_database=testnet.without_database,
            hanging=testnet.with_hanging_database,
            unreachable_labeler_did=testnet.unreachable_labeler_did,
        ),
    )


def _member(account: Account | Author | TeamAccount) -> Member:
    return Member(account.did, account.handle, account.password)

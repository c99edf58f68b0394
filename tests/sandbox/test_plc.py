"""DID documents can be made to name other servers, hostile ones among them."""

import asyncio

import httpx

from phash_dagster.images.fetch import open_fetcher
from phash_dagster.images.model import FetchedImage, ImageReference
from phash_dagster.sandbox import Failure, Sandbox, World
from phash_dagster.sandbox.plc import did_document, service_endpoint
from phash_dagster.settings import settings_from


def test_a_did_document_names_the_pds_that_a_script_chose() -> None:
    world = World()
    author = world.create_account("author.test")
    world.repositories.set_pds_endpoint(author.did, "http://169.254.169.254")

    document = did_document(world, author.did)

    assert document is not None
    assert service_endpoint(document, "atproto_pds") == "http://169.254.169.254"
    assert service_endpoint(document, "atproto_labeler") is None


def test_a_handle_is_no_did() -> None:
    world = World()

    assert did_document(world, world.automod.handle) is None


def test_documents_are_served_under_their_did(sandbox: Sandbox, client: httpx.Client) -> None:
    did = sandbox.world.automod.did

    response = client.get(f"{sandbox.plc_url}/{did}")

    assert response.json()["id"] == did
    assert response.json()["service"][0]["serviceEndpoint"] == sandbox.pds_url


def test_the_pipeline_finds_a_blob_by_way_of_the_directory_at_its_authors_own_pds(
    sandbox: Sandbox,
) -> None:
    author = sandbox.world.create_account("author.test")
    [cid] = sandbox.world.publish_post(author, [b"image"]).blob_cids
    sandbox.world.fail_next("cdn", 3, Failure(status=404))
    nowhere = {"PDS_ENDPOINT": f"{sandbox.origin}/nowhere"}
    settings = settings_from({**sandbox.settings_environment(), **nowhere})

    async def fetch() -> FetchedImage:
        async with open_fetcher(settings) as fetcher:
            return await fetcher.fetch(ImageReference(cid, author.did, None))

    assert asyncio.run(fetch()) == FetchedImage(b"image", "pds", "original")

"""DID documents can be made to name other servers, hostile ones among them."""

import httpx

from phash_dagster.sandbox import Sandbox, World
from phash_dagster.sandbox.plc import did_document, service_endpoint


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

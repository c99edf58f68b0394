"""The PLC directory: DID documents of the network's accounts and of its labeler."""

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from phash_dagster.sandbox.world import World

_CONTEXT = ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/suites/secp256k1-2019/v1"]


def plc_app(world: World) -> Starlette:
    """The directory, answering at `/{did}`."""

    async def resolve(request: Request) -> Response:
        did = request.path_params["did"]
        document = did_document(world, did)
        if document is None:
            return JSONResponse({"message": f"DID not registered: {did}"}, status_code=404)
        return JSONResponse(document, media_type="application/did+ld+json")

    return Starlette(routes=[Route("/{did}", resolve)])


def did_document(world: World, did: str) -> dict[str, Any] | None:
    """The DID document, or None for a DID that nobody registered."""
    if did == world.labeler_did or did in world.labelers_elsewhere:
        endpoint = world.labelers_elsewhere.get(did, world.labeler_endpoint)
        return _document(did, "labeler.test", "#atproto_label", _labeler_service(endpoint))
    account = world.repositories.find(did)
    if account is None or account.did != did:
        return None
    endpoint = world.repositories.pds_endpoint(did) or world.pds_url
    return _document(did, account.handle, "#atproto", _pds_service(endpoint))


def service_endpoint(document: dict[str, Any], fragment: str) -> str | None:
    """The address of a service of a DID document, by the fragment of its id."""
    for service in document["service"]:
        if service["id"] == f"#{fragment}":
            return str(service["serviceEndpoint"])
    return None


def _document(did: str, handle: str, key_id: str, service: dict[str, str]) -> dict[str, Any]:
    # The key is that of a published example: nothing in this network is signed.
    key = {
        "id": f"{did}{key_id}",
        "type": "Multikey",
        "controller": did,
        "publicKeyMultibase": "zQ3shXjHeiBuRCKmM36cuYnm7YEMzhGnCmCyW92sRJ9pribSF",
    }
    return {
        "@context": _CONTEXT,
        "id": did,
        "alsoKnownAs": [f"at://{handle}"],
        "verificationMethod": [key],
        "service": [service],
    }


def _pds_service(endpoint: str) -> dict[str, str]:
    return {
        "id": "#atproto_pds",
        "type": "AtprotoPersonalDataServer",
        "serviceEndpoint": endpoint,
    }


def _labeler_service(endpoint: str) -> dict[str, str]:
    return {"id": "#atproto_labeler", "type": "AtprotoLabeler", "serviceEndpoint": endpoint}

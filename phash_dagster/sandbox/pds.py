"""The PDS: sessions, blobs, and the passing on of requests to the labeler's Ozone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from phash_dagster.sandbox import records
from phash_dagster.sandbox.identifiers import is_did, record_cid
from phash_dagster.sandbox.plc import did_document, service_endpoint
from phash_dagster.sandbox.rate_limits import ALL_CALLS, LOGINS
from phash_dagster.sandbox.repositories import Account
from phash_dagster.sandbox.sessions import Tokens
from phash_dagster.sandbox.world import World
from phash_dagster.sandbox.xrpc import (
    Method,
    Parameters,
    XrpcError,
    bearer_token,
    internal_error,
    invalid_request,
    json_body,
    xrpc_route,
)

UPSTREAM_TIMEOUT_SECONDS = 10.0
"""How long the real PDS waits for Ozone, which may apply the event all the same."""
_PASSED_ON = ("content-type", "accept-language", "atproto-accept-labelers")
_PASSED_BACK = ("content-type", "retry-after", "atproto-content-labelers")


def pds_app(world: World) -> Starlette:
    """The PDS of all accounts."""
    pds = _Pds(world)
    server = "com.atproto.server."
    methods = {
        f"{server}createAccount": Method("POST", pds.create_account),
        f"{server}createSession": Method("POST", pds.create_session),
        f"{server}refreshSession": Method("POST", pds.refresh_session),
        f"{server}deleteSession": Method("POST", pds.delete_session),
        f"{server}getSession": Method("GET", pds.get_session),
        f"{server}describeServer": Method("GET", pds.describe_server),
        "com.atproto.repo.uploadBlob": Method("POST", pds.upload_blob),
        "com.atproto.repo.createRecord": Method("POST", pds.create_record),
        "com.atproto.repo.getRecord": Method("GET", pds.get_record),
        "com.atproto.repo.listRecords": Method("GET", pds.list_records),
        "com.atproto.sync.getBlob": Method("GET", pds.get_blob),
        "_health": Method("GET", pds.health),
    }
    route = xrpc_route(methods, pds.pass_on, before=pds.limit)
    return Starlette(routes=[route], lifespan=pds.lifespan)


class _Pds:
    def __init__(self, world: World) -> None:
        self._world = world
        self._upstream = httpx.AsyncClient(trust_env=False, timeout=UPSTREAM_TIMEOUT_SECONDS)

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with self._upstream:
            yield

    async def limit(self, request: Request) -> dict[str, str]:
        """Count a request of whoever claims another address; the headers that tell how many are
        left."""
        address = request.headers.get("x-forwarded-for")
        if address is None:
            return {}
        keys = {ALL_CALLS: address}
        if request.path_params["nsid"] == "com.atproto.server.createSession":
            body = await json_body(request)
            identifier = body.get("identifier") if isinstance(body, dict) else None
            keys |= dict.fromkeys(LOGINS, f"{identifier}-{address}")
        return self._world.rate_limits.use(keys)

    async def health(self, _: Request) -> Response:
        return JSONResponse({"version": "sandbox"})

    async def describe_server(self, _: Request) -> Response:
        return JSONResponse(
            {
                "did": "did:web:localhost",
                "availableUserDomains": [".test"],
                "inviteCodeRequired": False,
                "links": {},
                "contact": {},
            }
        )

    async def create_account(self, request: Request) -> Response:
        body = _fields(await json_body(request), "handle", "password")
        try:
            account = self._world.create_account(body["handle"], password=body["password"])
        except ValueError:
            raise XrpcError(
                400, "HandleNotAvailable", f"Handle already taken: {body['handle']}"
            ) from None
        return self._session(account, self._world.sessions.issue(account.did))

    async def create_session(self, request: Request) -> Response:
        body = _fields(await json_body(request), "identifier", "password")
        account = self._world.repositories.find(body["identifier"])
        if account is None or account.password != body["password"]:
            raise XrpcError(401, "AuthenticationRequired", "Invalid identifier or password")
        active, status = self._world.repositories.status(account.did)
        if not active and status == "takendown":
            raise XrpcError(401, "AccountTakedown", "Account has been taken down")
        return self._session(account, self._world.sessions.issue(account.did))

    async def refresh_session(self, request: Request) -> Response:
        did = self._world.sessions.refreshable(_token(request))
        return self._session(self._account(did), self._world.sessions.issue(did))

    async def delete_session(self, request: Request) -> Response:
        self._world.sessions.revoke(_token(request))
        return Response()

    async def get_session(self, request: Request) -> Response:
        account = self._account(self._world.sessions.account_of(_token(request)))
        return JSONResponse(self._view(account))

    async def upload_blob(self, request: Request) -> Response:
        account = self._account(self._world.sessions.account_of(_token(request)))
        data = await request.body()
        mime_type = request.headers.get("content-type", "application/octet-stream")
        cid = self._world.upload(account, data, mime_type=mime_type)
        return JSONResponse({"blob": records.blob(cid, mime_type, len(data))})

    async def create_record(self, request: Request) -> Response:
        account = self._account(self._world.sessions.account_of(_token(request)))
        body = await json_body(request)
        fields = _fields(body, "repo", "collection")
        if fields["repo"] not in (account.did, account.handle):
            raise XrpcError(401, "AuthenticationRequired", "Authentication Required")
        record = self._world.publish_record(
            account, body["record"], collection=fields["collection"]
        )
        return JSONResponse({"uri": record.uri, "cid": record.cid})

    async def get_record(self, request: Request) -> Response:
        parameters = Parameters(request)
        account = self._active(parameters.required("repo", "actor"))
        collection = parameters.required("collection", "nsid")
        rkey, cid = parameters.required("rkey", "rkey"), parameters.string("cid", "cid")
        if account is None:
            raise invalid_request("Could not locate record")
        uri = f"at://{account.did}/{collection}/{rkey}"
        record = self._world.repositories.record(uri)
        if record is None or cid not in (None, record_cid(record)):
            raise XrpcError(400, "RecordNotFound", f"Could not locate record: {uri}")
        return JSONResponse({"uri": uri, "cid": record_cid(record), "value": record})

    async def list_records(self, request: Request) -> Response:
        """A page of a collection. As at the real PDS every page with a record names a cursor."""
        parameters = Parameters(request)
        repo = parameters.required("repo", "actor")
        collection = parameters.required("collection", "nsid")
        limit, cursor = parameters.limit(50, 100), parameters.string("cursor")
        ascending = bool(parameters.boolean("reverse"))
        account = self._active(repo)
        if account is None:
            raise invalid_request(f"Could not find repo: {repo}")
        page = self._world.repositories.page(
            f"at://{account.did}/{collection}/", cursor, limit=limit, ascending=ascending
        )
        listed = [{"uri": uri, "cid": record_cid(value), "value": value} for uri, value in page]
        last = {"cursor": page[-1][0].rpartition("/")[2]} if page else {}
        return JSONResponse({"records": listed, **last})

    async def get_blob(self, request: Request) -> Response:
        parameters = Parameters(request)
        did, cid = parameters.required("did", "did"), parameters.required("cid", "cid")
        blob = self._world.repositories.served_by_pds(did, cid)
        headers = {
            "content-disposition": f'attachment; filename="{cid}"',
            "content-security-policy": "default-src 'none'; sandbox",
            "x-content-type-options": "nosniff",
        }
        return Response(blob.data, media_type=blob.mime_type, headers=headers)

    async def pass_on(self, request: Request) -> Response:
        """Answer for methods that are not the PDS's own: another service's, by `atproto-proxy`."""
        nsid = request.path_params["nsid"]
        did, endpoint = self._target(request, nsid)
        caller = self._world.sessions.account_of(_token(request))
        token = self._world.sessions.service_token(caller, did, nsid)
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        try:
            answer = await self._upstream.request(
                request.method,
                f"{endpoint}/xrpc/{nsid}",
                params=request.url.query,
                content=await request.body(),
                headers={**headers, "authorization": f"Bearer {token}"},
            )
        except httpx.HTTPError:
            raise XrpcError(502, "UpstreamFailure", "Upstream service unreachable") from None
        return Response(
            answer.content,
            # The one status that the real PDS does not hand through.
            status_code=502 if answer.status_code == 500 else answer.status_code,
            headers={name: answer.headers[name] for name in _PASSED_BACK if name in answer.headers},
        )

    def _target(self, request: Request, nsid: str) -> tuple[str, str]:
        target = request.headers.get("atproto-proxy")
        if target is None:
            if not nsid.startswith("tools.ozone."):
                raise invalid_request(f"No service configured for {nsid}")
            target = f"{self._world.labeler_did}#atproto_labeler"
        did, separator, fragment = target.partition("#")
        if not did:
            raise invalid_request("no did specified in proxy header")
        if not separator or not fragment:
            raise invalid_request("no service id specified in proxy header")
        if not is_did(did):
            raise internal_error()
        document = did_document(self._world, did)
        if document is None:
            raise invalid_request("could not resolve proxy did")
        endpoint = service_endpoint(document, fragment)
        if endpoint is None:
            raise invalid_request("could not resolve proxy did service url")
        return did, endpoint

    def _account(self, did: str) -> Account:
        account = self._world.repositories.find(did)
        if account is None:
            raise XrpcError(400, "InvalidRequest", f"Could not find user info for account: {did}")
        return account

    def _active(self, identifier: str) -> Account | None:
        """The account with this DID or handle, unless it is gone."""
        account = self._world.repositories.find(identifier)
        if account is None or not self._world.repositories.status(account.did)[0]:
            return None
        return account

    def _session(self, account: Account, tokens: Tokens) -> Response:
        return JSONResponse(
            {
                "accessJwt": tokens.access,
                "refreshJwt": tokens.refresh,
                **self._view(account),
            }
        )

    def _view(self, account: Account) -> dict[str, Any]:
        active, status = self._world.repositories.status(account.did)
        view: dict[str, Any] = {"did": account.did, "handle": account.handle, "active": active}
        return view if status is None else {**view, "status": status}


def _token(request: Request) -> str:
    token = bearer_token(request)
    if token is None:
        raise XrpcError(401, "AuthMissing", "Authentication Required")
    return token


def _fields(body: Any, *names: str) -> dict[str, str]:
    """The text fields of an input.

    Raises:
        XrpcError: One is missing, or no text.
    """
    found = {}
    for name in names:
        if not isinstance(body, dict) or name not in body:
            raise invalid_request(f'Missing required key "{name}" at $')
        if not isinstance(body[name], str):
            raise invalid_request(f"Expected string value type at $.{name}")
        found[name] = body[name]
    return found

"""Every environment variable the pipeline reads: its name, type, unit, default and meaning.

The variables of the predecessor keep their names and defaults. A field's environment variable is
its name in capitals; a `.env` file in the working directory is read too, and the real environment
wins over it. Nothing else in the package reads the environment.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from phash_dagster.addresses import LIST_COLLECTION, is_whole_did, parse_address

Mode = Literal["shadow", "live"]
"""`shadow`: actions are recorded and never sent. `live`: they are sent."""


SHORTEST_RETENTION_DAYS = 3
"""An image that cannot be had is given up after about 27 hours; the hours of two days are looked at
for such images all the time."""


class SettingsError(ValueError):
    """An environment variable has a value that cannot be used; the text names it, a line each."""


def _split_commas(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _require_scheme(*schemes: str) -> AfterValidator:
    def check(value: str) -> str:
        if not value.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            allowed = " or ".join(f"{scheme}://" for scheme in schemes)
            raise ValueError(f"must start with {allowed}")
        return value.rstrip("/")

    return AfterValidator(check)


def _bare_host_means_https(value: object) -> object:
    """Read `ozone.example.org` as `https://ozone.example.org`: the predecessor took bare hosts."""
    if isinstance(value, str) and value and "://" not in value:
        return f"https://{value}"
    return value


def _without_at(value: object) -> object:
    return value.removeprefix("@") if isinstance(value, str) else value


def _require_did(value: str) -> str:
    if value and not value.startswith("did:"):
        raise ValueError("must be a DID, such as did:plc:…")
    return value


def _require_whole_did(value: str) -> str:
    if not is_whole_did(value):
        raise ValueError("must be a DID, such as did:plc: and 24 more characters")
    return value


def _list_uri(value: str) -> str:
    """The AT URI of a list, also from the address of its page on bsky.app."""
    address = parse_address(value)
    if address is None or address.collection != LIST_COLLECTION or not address.is_record:
        raise ValueError(f"must be the AT URI of a list, at://did:…/{LIST_COLLECTION}/…")
    if not address.has_did:
        raise ValueError("must name the owner of the list by a DID instead of a handle")
    return address.uri


def _require_postgresql(value: str) -> str:
    # SQLAlchemy 2.1 reads the bare scheme as psycopg 3, which is not what Dagster brings.
    if value and not value.startswith("postgresql+psycopg2://"):
        raise ValueError("must start with postgresql+psycopg2://")
    return value


def _require_ledger_scheme(value: str) -> str:
    if value and not value.startswith(("sqlite:///", "postgresql+psycopg2://")):
        raise ValueError("must start with postgresql+psycopg2:// or sqlite:///")
    return value


def _require_webhook(value: SecretStr) -> SecretStr:
    address = value.get_secret_value()
    if not address:
        return value
    parts = urlsplit(address)  # raises ValueError for brackets that do not match
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("must be an address that starts with https:// or http://")
    return value


AlertFormat = Literal["auto", "slack", "discord", "json"]
WebhookUrl = Annotated[SecretStr, AfterValidator(_require_webhook)]
Handle = Annotated[str, BeforeValidator(_without_at)]
Did = Annotated[str, AfterValidator(_require_did)]
PostgresUrl = Annotated[str, AfterValidator(_require_postgresql)]
LedgerUrl = Annotated[str, AfterValidator(_require_ledger_scheme)]
HttpUrl = Annotated[str, BeforeValidator(_bare_host_means_https), _require_scheme("https", "http")]
WebSocketUrl = Annotated[str, _require_scheme("wss", "ws")]
Folder = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]
HttpUrls = Annotated[tuple[HttpUrl, ...], NoDecode, BeforeValidator(_split_commas)]
WebSocketUrls = Annotated[tuple[WebSocketUrl, ...], NoDecode, BeforeValidator(_split_commas)]
Dids = Annotated[
    tuple[Annotated[str, AfterValidator(_require_whole_did)], ...],
    NoDecode,
    BeforeValidator(_split_commas),
]
ListUris = Annotated[
    tuple[Annotated[str, AfterValidator(_list_uri)], ...],
    NoDecode,
    BeforeValidator(_split_commas),
]
CommaList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_commas)]


class Settings(BaseSettings):
    """The pipeline's configuration, read once and passed on; immutable."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    # Who acts
    automod_handle: Handle = Field(
        "", description="Handle of the account that sends events to Ozone."
    )
    automod_password: SecretStr = Field(
        SecretStr(""), description="App password of that account. Never logged."
    )
    labeler_did: Did = Field("", description="DID of the labeler whose Ozone takes the events.")
    ozone_url: HttpUrl | Literal[""] = Field(
        "", description="Address of the Ozone web UI, for links in reports."
    )
    ozone_pds: HttpUrl | Literal[""] = Field(
        "", description="PDS of the sending account; events reach Ozone through it."
    )
    moderation_mode: Mode = Field(
        "shadow", description="`shadow` records actions, `live` sends them."
    )
    backfill_mode: Mode = Field(
        "live",
        description="`shadow` keeps what rules find in the past in shadow mode, whatever their "
        "field backfill says.",
    )

    # What is read
    jetstream_url: WebSocketUrl = Field(
        "wss://jetstream2.us-east.bsky.network/subscribe", description="Jetstream to read from."
    )
    jetstream_fallback_urls: WebSocketUrls = Field(
        (
            "wss://jetstream1.us-east.bsky.network/subscribe",
            "wss://jetstream1.us-west.bsky.network/subscribe",
            "wss://jetstream2.us-west.bsky.network/subscribe",
        ),
        description="Jetstreams to try in turn when the first cannot be reached, by commas.",
    )
    wanted_collections: CommaList = Field(
        ("app.bsky.feed.post",), min_length=1, description="Record collections to read, by commas."
    )
    # At most 25: a tick first connects, to four hosts in turn at 5 s each (20 s in all), and one
    # that takes over 50 s writes nothing, since its successor may already be running.
    microbatch_seconds: float = Field(
        4.0,
        gt=0,
        le=25,
        description="Seconds a tick reads before it writes its batch. Ticks begin every 5 s: "
        "4, 9 or 14 fit.",
    )
    microbatch_max_rows: int = Field(
        50_000, ge=1, description="Rows after which a batch is written early; bounds memory."
    )
    max_lag_seconds: float = Field(
        300.0,
        gt=0,
        description="Seconds the newest event may be old before the check `ingest_lag` fails.",
    )
    max_failed_ticks: int = Field(
        3,
        ge=1,
        description="Failed sensor ticks within 10 minutes before the check `ingest_ticks` fails.",
    )
    compact_after_hours: int = Field(
        2,
        ge=1,
        description="Hours after its end when an hour's files are compacted and its runs deleted.",
    )
    cdn_endpoint: HttpUrl = Field(
        "https://cdn.bsky.app", description="CDN that images are fetched from first."
    )
    plc_endpoint: HttpUrl = Field(
        "https://plc.directory", description="PLC directory that resolves did:plc."
    )
    plc_fallback_endpoints: HttpUrls = Field(
        (), description="PLC mirrors to try when the first fails, by commas."
    )
    pds_endpoint: HttpUrl = Field(
        "https://bsky.social", description="PDS of last resort for image bytes."
    )

    # How images are fetched and hashed
    processing_concurrency: int = Field(32, ge=1, le=256, description="Images fetched at once.")
    max_requests_per_host: int = Field(
        4, ge=1, le=256, description="Requests at once to one host that a stranger named."
    )
    identity_cache_hours: float = Field(
        24.0, ge=0, description="Hours for which the PDS of an account is remembered."
    )
    hash_algorithms: CommaList = Field(
        ("average",),
        description="Hash algorithms computed for every image, by commas; those that rules need "
        "are added.",
    )
    retry_attempts: int = Field(
        3,
        ge=1,
        le=20,
        description="Attempts per request; and runs in which an action may fail alone before it is "
        "dead.",
    )
    retry_delay_ms: int = Field(
        1000, ge=0, description="Milliseconds before the first retry; doubles, with jitter."
    )
    blob_download_timeout_secs: float = Field(
        10.0, gt=0, description="Seconds one download attempt may take."
    )
    blob_total_timeout_secs: float = Field(
        30.0, gt=0, description="Seconds one image may take, all attempts together."
    )
    max_blob_bytes: int = Field(
        20_000_000, ge=1, description="Bytes after which a download is given up as `too_large`."
    )
    max_image_pixels: int = Field(
        50_000_000, ge=64, description="Pixels above which an image is `too_large`."
    )
    allow_private_network: bool = Field(
        False,
        description="Let image hosts be http:, loopback or private. For tests and the sandbox.",
    )

    # How images are matched and acted upon
    rules_dir: Folder = Field(Path("rules"), description="Folder of rule files (*.json).")
    phash_hamming_threshold: int = Field(
        3,
        ge=0,
        le=64,
        description="Hamming distance in bits where a rule names none; 31 where its hashes have "
        "256 bits.",
    )
    match_margin: int = Field(
        2, ge=0, le=16, description="Bits beyond a rule's threshold up to which matches are kept."
    )
    min_image_quality: int = Field(
        10,
        ge=0,
        le=100,
        description="Hash quality below which an image's matches are kept but not acted upon; "
        "0 acts on all.",
    )
    exempt_dids: Dids = Field(
        (), description="DIDs of accounts that nothing is ever done to, by commas."
    )
    exempt_lists: ListUris = Field(
        (),
        description="AT URIs of lists (app.bsky.graph.list) whose members nothing is ever done to, "
        "by commas.",
    )
    claim_ttl_days: int = Field(
        7, ge=1, description="Days in which the same event on the same subject is not repeated."
    )
    max_actions_per_rule_per_day: int = Field(
        500,
        ge=0,
        description="Actions of one rule in 24 hours where the rule names no maxActionsPerDay; "
        "beyond it they are held.",
    )
    max_actions_per_run: int = Field(
        500,
        ge=0,
        description="Actions that one run plans; beyond it they are held.",
    )
    max_actions_per_day: int = Field(
        2000,
        ge=0,
        description="Actions of all rules in 24 hours; beyond it they are held.",
    )
    max_actions_per_account_per_day: int = Field(
        20,
        ge=0,
        description="Actions on one account and its posts in 24 hours; beyond it they are held.",
    )
    max_takedowns_per_day: int = Field(
        0,
        ge=0,
        description="Takedowns in 24 hours; beyond it they are held. 0: each waits for a person.",
    )
    backfill_max_posts: int = Field(
        500,
        ge=0,
        description="Posts that one backfill may act upon; over it the whole backfill is held.",
    )
    backfill_max_accounts: int = Field(
        200,
        ge=0,
        description="Accounts that one backfill may act upon; over it the whole backfill is held.",
    )
    backfill_max_share: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Share of the image posts looked at that one backfill may act upon, counted "
        "from 10 posts on; over it the whole backfill is held.",
    )
    flood_min_posts: int = Field(
        50,
        ge=1,
        description="Posts in one hour below which a rule hash is never taken for flooded.",
    )
    flood_factor: float = Field(
        10.0,
        ge=1,
        description="Times its own hourly average of two weeks at which a rule hash is "
        "quarantined: its actions are held.",
    )
    rate_limit_ms: int = Field(100, ge=0, description="Milliseconds between two calls to Ozone.")

    # Who is told
    alert_webhook_url: WebhookUrl = Field(
        SecretStr(""),
        description="Webhook that is told what fails; empty: nobody is. Secret, never logged.",
    )
    alert_format: AlertFormat = Field(
        "auto",
        description="`slack`, `discord` or `json`; `auto` goes by the host of the webhook.",
    )
    reports_to_chat: Literal["never", "daily", "weekly", "both"] = Field(
        "never", description="Which scheduled reports are sent in short to the webhook, too."
    )
    alert_severity: Literal["warning", "error"] = Field(
        "warning", description="`error` leaves out the checks that only warn."
    )
    alert_repeat_hours: float = Field(
        24.0, ge=0.1, description="Hours that something fails for before it is told again."
    )
    dagster_url: HttpUrl | Literal[""] = Field(
        "", description="Address of the Dagster UI, for links in alerts."
    )

    # Where things are kept
    data_dir: Folder = Field(
        Path("var"), description="Folder of the Parquet files, databases and reports."
    )
    ledger_url: LedgerUrl = Field(
        "",
        description="SQLAlchemy URL of the action ledger; empty: SQLite in DATA_DIR. "
        "For PostgreSQL write postgresql+psycopg2://",
    )
    dagster_storage_url: PostgresUrl = Field(
        "",
        description="URL of Dagster's storage in PostgreSQL, postgresql+psycopg2://…; "
        "empty: SQLite in DATA_DIR.",
    )

    retention_days: int = Field(
        0,
        ge=0,
        description="Days for which posts are kept, with all that is known of their images; 0 is "
        "for ever. New rules reach no further back.",
    )
    report_retention_days: int = Field(
        365, ge=0, description="Days for which dated reports are kept; 0 is for ever."
    )

    @model_validator(mode="after")
    def _retention_is_long_enough(self) -> "Settings":
        if 0 < self.retention_days < SHORTEST_RETENTION_DAYS:
            raise ValueError(
                f"RETENTION_DAYS must be 0 (for ever) or at least {SHORTEST_RETENTION_DAYS}, so "
                "that images which are slow to come are not forgotten before they are tried "
                f"(found {self.retention_days})"
            )
        return self

    @model_validator(mode="after")
    def _timeouts_fit(self) -> "Settings":
        if self.blob_total_timeout_secs < self.blob_download_timeout_secs:
            raise ValueError(
                "BLOB_TOTAL_TIMEOUT_SECS must not be below BLOB_DOWNLOAD_TIMEOUT_SECS "
                f"({self.blob_total_timeout_secs:g} < {self.blob_download_timeout_secs:g})"
            )
        return self

    @property
    def missing_credentials(self) -> tuple[str, ...]:
        """The variables that sending needs and that are not set."""
        needed = {
            "AUTOMOD_HANDLE": self.automod_handle,
            "AUTOMOD_PASSWORD": self.automod_password.get_secret_value(),
            "LABELER_DID": self.labeler_did,
            "OZONE_PDS": self.ozone_pds,
        }
        return tuple(name for name, value in needed.items() if not value)

    @property
    def effective_mode(self) -> Mode:
        """`live` only if `MODERATION_MODE=live` and every credential is set."""
        return "shadow" if self.missing_credentials else self.moderation_mode

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not appear in any text that leaves the machine."""
        ledger_password = urlsplit(self.ledger_url).password or ""
        found = {
            self.automod_password.get_secret_value(),
            self.alert_webhook_url.get_secret_value(),
            ledger_password,
            unquote(ledger_password),
        }
        return tuple(sorted(found - {""}))

    @property
    def warehouse_path(self) -> Path:
        """The working DuckDB file. People query a snapshot of it instead."""
        return self.data_dir / "warehouse.duckdb"

    @property
    def analytics_path(self) -> Path:
        """The snapshot that people query: a link to the latest."""
        return self.data_dir / "analytics.duckdb"

    @property
    def image_posts_dir(self) -> Path:
        """Root of the hourly Parquet partitions."""
        return self.data_dir / "image_posts"

    @property
    def session_path(self) -> Path:
        """Where the session of the sending account is kept, for its owner alone to read."""
        return self.data_dir / "ozone_session.json"

    @property
    def reports_dir(self) -> Path:
        """Where reports are written."""
        return self.data_dir / "reports"

    @property
    def effective_ledger_url(self) -> str:
        """`LEDGER_URL`, or a SQLite file under `DATA_DIR`."""
        return self.ledger_url or f"sqlite:///{self.data_dir / 'ledger.sqlite'}"


def load_settings() -> Settings:
    """Read the environment and `.env`.

    Raises:
        SettingsError: A value cannot be used. One line per variable, naming it, with the value
            found (never a password) and what is allowed.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(error))) from None
    except UnicodeDecodeError:
        raise SettingsError("the file .env is not UTF-8 text; save it as UTF-8") from None


class _Isolated(Settings):
    """Settings that see neither the environment nor a `.env` file."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is the library's
        init_settings: PydanticBaseSettingsSource,
        *_others: PydanticBaseSettingsSource,
        **_by_name: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is passed in, and nothing else."""
        return (init_settings,)


def settings_from(environment: Mapping[str, str]) -> Settings:
    """The settings that this environment, and nothing else, would give.

    Raises:
        pydantic.ValidationError: A value cannot be used.
    """
    names = {
        name: environment[name.upper()]
        for name in Settings.model_fields
        if name.upper() in environment
    }
    return _Isolated.model_validate(names)


_SECRET = frozenset({"AUTOMOD_PASSWORD", "LEDGER_URL", "ALERT_WEBHOOK_URL", "DAGSTER_STORAGE_URL"})
"""Variables whose values never appear in a message."""


def _explain(error: ValidationError) -> list[str]:
    lines = []
    for problem in error.errors(include_url=False):
        message = problem["msg"].removeprefix("Value error, ")
        if not problem["loc"]:
            lines.append(message)
            continue
        variable = str(problem["loc"][0]).upper()
        # An address may carry a user and a password.
        secret = variable in _SECRET or "@" in str(problem["input"])
        found = "" if secret else f" (found {problem['input']!r})"
        lines.append(f"{variable}: {message}{found}")
    return list(dict.fromkeys(lines))

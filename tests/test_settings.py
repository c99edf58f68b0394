"""Settings: what a wrong value says, and what is safe by default."""

from pathlib import Path

import pytest

from phash_dagster.settings import Settings, SettingsError, load_settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


CREDENTIALS = {
    "AUTOMOD_HANDLE": "automod.test",
    "AUTOMOD_PASSWORD": "correct horse",
    "LABELER_DID": "did:plc:labeler",
    "OZONE_PDS": "pds.test",
}


def test_the_defaults_of_the_predecessor_are_kept() -> None:
    settings = load_settings()
    assert settings.jetstream_url == "wss://jetstream2.us-east.bsky.network/subscribe"
    assert settings.plc_endpoint == "https://plc.directory"
    assert settings.pds_endpoint == "https://bsky.social"
    assert settings.cdn_endpoint == "https://cdn.bsky.app"
    assert settings.retry_attempts == 3
    assert settings.retry_delay_ms == 1000
    assert settings.blob_download_timeout_secs == 10
    assert settings.blob_total_timeout_secs == 30
    assert settings.phash_hamming_threshold == 3
    assert settings.rate_limit_ms == 100


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("PROCESSING_CONCURRENCY", "many", "valid integer"),
        ("PROCESSING_CONCURRENCY", "0", "greater than or equal to 1"),
        ("MODERATION_MODE", "on", "'shadow' or 'live'"),
        ("JETSTREAM_URL", "https://x", "must start with wss:// or ws://"),
        ("CDN_ENDPOINT", "ftp://x", "must start with https:// or http://"),
        ("MICROBATCH_SECONDS", "59", "less than or equal to"),
        ("LABELER_DID", "example.com", "must be a DID"),
        ("WANTED_COLLECTIONS", ",", "at least 1 item"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    message = str(caught.value)
    assert message.startswith(f"{variable}: ")
    assert says in message
    assert "(found " in message
    assert "\n" not in message


def test_time_outs_that_do_not_fit_together_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOB_TOTAL_TIMEOUT_SECS", "5")
    with pytest.raises(SettingsError, match=r"BLOB_TOTAL_TIMEOUT_SECS .*\(5 < 10\)"):
        load_settings()


def test_no_credentials_mean_shadow_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERATION_MODE", "live")
    settings = load_settings()
    assert settings.effective_mode == "shadow"
    assert settings.missing_credentials == tuple(CREDENTIALS)


def test_credentials_alone_do_not_make_it_live(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    assert load_settings().effective_mode == "shadow"
    monkeypatch.setenv("MODERATION_MODE", "live")
    assert load_settings().effective_mode == "live"


def test_the_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOMOD_PASSWORD", "correct horse")
    assert "correct horse" not in repr(load_settings())


def test_a_bare_host_is_read_as_https(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OZONE_PDS", "pds.example.org")
    assert load_settings().ozone_pds == "https://pds.example.org"


def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLC_FALLBACK_ENDPOINTS", "https://a.test, https://b.test")
    assert load_settings().plc_fallback_endpoints == ("https://a.test", "https://b.test")


def test_a_dotenv_file_is_read_and_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("PROCESSING_CONCURRENCY=20\nRETRY_ATTEMPTS=5\n")
    monkeypatch.setenv("RETRY_ATTEMPTS", "7")
    settings = load_settings()
    assert (settings.processing_concurrency, settings.retry_attempts) == (20, 7)


def test_a_ledger_of_another_kind_is_refused_without_showing_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LEDGER_URL", "postgres://user:hunter2@db/ledger")
    with pytest.raises(SettingsError, match=r"LEDGER_URL: must start with postgresql\+psycopg2"):
        load_settings()
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_a_handle_may_be_written_with_its_at_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOMOD_HANDLE", "@automod.test")
    assert load_settings().automod_handle == "automod.test"


def test_a_dotenv_file_that_is_no_utf8_says_so(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("RETRY_ATTEMPTS=5".encode("utf-16"))
    with pytest.raises(SettingsError, match="not UTF-8"):
        load_settings()

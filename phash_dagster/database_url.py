"""What may be said of the URL of a database: nothing of its password."""

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError


def place_of(url: URL) -> str:
    """Dialect, host and database name."""
    host = f"//{url.host}/" if url.host else ""
    return f"{url.drivername}:{host}{url.database or ''}"


def is_ambiguous(url: str, parsed: URL) -> bool:
    """Whether a part of the password may have been taken for the host or the database name."""
    return parsed.drivername != "sqlite" and url.partition("?")[0].count("@") > 1


def words_of(error: Exception, url: URL) -> str:
    """What the driver or the system says, unless it repeats the password or a query value."""
    if isinstance(error, SQLAlchemyError) and not isinstance(error, DBAPIError):
        return type(error).__name__  # SQLAlchemy's own words may repeat the URL
    words = str(error.orig if isinstance(error, DBAPIError) else error)
    given = [(name, value) for name, values in url.normalized_query.items() for value in values]
    # The folder of a server's socket is no secret, and every message of it names it.
    secrets = [
        url.password,
        *(value for name, value in given if name != "host" or not value.startswith("/")),
    ]
    if any(secret and str(secret) in words for secret in secrets):
        return type(error).__name__
    return words

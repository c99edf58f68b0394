"""Which schemas of Dagster's own storage the installed Dagster knows."""

from collections.abc import Sequence

from alembic.config import Config
from alembic.script import ScriptDirectory
from dagster._core.storage.sql import ALEMBIC_SCRIPTS_LOCATION


def known_revisions() -> Sequence[str]:
    """The revisions of the schema, that of today first; SQLite and PostgreSQL share them."""
    config = Config()
    config.set_main_option("script_location", ALEMBIC_SCRIPTS_LOCATION)
    scripts = ScriptDirectory.from_config(config)
    return [script.revision for script in scripts.walk_revisions()]

"""A small AT Protocol network on loopback, for the demo and the tests.

Its answers are those of the real servers, measured; see the contract tests, which run against both.
"""

from phash_dagster.sandbox.repositories import Account
from phash_dagster.sandbox.server import Sandbox, SandboxError
from phash_dagster.sandbox.traffic import Failure
from phash_dagster.sandbox.world import Post, World

__all__ = ["Account", "Failure", "Post", "Sandbox", "SandboxError", "World"]

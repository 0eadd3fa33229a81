"""The one database: sagas, lanes, leases, the cursor, and everything that must survive the process."""

from miner.store.projection import Projection, project
from miner.store.sent_cache import parse as parse_sent_cache
from miner.store.store import SqlStore

__all__ = ["Projection", "SqlStore", "parse_sent_cache", "project"]

"""The one database, of the parts in `miner.ports.records`."""

from __future__ import annotations

from typing import Protocol

from miner.ports.records.affairs import AffairRecord
from miner.ports.records.chain import ChainRecord
from miner.ports.records.lanes import LaneRecord
from miner.ports.records.leases import Leases
from miner.ports.records.life import Life
from miner.ports.records.money import Money
from miner.ports.records.operator import OperatorRecord
from miner.ports.records.requests import Requests
from miner.ports.records.sagas import Sagas
from miner.ports.records.upkeep import Upkeep


class Store(
    Life,
    Leases,
    ChainRecord,
    Sagas,
    LaneRecord,
    Money,
    AffairRecord,
    OperatorRecord,
    Requests,
    Upkeep,
    Protocol,
):
    """The one database. Every method is one transaction; its clock is the database's, in ms UTC.

    `StoreUnavailable` from a write means *not known to be written*: read back by key before acting.
    """

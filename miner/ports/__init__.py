"""What the daemon needs of the outside. Services know these protocols and never an adapter.

Every method that reads raises `ReadFailed` when it learned nothing; a value (or `None`) always means
*authoritatively so, at the named block*. Every method that acts raises a member of `EffectError` when it
did not end well: `NotSent`, `OutcomeUnknown` or `Refused`. Store methods raise `StoreError`s. Each call
has its own time limit, from the config.
"""

from miner.ports.contract import Affairs, Judgement, SwapContract
from miner.ports.nodes import Clock, Endpoint, Heads, Node
from miner.ports.rail import Rail
from miner.ports.store import Store
from miner.ports.substrate import CallLanes, Commitments, RawBlock, RawContractEvent, Substrate
from miner.ports.telling import Messenger, Outbox, RecoveryLog, Tell

__all__ = [
    "Affairs",
    "CallLanes",
    "Clock",
    "Commitments",
    "Endpoint",
    "Heads",
    "Judgement",
    "Messenger",
    "Node",
    "Outbox",
    "Rail",
    "RawBlock",
    "RawContractEvent",
    "RecoveryLog",
    "Store",
    "Substrate",
    "SwapContract",
    "Tell",
]

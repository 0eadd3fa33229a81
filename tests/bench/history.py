"""A long history: the sagas of a short one, many times over, in the store and on the contract.

Every row is a copy of one that the daemon wrote, with ids, transaction ids and nonces of its own; open swaps
are put into the contract's storage, and nonces into the accounts, so that store and chain agree.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from tests.devnet import paths
from tests.devnet.world import Devnet

TABLES = ("sagas", "journal", "leases", "lanes", "slots", "attempts", "reservations")
SET_AT_ONCE = 200
"""Storage values set in one request."""
WRITTEN_AT_ONCE = 2000
"""Sagas written in one transaction."""

Row = dict[str, Any]
Rows = dict[str, list[Row]]


@dataclass(frozen=True)
class Original:
    """A saga with everything that belongs to it.

    Attributes:
        rows: Its rows by table.
        texts: What is its own alone in texts and bytes: the transaction ids.
    """

    rows: Rows
    texts: tuple[str, ...]

    @property
    def saga(self) -> Row:
        """The saga's row."""
        return self.rows["sagas"][0]


class Copies:
    """Writes copies of the sagas of a stopped daemon's store."""

    def __init__(self, file: Path) -> None:
        self._db = sqlite3.connect(file)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA synchronous = OFF")
        self._columns = {table: self._names(table) for table in TABLES}
        self._saga_id = self._highest("sagas", "id")
        self._lane_id = self._highest("lanes", "id")
        self.swap_id = self._highest("sagas", "swap_id")
        self._position = self._highest("journal", "position")
        self.nonces: dict[str, int] = defaultdict(int)
        for account, nonce in self._db.execute("SELECT account, max(nonce) + 1 FROM lanes GROUP BY account"):
            self.nonces[account] = nonce or 0

    def close(self) -> None:
        """Write the accounts' marks of highest nonces, and close."""
        with self._db:
            self._db.executemany(
                "UPDATE accounts SET high_water = ? WHERE account = ? AND chain LIKE 'tao:%'",
                [(nonce, account) for account, nonce in self.nonces.items()],
            )
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()

    def originals(self, state: str) -> list[Original]:
        """The sagas in a state that paid in TAO, with all that belongs to them."""
        ids = self._db.execute("SELECT id FROM sagas WHERE state = ? ORDER BY id", (state,)).fetchall()
        found = [self._original(row["id"]) for row in ids]
        return [each for each in found if all(lane["nonce"] is not None for lane in each.rows["lanes"])]

    def write(self, originals: list[Original], count: int) -> list[tuple[Original, dict[str, str], int]]:
        """Write so many copies, of each original in turn.

        Returns:
            For each copy its original, its texts for the original's, and its swap id.
        """
        made = []
        turns = itertools.islice(itertools.cycle(originals), count)
        while batch := list(itertools.islice(turns, WRITTEN_AT_ONCE)):
            rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in TABLES}
            for original in batch:
                texts = {text: _like(text, self._saga_id, i) for i, text in enumerate(original.texts)}
                for table, row in self._copy(original, texts):
                    rows[table].append(tuple(row[name] for name in self._columns[table]))
                made.append((original, texts, self.swap_id))
            with self._db:
                for table in TABLES:
                    marks = ", ".join("?" * len(self._columns[table]))
                    self._db.executemany(f"INSERT INTO {table} VALUES ({marks})", rows[table])
        return made

    def _names(self, table: str) -> list[str]:
        return [row["name"] for row in self._db.execute(f"PRAGMA table_info({table})")]

    def _highest(self, table: str, column: str) -> int:
        return int(self._db.execute(f"SELECT max({column}) FROM {table}").fetchone()[0])

    def _original(self, saga_id: int) -> Original:
        rows = {
            table: self._rows(table, "id" if table == "sagas" else "saga_id", saga_id)
            for table in TABLES
            if table not in ("slots", "attempts")
        }
        lanes = [row["id"] for row in rows["lanes"]]
        for table in ("slots", "attempts"):
            rows[table] = [row for lane in lanes for row in self._rows(table, "lane_id", lane)]
        (saga,) = rows["sagas"]
        txids = [saga["payment_txid"], *(row["txid"] for row in rows["attempts"])]
        return Original(rows, tuple(txids))

    def _rows(self, table: str, column: str, value: int) -> list[Row]:
        found = self._db.execute(f"SELECT * FROM {table} WHERE {column} = ?", (value,))
        return [dict(row) for row in found]

    def _copy(self, original: Original, texts: dict[str, str]) -> Iterator[tuple[str, Row]]:
        self._saga_id += 1
        self.swap_id += 1
        lanes: dict[int, Row] = {}
        for row in original.rows["lanes"]:
            self._lane_id += 1
            nonce = self.nonces[row["account"]]
            self.nonces[row["account"]] += 1
            lanes[row["id"]] = {"lane_id": self._lane_id, "nonce": nonce, "slot": str(nonce)}
        for table in TABLES:
            for row in original.rows[table]:
                yield table, self._changed(table, row, texts, lanes)

    def _changed(self, table: str, row: Row, texts: dict[str, str], lanes: dict[int, Row]) -> Row:
        new = {name: _replaced(value, texts) for name, value in row.items()}
        if table == "sagas":
            swap = {**json.loads(new["swap"]), "id": self.swap_id}
            pointers = {
                name: new[name] and lanes[new[name]]["lane_id"] for name in ("payout_lane_id", "mark_lane_id")
            }
            return {**new, "id": self._saga_id, "swap_id": self.swap_id, "swap": json.dumps(swap), **pointers}
        if table == "lanes":
            own = lanes[row["id"]]
            return {
                **new,
                "id": own["lane_id"],
                "saga_id": self._saga_id,
                "nonce": own["nonce"],
                "slot": own["slot"],
            }
        if table == "slots":
            return {**new, "lane_id": lanes[row["lane_id"]]["lane_id"], "slot": lanes[row["lane_id"]]["slot"]}
        if table == "attempts":
            own = lanes[row["lane_id"]]
            return {**new, "lane_id": own["lane_id"], "spends": json.dumps([own["slot"]])}
        if table == "leases":
            return {**new, "saga_id": self._saga_id, "resource": f"saga/{self._saga_id}"}
        if table == "journal":
            self._position += 1
            return {**new, "saga_id": self._saga_id, "position": self._position}
        return {**new, "saga_id": self._saga_id}


def _like(text: str, number: int, which: int) -> str:
    """Another transaction id, written as this one is."""
    digest = blake2b(f"{number} {which}".encode(), digest_size=32).hexdigest()
    return f"0x{digest}" if text.startswith("0x") else digest


def _replaced(value: Any, texts: dict[str, str]) -> Any:
    if isinstance(value, str) and len(value) >= 64:
        for old, new in texts.items():
            value = value.replace(old, new)
    return value


async def lengthen(devnet: Devnet, file: Path, *, ended: int, opened: int) -> Counter[str]:
    """Make a history long.

    Args:
        devnet: The chains of the history; their state changes in the head block.
        file: The store of a stopped daemon, with sagas both COMPLETED and MARKED.
        ended: How many copies of those that are completed.
        opened: How many copies of those that are marked and wait for their completion.

    Returns:
        How many sagas there are in each state.
    """
    copies = Copies(file)
    try:
        copies.write(copies.originals("COMPLETED"), ended)
        made = copies.write(copies.originals("MARKED"), opened)
        nonces = dict(copies.nonces)
    finally:
        copies.close()
    await _put_swaps(devnet, made)
    await _put_nonces(devnet, nonces)
    await devnet.chain.new_block()
    db = sqlite3.connect(file)
    try:
        return Counter(dict(db.execute("SELECT state, count(*) FROM sagas GROUP BY state")))
    finally:
        db.close()


async def _put_swaps(devnet: Devnet, made: list[tuple[Original, dict[str, str], int]]) -> None:
    """Put the copies' swaps into the contract, each as its original's but for id and transaction ids."""
    contract, chain = devnet.contract, devnet.chain
    info = await contract.substrate.query("Contracts", "ContractInfoOf", contract.address)
    child = "0x" + (b":child_storage:default:" + bytes.fromhex(info["trie_id"].removeprefix("0x"))).hex()
    stored: dict[int, bytes] = {}
    pairs = []
    for original, texts, swap_id in made:
        known = original.saga["swap_id"]
        if known not in stored:
            told = await chain.rpc("childstate_getStorage", child, _swap_key(known))
            assert told is not None, f"the contract does not hold swap {known} where it is looked for"
            stored[known] = bytes.fromhex(told.removeprefix("0x"))
        value = swap_id.to_bytes(8, "little") + stored[known][8:]
        for old, new in texts.items():
            value = value.replace(old.encode(), new.encode())
        pairs.append([child + _swap_key(swap_id)[2:], "0x" + value.hex()])
    for start in range(0, len(pairs), SET_AT_ONCE):
        await chain.rpc("dev_setStorage", pairs[start : start + SET_AT_ONCE])
    for swap_id in {swap_id for _, _, swap_id in made[:1] + made[-1:]}:
        swap = await contract.swap(swap_id)
        assert swap is not None, f"swap {swap_id} was not put into the contract"
        assert swap.id == swap_id


def _swap_key(swap_id: int) -> str:
    """Where the contract keeps an open swap: Blake2-128-concat of the mapping's root key and the id."""
    key = _root_key("swaps", "open") + swap_id.to_bytes(8, "little")
    return "0x" + (blake2b(key, digest_size=16).digest() + key).hex()


def _root_key(*path: str) -> bytes:
    """The root key of a mapping in the contract's storage, by the names that lead to it in the metadata."""
    layout: Any = json.loads(paths.CONTRACT_METADATA.read_text())["storage"]
    for name in path:
        layout = next(field["layout"] for field in _fields(layout) if field["name"] == name)
    return bytes.fromhex(layout["root"]["root_key"].removeprefix("0x"))


def _fields(layout: Any) -> Iterator[dict[str, Any]]:
    """Every named field of a storage layout, whatever it is in."""
    if isinstance(layout, dict):
        if "name" in layout and "layout" in layout:
            yield layout
        for inner in layout.values():
            yield from _fields(inner)
    elif isinstance(layout, list):
        for inner in layout:
            yield from _fields(inner)


async def _put_nonces(devnet: Devnet, nonces: dict[str, int]) -> None:
    """Have the accounts' nonces stand behind the copies' lanes."""
    substrate = devnet.contract.substrate
    pairs = []
    for account in (each for each in nonces if each.startswith("5")):  # Bitcoin's lanes have no nonces
        key = await substrate.run(substrate.api.create_storage_key, "System", "Account", [account])
        told = await devnet.chain.rpc("state_getStorage", key.to_hex())
        rest = told.removeprefix("0x")[8:]  # all but the nonce, a u32
        pairs.append([key.to_hex(), "0x" + nonces[account].to_bytes(4, "little").hex() + rest])
    await devnet.chain.rpc("dev_setStorage", pairs)

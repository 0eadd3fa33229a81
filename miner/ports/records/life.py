"""Opening and closing, and what holds for the store as a whole."""

from __future__ import annotations

from typing import Protocol

from miner.boundary import acts, reads


class Life(Protocol):
    """Opening and closing, and what holds for the store as a whole."""

    owner: str

    @acts
    async def open(self) -> None:
        """Check and migrate the schema.

        Raises:
            SchemaTooOld: The file was written by a newer program.
            StoreDamaged: It is damaged or no store of ours.
            StoreUnavailable: It cannot be opened or written.
        """

    @acts
    async def close(self) -> None:
        """Give back every lease of this process and close; idempotent."""

    @acts
    async def what_changed(self) -> str | None:
        """What of the database was found to be another than before, in words, once; else None.

        A server that was promoted, restored or copied may lack what had been committed last. From the moment
        it is found until this has been asked, every other call raises `StoreUnavailable`: whoever asks
        holds nothing of what it knew from the store for true any more.
        """

    @acts
    async def doubted_until(self, otherwise: int) -> int | None:
        """Height of the contract's chain up to which the store may lack lanes whose bytes have left.

        Args:
            otherwise: The height to keep where a doubt has none yet.

        Returns:
            None where there is no doubt.
        """

    @acts
    async def begin_doubt(self, actor: str, why: str) -> None:
        """From now on the store may lack lanes whose bytes have left: it was made anew."""

    @acts
    async def dispel_doubt(self) -> None:
        """End a doubt: all that a missing lane could hold is on its chain or dead, and was looked at."""

    @reads
    async def changed(self) -> None:
        """Return when another process may have changed something since this last returned.

        May return without need; never raises for what the store refuses, but waits.
        """

    @acts
    async def alone(self, what: str) -> bool:
        """Whether this process alone does something from now on, until `give_up` or a lost connection.

        It spares work done twice, and no more: what must not be done twice is fenced by leases.
        """

    @acts
    async def give_up(self, what: str) -> None:
        """End what `alone` began."""

    @acts
    async def bind(self, genesis: str, contract: str) -> None:
        """Tie the store to one contract on one chain, for good.

        Raises:
            StoreDamaged: It is tied to another; says which.
        """

    @acts
    async def pin(self, name: str, value: str) -> str:
        """The value first pinned under `name`: `value` itself the first time."""

    @acts
    async def repin(self, name: str, value: str, actor: str) -> str:
        """Pin another value after a person looked, with a note of who; returns what was pinned before."""

    @reads
    async def now_ms(self) -> int:
        """The database's clock."""

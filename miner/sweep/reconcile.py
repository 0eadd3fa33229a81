"""The one that runs sweeps: one after the other, none overlapping itself, none stopping another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from miner.errors import MinerError, SlotTaken, StaleSaga, StoreError
from miner.tally import SWEEPS, tally

log = structlog.get_logger("sweep")

Sweep = Callable[[], Awaitable[int]]
"""Does its repairs; returns how many things it changed."""


@dataclass(slots=True)
class SweepReport:
    """What one run of sweeps did.

    Attributes:
        changed: Things changed, by sweep.
        failed: What went wrong, by sweep; the others ran all the same.
    """

    changed: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


class SweepReconciler:
    """Runs registered sweeps one after the other; one that fails does not stop the others."""

    def __init__(self) -> None:
        self._sweeps: dict[str, Sweep] = {}
        self._running = asyncio.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """What is registered, in the order in which it runs."""
        return tuple(self._sweeps)

    def register(self, name: str, sweep: Sweep) -> None:
        """Add a sweep; they run in the order they were added.

        Raises:
            ValueError: The name is taken.
        """
        if name in self._sweeps:
            raise ValueError(f"a sweep called {name} is registered already")
        self._sweeps[name] = sweep

    async def run(self, *names: str) -> SweepReport:
        """Run every sweep once, or those named; a call while another runs waits for it.

        Raises:
            StoreError: The store refuses, or another process works on it: nothing further was done (law 6).
                A race that one saga lost is no reason.
        """
        report = SweepReport()
        async with self._running:
            for name in names or self._sweeps:
                await self._run(name, report)
        return report

    async def _run(self, name: str, report: SweepReport) -> None:
        tally.beat(f"sweep-{name}")
        try:
            report.changed[name] = await self._sweeps[name]()
            tally.count(SWEEPS, name, "ok")
        except (StaleSaga, SlotTaken) as lost:
            tally.count(SWEEPS, name, "lost")
            report.failed[name] = str(lost)
            log.info("sweep_lost_the_race", sweep=name, cause=str(lost))
        except StoreError:
            tally.count(SWEEPS, name, "failed")
            raise
        except MinerError as error:
            tally.count(SWEEPS, name, "failed")
            report.failed[name] = str(error)
            log.warning("sweep_failed", sweep=name, cause=str(error))
        except Exception as error:
            tally.count(SWEEPS, name, "failed")
            report.failed[name] = repr(error)
            log.exception("sweep_broke", sweep=name)

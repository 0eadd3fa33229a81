"""What can go wrong in the devnet itself."""

from __future__ import annotations


class DevnetError(Exception):
    """The devnet could not do what was asked of it."""


class RpcRefused(DevnetError):
    """A node answered with an error.

    Attributes:
        code: the JSON-RPC error code.
        message: the node's words.
        data: what the node added, if anything.
    """

    def __init__(self, method: str, code: int, message: str, data: object = None) -> None:
        super().__init__(f"{method}: {code} {message}" + (f" ({data})" if data else ""))
        self.code = code
        self.message = message
        self.data = data


class CallFailed(DevnetError):
    """A call was included in a block and had no effect."""


class DispatchFailed(CallFailed):
    """Some of several calls dispatched together failed; the others have taken effect.

    Attributes:
        index: the first that failed.
        failures: how many did.
    """

    def __init__(self, index: int, failures: int, reason: object) -> None:
        super().__init__(f"{failures} calls failed, the first of them at {index}: {reason}")
        self.index = index
        self.failures = failures

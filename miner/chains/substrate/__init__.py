"""A Substrate chain: transport, blocks, lanes, eras, keys.

`Node` follows the chain and reads it, `Lanes` signs for nonces and finds what became of them. SCALE,
metadata and keys are `bittensor_core`'s, the compiled core of the SDK; the websocket is our own, since the
SDK's keeps the first endpoint's genesis when it turns to another, and sends again by itself what was lost.
"""

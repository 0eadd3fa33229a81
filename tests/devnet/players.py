"""A miner played by hand, to test the devnet without the daemon."""

from __future__ import annotations

from tests.devnet.driver import Miner, Payment
from tests.devnet.substrate import Included
from tests.devnet.terms import ChainName, after_fee
from tests.devnet.world import Devnet


async def pay_user(devnet: Devnet, miner: Miner, swap_id: int, *, less: int = 0) -> Payment:
    """Pays the user of a swap what is due (or `less`), in one block of the destination chain."""
    swap = await devnet.contract.swap(swap_id)
    assert swap is not None
    due = after_fee(swap.dest_amount, devnet.contract.terms.fee_divisor) - less
    if swap.dest_chain == ChainName.TAO:
        substrate = devnet.contract.substrate
        call = await substrate.call("Balances", "transfer_keep_alive", dest=swap.user_dest_address, value=due)
        (paid,) = await substrate.include([await substrate.sign(call, miner.hotkey)])
        return Payment(paid.hash, paid.block_number)
    node = devnet.bitcoin
    txid = await node.pay_from(miner.btc_wallet, miner.btc_address, {swap.user_dest_address: due})
    await node.mine()
    return Payment(txid, await node.height())


async def mark(devnet: Devnet, miner: Miner, swap_id: int, payment: Payment) -> Included:
    """Marks a swap fulfilled by a payment, as the miner's own extrinsic."""
    swap = await devnet.contract.swap(swap_id)
    assert swap is not None
    args = {
        "swap_id": swap_id,
        "dest_tx_hash": payment.tx_hash,
        "dest_tx_block": payment.block,
        "dest_amount": after_fee(swap.dest_amount, devnet.contract.terms.fee_divisor),
    }
    substrate = devnet.contract.substrate
    call = await devnet.contract.call("mark_fulfilled", args)
    (included,) = await substrate.include([await substrate.sign(call, miner.hotkey)])
    return included

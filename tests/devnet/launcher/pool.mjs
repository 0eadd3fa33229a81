// A transaction pool that answers as a node's does: ready and future queues, rivals by priority, bans.

import { blake2AsHex, core } from './modules.mjs'

const INVALID = {
  Call: 'Transaction call is not expected',
  Payment: 'Inability to pay some fees (e.g. account balance too low)',
  Future: 'Transaction will be valid in the future',
  Stale: 'Transaction is outdated',
  BadProof: 'Transaction has a bad signature',
  AncientBirthBlock: 'Transaction has an ancient birth block',
  ExhaustsResources: 'Transaction would exhaust the block limits',
  BadSigner: 'Invalid signing address',
}

export class RpcError extends Error {
  constructor(code, message, data) {
    super(message)
    this.code = code
    this.data = data
  }
}

const banned = () => new RpcError(1012, 'Transaction is temporarily banned')
const alreadyImported = (hash) => new RpcError(1013, 'Transaction Already Imported', `"${hash}"`)
const tooLow = (old, rival) =>
  new RpcError(
    1014,
    `Priority is too low: (${old} vs ${rival})`,
    'The transaction has too low priority to replace another transaction already in the pool.',
  )

function invalid(error) {
  if (error.isUnknown) return new RpcError(1011, 'Unknown Transaction Validity', error.asUnknown.type)
  const { type } = error.asInvalid
  const reason = type === 'Custom' ? `Custom error: ${error.asInvalid.asCustom}` : (INVALID[type] ?? type)
  return new RpcError(1010, 'Invalid Transaction', reason)
}

export class Pool {
  #chain
  #entries = new Map() // hash -> { hash, extrinsic, signer, nonce, priority, validTill }
  #watchers = new Map() // hash -> Set of callbacks
  #inBlock = new Map() // hash -> block hash, for watched and resubmittable ones
  banned = new Set()
  /** What a rebroadcast of an included transaction is told: 'stale' (its nonce is used) or 'banned'. */
  includedAnswer = 'stale'

  constructor(chain) {
    this.#chain = chain
    chain.txPool.event.on(core.APPLY_EXTRINSIC_ERROR, ([extrinsic, error]) => this.#failed(extrinsic, error))
    chain.headState.subscribeHead((block) => this.#onHead(block))
  }

  /** Accepts an extrinsic as ready or future and answers its hash, or throws what a node answers. */
  async submit(extrinsic) {
    const hash = blake2AsHex(extrinsic, 256)
    if (this.banned.has(hash)) throw banned()
    if (this.#entries.has(hash)) throw alreadyImported(hash)
    const validity = await this.#validate(extrinsic)
    if (validity.isErr) throw invalid(validity.asErr)
    const registry = await this.#chain.head.registry
    const decoded = registry.createType('GenericExtrinsic', extrinsic)
    const { priority, longevity } = validity.asOk
    const lifetime = longevity.toBigInt() // blocks; immortal ones say 2^64 - 1
    const validTill = lifetime > 2n ** 31n ? Infinity : this.#chain.head.number + Number(lifetime)
    const entry = { hash, extrinsic, signer: decoded.signer.toString(), nonce: decoded.nonce.toNumber(),
      priority: priority.toBigInt(), validTill }
    if (this.#entries.has(hash)) throw alreadyImported(hash) // a twin that was validated meanwhile
    this.#replaceRival(entry)
    this.#entries.set(hash, entry)
    return hash
  }

  async #validate(extrinsic) {
    try {
      return await this.#chain.validateExtrinsic(extrinsic)
    } catch (error) {
      throw new RpcError(1002, `Verification Error: Runtime error: Execution failed: ${error.message ?? error}`,
        'RuntimeApi("Execution failed")')
    }
  }

  #replaceRival(entry) {
    const rival = [...this.#entries.values()].find((e) => e.signer === entry.signer && e.nonce === entry.nonce)
    if (!rival) return
    if (rival.priority >= entry.priority) throw tooLow(rival.priority, entry.priority)
    this.#remove(rival.hash, { usurped: entry.hash })
  }

  async #accountNonce(signer) {
    const meta = await this.#chain.head.meta
    const account = await this.#chain.head.get(core.compactHex(meta.query.system.account(signer)))
    return account ? Buffer.from(account.slice(2, 10), 'hex').readUInt32LE() : 0
  }

  async #queues() {
    const bySigner = new Map()
    for (const entry of this.#entries.values()) {
      if (!bySigner.has(entry.signer)) bySigner.set(entry.signer, [])
      bySigner.get(entry.signer).push(entry)
    }
    const ready = []
    const future = []
    for (const [signer, entries] of bySigner) {
      let next = await this.#accountNonce(signer)
      for (const entry of entries.sort((a, b) => a.nonce - b.nonce)) {
        if (entry.nonce === next) ready.push(entry), (next += 1)
        else if (entry.nonce > next) future.push(entry)
      }
    }
    return { ready, future }
  }

  /** What the next block takes: each signer's transactions from its nonce on, without a gap. */
  async ready() {
    return (await this.#queues()).ready.map((entry) => entry.extrinsic)
  }

  async snapshot() {
    const { ready, future } = await this.#queues()
    const hashes = (entries) => entries.map((entry) => entry.hash)
    return { ready: hashes(ready), future: hashes(future), banned: [...this.banned] }
  }

  /** The nonce after the account's last ready transaction. */
  async nextIndex(address) {
    const nonce = await this.#accountNonce(address)
    const registry = await this.#chain.head.registry
    const signer = registry.createType('AccountId', address).toString()
    return nonce + (await this.#queues()).ready.filter((entry) => entry.signer === signer).length
  }

  #failed(extrinsic, error) {
    if (error.isInvalid && error.asInvalid.isExhaustsResources) return // stays for a later block
    const hash = blake2AsHex(extrinsic, 256)
    if (this.#remove(hash, { invalid: null })) this.banned.add(hash)
  }

  async #onHead(block) {
    for (const extrinsic of await block.extrinsics) {
      const hash = blake2AsHex(extrinsic, 256)
      if (this.#watchers.has(hash)) this.#inBlock.set(hash, block)
      this.#remove(hash, { inBlock: block.hash })
      if (this.includedAnswer === 'banned') this.banned.add(hash)
    }
    for (const entry of [...this.#entries.values()]) {
      if (block.number > entry.validTill) this.#remove(entry.hash, { invalid: null })
      else if (entry.nonce < (await this.#accountNonce(entry.signer))) this.#remove(entry.hash, { invalid: null })
    }
  }

  #remove(hash, status) {
    const known = this.#entries.delete(hash)
    for (const notify of this.#watchers.get(hash) ?? []) notify(status)
    if (!status.inBlock && !status.retracted) this.#watchers.delete(hash)
    return known
  }

  /** Forgets transactions, as a node that restarts or evicts them; all of them without `hashes`. */
  drop(hashes) {
    for (const hash of hashes ?? [...this.#entries.keys()]) this.#remove(hash, { dropped: null })
  }

  watch(hash, notify) {
    if (!this.#watchers.has(hash)) this.#watchers.set(hash, new Set())
    this.#watchers.get(hash).add(notify)
    return () => this.#watchers.get(hash)?.delete(notify)
  }

  /** Tells watchers of finalised transactions, up to and with the block's height. */
  finalised(block) {
    for (const [hash, included] of this.#inBlock) {
      if (included.number > block.number) continue
      for (const notify of this.#watchers.get(hash) ?? []) notify({ finalized: included.hash })
      this.#watchers.delete(hash)
      this.#inBlock.delete(hash)
    }
  }

  /** Takes back the transactions of blocks that left the chain; those still valid wait for a block again. */
  async retract(blocks) {
    await this.forget(blocks)
    for (const block of blocks) {
      for (const extrinsic of await block.extrinsics) {
        await this.submit(extrinsic).catch(() => undefined) // inherents, and what is invalid here
      }
    }
  }

  /** Lets the transactions of blocks that left the chain be lost. */
  async forget(blocks) {
    for (const block of blocks) {
      for (const extrinsic of await block.extrinsics) {
        const hash = blake2AsHex(extrinsic, 256)
        this.banned.delete(hash)
        this.#inBlock.delete(hash)
        for (const notify of this.#watchers.get(hash) ?? []) notify({ retracted: block.hash })
      }
    }
  }

  /** As new: nothing waits, nothing is banned, nobody watches. */
  clear() {
    this.#entries.clear()
    this.#watchers.clear()
    this.#inBlock.clear()
    this.banned.clear()
    this.includedAnswer = 'stale'
  }
}

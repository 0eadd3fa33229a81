// Block production: one block at a time, by request or on a clock; forks; and going back to a kept block.

import { atOnce } from './builder.mjs'
import { RpcError } from './pool.mjs'
import { upgraded } from './upgrade.mjs'

export class Chain {
  #chain
  #clock
  #pool
  #finality
  #queue = Promise.resolve()
  #timer = null
  #forks = 0
  #base
  #extra = [] // [{ extrinsics, resolve }], for the next block, unvalidated

  constructor(chain, clock, pool, finality) {
    this.#chain = chain
    this.#clock = clock
    this.#pool = pool
    this.#finality = finality
    this.#base = chain.head
  }

  get head() {
    return this.#chain.head
  }

  #exclusive(work) {
    const done = this.#queue.then(work)
    this.#queue = done.catch(() => undefined)
    return done
  }

  /** Builds `count` blocks from the pool, or one of exactly `transactions`; answers the last hash. */
  newBlock({ count = 1, transactions } = {}) {
    return this.#exclusive(async () => {
      for (let i = 0; i < count; i += 1) await this.#build(i === 0 ? transactions : undefined)
      return this.head.hash
    })
  }

  /** Puts extrinsics into the next block after the pool's, without the pool's checks; answers its hash. */
  include(extrinsics) {
    const included = new Promise((resolve, reject) => this.#extra.push({ extrinsics, resolve, reject }))
    if (!this.#timer) this.newBlock().catch(() => undefined)
    return included
  }

  async #build(transactions) {
    const extra = transactions ? [] : this.#extra.splice(0)
    try {
      const pooled = transactions ?? (await this.#pool.ready())
      await this.#buildOf([...pooled, ...extra.flatMap((each) => each.extrinsics)])
      for (const each of extra) each.resolve(this.head.hash)
    } catch (error) {
      for (const each of extra) each.reject(error)
      throw error
    }
  }

  async #buildOf(transactions) {
    const before = this.head
    const { extraMs } = this.#clock
    const block = before.number === 0 ? null : await atOnce(before, transactions).catch(() => null)
    if (block) return void (await this.#chain.onNewBlock(block))
    this.#clock.extraMs = extraMs
    this.#chain.txPool.clear()
    await this.#chain.newBlock({
      transactions,
      downwardMessages: [],
      upwardMessages: {},
      horizontalMessages: {},
    })
    if (this.head.number !== before.number + 1) throw new RpcError(-32000, 'the block could not be built')
  }

  /** Builds a block every `seconds`; null stops the clock. */
  setClock(seconds) {
    clearInterval(this.#timer)
    this.#timer = null
    if (!seconds) return
    let busy = false
    this.#timer = setInterval(() => {
      if (busy) return
      busy = true
      this.newBlock().catch(() => undefined).finally(() => (busy = false))
    }, seconds * 1000)
  }

  /**
   * Replaces every block above `height` by `blocks` siblings of other hashes (as many as there were,
   * unless told). The replaced blocks' transactions return to the pool, unless `resubmit` is false.
   * Going below the finalised head takes `force`. `salt` (milliseconds) tells forks of one block apart.
   */
  fork({ height, salt, blocks, resubmit = true, force = false }) {
    return this.#exclusive(async () => {
      const ancestor = await this.#blockAt(height)
      const violates = ancestor.number < this.#finality.head.number
      if (violates && !force) throw new RpcError(-32000, `block ${height} is below the finalised head`)
      const retracted = await this.#above(ancestor)
      await this.#switchTo(ancestor)
      if (violates) await this.#finality.violate(ancestor)
      if (resubmit) await this.#pool.retract(retracted)
      else await this.#pool.forget(retracted)
      this.#salt(salt)
      const count = blocks ?? retracted.length
      for (let i = 0; i < count; i += 1) await this.#build(undefined)
      return this.head.hash
    })
  }

  #salt(salt) {
    this.#forks += 1
    this.#clock.extraMs = salt ?? (this.#forks % 5000) + 1
  }

  /** Makes a known block the head, be it on another fork: a reorganisation without new blocks. */
  setHead(hashOrHeight) {
    return this.#exclusive(async () => {
      const known = typeof hashOrHeight === 'number'
        ? await this.#blockAt(hashOrHeight)
        : await this.#chain.getBlock(hashOrHeight)
      if (!known) throw new RpcError(-32000, `Block not found ${hashOrHeight}`)
      await this.#switchTo(known)
      return known.hash
    })
  }

  /** Sets the next version of the runtime at the head: the next block is the first that it executes. */
  upgrade(options) {
    return this.#exclusive(async () => {
      if (this.head === this.#base) throw new RpcError(-32000, 'not at the base: reset goes back to it')
      const { code, ...version } = await upgraded(this.head, options)
      this.head.setWasm(code)
      return version
    })
  }

  /** Keeps the head as the block that `reset` goes back to. */
  keepBase() {
    this.#base = this.head
    return { number: this.#base.number, hash: this.#base.hash }
  }

  /** Goes back to the base block with an empty pool, everything finalised; later blocks are new ones. */
  reset() {
    return this.#exclusive(async () => {
      this.setClock(null)
      this.#pool.clear()
      this.#finality.lag = 0
      await this.#switchTo(this.#base)
      await this.#finality.violate(this.#base)
      this.#salt()
      return this.#base.hash
    })
  }

  async #blockAt(height) {
    const block = await this.#chain.getBlockAt(height)
    if (!block) throw new RpcError(-32000, `Block not found ${height}`)
    return block
  }

  async #above(ancestor) {
    const blocks = []
    for (let height = ancestor.number + 1; height <= this.head.number; height += 1) {
      blocks.push(await this.#chain.getBlockAt(height))
    }
    return blocks
  }

  // Chopsticks keeps one block a height and corrects none when the head moves to another fork.
  async #switchTo(block) {
    const stale = []
    let ancestor = block
    while (ancestor && ancestor.number > 0) {
      stale.push(ancestor)
      const parent = await ancestor.parentBlock
      if (parent && (await this.#sameAtHeight(parent))) break
      ancestor = parent
    }
    const { headState } = this.#chain
    const notify = headState.setHead
    headState.setHead = async () => undefined
    try {
      for (const each of stale.reverse()) await this.#chain.setHead(each)
    } finally {
      headState.setHead = notify
    }
    await this.#chain.setHead(block)
  }

  async #sameAtHeight(block) {
    return (await this.#chain.getBlockAt(block.number))?.hash === block.hash
  }
}

// The finalised head: a settable number of blocks behind the best one, and never going back by itself.

export class Finality {
  #chain
  #pool
  #listeners = new Set()
  #finalised

  constructor(chain, pool, lag) {
    this.#chain = chain
    this.#pool = pool
    this.lag = lag
    this.#finalised = chain.head
    chain.headState.subscribeHead(() => this.advance())
  }

  get head() {
    return this.#finalised
  }

  /** Called with each new finalised head; heads between two calls were finalised with the later one. */
  subscribe(listener) {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async setLag(lag) {
    this.lag = lag
    await this.advance()
  }

  async advance() {
    const height = this.#chain.head.number - this.lag
    if (height <= this.#finalised.number) return
    await this.#set(await this.#chain.getBlockAt(height))
  }

  /** A finality violation: the finalised head is taken back to a block before it. */
  async violate(block) {
    await this.#set(block)
  }

  async #set(block) {
    this.#finalised = block
    this.#pool.finalised(block)
    for (const listener of this.#listeners) await listener(block)
  }
}

// Injected faults and counts of requests, by method. Control methods and driver connections are exempt.

const KINDS = new Set(['drop', 'delay', 'refuse', 'garble', 'close', 'replace'])

export class Faults {
  #faults = []
  #counts = {}

  /**
   * `kind`: drop (work, no reply), delay (reply after `ms`), refuse (no work; error `code`, `message`,
   * `data`), garble (work, a reply that does not decode), close (work, then the connection closes;
   * with `before`: no work), replace (no work, reply with `result`). `method` may be '*', or
   * 'notification' (drop only: subscriptions fall silent). `match` must occur in the request's
   * parameters. `count` requests are hit, all without it.
   */
  add({ method, kind, count, match, ...options }) {
    if (!KINDS.has(kind)) throw new Error(`unknown kind of fault: ${kind}`)
    this.#faults.push({ method, kind, left: count ?? Infinity, match, ...options })
  }

  clear(method) {
    this.#faults = method ? this.#faults.filter((fault) => fault.method !== method) : []
  }

  /** The fault that hits this request, if any; counts it down. */
  take(method, params) {
    const hits = (fault) =>
      fault.left > 0 &&
      (fault.method === method || (fault.method === '*' && method !== 'notification')) &&
      (!fault.match || JSON.stringify(params).includes(fault.match))
    const fault = this.#faults.find(hits)
    if (fault) fault.left -= 1
    return fault
  }

  count(method) {
    this.#counts[method] = (this.#counts[method] ?? 0) + 1
  }

  /** Requests by method since the last reset. */
  requests(reset) {
    const counts = this.#counts
    if (reset) this.#counts = {}
    return counts
  }
}

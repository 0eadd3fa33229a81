// Answers of runtime calls that read, remembered: at one block, the same call always has the same answer.
//
// Each execution compiles the whole runtime anew (0.1 s), and a dozen daemons ask the same at every block.

const MOST = 5000

export class Memo {
  #answers = new Map() // oldest first

  /** What `ask` answers, or answered before under this key; what failed is asked again. */
  of(key, ask) {
    const known = this.#answers.get(key)
    if (known) return known
    const answer = ask()
    this.#answers.set(key, answer)
    answer.catch(() => this.#answers.delete(key))
    if (this.#answers.size > MOST) this.#answers.delete(this.#answers.keys().next().value)
    return answer
  }

  /** As new: a block's own state was changed. */
  clear() {
    this.#answers.clear()
  }
}

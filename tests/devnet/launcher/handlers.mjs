// Every RPC method: Chopsticks' own, those that have to answer as a real node does, and the devnet's controls.

import { Memo } from './memo.mjs'
import { blake2AsHex, core, hexToU8a } from './modules.mjs'
import { RpcError } from './pool.mjs'

// The index of the block hash among the parameters of methods that read state.
const READS_AT = {
  state_call: 2, state_getStorage: 1, state_getStorageAt: 1, state_queryStorageAt: 1, state_getKeysPaged: 3,
  state_getMetadata: 0, state_getRuntimeVersion: 0, childstate_getStorage: 2, childstate_getKeysPaged: 4,
  payment_queryInfo: 1, system_dryRun: 1,
}
const UPSTREAM = [
  'state_', 'childstate_', 'system_', 'payment_', 'chain_', 'chainSpec_', 'dev_setStorage', 'dev_timeTravel',
]

const headerOf = ({ parentHash, number, stateRoot, extrinsicsRoot, digest }) => ({
  parentHash: parentHash.toHex(),
  number: `0x${number.toNumber().toString(16)}`,
  stateRoot: stateRoot.toHex(),
  extrinsicsRoot: extrinsicsRoot.toHex(),
  digest: { logs: digest.logs.map((log) => log.toHex()) },
})
const randomId = () => Math.random().toString(36).slice(2)

function upstreamHandlers(blockchain) {
  const context = { chain: blockchain }
  const noSubscriptions = { subscribe: () => { throw new RpcError(-32601, 'websocket only') }, unsubscribe: () => false }
  return Object.fromEntries(
    Object.entries(core.allHandlers)
      .filter(([name]) => UPSTREAM.some((prefix) => name.startsWith(prefix)))
      .map(([name, handler]) => [
        name, (params, subscriptions) => handler(context, params, subscriptions ?? noSubscriptions),
      ]),
  )
}

// A node knows the state of blocks it has, and of those it has not discarded; it never answers "absent" for others.
function refuseUnknownState(handlers, blockchain, finality, pruning) {
  for (const [name, index] of Object.entries(READS_AT)) {
    const handler = handlers[name]
    handlers[name] = async (params, subscriptions) => {
      const hash = params[index]
      if (hash) {
        const block = await blockchain.getBlock(hash)
        if (!block) throw new RpcError(4003, `Client error: UnknownBlock: Header was not found in the database: ${hash}`)
        if (pruning.depth !== null && block.number < finality.head.number - pruning.depth) {
          throw new RpcError(4003, `Client error: UnknownBlock: State already discarded for ${hash}`)
        }
      }
      return handler(params, subscriptions)
    }
  }
}

function chainHandlers({ blockchain, finality }) {
  const known = async (hash, answer) => {
    const block = await blockchain.getBlock(hash ?? blockchain.head.hash)
    return block ? answer(block) : null
  }
  const follow = (notification, first, listen) => async (_params, { subscribe }) => {
    const id = randomId()
    let stop = () => undefined
    const notify = subscribe(notification, id, () => stop())
    let sending = Promise.resolve()
    const send = (block) => {
      sending = sending.then(async () => notify(headerOf(await block.header)))
    }
    stop = listen(send)
    setTimeout(() => send(first()), 0) // after the reply that carries the id
    return id
  }
  const onBest = (send) => {
    const id = blockchain.headState.subscribeHead((block) => send(block))
    return () => blockchain.headState.unsubscribeHead(id)
  }
  const best = (name) => follow(name, () => blockchain.head, onBest)
  const unsubscribe = async ([id], { unsubscribe }) => unsubscribe(id)
  return {
    chain_getHeader: ([hash]) => known(hash, async (block) => headerOf(await block.header)),
    chain_getBlock: ([hash]) =>
      known(hash, async (block) => ({
        block: { header: headerOf(await block.header), extrinsics: await block.extrinsics },
        justifications: null,
      })),
    chain_getFinalizedHead: async () => finality.head.hash,
    chain_getFinalisedHead: async () => finality.head.hash,
    chain_subscribeNewHead: best('chain_newHead'),
    chain_subscribeNewHeads: best('chain_newHead'),
    chain_subscribeAllHeads: best('chain_allHead'),
    chain_subscribeFinalizedHeads: follow(
      'chain_finalizedHead', () => finality.head, (send) => finality.subscribe(send)),
    chain_unsubscribeNewHead: unsubscribe,
    chain_unsubscribeNewHeads: unsubscribe,
    chain_unsubscribeAllHeads: unsubscribe,
    chain_unsubscribeFinalizedHeads: unsubscribe,
  }
}

function authorHandlers({ pool }) {
  return {
    author_submitExtrinsic: ([extrinsic]) => pool.submit(extrinsic),
    author_pendingExtrinsics: () => pool.ready(),
    author_submitAndWatchExtrinsic: async ([extrinsic], { subscribe }) => {
      const hash = blake2AsHex(extrinsic, 256)
      const id = randomId()
      const early = []
      let notify = (status) => early.push(status)
      const stop = pool.watch(hash, (status) => notify(status))
      try {
        await pool.submit(extrinsic)
      } catch (error) {
        stop()
        throw error
      }
      const { future } = await pool.snapshot()
      const send = subscribe('author_extrinsicUpdate', id, stop)
      setTimeout(() => {
        for (const status of [future.includes(hash) ? 'future' : 'ready', ...early]) send(status)
        notify = send
      }, 0)
      return id
    },
    author_unwatchExtrinsic: async ([id], { unsubscribe }) => unsubscribe(id),
  }
}

// SCALE of RuntimeDispatchInfo: two compact weights, a class, and a u64 fee at the end.
function readCompact(bytes, offset) {
  const mode = bytes[offset] & 3
  const width = [1, 2, 4, (bytes[offset] >> 2) + 5][mode]
  const raw = bytes.slice(mode === 3 ? offset + 1 : offset, offset + width)
  const value = raw.reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n)
  return { value: Number(mode === 3 ? value : value >> 2n), offset: offset + width }
}

function lengthOf(hex) {
  const length = Buffer.alloc(4)
  length.writeUInt32LE(hex.length / 2 - 1)
  return length.toString('hex')
}

function dispatchInfo(hex) {
  const bytes = hexToU8a(hex)
  const refTime = readCompact(bytes, 0)
  const proofSize = readCompact(bytes, refTime.offset)
  const fee = Buffer.from(bytes.slice(proofSize.offset + 1)).readBigUInt64LE()
  return {
    weight: { ref_time: refTime.value, proof_size: proofSize.value },
    class: ['normal', 'operational', 'mandatory'][bytes[proofSize.offset]],
    partialFee: fee.toString(),
  }
}

function controls({ chain, clock, faults, finality, pool, blockchain, pruning }) {
  return {
    dev_newBlock: ([options]) => chain.newBlock(options ?? {}),
    dev_setHead: ([hashOrHeight]) => chain.setHead(hashOrHeight),
    devnet_include: ([extrinsics]) => chain.include(extrinsics),
    devnet_setClock: async ([seconds]) => chain.setClock(seconds),
    devnet_setTimestampStep: async ([stepMs]) => (clock.stepMs = stepMs),
    devnet_setFinalityLag: ([lag]) => finality.setLag(lag),
    devnet_setPruning: async ([depth]) => (pruning.depth = depth ?? null),
    devnet_fork: ([options]) => chain.fork(options),
    devnet_upgrade: ([options]) => chain.upgrade(options ?? {}),
    devnet_keepBase: async () => chain.keepBase(),
    devnet_reset: async () => {
      faults.clear()
      faults.requests(true)
      pruning.depth = null
      return chain.reset()
    },
    devnet_head: async () => ({
      number: blockchain.head.number, hash: blockchain.head.hash,
      finalisedNumber: finality.head.number, finalisedHash: finality.head.hash,
    }),
    devnet_fault: async ([options]) => faults.add(options),
    devnet_clearFaults: async ([method]) => faults.clear(method),
    devnet_requests: async ([options]) => faults.requests(options?.reset ?? false),
    devnet_pool: async ([options]) => {
      for (const hash of options?.ban ?? []) pool.banned.add(hash)
      for (const hash of options?.unban ?? []) pool.banned.delete(hash)
      if (options?.drop) pool.drop(options.drop === 'all' ? undefined : options.drop)
      if (options?.included) pool.includedAnswer = options.included
      return pool.snapshot()
    },
  }
}

// Runtime calls that read, executed once for each block; what depends on the runtime alone, once for each version.
function remembered(memo, call, blockchain) {
  return async ([method, data, hash]) => {
    const block = await blockchain.getBlock(hash ?? blockchain.head.hash)
    const whose = method.startsWith('Metadata_') ? JSON.stringify(await block?.runtimeVersion) : block?.hash
    return memo.of(`${whose} ${method} ${data}`, () => call([method, data, block?.hash ?? hash]))
  }
}

// What changes a block's own state, without another block.
function forgetting(memo, handlers) {
  for (const name of ['dev_setStorage', 'dev_timeTravel', 'devnet_upgrade']) {
    const change = handlers[name]
    handlers[name] = (...args) => Promise.resolve(change(...args)).finally(() => memo.clear())
  }
}

/** All methods by name: each takes the parameters and the connection's subscriptions. */
export function makeHandlers(parts) {
  const { blockchain, finality, pool } = parts
  const pruning = { depth: null }
  const handlers = upstreamHandlers(blockchain)
  for (const name of Object.keys(handlers)) if (/^chain_.*ubscribe/.test(name)) delete handlers[name]
  Object.assign(handlers, chainHandlers(parts), authorHandlers(parts))
  const nextIndex = ([address]) => pool.nextIndex(address)
  Object.assign(handlers, { system_accountNextIndex: nextIndex, account_nextIndex: nextIndex })
  const memo = new Memo()
  const call = remembered(memo, handlers.state_call, blockchain)
  handlers.state_call = ([method, data, hash]) => call([method, data.startsWith('0x') ? data : `0x${data}`, hash])
  handlers.payment_queryInfo = async ([extrinsic, hash]) =>
    dispatchInfo(await call(['TransactionPaymentApi_query_info', `${extrinsic}${lengthOf(extrinsic)}`, hash]))
  delete handlers.payment_queryFeeDetails // Chopsticks encodes the length the wrong way round
  refuseUnknownState(handlers, blockchain, finality, pruning)
  Object.assign(handlers, controls({ ...parts, pruning }))
  forgetting(memo, handlers)
  handlers.rpc_methods = async () => ({ version: 1, methods: Object.keys(handlers).sort() })
  return handlers
}

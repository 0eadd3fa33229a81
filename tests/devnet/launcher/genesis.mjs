// A chain of one runtime, without an upstream: its genesis, and what Chopsticks' genesis mode lacks.

import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'

import { core } from './modules.mjs'

const CODE_KEY = '0x3a636f6465' // ":code"
const CHILD_STORAGE = '0x3a6368696c645f73746f726167653a' // ":child_storage:"

function readRuntime(path) {
  const bytes = readFileSync(path)
  const wasm = bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes
  return `0x${wasm.toString('hex')}`
}

// A genesis has no child storage (contracts keep theirs there), and Chopsticks says "not implemented".
function answerChildStorage(Api) {
  const { getStorage, getKeysPaged, getStorageBatch } = Api.prototype
  const isChild = (key) => key.startsWith(CHILD_STORAGE)
  Api.prototype.getStorage = async function (key, ...rest) {
    return isChild(key) ? null : getStorage.call(this, key, ...rest)
  }
  Api.prototype.getKeysPaged = async function (prefix, ...rest) {
    return isChild(prefix) ? [] : getKeysPaged.call(this, prefix, ...rest)
  }
  Api.prototype.getStorageBatch = async function (prefix, keys, ...rest) {
    return isChild(prefix) ? keys.map((key) => [key, null]) : getStorageBatch.call(this, prefix, keys, ...rest)
  }
}

// Chopsticks answers the genesis header for every hash it does not know, and would register it as block 0.
function knowOnlyGenesis(api, genesisHash) {
  const getHeader = api.getHeader.bind(api)
  const getBlock = api.getBlock.bind(api)
  api.getHeader = async (hash) => (!hash || hash === genesisHash ? getHeader(hash) : null)
  api.getBlock = async (hash) => (!hash || hash === genesisHash ? getBlock(hash) : null)
}

/**
 * Block times: a fixed step after the parent's, or the wall clock's where stepMs is null.
 * `extraMs` is added to the next block alone: it is what makes a sibling block another block.
 */
class BlockClock {
  constructor(stepMs) {
    this.stepMs = stepMs
    this.extraMs = 0
  }

  next(parentMs) {
    const stepped = parentMs + (this.stepMs ?? 1)
    const base = this.stepMs === null ? Math.max(stepped, Date.now()) : stepped
    const time = base + this.extraMs
    this.extraMs = 0
    return time
  }
}

function keepTime(clock, startMs) {
  const timestamp = core.inherentProviders[0]
  timestamp.createInherents = async (newBlock) => {
    const parent = await newBlock.parentBlock
    const meta = await parent.meta
    const now = await parent.read('u64', meta.query.timestamp.now)
    const time = clock.next(now ? now.toNumber() : startMs)
    return [meta.registry.createType('Extrinsic', meta.tx.timestamp.set(time)).toHex()]
  }
}

/** Starts the chain at block 1, with the config's storage in place. */
export async function startGenesis(config) {
  answerChildStorage(core.Api)
  const clock = new BlockClock(config.timestampStepMs === undefined ? 12_000 : config.timestampStepMs)
  keepTime(clock, config.startMs ?? Date.now())
  const genesis = new core.GenesisProvider({
    id: 'swap_devnet',
    name: config.name ?? 'Swap devnet',
    properties: { ss58Format: 42, tokenDecimals: 9, tokenSymbol: 'TAO' },
    genesis: { raw: { top: { [CODE_KEY]: readRuntime(config.runtime) } } },
  })
  if (config.genesisHash) Object.defineProperty(genesis, 'blockHash', { value: config.genesisHash })
  const chain = await core.setup({
    genesis,
    buildBlockMode: core.BuildBlockMode.Manual,
    maxMemoryBlockCount: 10_000_000,
    processQueuedMessages: false,
    saveBlocks: false,
  })
  knowOnlyGenesis(chain.api, genesis.blockHash)
  await core.setStorage(chain, config.storage)
  return { chain, clock }
}

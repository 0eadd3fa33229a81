// Where the packages come from: the devnet's cache folder, so that none is installed beside the sources.

import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const root = process.env.SWAP_MINER_DEVNET_MODULES ?? process.cwd()
const require = createRequire(join(root, 'package.json'))

process.env.LOG_LEVEL ??= 'fatal' // Chopsticks logs to stdout, which is ours; read at its import

// require.resolve names the CommonJS builds; all must be taken from the ES builds, or they exist twice.
const esm = (from, name) =>
  import(pathToFileURL(from.resolve(name).replace(/\/(dist\/)?cjs\//, (_, dist) => (dist ? '/dist/esm/' : '/'))).href)

export const core = await esm(require, '@acala-network/chopsticks-core')
export const { WebSocketServer } = require('ws')
const fromCore = createRequire(require.resolve('@acala-network/chopsticks-core'))
export const { blake2AsHex } = await esm(fromCore, '@polkadot/util-crypto')
export const { hexToU8a } = await esm(fromCore, '@polkadot/util')
const beside = (name) => pathToFileURL(require.resolve('@acala-network/chopsticks-core').replace(/cjs.*$/, `esm/${name}`)).href
export const { startWorker } = await import(beside('wasm-executor/node-worker.js'))

// The devnet's contracts chain: a real runtime executed by Chopsticks' core, made to answer as a node does.
//
// Usage: node launcher.mjs CONFIG.json
// Prints one line of JSON on stdout when it answers requests, and ends when its standard input closes.
// The modules are imported from SWAP_MINER_DEVNET_MODULES (a folder that holds node_modules).

import { readFileSync } from 'node:fs'

import { Chain } from './launcher/chain.mjs'
import { Faults } from './launcher/faults.mjs'
import { Finality } from './launcher/finality.mjs'
import { startGenesis } from './launcher/genesis.mjs'
import { makeHandlers } from './launcher/handlers.mjs'
import { Pool } from './launcher/pool.mjs'
import { serve } from './launcher/server.mjs'
import { shareExecutors } from './launcher/workers.mjs'

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'))

await shareExecutors()
const { chain: blockchain, clock } = await startGenesis(config)
const pool = new Pool(blockchain)
const finality = new Finality(blockchain, pool, config.finalityLag ?? 0)
const chain = new Chain(blockchain, clock, pool, finality)
const faults = new Faults()
const handlers = makeHandlers({ blockchain, chain, clock, faults, finality, pool })
const server = await serve(handlers, faults, config.host ?? '127.0.0.1', config.port ?? 0)

chain.setClock(config.clockS ?? null)

process.stdin.on('end', () => process.exit(0))
process.stdin.on('error', () => process.exit(0))
process.stdin.resume()
process.on('SIGTERM', () => process.exit(0))
process.on('SIGINT', () => process.exit(0))

const ready = { ready: true, port: server.port, genesisHash: (await blockchain.getBlockAt(0)).hash }
process.stdout.write(`${JSON.stringify(ready)}\n`)

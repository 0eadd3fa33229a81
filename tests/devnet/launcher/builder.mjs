// A block in one execution of the runtime, where Chopsticks takes one for each extrinsic and three besides.

import { blake2AsHex, core } from './modules.mjs'

const ENDS = new Set(['ExtrinsicSuccess', 'ExtrinsicFailed'])

async function included(block) {
  const meta = await block.meta
  const events = await block.read('Vec<EventRecord>', meta.query.system.events)
  return events.filter(({ event }) => event.section === 'system' && ENDS.has(event.method)).length
}

/**
 * The block of these transactions, on `head`; null where the runtime would not take them all as they are:
 * then they have to be tried one by one. It is what Chopsticks builds, from the same calls in the same order.
 */
export async function atOnce(head, transactions) {
  const [registry, header, wasm] = [await head.registry, await core.newHeader(head), await head.wasm]
  const inherents = await core.inherentProviders[0].createInherents({ parentBlock: head })
  const extrinsics = [...inherents, ...transactions]
  const { chain } = head
  const told = await core.runTask(
    {
      wasm,
      calls: [
        ['Core_initialize_block', [header.toHex()]],
        ...extrinsics.map((each) => ['BlockBuilder_apply_extrinsic', [each]]),
        ['BlockBuilder_finalize_block', []],
      ],
      mockSignatureHost: chain.mockSignatureHost,
      allowUnresolvedImports: chain.allowUnresolvedImports,
      runtimeLogLevel: chain.runtimeLogLevel,
    },
    core.taskHandler(head),
  )
  if (!told.Call) return null
  const root = blake2AsHex(`0x${extrinsics.map((each) => each.slice(2)).join('')}`, 256)
  const sealed = registry.createType('Header', { ...header.toJSON(), extrinsicsRoot: root })
  const block = new core.Block(chain, header.number.toNumber(), sealed.hash.toHex(), head, {
    header: sealed, extrinsics, storage: head.storage, storageDiff: told.Call.storageDiff,
  })
  return (await included(block)) === extrinsics.length ? block : null
}

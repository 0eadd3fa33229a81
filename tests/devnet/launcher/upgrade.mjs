// A runtime upgrade: the same runtime under another version, which is written over its own in the wasm.

const u32 = (...values) => {
  const bytes = Buffer.alloc(4 * values.length)
  values.forEach((value, index) => bytes.writeUInt32LE(value, 4 * index))
  return bytes
}
// The constant that the runtime answers with: how many APIs; authoring, spec, impl and transaction version.
const constant = (apis, spec, transaction) => u32(apis, 1, spec, 1, transaction)
// The wasm section that nodes read without executing: the same, encoded, its list of APIs in another section.
const section = (spec, transaction) => Buffer.concat([u32(1, spec, 1), Buffer.of(0), u32(transaction)])
// What a signature is checked against: both versions in one instruction, i64.const in LEB128 of five bytes.
function implied(spec, transaction) {
  let value = (BigInt(transaction) << 32n) | BigInt(spec)
  const bytes = [0x42]
  for (let index = 0; index < 5; index += 1, value >>= 7n) bytes.push(Number(value & 127n) | (index < 4 ? 128 : 0))
  return Buffer.from(bytes)
}

function replaceOnly(wasm, from, to, what) {
  const at = wasm.indexOf(from)
  if (at < 0 || wasm.indexOf(from, at + 1) >= 0) throw new Error(`the ${what} is not in the runtime just once`)
  to.copy(wasm, at)
}

/** The code of a block's runtime with the next spec version, and `transactionVersion` where it is told. */
export async function upgraded(block, { transactionVersion } = {}) {
  const told = await block.runtimeVersion
  const spec = told.specVersion
  const transaction = transactionVersion ?? told.transactionVersion
  const wasm = Buffer.from((await block.wasm).slice(2), 'hex')
  const apis = told.apis.length
  replaceOnly(wasm, constant(apis, spec, told.transactionVersion), constant(apis, spec + 1, transaction), 'constant')
  replaceOnly(wasm, section(spec, told.transactionVersion), section(spec + 1, transaction), 'version section')
  replaceOnly(wasm, implied(spec, told.transactionVersion), implied(spec + 1, transaction), 'signed extension')
  return { code: `0x${wasm.toString('hex')}`, specVersion: spec + 1, transactionVersion: transaction }
}

// JSON-RPC over HTTP and websockets, single and batched, on one port.

import http from 'node:http'

import { WebSocketServer } from './modules.mjs'

const CONTROL = /^(devnet|dev)_/
const GARBLED = '{"jsonrpc":"2.0","id":1,"resu'
const CLOSE = Symbol('close')
const DROP = Symbol('drop')
const GARBLE = Symbol('garble')

const errorOf = (error) => ({
  code: error.code ?? -32603,
  message: error.code ? error.message : `Internal error: ${error.message ?? error}`,
  ...(error.data === undefined ? {} : { data: error.data }),
})
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

async function run(handlers, request, subscriptions) {
  const { id = null, method, params = [] } = request
  const handler = handlers[method]
  try {
    if (!handler) throw Object.assign(new Error('Method not found'), { code: -32601 })
    return { jsonrpc: '2.0', id, result: (await handler(params, subscriptions)) ?? null }
  } catch (error) {
    return { jsonrpc: '2.0', id, error: errorOf(error) }
  }
}

async function runFaulty(handlers, faults, request, subscriptions) {
  const fault = faults.take(request.method, request.params ?? [])
  if (!fault) return run(handlers, request, subscriptions)
  const { id } = request
  if (fault.kind === 'refuse') {
    const { code = -32000, message = 'refused by the devnet', data } = fault
    return { jsonrpc: '2.0', id, error: errorOf({ code, message, data }) }
  }
  if (fault.kind === 'replace') return { jsonrpc: '2.0', id, result: fault.result ?? null }
  if (fault.kind === 'close' && fault.before) return CLOSE
  const reply = await run(handlers, request, subscriptions)
  if (fault.kind === 'delay') await wait(fault.ms ?? 1000)
  return { drop: DROP, garble: GARBLE, close: CLOSE }[fault.kind] ?? reply
}

// The driver's own connections (path /driver) neither count nor suffer faults.
function answerer(handlers, faults, exempt) {
  return async (request, subscriptions) => {
    if (typeof request?.method !== 'string') {
      return { jsonrpc: '2.0', id: null, error: { code: -32600, message: 'Invalid request' } }
    }
    if (exempt || CONTROL.test(request.method)) return run(handlers, request, subscriptions)
    faults.count(request.method)
    return runFaulty(handlers, faults, request, subscriptions)
  }
}

/** Answers one message, with what to send: text, or one of the symbols. */
async function answer(text, reply, subscriptions) {
  let request
  try {
    request = JSON.parse(text)
  } catch {
    return JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32700, message: 'Parse error' } })
  }
  if (!Array.isArray(request)) {
    const one = await reply(request, subscriptions)
    return typeof one === 'symbol' ? one : JSON.stringify(one)
  }
  const all = await Promise.all(request.map((each) => reply(each, subscriptions)))
  const fault = all.find((each) => typeof each === 'symbol')
  return fault ?? JSON.stringify(all)
}

function subscriptionsOf(socket, faults, exempt) {
  const cancels = new Map()
  return {
    subscribe(method, id, onCancel) {
      cancels.set(id, onCancel)
      return (result) => {
        if (!cancels.has(id) || socket.readyState !== socket.OPEN) return
        if (!exempt && faults.take('notification', [method])) return
        socket.send(JSON.stringify({ jsonrpc: '2.0', method, params: { subscription: id, result } }))
      }
    },
    unsubscribe(id) {
      cancels.get(id)?.(id)
      return cancels.delete(id)
    },
    close() {
      for (const [id, cancel] of cancels) cancel?.(id)
      cancels.clear()
    },
  }
}

function onSocket(socket, exempt, handlers, faults) {
  const subscriptions = subscriptionsOf(socket, faults, exempt)
  const reply = answerer(handlers, faults, exempt)
  socket.on('close', () => subscriptions.close())
  socket.on('error', () => subscriptions.close())
  socket.on('message', async (message) => {
    const text = await answer(message.toString(), reply, subscriptions)
    if (text === CLOSE) socket.terminate()
    else if (text !== DROP) socket.send(text === GARBLE ? GARBLED : text)
  })
}

async function onHttp(request, response, handlers, faults) {
  const exempt = request.url.startsWith('/driver')
  const parts = []
  for await (const part of request) parts.push(part)
  const text = await answer(Buffer.concat(parts).toString(), answerer(handlers, faults, exempt), undefined)
  if (text === CLOSE) return void response.destroy()
  if (text === DROP) return
  response.writeHead(200, { 'Content-Type': 'application/json' })
  response.end(text === GARBLE ? GARBLED : text)
}

/** Listens; `port` 0 takes a free one. Refuses new connections while `server.down` is true. */
export async function serve(handlers, faults, host, port) {
  const server = http.createServer((request, response) => {
    onHttp(request, response, handlers, faults).catch(() => response.destroy())
  })
  const sockets = new WebSocketServer({ noServer: true, maxPayload: 100 * 1024 * 1024 })
  const state = { down: false }
  server.on('upgrade', (request, socket, head) => {
    const exempt = request.url.startsWith('/driver')
    if (state.down && !exempt) return void socket.destroy()
    sockets.handleUpgrade(request, socket, head, (ws) => {
      ws.exempt = exempt
      onSocket(ws, exempt, handlers, faults)
    })
  })
  handlers.devnet_disconnect = async ([options]) => {
    state.down = options?.down ?? false
    const hit = [...sockets.clients].filter((client) => !client.exempt)
    for (const client of hit) client.terminate()
    return hit.length
  }
  await new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  return { port: server.address().port }
}

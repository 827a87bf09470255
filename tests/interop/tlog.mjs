// Verifies a running relay's log with Sigstore's verifier, and its ML-DSA-44 line with @noble/post-quantum.
// node tlog.mjs PLAN. Prints one line of JSON for each check.

import { createHash, createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { ml_dsa44 } from '@noble/post-quantum/ml-dsa.js'

const require = createRequire(import.meta.url)
// What decides in Sigstore's client; its public door is for bundles, which are signed in other ways than ours.
const { verifyCheckpoint } = require('./node_modules/@sigstore/verify/dist/tlog/checkpoint.js')
const { verifyMerkleInclusion } = require('./node_modules/@sigstore/verify/dist/tlog/merkle.js')

const plan = JSON.parse(readFileSync(process.argv[2], 'ascii'))

async function check(name, work) {
  let said = ''
  try {
    await work()
  } catch (error) {
    said = `${error.name}: ${error.message}`
  }
  console.log(JSON.stringify({ name: `sigstore: ${name}`, ok: said === '', said }))
}

async function refused(name, work) {
  await check(name, async () => {
    let passed = true
    try {
      if ((await work()) === false) passed = false
    } catch (error) {
      if (error.name !== 'VerificationError') throw error
      passed = false
    }
    if (passed) throw new Error('it passed')
  })
}

const vkey = (text) => {
  const [who, id, ...key] = text.split('+') // base64 has pluses of its own
  return [who, id, Buffer.from(key.join('+'), 'base64')]
}
const [name, id, material] = vkey(plan.Vkey)
const log = {
  baseURL: `https://${name}`,
  logID: createHash('sha256').update(`${name}\n`).update(material).digest(),
  publicKey: createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv: 'Ed25519', x: material.subarray(1).toString('base64url') } }),
}
if (log.logID.subarray(0, 4).toString('hex') !== id) throw new Error('the verifier key does not fit its id')

const opened = (note) => verifyCheckpoint({ inclusionProof: { checkpoint: { envelope: note } } }, [log])
const included = (leaf, index, hashes, checkpoint) =>
  verifyMerkleInclusion({ inclusionProof: { logIndex: `${index}`, hashes }, canonicalizedBody: leaf }, checkpoint)
const flipped = (data, at) => {
  const changed = Buffer.from(data)
  changed[at] ^= 1
  return changed
}
const get = async (path) => {
  if (plan.Bundles?.[path]) return Buffer.from(plan.Bundles[path], 'base64') // where the relay gives it to members only
  const answer = await fetch(`${plan.Prefix}/${path}`)
  if (answer.status !== 200) throw new Error(`${path}: ${answer.status}`)
  return Buffer.from(await answer.arrayBuffer())
}

// --- the checkpoint

const note = (await get('checkpoint')).toString('utf8')
const [body, tail] = note.split('\n\n')
const lines = tail.trimEnd().split('\n')
let head
await check('the checkpoint is signed by the log', () => {
  head = opened(note)
})
for (const [what, changed] of [
  ['size', body.replace(/\n(\d+)\n/, (_, n) => `\n${Number(n) + 1}\n`)],
  ['root', `${body.slice(0, -4)}${body.at(-4) === 'A' ? 'B' : 'A'}${body.slice(-3)}`],
  ['origin', `x${body}`],
])
  await refused(`a checkpoint with its ${what} changed`, () => opened(`${changed}\n\n${tail}`))
for (const at of [4, 30, 67]) {
  const [dash, who, blob] = lines[0].split(' ')
  const changed = flipped(Buffer.from(blob, 'base64'), at).toString('base64')
  await refused(`a signature changed at byte ${at}`, () => opened(`${body}\n\n${dash} ${who} ${changed}\n`))
}

// --- a leaf by the proof that its sender was given

const [proof, signed] = [plan.Proof.slice(0, plan.Proof.indexOf('\n\n')), plan.Proof.slice(plan.Proof.indexOf('\n\n') + 2)]
const [magic, extra, place, ...rest] = proof.split('\n')
const leaf = Buffer.from(extra.slice('extra '.length), 'base64')
const index = Number(place.slice('index '.length))
const hashes = rest.map((line) => Buffer.from(line, 'base64'))
let then
await check('the log proof is of the leaf that was sent, under a signed checkpoint', () => {
  if (magic !== 'c2sp.org/tlog-proof@v1' || leaf.toString('base64') !== plan.Leaf || index !== plan.Index) throw new Error('another leaf')
  then = opened(signed)
  included(leaf, index, hashes, then)
})
await refused('a changed leaf', () => included(flipped(leaf, 40), index, hashes, then))
await refused('another index', () => included(leaf, index + 1, hashes, then))
await refused('a size one more', () => included(leaf, index, hashes, { ...then, logSize: then.logSize * 2n + 1n }))
await refused('another root', () => included(leaf, index, hashes, { ...then, logHash: flipped(then.logHash, 0) }))
await refused('a hash too many', () => included(leaf, index, [...hashes, hashes[0]], then))
for (const at of hashes.keys()) {
  const changed = hashes.map((hash, n) => (n === at ? flipped(hash, 5) : hash))
  await refused(`hash ${at} changed`, () => included(leaf, index, changed, then))
  await refused(`hash ${at} left out`, () => included(leaf, index, hashes.toSpliced(at, 1), then))
}

// --- entries and tiles of the newest checkpoint

const sha = (...parts) => parts.reduce((state, part) => state.update(part), createHash('sha256')).digest()
const last = `${Math.floor(Number(head.logSize) / 256)}`.padStart(3, '0') // the log is far below 256,000 entries
const size = Number(head.logSize)
const width = size % 256
const bundle = await get(`tile/entries/${last}.p/${width}`)
const hashed = await get(`tile/0/${last}.p/${width}`)
await check('entries hash to their tile', () => {
  let at = 0
  for (let n = 0; n < width; n++) {
    const length = bundle.readUInt16BE(at)
    const expected = sha(Buffer.from([0]), bundle.subarray(at + 2, at + 2 + length))
    if (!expected.equals(hashed.subarray(32 * n, 32 * n + 32))) throw new Error(`entry ${n} of the bundle`)
    at += 2 + length
  }
  if (at !== bundle.length) throw new Error('more than the entries')
})

// --- ML-DSA-44

const [, cosigner, second] = lines[1].split(' ')
const line = Buffer.from(second, 'base64')
const origin = Buffer.from(name)
const number = (n) => {
  const out = Buffer.alloc(8)
  out.writeBigUInt64BE(BigInt(n))
  return out
}
const message = (root) =>
  Buffer.concat([
    Buffer.from('subtree/v1\n\0'), Buffer.from([cosigner.length]), Buffer.from(cosigner), line.subarray(4, 12),
    Buffer.from([origin.length]), origin, number(0), number(size), root,
  ])
const [, , mldsa] = vkey(plan.Mldsa)
const verified = (root, signature) => ml_dsa44.verify(signature, message(root), mldsa.subarray(1))
await check('the second line is ML-DSA-44 over the same tree', () => {
  if (!verified(head.logHash, line.subarray(12))) throw new Error('it does not verify')
})
await refused('an ML-DSA-44 line over another root', () => verified(flipped(head.logHash, 3), line.subarray(12)))
await refused('an ML-DSA-44 line with a bit changed', () => verified(head.logHash, flipped(line.subarray(12), 99)))

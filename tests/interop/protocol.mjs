// PROTOCOL.md once more, in JavaScript and from the document alone: bytes, hashes, opening, proofs.
// It uses libsodium for everything but SHA-256 (node:crypto), one of its two ways to open a wrap (the hpke package) and
// ML-DSA-44 (@noble/post-quantum, which that package brings along).

import { createHash, createHmac } from 'node:crypto'
import sodium from 'libsodium-wrappers-sumo'
import * as HPKE from 'hpke'
import * as noble from '@panva/hpke-noble'
import { ml_dsa44 } from '@noble/post-quantum/ml-dsa.js'

await sodium.ready

export const utf8 = (text) => new TextEncoder().encode(text)
export const unb = (text) => new Uint8Array(Buffer.from(text, 'base64url'))
export const b = (bytes) => Buffer.from(bytes).toString('base64url')
export const join = (...parts) => new Uint8Array(Buffer.concat(parts.map((part) => Uint8Array.from(part))))
export const same = (one, other) => one.length === other.length && sodium.memcmp(one, other)

export class Refused extends Error {
  constructor(code) {
    super(code)
    this.code = code
  }
}

export function must(holds, code) {
  if (!holds) throw new Refused(code)
}

// --- F: form

// H(label, data; key, size): BLAKE2b over label || 00 || data (F5).
export const H = (label, data, key = null, size = 32) =>
  sodium.crypto_generichash(size, join(utf8(label), [0], data), key)

const SHORT = { 8: 'b', 9: 't', 10: 'n', 12: 'f', 13: 'r', 34: '"', 92: '\\' }

function quoted(text) {
  let out = ''
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (SHORT[unit]) out += '\\' + SHORT[unit]
    else if (unit >= 0x20 && unit <= 0x7e) out += text[at]
    else out += '\\u' + unit.toString(16).padStart(4, '0')
  }
  return `"${out}"`
}

// Canonical JSON (F1). Every member name of this protocol is ASCII, so sorting by code unit is sorting by code point.
export function canonical(value, depth = 6) {
  if (value === null || typeof value === 'boolean') return String(value)
  if (typeof value === 'number') {
    must(Number.isSafeInteger(value) && !Object.is(value, -0), 'NOT_CANONICAL')
    return String(value)
  }
  if (typeof value === 'string') {
    must(value.isWellFormed(), 'NOT_CANONICAL')
    return quoted(value)
  }
  must(depth > 0, 'NOT_CANONICAL')
  if (Array.isArray(value)) return `[${value.map((item) => canonical(item, depth - 1)).join(',')}]`
  const members = Object.keys(value).sort().map((name) => `${quoted(name)}:${canonical(value[name], depth - 1)}`)
  return `{${members.join(',')}}`
}

export function decode(bytes, limit) {
  must(bytes.length <= limit, 'TOO_BIG')
  let value
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
  } catch {
    throw new Refused('FORM')
  }
  must(same(utf8(canonical(value)), bytes), 'NOT_CANONICAL')
  return value
}

class Frames {
  constructor(bytes) {
    this.bytes = bytes
    this.at = 0
  }
  take(size) {
    must(this.at + size <= this.bytes.length, 'FORM')
    return this.bytes.slice(this.at, (this.at += size))
  }
  frame(limit) {
    const size = Buffer.from(this.take(4)).readUInt32BE()
    must(size <= limit, 'TOO_BIG')
    return this.take(size)
  }
  end() {
    must(this.at === this.bytes.length, 'FORM')
  }
}

// --- K: keys

export function hybridKey(seed) {
  const { publicKey, privateKey } = sodium.crypto_kem_xwing_seed_keypair(seed)
  return { seed, publicKey, privateKey, kid: H('fenpost/v1/kid', join([2], publicKey)) }
}

export const kidOf = (publicKey) => H('fenpost/v1/kid', join([1], publicKey))

export function verify(publicKey, purpose, data, signature) {
  let holds = false
  try {
    holds = sodium.crypto_sign_verify_detached(signature, join(utf8(purpose), [0], data), publicKey)
  } catch {
    // a key or signature of another size
  }
  must(holds, 'SIGNATURE')
}

// HPKE (RFC 9180) base mode with the secret of libsodium's X-Wing: the key schedule written out.
const SUITE_ID = join(utf8('HPKE'), [0x64, 0x7a, 0, 1, 0, 3])
const hmac = (key, data) => new Uint8Array(createHmac('sha256', key).update(data).digest())
const extract = (salt, label, ikm) => hmac(salt, join(utf8('HPKE-v1'), SUITE_ID, utf8(label), ikm))

function expand(prk, label, info, size) {
  const labelled = join([size >> 8, size & 255], utf8('HPKE-v1'), SUITE_ID, utf8(label), info)
  return hmac(prk, join(labelled, [1])).slice(0, size)
}

function openWithSodium(key, info, wrapped) {
  const shared = sodium.crypto_kem_xwing_dec(wrapped.slice(0, 1120), key.privateKey)
  const none = new Uint8Array()
  const context = join([0], extract(none, 'psk_id_hash', none), extract(none, 'info_hash', info))
  const secret = extract(shared, 'secret', none)
  return sodium.crypto_aead_chacha20poly1305_ietf_decrypt(
    null, wrapped.slice(1120), none, expand(secret, 'base_nonce', context, 12), expand(secret, 'key', context, 32),
  )
}

const suite = new HPKE.CipherSuite(
  noble.KEM_MLKEM768_X25519, noble.KDF_HKDF_SHA256, noble.AEAD_ChaCha20Poly1305,
)

async function openWithPackage(key, info, wrapped) {
  const secret = await suite.DeserializePrivateKey(key.seed)
  return suite.Open(secret, wrapped.slice(0, 1120), wrapped.slice(1120), { info })
}

// Both must agree (E7).
export async function unwrap(key, info, wrapped) {
  const both = []
  for (const open of [openWithSodium, openWithPackage]) {
    try {
      both.push(await open(key, info, wrapped))
    } catch {
      both.push(null)
    }
  }
  must((both[0] === null) === (both[1] === null), 'the two ways to open a wrap disagree')
  must(both[0] !== null && both[0].length === 32, 'CANNOT_OPEN')
  must(same(both[0], both[1]), 'the two ways to open a wrap disagree')
  return both[0]
}

// --- E: envelope

function aeadOpen(key, nonce, aad, sealed, code) {
  try {
    return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(null, sealed, aad, nonce, key)
  } catch {
    throw new Refused(code)
  }
}

export function bucket(size, smallest) {
  let room = smallest
  while (room < size && room < 65536) room *= 2
  if (size <= room) return room
  const e = Math.floor(Math.log2(size))
  const step = 2 ** (e - (Math.floor(Math.log2(e)) + 1))
  return Math.ceil(size / step) * step
}

function unpad(padded, smallest) {
  must(padded.length >= 4, 'PADDING')
  const size = 4 + Buffer.from(padded).readUInt32BE()
  must(size <= padded.length && padded.length === bucket(size, smallest), 'PADDING')
  must(padded.slice(size).every((byte) => byte === 0), 'PADDING')
  return padded.slice(4, size)
}

function readEnvelope(frames) {
  must(same(frames.take(4), utf8('FPE1')), 'FORM')
  const headerBytes = frames.frame(16 * 1024)
  const wm = frames.frame(64 * 64)
  const body = frames.frame(1024 * 1024)
  const sig = frames.take(64)
  const header = decode(headerBytes, 16 * 1024)
  must(header !== null && typeof header === 'object' && header.v === 1, 'VERSION')
  must(Array.isArray(header.att) && header.att.length === 0, 'ATTACHMENTS')
  must(Array.isArray(header.to) && wm.length === 64 * header.to.length, 'WRAPS')
  const rows = header.to.map((to, n) => ({ ...to, kid: wm.slice(64 * n, 64 * n + 32), digest: wm.slice(64 * n + 32, 64 * n + 64) }))
  must(rows.every((row) => b(row.kid) === row.k), 'WRAPS')
  const hh = H('fenpost/v1/header', headerBytes)
  const t = join(hh, H('fenpost/v1/wraps', wm), H('fenpost/v1/body', body))
  return { headerBytes, header, wm, rows, body, sig, hh, t, eid: H('fenpost/v1/eid', t) }
}

const checkRecord = (envelope, record) => must(b(H('fenpost/v1/rec', record)) === envelope.header.ar, 'RECORD')

export function readUpload(bytes) {
  const frames = new Frames(bytes)
  const envelope = readEnvelope(frames)
  const wraps = envelope.rows.map(() => frames.take(1168))
  const record = frames.frame(128 * 1024)
  frames.end()
  must(wraps.every((wrap, n) => same(H('fenpost/v1/w', wrap), envelope.rows[n].digest)), 'WRAPS')
  checkRecord(envelope, record)
  return { envelope, wraps, record }
}

export function readDelivery(bytes) {
  const frames = new Frames(bytes)
  const envelope = readEnvelope(frames)
  const delivery = { envelope, wrap: frames.take(1168), record: frames.frame(128 * 1024), proof: frames.frame(16 * 1024) }
  frames.end()
  checkRecord(envelope, delivery.record)
  return delivery
}

const INNER = ['att', 'cp', 'grant', 'p', 'rk', 'seq', 'status']
const FACTS = ['att', 'author', 'basis', 'cat', 'from', 'mid', 'ph', 'pur', 'ref', 'to', 'v']
const members = (value) => Object.keys(value).sort().join()

// The recipient's rules V2 to V7, as far as they need no directory of more than the sender's one key.
export async function receive(bytes, agency, key, sender, log, now) {
  const { envelope, wrap, record, proof } = readDelivery(bytes)
  const { header, hh } = envelope
  must(header.signer === b(kidOf(sender)), 'UNKNOWN_KEY')
  verify(sender, 'fenpost/v1/envelope', envelope.t, envelope.sig)
  const mine = envelope.rows.filter((row) => same(row.kid, key.kid))
  must(mine.length > 0, 'NOT_FOR_US')
  const row = mine.find((one) => same(one.digest, H('fenpost/v1/w', wrap)))
  must(row !== undefined, 'WRAPS')
  must(row.a === agency, 'NOT_FOR_US')
  must(now <= header.exp, 'EXPIRED')
  must(header.ts <= now + 300, 'FUTURE')
  const leaf = readProof(new TextDecoder().decode(proof), log).leaf
  must(same(leaf.slice(1, 33), envelope.eid) && b(leaf.slice(65)) === header.ar, 'PROOF')
  const cek = await unwrap(key, join(utf8('fenpost/v1/wrap'), [0], hh, key.kid), wrap)
  must(b(H('fenpost/v1/commit', unb(header.mid), cek)) === header.kc, 'COMMITMENT')
  const opened = aeadOpen(H('fenpost/v1/body-key', hh, cek), H('fenpost/v1/body-nonce', hh, cek, 24), hh, envelope.body, 'CANNOT_OPEN')
  const inner = decode(unpad(opened, 4096), 1024 * 1024)
  must(members(inner) === INNER.join() && typeof inner.p === 'string' && inner.att.length === 0 && inner.cp.length <= 4, 'FORM')
  must([0, header.to.length].includes(inner.seq.length) && inner.seq.every((n) => Number.isInteger(n) && n > 0), 'FORM')
  const facts = openRecord(readRecord(record), unb(inner.rk), header.mid, 'hpke')
  const { b6, b9, gw, s1 } = header.law
  const said = {
    v: 1, att: [], mid: header.mid, from: header.from, to: header.to.map(({ a, d }) => ({ a, d })), cat: header.cat, pur: header.pur,
    ph: b(H('fenpost/v1/payload', utf8(inner.p))), basis: { b6, b9, gw, s1 }, author: facts.author, ref: facts.ref,
  }
  must(members(facts) === FACTS.join() && canonical(facts) === canonical(said), 'RECORD_DIFFERS')
  must(typeof facts.author === 'string' && typeof facts.ref === 'string', 'RECORD_DIFFERS')
  return { envelope, cek, inner, facts }
}

// --- S: records

export function readRecord(bytes) {
  try {
    const frames = new Frames(bytes)
    must(same(frames.take(4), utf8('FPR1')), 'FORM')
    const headBytes = frames.frame(8 * 1024)
    const head = decode(headBytes, 8 * 1024)
    must(members(head) === 'ctx,kc,to,v,w' && head.v === 1 && ['hpke', 'epoch'].includes(head.w), 'FORM')
    must(head.to.length > 0 && head.to.every((to, n) => n === 0 || head.to[n - 1] < to), 'FORM')
    const [context, reader] = head.w === 'hpke' ? [22, 43] : [43, 22]
    must(head.ctx.length === context && head.to.every((to) => to.length === reader), 'FORM')
    const body = frames.frame(96 * 1024)
    const wraps = head.to.map(() => frames.take(head.w === 'hpke' ? 1168 : 48))
    frames.end()
    return { head, body, wraps, rh: H('fenpost/v1/rec-head', headBytes) }
  } catch (error) {
    if (error instanceof Refused) throw new Refused('RECORD')
    throw error
  }
}

export function openRecord(record, rk, ctx, kind) {
  must(record.head.w === kind && record.head.ctx === ctx, 'RECORD')
  must(b(H('fenpost/v1/rec-commit', utf8(ctx), rk)) === record.head.kc, 'RECORD')
  const { rh } = record
  const plain = aeadOpen(H('fenpost/v1/rec-key', rh, rk), H('fenpost/v1/rec-nonce', rh, rk, 24), rh, record.body, 'RECORD')
  return decode(unpad(plain, 2048), 96 * 1024)
}

export function recordKey(record, officer) {
  const at = record.head.to.indexOf(b(officer.kid))
  must(at >= 0, 'RECORD')
  return unwrap(officer, join(utf8('fenpost/v1/rec-wrap'), [0], record.rh, officer.kid), record.wraps[at])
}

export function epochRecordKey(record, key) {
  const tag = b(H('fenpost/v1/epoch-tag', utf8(record.head.ctx), key, 16))
  const at = record.head.to.indexOf(tag)
  must(at >= 0, 'RECORD')
  return aeadOpen(key, H('fenpost/v1/epoch-nonce', record.rh, key, 24), record.rh, record.wraps[at], 'RECORD')
}

export const openEpoch = (officer, id, wrap) =>
  unwrap(officer, join(utf8('fenpost/v1/epoch-wrap'), [0], id, officer.kid), wrap)

export const unveil = (veiled, tag, rk) =>
  aeadOpen(H('fenpost/v1/rec-outer', tag, rk), H('fenpost/v1/rec-outer-nonce', tag, rk, 24), tag, veiled, 'RECORD')

// --- L: log

const sha256 = (...parts) => new Uint8Array(createHash('sha256').update(join(...parts)).digest())
export const leafHash = (leaf) => sha256([0], leaf)
export const nodeHash = (left, right) => sha256([1], left, right)
const plain64 = (text) => {
  const bytes = new Uint8Array(Buffer.from(text, 'base64'))
  must(Buffer.from(bytes).toString('base64') === text, 'CHECKPOINT')
  return bytes
}

export function root(leaves) {
  if (leaves.length === 1) return leafHash(leaves[0])
  let split = 1
  while (split * 2 < leaves.length) split *= 2
  return nodeHash(root(leaves.slice(0, split)), root(leaves.slice(split)))
}

// The root that a path gives, walked from the top down: unlike the other implementation, recursively.
export function rootFromPath(leaf, index, size, hashes) {
  must(index >= 0 && index < size, 'PROOF')
  if (size === 1) {
    must(hashes.length === 0, 'PROOF')
    return leaf
  }
  must(hashes.length > 0 && hashes.at(-1).length === 32, 'PROOF')
  let split = 1
  while (split * 2 < size) split *= 2
  const rest = hashes.slice(0, -1)
  if (index < split) return nodeHash(rootFromPath(leaf, index, split, rest), hashes.at(-1))
  return nodeHash(hashes.at(-1), rootFromPath(leaf, index - split, size - split, rest))
}

// Old and new root from a consistency proof (RFC 6962 section 2.1.2), recursively.
export function rootsFromProof(old, size, hashes, oldRoot, whole = true) {
  if (old === size) {
    if (whole) {
      must(hashes.length === 0, 'PROOF')
      return [oldRoot, oldRoot]
    }
    must(hashes.length === 1, 'PROOF')
    return [hashes[0], hashes[0]]
  }
  must(old > 0 && old < size && hashes.length > 0, 'PROOF')
  let split = 1
  while (split * 2 < size) split *= 2
  const rest = hashes.slice(0, -1)
  const last = hashes.at(-1)
  if (old <= split) {
    const [was, now] = rootsFromProof(old, split, rest, oldRoot, whole)
    return [was, nodeHash(now, last)]
  }
  const [was, now] = rootsFromProof(old - split, size - split, rest, oldRoot, false)
  return [nodeHash(last, was), nodeHash(last, now)]
}

// Verifier keys: 1 a log's Ed25519, 4 a witness's Ed25519, 6 a log's ML-DSA-44.
export function readKey(text, type = 1, size = 32) {
  const [name, id, ...rest] = text.split('+')
  const data = plain64(rest.join('+'))
  must(data.length === 1 + size && data[0] === type, 'CHECKPOINT')
  const hash = sha256(utf8(name), [10], data).slice(0, 4)
  must(Buffer.from(hash).toString('hex') === id, 'CHECKPOINT')
  return { name, hash, publicKey: data.slice(1) }
}

// What the lines that name this key hold after its id, of however many lines there are.
export function linesOf(note, key) {
  const at = note.lastIndexOf('\n\n')
  must(at >= 0 && note.endsWith('\n'), 'CHECKPOINT')
  const mine = []
  for (const line of note.slice(at + 2, -1).split('\n')) {
    const [dash, name, data, ...more] = line.split(' ')
    must(dash === '\u2014' && name && data && more.length === 0, 'CHECKPOINT')
    const bytes = plain64(data)
    if (name === key.name && same(bytes.slice(0, 4), key.hash)) mine.push(bytes.slice(4))
  }
  return mine
}

export function readNote(note, log) {
  const mine = linesOf(note, log)
  const text = note.slice(0, note.lastIndexOf('\n\n') + 1)
  must(mine.length === 1 && mine[0].length === 64, 'CHECKPOINT')
  must(sodium.crypto_sign_verify_detached(mine[0], utf8(text), log.publicKey), 'CHECKPOINT')
  const [origin, size, hash, end, ...more] = text.split('\n')
  must(origin === log.name && /^(0|[1-9][0-9]{0,18})$/.test(size) && end === '' && more.length === 0, 'CHECKPOINT')
  const found = { size: Number(size), root: plain64(hash) }
  must(found.root.length === 32, 'CHECKPOINT')
  return found
}

const u64 = (value) => {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value))
  return bytes
}
const stampOf = (line) => new DataView(line.buffer, line.byteOffset, 8).getBigUint64(0)

// A published head: both of the log's lines, and the witnesses whose cosignatures hold, with the newest time of each.
export function readHead(note, log, mldsa, witnesses) {
  const found = readNote(note, log)
  const second = linesOf(note, mldsa)
  must(second.length === 1 && second[0].length === 8 + 2420, 'CHECKPOINT')
  const name = utf8(mldsa.name)
  const signed = join(
    utf8('subtree/v1\n\0'), [name.length], name, second[0].slice(0, 8), [name.length], name, u64(0), u64(found.size), found.root,
  )
  let holds = false
  try {
    holds = ml_dsa44.verify(second[0].slice(8), signed, mldsa.publicKey)
  } catch {
    holds = false
  }
  must(holds, 'CHECKPOINT')
  const text = note.slice(0, note.lastIndexOf('\n\n') + 1)
  const cosigned = {}
  for (const witness of witnesses) {
    for (const line of linesOf(note, witness)) {
      must(line.length === 72, 'CHECKPOINT')
      const stamp = Number(stampOf(line))
      const said = utf8(`cosignature/v1\ntime ${stamp}\n${text}`)
      must(sodium.crypto_sign_verify_detached(line.slice(8), said, witness.publicKey), 'CHECKPOINT')
      cosigned[witness.name] = Math.max(stamp, cosigned[witness.name] ?? 0)
    }
  }
  return { ...found, cosigned }
}

export function readProof(text, log) {
  const at = text.indexOf('\n\n')
  must(at > 0, 'PROOF')
  const [head, extra, index, ...hashes] = text.slice(0, at).split('\n')
  must(head === 'c2sp.org/tlog-proof@v1' && extra.startsWith('extra ') && /^index (0|[1-9][0-9]{0,18})$/.test(index), 'PROOF')
  const checkpoint = readNote(text.slice(at + 2), log)
  let leaf, path
  try {
    leaf = plain64(extra.slice(6))
    path = hashes.map(plain64)
  } catch {
    throw new Refused('PROOF')
  }
  must(leaf.length === 97 && leaf[0] === 1, 'PROOF')
  const found = rootFromPath(leafHash(leaf), Number(index.slice(6)), checkpoint.size, path)
  must(same(found, checkpoint.root), 'PROOF')
  return { leaf, checkpoint }
}

// --- key files

export function unlock(bytes, holds, passphrase) {
  try {
    const frames = new Frames(bytes)
    must(same(frames.take(4), utf8('FPK1')), 'FORM')
    const headBytes = frames.frame(4096)
    const head = decode(headBytes, 4096)
    must(head.v === 1 && head.holds === holds && head.ops <= 8 && head.mem <= 2 ** 30, 'FORM')
    const nonce = frames.take(24)
    const sealed = frames.take(bytes.length - frames.at)
    const key = sodium.crypto_pwhash(
      32, utf8(passphrase), unb(head.salt), head.ops, head.mem, sodium.crypto_pwhash_ALG_ARGON2ID13,
    )
    return decode(aeadOpen(key, nonce, headBytes, sealed, 'KEYFILE'), 1024 * 1024)
  } catch {
    throw new Refused('KEYFILE')
  }
}

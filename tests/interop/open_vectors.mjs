// Opens the published vectors with JavaScript and libsodium. Prints one line of JSON for each check.
// node open_vectors.mjs FOLDER

import { readFileSync } from 'node:fs'
import { join as path } from 'node:path'
import sodium from 'libsodium-wrappers-sumo'
import * as p from './protocol.mjs'

const { unb, b, must, same, utf8 } = p
const folder = process.argv[2]
const vectors = (name) => JSON.parse(readFileSync(path(folder, `${name}.json`), 'ascii'))

async function check(name, work) {
  let said = ''
  try {
    await work()
  } catch (error) {
    said = error instanceof p.Refused ? error.code : `${error.name}: ${error.message}`
  }
  console.log(JSON.stringify({ name, ok: said === '', said }))
}

async function refused(name, code, work) {
  await check(name, async () => {
    let found = 'it passed'
    try {
      await work()
    } catch (error) {
      if (!(error instanceof p.Refused)) throw error
      found = error.code
    }
    must(found === code, `asked for ${code}, found ${found}`)
  })
}

function applied(base, change) {
  let bytes = base
  for (const [start, end, piece] of change) bytes = p.join(bytes.slice(0, start), unb(piece), bytes.slice(end))
  return bytes
}

const equal = (one, other, what) => must(one === other, `${what} differs`)

// --- canonical JSON and keys

const text = (row) => utf8(row.fill ? row.text + row.fill.repeat(row.repeat) + row.text : row.text.repeat(row.repeat ?? 1))
for (const row of vectors('canonical').valid) await check(`canonical: ${row.name}`, () => void p.decode(text(row), 65536))
for (const row of vectors('canonical').invalid) {
  // JSON.parse reads fractions, repeated names and exponents before anybody can refuse them: here all are "not canonical".
  const here = row.refusal === 'TOO_BIG' ? ['TOO_BIG'] : ['FORM', 'NOT_CANONICAL']
  await check(`canonical refuses: ${row.name}`, () => {
    let found = 'it passed'
    try {
      p.decode(text(row), 65536)
    } catch (error) {
      found = error.code ?? error.name
    }
    must(here.includes(found), `asked for ${here}, found ${found}`)
  })
}

for (const row of vectors('keys').valid) {
  await check(`key from its seed: ${row.name}`, () => {
    const seed = unb(row.seed)
    const made = row.alg === 'x-wing' ? p.hybridKey(seed).publicKey : sodium.crypto_sign_seed_keypair(seed).publicKey
    equal(b(made), row.public, 'the public key')
    equal(b(row.alg === 'x-wing' ? p.hybridKey(seed).kid : p.kidOf(made)), row.kid, 'the key id')
  })
}

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567'
await check('agency id and safety number', () => {
  const { agency } = vectors('keys')
  const body = p.canonical(JSON.parse(agency.inception).body)
  const bits = [...p.H('fenpost/v1/agency', utf8(body)).slice(0, 20)].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  const id = 'ag1' + bits.match(/.{5}/g).map((five) => BASE32[parseInt(five, 2)]).join('')
  equal(id, agency.id, 'the agency id')
  const digest = BigInt('0x' + Buffer.from(p.H('fenpost/v1/safety', utf8(id), null, 16)).toString('hex'))
  const digits = (digest % 10n ** 30n).toString().padStart(30, '0')
  equal(digits.match(/.{5}/g).join(' '), agency.safety_number, 'the safety number')
})
await check('padded sizes', () => {
  for (const [size, room] of vectors('keys').padding) equal(p.bucket(size, 4096), room, `the bucket of ${size}`)
})

// --- envelopes

const envelopes = vectors('envelope')
const log = p.readKey(envelopes.log)
const first = envelopes.valid[0]
const sender = unb(first.sender_msg_public)

for (const row of envelopes.valid) {
  await check(`upload: ${row.name}`, () => {
    const { envelope, wraps } = p.readUpload(unb(row.upload))
    equal(p.canonical(envelope.header), row.header, 'the header')
    for (const [name, value] of [['hh', envelope.hh], ['transcript', envelope.t], ['eid', envelope.eid]]) {
      equal(b(value), row[name], name)
    }
    p.verify(sender, 'fenpost/v1/envelope', envelope.t, envelope.sig)
    equal(wraps.length, row.deliveries.length, 'the number of wraps')
  })
  for (const part of row.deliveries) {
    await check(`delivery: ${row.name}, ${part.desk}`, async () => {
      const key = p.hybridKey(unb(part.prekey_seed))
      const got = await p.receive(unb(part.delivery), part.agency, key, sender, log, envelopes.now)
      equal(b(got.cek), row.cek, 'the content key')
      equal(got.inner.p, row.payload, 'the payload')
      equal(p.canonical(got.inner), row.inner, 'the inner message')
      equal(p.canonical(got.facts), row.facts, 'the audit record')
    })
  }
  await check(`officers: ${row.name}`, async () => {
    const record = p.readRecord(p.readUpload(unb(row.upload)).record)
    const officers = envelopes.officers.map((one) => p.hybridKey(unb(one.seed))).filter((one) => record.head.to.includes(b(one.kid)))
    equal(officers.length, record.head.to.length, 'the number of officers')
    for (const officer of officers) equal(b(await p.recordKey(record, officer)), row.rk, 'the record key')
  })
}

// What needs closed lists of codes, or the whole directory, is judged by the other implementation only.
const NEEDS_MORE = new Set(['UNKNOWN_DESK', 'UNKNOWN_AGENCY', 'STALE_KEY'])
const upload = unb(first.upload)
const delivery = unb(first.deliveries[0].delivery)
for (const row of envelopes.invalid) {
  if (row.kind === 'upload' && row.refusal !== 'FORM') {
    await refused(`upload refuses: ${row.name}`, row.refusal, () => p.readUpload(applied(upload, row.change)))
  } else if (row.kind === 'delivery' && !NEEDS_MORE.has(row.refusal)) {
    const key = p.hybridKey(unb(row.prekey_seed))
    const work = () => p.receive(applied(delivery, row.change), row.agency, key, sender, log, row.now)
    await refused(`delivery refuses: ${row.name}`, row.refusal, work)
  }
}

await check('every tenth byte turned is refused', async () => {
  const key = p.hybridKey(unb(first.deliveries[0].prekey_seed))
  for (let at = 0; at < delivery.length; at += 10) {
    const turned = delivery.slice()
    turned[at] ^= 1
    let taken = true
    try {
      await p.receive(turned, first.deliveries[0].agency, key, sender, log, envelopes.now)
    } catch (error) {
      if (!(error instanceof p.Refused)) throw error
      taken = false
    }
    must(!taken, `byte ${at} can be turned`)
  }
})

// --- records and epochs

const record = vectors('record').valid[0]
await check('record: opened with its key', () => {
  equal(p.canonical(p.openRecord(p.readRecord(unb(record.record)), unb(record.rk), record.ctx, 'hpke')), record.facts, 'what it says')
})
for (const row of vectors('record').invalid) {
  await refused(`record refuses: ${row.name}`, 'RECORD', () => {
    p.openRecord(p.readRecord(applied(unb(record.record), row.change)), unb(record.rk), record.ctx, 'hpke')
  })
}

const epoch = vectors('epoch').valid[0]
await check("relay's record: opened by each officer through its epoch", async () => {
  const relay = p.readRecord(unb(epoch.record))
  for (const one of epoch.epochs) {
    const key = await p.openEpoch(p.hybridKey(unb(one.officer_seed)), unb(one.id), unb(one.wrap))
    equal(b(key), one.key, 'the epoch key')
    const rk = p.epochRecordKey(relay, key)
    equal(p.canonical(p.openRecord(relay, rk, epoch.tag, 'epoch')), epoch.facts, 'what it says')
    equal(b(p.unveil(unb(epoch.veiled), unb(epoch.tag), rk)), epoch.sender_record, 'the veiled record')
  }
})
await check('leaf: named after the envelope and both records', () => {
  const leaf = p.join([1], unb(epoch.tag), p.H('fenpost/v1/rec', unb(epoch.record)), p.H('fenpost/v1/rec', unb(epoch.sender_record)))
  equal(b(leaf), epoch.leaf, 'the leaf')
})

// --- log

function proves(row) {
  const hashes = row.hashes.map(unb)
  if ('index' in row) {
    must(same(p.rootFromPath(p.leafHash(unb(row.leaf)), row.index, row.size, hashes), unb(row.root)), 'PROOF')
    return
  }
  must(row.old <= row.new, 'PROOF')
  const [was, now] = p.rootsFromProof(row.old, row.new, hashes, unb(row.old_root))
  must(same(was, unb(row.old_root)) && same(now, unb(row.new_root)), 'PROOF')
}
for (const row of vectors('tree').valid) await check(`tree: ${row.name}`, () => proves(row))
for (const row of vectors('tree').invalid) await refused(`tree refuses: ${row.name}`, 'PROOF', () => proves(row))

const notes = vectors('checkpoint')
for (const row of notes.valid) {
  await check(`checkpoint: ${row.name}`, () => {
    const found = p.readNote(row.note, p.readKey(notes.key))
    equal(found.size, row.size, 'the size')
    equal(b(found.root), row.root, 'the root')
  })
}
for (const row of notes.invalid) {
  await refused(`checkpoint refuses: ${row.name}`, 'CHECKPOINT', () => p.readNote(row.note, p.readKey(notes.key)))
}

const heads = vectors('head')
const headKeys = [
  p.readKey(heads.key),
  p.readKey(heads.mldsa, 6, 1312),
  heads.witnesses.map((one) => p.readKey(one.key, 4)),
]
for (const row of heads.valid) {
  await check(`head: ${row.name}`, () => {
    const found = p.readHead(row.note, ...headKeys)
    equal(found.size, row.size, 'the size')
    equal(b(found.root), row.root, 'the root')
    equal(p.canonical(found.cosigned), p.canonical(row.cosigned), 'who cosigned')
  })
}
for (const row of heads.invalid) {
  await refused(`head refuses: ${row.name}`, 'CHECKPOINT', () => p.readHead(row.note, ...headKeys))
}

const proofs = vectors('proof')
const proved = (text) => {
  const { leaf, checkpoint } = p.readProof(text, p.readKey(proofs.key))
  must(b(leaf) === proofs.leaf, 'PROOF')
  return checkpoint
}
for (const row of proofs.valid) await check(`proof: ${row.name}`, () => equal(proved(row.proof).size, row.size, 'the size'))
for (const row of proofs.invalid) await check(`proof refuses: ${row.name}`, () => {
  let taken = true
  try {
    proved(row.proof)
  } catch (error) {
    if (!(error instanceof p.Refused)) throw error
    taken = false
  }
  must(!taken, 'it passed')
})

// --- statements, directory, key files

const directory = vectors('directory').valid[0]
await check('directory: every statement signed, in order, and the root', () => {
  const ops = new Map()
  const leaves = []
  for (const { s, t } of directory.statements) {
    const value = p.decode(utf8(t), 16 * 1024)
    const last = ops.get(value.agency)
    if (value.op === 'inception') ops.set(value.agency, { op: unb(value.body.op_key), seq: 0, head: null })
    else must(value.seq === last.seq + 1 && value.prev === last.head, 'DIRECTORY')
    const agency = ops.get(value.agency)
    must(value.by === b(p.kidOf(agency.op)), 'DIRECTORY')
    p.verify(agency.op, 'fenpost/v1/dir', utf8(t), unb(s))
    agency.seq = value.seq
    agency.head = b(p.H('fenpost/v1/dir-statement', utf8(t)))
    leaves.push(p.join(utf8(t), unb(s)))
  }
  equal(b(p.root(leaves)), directory.root, 'the root')
})

const grants = vectors('grant')
for (const row of grants.valid) {
  await check(`statement: ${row.name}`, () => {
    p.decode(utf8(row.statement.t), 16 * 1024)
    p.verify(unb(grants.public[row.by]), `fenpost/v1/${row.kind}`, utf8(row.statement.t), unb(row.statement.s))
  })
}
const receipts = vectors('receipt')
for (const row of receipts.valid) {
  await check(`receipt: ${row.name}`, () =>
    p.verify(unb(receipts.public), 'fenpost/v1/receipt', utf8(row.statement.t), unb(row.statement.s)))
}
await refused('receipt refuses: another purpose', 'SIGNATURE', () => {
  const { s, t } = receipts.valid[0].statement
  p.verify(unb(receipts.public), 'fenpost/v1/envelope', utf8(t), unb(s))
})

const files = vectors('keyfile')
for (const row of files.valid) {
  await check(`key file: ${row.name}`, () =>
    equal(p.canonical(p.unlock(unb(row.file), row.holds, row.passphrase)), p.canonical(row.secrets), 'what it holds'))
}
for (const row of files.invalid) {
  await refused(`key file refuses: ${row.name}`, 'KEYFILE', () => p.unlock(unb(row.file), row.holds, row.passphrase))
}

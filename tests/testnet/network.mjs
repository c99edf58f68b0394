/**
 * A real AT Protocol network on loopback for the tests: PLC directory, PDS and Ozone in one process.
 *
 *   node network.mjs --postgres-url URL --data-dir DIRECTORY
 *
 * Prints one JSON line on standard output once everything answers (see `ready` below), and exits
 * when standard input ends: whoever started it holds the other end, so that a killed test run
 * leaves no Node process behind. Both the database and the directory are the caller's to remove.
 * The servers log as JSON to standard error (LOG_LEVEL, default warn).
 */

import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import net from 'node:net'
import { randomBytes } from 'node:crypto'
import path from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'

const HOST = '127.0.0.1'
const PASSWORD = 'testnet-account-password'

/** The accounts that exist from the start; authors are made by the tests through createAccount. */
const ACCOUNTS = [
  { name: 'automod', role: 'moderator' },
  { name: 'admin', role: 'admin' },
  { name: 'triage', role: 'triage' },
]

const log = {
  LOG_ENABLED: 'true',
  LOG_LEVEL: process.env.LOG_LEVEL ?? 'warn',
  LOG_DESTINATION: '/dev/stderr', // standard output carries the ready line
}

/** The servers call `listen(port)`, which binds every interface: keep them on loopback. */
function bindToLoopback() {
  const listen = net.Server.prototype.listen
  net.Server.prototype.listen = function (first, ...rest) {
    return typeof first === 'number'
      ? listen.call(this, { port: first, host: HOST }, ...rest)
      : listen.call(this, first, ...rest)
  }
}

/** Ports nobody listens on. All are held open until the last one is known, so they differ. */
async function freePorts(count) {
  const probes = Array.from({ length: count }, () => net.createServer().listen(0, HOST))
  await Promise.all(probes.map((probe) => once(probe, 'listening')))
  const ports = probes.map((probe) => probe.address().port)
  await Promise.all(probes.map((probe) => new Promise((closed) => probe.close(closed))))
  return ports
}

/** @returns the DID of a labeler whose Ozone the PLC directory says to be at this address. */
async function createLabelerDid({ plcUrl, ozoneUrl, signingKey }) {
  const { Client, didForCreateOp, signOperation } = (await import('@did-plc/lib')).default
  const operation = await signOperation(
    {
      type: 'plc_operation',
      alsoKnownAs: ['at://labeler.test'],
      rotationKeys: [signingKey.did()],
      verificationMethods: { atproto_label: signingKey.did() },
      services: { atproto_labeler: { type: 'AtprotoLabeler', endpoint: ozoneUrl } },
      prev: null,
    },
    signingKey,
  )
  const did = await didForCreateOp(operation)
  await new Client(plcUrl).sendOperation(did, operation)
  return did
}

async function startPlc(port) {
  const { Database, PlcServer } = (await import('@did-plc/server')).default
  await PlcServer.create({ db: Database.mock(), port }).start()
}

async function startPds({ port, plcUrl, ozoneUrl, labelerDid, dataDirectory, ...secret }) {
  const { PDS } = await import('@atproto/pds')
  const blobs = path.join(dataDirectory, 'blobs')
  await mkdir(blobs, { recursive: true })
  const pds = await PDS.fromEnv({
    devMode: true,
    port,
    hostname: 'localhost', // the one name for which the PDS calls itself http:, not https:
    serviceHandleDomains: ['.test'],
    inviteRequired: false,
    disableSsrfProtection: true, // Ozone is on loopback
    dataDirectory,
    blobstoreDiskLocation: blobs,
    blobstoreDiskTmpLocation: path.join(dataDirectory, 'blobs-incoming'),
    didPlcUrl: plcUrl,
    modServiceUrl: ozoneUrl,
    modServiceDid: labelerDid,
    // Limits for whom they are asked for: a request that claims another address by
    // x-forwarded-for (the PDS believes loopback) is limited, all others are not.
    rateLimitsEnabled: true,
    rateLimitBypassIps: [HOST],
    jwtSecret: secret.jwtSecret,
    dpopSecret: randomBytes(32).toString('hex'),
    adminPassword: secret.adminPassword,
    plcRotationKeyK256PrivateKeyHex: secret.rotationKeyHex,
  })
  await pds.start()
  return pds.ctx.cfg.service.did
}

async function startOzone({ port, ozoneUrl, plcUrl, pds, labelerDid, signingKeyHex, accounts, db }) {
  const { Database, OzoneDaemon, OzoneService, envToCfg, envToSecrets } =
    await import('@atproto/ozone')
  const withRole = (role) => accounts.filter((one) => one.role === role).map((one) => one.did)
  const environment = {
    devMode: true,
    port,
    publicUrl: ozoneUrl,
    serverDid: labelerDid,
    // There is no AppView; the PDS answers the few questions that Ozone asks one.
    appviewUrl: pds.url,
    appviewDid: pds.did,
    pdsUrl: pds.url,
    pdsDid: pds.did,
    dbPostgresUrl: db,
    didPlcUrl: plcUrl,
    adminDids: withRole('admin'),
    moderatorDids: withRole('moderator'),
    triageDids: withRole('triage'),
    cdnPaths: [],
    pdsHeaders: [],
    verifierIssuersToIndex: [],
    adminPassword: randomBytes(16).toString('hex'),
    signingKeyHex,
  }
  const migrations = new Database({ url: db })
  await migrations.migrateToLatestOrThrow()
  await migrations.close()
  const config = envToCfg(environment)
  const secrets = envToSecrets(environment)
  const service = await OzoneService.create(config, secrets)
  await service.start()
  const daemon = await OzoneDaemon.create(config, secrets)
  await daemon.start()
}

async function post(url, body, headers = {}) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`)
  return response.json()
}

/** An account with an app password, which is what a moderation bot signs in with. */
async function createAccount(pdsUrl, { name, role }) {
  const account = await post(`${pdsUrl}/xrpc/com.atproto.server.createAccount`, {
    handle: `team-${name}.test`, // "admin.test" is a reserved handle
    email: `${name}@mail.test`,
    password: PASSWORD,
  })
  const { password } = await post(
    `${pdsUrl}/xrpc/com.atproto.server.createAppPassword`,
    { name: 'testnet' },
    { authorization: `Bearer ${account.accessJwt}` },
  )
  return { name, role, did: account.did, handle: account.handle, password }
}

/** Everything that is made up anew for each network. */
async function newSecrets() {
  const { Secp256k1Keypair } = await import('@atproto/crypto')
  const newKey = () => Secp256k1Keypair.create({ exportable: true })
  const hex = async (key) => Buffer.from(await key.export()).toString('hex')
  const [signingKey, rotationKey] = await Promise.all([newKey(), newKey()])
  return {
    signingKey,
    signingKeyHex: await hex(signingKey),
    rotationKeyHex: await hex(rotationKey),
    adminPassword: randomBytes(16).toString('hex'),
    jwtSecret: randomBytes(32).toString('hex'),
  }
}

/** Starts the servers in the order in which they need each other; resolves to the ready line. */
async function startNetwork({ db, dataDirectory }) {
  const secret = await newSecrets()
  const ports = await freePorts(4)
  // By name, because the servers refuse to resolve a DID at an address that is a bare IP.
  const [plcUrl, pdsUrl, ozoneUrl, nowhere] = ports.map((port) => `http://localhost:${port}`)
  const [plcPort, pdsPort, ozonePort] = ports
  const { signingKey, adminPassword, jwtSecret } = secret

  await startPlc(plcPort)
  const labelerDid = await createLabelerDid({ plcUrl, ozoneUrl, signingKey })
  const unreachableLabelerDid = await createLabelerDid({ plcUrl, ozoneUrl: nowhere, signingKey })
  const pdsDid = await startPds({
    ...{ port: pdsPort, plcUrl, ozoneUrl, labelerDid, dataDirectory },
    ...secret,
  })
  const accounts = await Promise.all(ACCOUNTS.map((account) => createAccount(pdsUrl, account)))
  await startOzone({
    ...{ port: ozonePort, ozoneUrl, plcUrl, labelerDid, accounts, db },
    pds: { url: pdsUrl, did: pdsDid },
    signingKeyHex: secret.signingKeyHex,
  })
  const pdsSecrets = { adminPassword, jwtSecret }
  return { plcUrl, pdsUrl, ozoneUrl, labelerDid, unreachableLabelerDid, pdsSecrets, accounts }
}

async function main() {
  const { values } = parseArgs({
    options: { 'postgres-url': { type: 'string' }, 'data-dir': { type: 'string' } },
  })
  const { 'postgres-url': db, 'data-dir': dataDirectory } = values
  if (!db || !dataDirectory) {
    throw new Error('usage: network.mjs --postgres-url URL --data-dir DIRECTORY')
  }
  process.stdin.resume().on('end', () => process.exit(0))
  Object.assign(process.env, log) // before the first import of a server
  bindToLoopback()
  const ready = await startNetwork({ db, dataDirectory })
  process.stdout.write(`${JSON.stringify(ready)}\n`)
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})

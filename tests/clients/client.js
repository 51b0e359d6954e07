// ioredis against a node: node client.js PORT one|three single|cluster
const assert = require("node:assert");
const Redis = require("ioredis");

const [port, kind, client] = process.argv.slice(2);
const key = (name) => `js:${client}:${name}`;

async function scan(node, match) {
  const found = new Set();
  for await (const keys of node.scanStream({ match, count: 50 })) keys.forEach((k) => found.add(k));
  return [...found];
}

async function main() {
  const at = { host: "127.0.0.1", port: Number(port) };
  const r = client === "cluster" ? new Redis.Cluster([at]) : new Redis(at);
  assert.equal(await r.set(key("a"), "1"), "OK");
  assert.equal(await r.get(key("a")), "1");
  assert.equal(await r.get(key("none")), null);
  const raw = Buffer.from([...Array(256).keys()]);
  assert.equal(await r.set(key("raw"), raw), "OK");
  assert.deepEqual(await r.getBuffer(key("raw")), raw);
  assert.equal(await r.set(key("b"), "x", "EX", 100), "OK");
  assert.ok((await r.ttl(key("b"))) >= 98);
  assert.equal(await r.expire(key("b"), 50), 1);
  assert.ok((await r.ttl(key("b"))) <= 50);
  assert.equal(await r.persist(key("b")), 1);
  assert.equal(await r.ttl(key("b")), -1);
  await r.set(key("short"), "x", "PX", 30);
  await new Promise((done) => setTimeout(done, 100));
  assert.equal(await r.get(key("short")), null);
  assert.equal(await r.del(key("a")), 1);
  assert.equal(await r.exists(key("a")), 0);
  // Keys with one tag lie in one slot, as the cluster client wants it.
  const names = [...Array(100).keys()].map((n) => `{${key("tag")}}${n}`);
  assert.equal(await r.mset(...names.flatMap((name) => [name, name])), "OK");
  assert.deepEqual(await r.mget(...names), names);
  const nodes = client === "cluster" ? r.nodes("master") : [r];
  assert.ok(nodes.length >= 1);
  // Any node knows all keys.
  assert.deepEqual((await scan(nodes[0], `{${key("tag")}}*`)).sort(), names.sort());
  const pipeline = r.pipeline();
  names.forEach((name, n) => pipeline.set(name, n));
  names.forEach((name) => pipeline.get(name));
  const results = await pipeline.exec();
  assert.equal(results.length, 200);
  results.forEach(([error, value], n) => {
    assert.equal(error, null);
    assert.equal(value, n < 100 ? "OK" : String(n - 100));
  });
  if (kind === "one") {
    assert.equal(await r.incr(key("count")), 1);
    assert.equal(await r.incrby(key("count"), 41), 42);
    assert.equal(await r.set(key("nx"), "1", "NX"), "OK");
    assert.equal(await r.set(key("nx"), "2", "NX"), null);
    assert.equal(await r.getdel(key("nx")), "1");
  } else {
    await assert.rejects(r.incr(key("count")), /INCR/);
  }
  await r.quit();
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
setTimeout(() => {
  console.error("no end after 60 s");
  process.exit(1);
}, 60000);

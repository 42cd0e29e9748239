// Exchanges, queues and bindings.

const assert = require("node:assert/strict");
const { text } = require("./harness");

/** Publishes, waits for the confirm, and says which of the queues have the message; takes it from them. */
async function routed(channel, queues, exchange, key, options) {
  channel.publish(exchange, key, Buffer.from(key), options);
  await channel.waitForConfirms();
  const reached = [];
  for (const [name, queue] of Object.entries(queues)) {
    while (await channel.get(queue, { noAck: true })) reached.push(name);
  }
  return reached.join(" ");
}

async function declareQueues(scope, channel, ...names) {
  const queues = {};
  for (const name of names) {
    queues[name] = await scope.queue(name);
    await channel.assertQueue(queues[name], { durable: false, exclusive: true });
  }
  return queues;
}

async function topology(scope) {
  const channel = await scope.confirmChannel();
  const queues = await declareQueues(scope, channel, "first", "second");
  const { first, second } = queues;
  for (const type of ["direct", "fanout", "topic", "headers"]) {
    const exchange = await scope.exchange(type);
    await channel.assertExchange(exchange, type, { durable: true });
    await channel.checkExchange(exchange);
    const match = type === "headers" ? { number: 1 } : {};
    await channel.bindQueue(first, exchange, "key", match);
    assert.equal(await routed(channel, queues, exchange, "key", { headers: { number: 1 } }), "first", type);
    await channel.unbindQueue(first, exchange, "key", match);
    assert.equal(await routed(channel, queues, exchange, "key", { headers: { number: 1 } }), "", `${type} unbound`);
  }

  const source = await scope.exchange("source");
  await channel.assertExchange(source, "topic", { durable: false });
  const sink = await scope.exchange("sink");
  await channel.assertExchange(sink, "fanout", { durable: false });
  await channel.bindExchange(sink, source, "a.*");
  await channel.bindQueue(first, sink, "");
  await channel.bindQueue(second, source, "a.b");
  assert.equal(await routed(channel, queues, source, "a.b"), "first second");
  await channel.unbindExchange(sink, source, "a.*");
  assert.equal(await routed(channel, queues, source, "a.b"), "second");

  const inner = await scope.exchange("internal");
  await channel.assertExchange(inner, "fanout", { internal: true, durable: false });
  const publisher = await scope.channel();
  const refused = new Promise((resolve) => publisher.once("error", resolve));
  publisher.publish(inner, "", Buffer.from("no"));
  assert.equal((await refused).code, 403);

  const shortLived = await scope.exchange("autodelete");
  await channel.assertExchange(shortLived, "fanout", { autoDelete: true, durable: false });
  await channel.bindQueue(first, shortLived, "");
  await channel.unbindQueue(first, shortLived, "");
  await assert.rejects((await scope.channel()).checkExchange(shortLived), (error) => error.code === 404);

  const refusedDelete = async (method, name, options) =>
    assert.rejects((await scope.channel())[method](name, options), (error) => error.code === 406);
  await refusedDelete("deleteExchange", source, { ifUnused: true });
  channel.sendToQueue(second, Buffer.from("kept"));
  await channel.waitForConfirms();
  await refusedDelete("deleteQueue", second, { ifEmpty: true });
  const { consumerTag } = await channel.consume(first, () => {});
  await refusedDelete("deleteQueue", first, { ifUnused: true });
  await channel.cancel(consumerTag);
  assert.equal((await channel.deleteQueue(first, { ifUnused: true, ifEmpty: true })).messageCount, 0);
  assert.equal((await channel.deleteQueue(second)).messageCount, 1);
  await channel.deleteExchange(source, { ifUnused: true }); // its last binding went with the queue
}

async function topic_headers(scope) {
  const channel = await scope.confirmChannel();
  const topic = await scope.exchange("topic");
  await channel.assertExchange(topic, "topic", { durable: false });
  const patterns = { star: "*.orange.*", tail: "*.*.rabbit", lazy: "lazy.#", every: "#", middle: "a.#.z" };
  const queues = await declareQueues(scope, channel, ...Object.keys(patterns));
  for (const [name, pattern] of Object.entries(patterns)) await channel.bindQueue(queues[name], topic, pattern);
  for (const [key, expected] of Object.entries({
    "quick.orange.rabbit": "star tail every",
    "lazy.orange.elephant": "star lazy every",
    "lazy.pink.rabbit": "tail lazy every",
    "lazy": "lazy every",
    "lazy.a.b.c": "lazy every",
    "orange": "every",
    "": "every",
    "quick.orange.male.rabbit": "every",
    "a.z": "middle every",
    "a.b.c.z": "middle every",
    "a..z": "middle every",
  })) {
    const sorted = (names) => names.split(" ").sort().join(" ");
    assert.equal(sorted(await routed(channel, queues, topic, key)), sorted(expected), `topic key '${key}'`);
  }

  const headers = await scope.exchange("headers");
  await channel.assertExchange(headers, "headers", { durable: false });
  const matches = { all: "all", any: "any", allx: "all-with-x", anyx: "any-with-x" };
  const matching = await declareQueues(scope, channel, ...Object.keys(matches));
  for (const [name, match] of Object.entries(matches)) {
    await channel.bindQueue(matching[name], headers, "", { "x-match": match, format: "pdf", "x-pages": 4 });
  }
  for (const [sent, expected] of [
    [{ format: "pdf", "x-pages": 4 }, "all any allx anyx"],
    [{ format: "pdf" }, "all any anyx"],
    [{ "x-pages": 4 }, "anyx"],
    [{ format: "doc" }, ""],
    [{ format: "pdf", "x-pages": 5, more: true }, "all any anyx"],
    [{}, ""],
  ]) {
    assert.equal(await routed(channel, matching, headers, "", { headers: sent }), expected, JSON.stringify(sent));
  }
}

async function alternate_exchange(scope) {
  const channel = await scope.confirmChannel();
  const alternate = await scope.exchange("alternate");
  await channel.assertExchange(alternate, "fanout", { durable: false });
  const main = await scope.exchange("main");
  await channel.assertExchange(main, "direct", { durable: false, alternateExchange: alternate });
  const { known, unknown } = await declareQueues(scope, channel, "known", "unknown");
  await channel.bindQueue(known, main, "known");
  await channel.bindQueue(unknown, alternate, "");
  const returns = [];
  channel.on("return", (message) => returns.push(text(message)));
  assert.equal(await routed(channel, { known, unknown }, main, "known", { mandatory: true }), "known");
  assert.equal(await routed(channel, { known, unknown }, main, "else", { mandatory: true }), "unknown");
  assert.deepEqual(returns, []);
  await channel.unbindQueue(unknown, alternate, "");
  assert.equal(await routed(channel, { known, unknown }, main, "else", { mandatory: true }), "");
  assert.deepEqual(returns, ["else"]);
}

module.exports = { topology, topic_headers, alternate_exchange };

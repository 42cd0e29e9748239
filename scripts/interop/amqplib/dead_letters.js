// Dead-lettering: why, where from, how often.

const assert = require("node:assert/strict");
const { Inbox, onRabbitMQ3, sleep, text } = require("./harness");

const confirmed = (channel, exchange, key, body, options) => {
  channel.publish(exchange, key, Buffer.from(body), options);
  return channel.waitForConfirms();
};

/** The next message of the queue; dead letters come a moment after their cause. */
async function take(channel, queue) {
  for (;;) {
    const message = await channel.get(queue, { noAck: true });
    if (message) return message;
    await sleep(20);
  }
}

function checkDeath(message, expected) {
  const { headers } = message.properties;
  const { time, ...death } = headers["x-death"][0];
  assert.equal(time["!"], "timestamp");
  assert.ok(Math.abs(time.value - Date.now() / 1000) < 60, "x-death time in seconds");
  assert.deepEqual(death, expected);
  for (const [which, name] of [["first", "x-first-death"], ["last", "x-last-death"]]) {
    if (which === "last" && onRabbitMQ3("x-last-death-* came with RabbitMQ 3.13")) continue;
    const found = ["reason", "queue", "exchange"].map((field) => headers[`${name}-${field}`]);
    assert.deepEqual(found, [expected.reason, expected.queue, expected.exchange], name);
  }
}

async function dead_letter(scope) {
  const channel = await scope.confirmChannel();
  const [exchange, dlx] = [await scope.exchange("exchange"), await scope.exchange("dlx")];
  await channel.assertExchange(exchange, "direct", { durable: false });
  await channel.assertExchange(dlx, "topic", { durable: false });
  const dead = await scope.queue("dead");
  await channel.assertQueue(dead, { durable: false });
  await channel.bindQueue(dead, dlx, "#");
  const work = async (name, options) => {
    const queue = await scope.queue(name);
    await channel.assertQueue(queue, { durable: false, deadLetterExchange: dlx, ...options });
    await channel.bindQueue(queue, exchange, name);
    return queue;
  };
  const death = (queue, key, reason, more) =>
    ({ count: 1, reason, queue, exchange, "routing-keys": [key], ...more });

  const rejected = await work("rejected");
  await confirmed(channel, exchange, "rejected", "no", { headers: { kept: 1 }, messageId: "m-1", CC: ["copy"] });
  channel.reject(await channel.get(rejected), false);
  let message = await take(channel, dead);
  checkDeath(message, { ...death(rejected, "rejected", "rejected"), "routing-keys": ["rejected", "copy"] });
  assert.deepEqual([text(message), message.fields.exchange, message.fields.routingKey], ["no", dlx, "rejected"]);
  assert.deepEqual([message.properties.headers.kept, message.properties.messageId], [1, "m-1"]);

  const expired = await work("expired", { deadLetterRoutingKey: "other.key" });
  await confirmed(channel, exchange, "expired", "late", { expiration: 50 });
  message = await take(channel, dead);
  checkDeath(message, death(expired, "expired", "expired", { "original-expiration": "50" }));
  assert.deepEqual([message.fields.routingKey, message.properties.expiration], ["other.key", undefined]);

  const short = await work("short", { maxLength: 1 });
  await confirmed(channel, exchange, "short", "first");
  await confirmed(channel, exchange, "short", "second");
  message = await take(channel, dead);
  assert.equal(text(message), "first");
  checkDeath(message, death(short, "short", "maxlen"));

  const full = await work("full", { maxLength: 1, overflow: "reject-publish-dlx" });
  await confirmed(channel, exchange, "full", "first");
  await assert.rejects(confirmed(channel, exchange, "full", "second"), /nack/);
  message = await take(channel, dead);
  assert.equal(text(message), "second");
  checkDeath(message, death(full, "full", "maxlen"));
  await channel.unbindQueue(dead, dlx, "#");
  await retries(scope, channel);
  await cycle(scope, channel);
}

/** A message that is rejected, waits in a queue with a TTL and comes back: counts rise, newest entry first. */
async function retries(scope, channel) {
  const [work, wait] = [await scope.queue("retried"), await scope.queue("wait")];
  await channel.assertQueue(work, { durable: false, deadLetterExchange: "", deadLetterRoutingKey: wait });
  await channel.assertQueue(wait, { durable: false, messageTtl: 30, deadLetterExchange: "", deadLetterRoutingKey: work });
  await confirmed(channel, "", work, "again");
  const inbox = new Inbox();
  await channel.consume(work, inbox.receive);
  for (let round = 0; round < 3; round++) {
    const message = await inbox.next();
    const deaths = (message.properties.headers["x-death"] ?? []).map((death) => [death.queue, death.reason, death.count]);
    assert.deepEqual(deaths, round === 0 ? [] : [[wait, "expired", round], [work, "rejected", round]]);
    if (round > 0) assert.equal(message.properties.headers["x-first-death-queue"], work);
    round < 2 ? channel.nack(message, false, false) : channel.ack(message);
  }
}

/** A cycle without a rejection ends: the message is dropped when it would enter the queue again. */
async function cycle(scope, channel) {
  const queue = await scope.queue("cycle");
  await channel.assertQueue(queue, { durable: false, messageTtl: 30, deadLetterExchange: "", deadLetterRoutingKey: queue });
  await confirmed(channel, "", queue, "round");
  await sleep(500);
  assert.equal((await channel.checkQueue(queue)).messageCount, 0);
}

async function delivery_limit(scope) {
  const channel = await scope.confirmChannel();
  const [queue, dead] = [await scope.queue("queue"), await scope.queue("dead")];
  await channel.assertQueue(dead, { durable: true });
  await channel.assertQueue(queue, {
    durable: true, deadLetterExchange: "", deadLetterRoutingKey: dead,
    arguments: { "x-queue-type": "quorum", "x-delivery-limit": 2 },
  });
  await confirmed(channel, "", queue, "poison", { persistent: true });
  const inbox = new Inbox();
  await channel.consume(queue, inbox.receive);
  for (const count of [undefined, 1, 2]) {
    const message = await inbox.next();
    assert.equal(message.properties.headers["x-delivery-count"], count);
    assert.equal(message.fields.redelivered, count !== undefined);
    channel.reject(message, true); // since 4.3 nack with requeue does not count
  }
  const message = await take(channel, dead);
  assert.equal(text(message), "poison");
  checkDeath(message, { count: 1, reason: "delivery_limit", queue, exchange: "", "routing-keys": [queue] });
  assert.deepEqual(await inbox.quiet(), []);
}

module.exports = { dead_letter, delivery_limit };

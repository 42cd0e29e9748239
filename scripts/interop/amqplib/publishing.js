// Confirms, returns, properties, bodies of every size.

const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const { Inbox, env, text } = require("./harness");

const FRAME_MAX = 131072; // what amqplib asks for, and gets
const FRAME_OVERHEAD = 8;
const MESSAGE_BYTES_MAX = 16 << 20;

async function confirms(scope) {
  const queue = await scope.queue("queue");
  const channel = await scope.confirmChannel();
  await channel.assertQueue(queue, { durable: true });
  let confirmed = 0;
  for (let number = 0; number < env.messages; number++) {
    channel.sendToQueue(queue, Buffer.from(String(number)), { persistent: true }, (error) => error || confirmed++);
  }
  await channel.waitForConfirms();
  assert.equal(confirmed, env.messages);
  await channel.prefetch(200);
  const inbox = new Inbox();
  await channel.consume(queue, inbox.receive);
  for (let number = 0; number < env.messages; number++) {
    const message = await inbox.next();
    assert.equal(text(message), String(number));
    assert.equal(message.fields.redelivered, false);
    if (number % 100 === 99 || number === env.messages - 1) channel.ack(message, true);
  }
  await channel.close(); // what was not acknowledged would be back now
  assert.equal((await (await scope.channel()).deleteQueue(queue)).messageCount, 0);
}

async function returns(scope) {
  const exchange = await scope.exchange("exchange");
  const channel = await scope.confirmChannel();
  await channel.assertExchange(exchange, "direct", { durable: false });
  const events = [];
  channel.on("return", (message) => events.push(message));
  const options = { mandatory: true, messageId: "m-1", headers: { number: 1 }, persistent: true };
  await new Promise((resolve) => channel.publish(exchange, "unbound", Buffer.from("back"), options, (error) => {
    events.push(error ? "nack" : "ack");
    resolve();
  }));
  const [returned, confirm] = events;
  assert.equal(confirm, "ack");
  const { replyCode, replyText, routingKey } = returned.fields;
  assert.deepEqual([replyCode, replyText, returned.fields.exchange, routingKey], [312, "NO_ROUTE", exchange, "unbound"]);
  assert.deepEqual([returned.properties.messageId, returned.properties.headers], ["m-1", { number: 1 }]);
  assert.equal(text(returned), "back");
}

async function cc_bcc(scope) {
  const channel = await scope.confirmChannel();
  const [to, cc, bcc] = [await scope.queue("to"), await scope.queue("cc"), await scope.queue("bcc")];
  for (const queue of [to, cc, bcc]) await channel.assertQueue(queue, { durable: false });
  channel.sendToQueue(to, Buffer.from("all"), { CC: [cc, to], BCC: [bcc] });
  await channel.waitForConfirms();
  for (const queue of [to, cc, bcc]) {
    const message = await channel.get(queue, { noAck: true });
    assert.equal(text(message), "all", queue);
    assert.deepEqual(message.properties.headers, { CC: [cc, to] });
    assert.equal(message.fields.routingKey, to);
    assert.equal(await channel.get(queue, { noAck: true }), false, "one copy");
  }
  const closed = new Promise((resolve) => channel.once("error", resolve));
  channel.sendToQueue(to, Buffer.from("bad"), { headers: { CC: "text, not a list" } });
  assert.equal((await closed).code, 406);
}

async function user_id(scope) {
  const queue = await scope.queue("queue");
  const channel = await scope.confirmChannel();
  await channel.assertQueue(queue, { durable: false });
  channel.sendToQueue(queue, Buffer.from("mine"), { userId: env.username });
  await channel.waitForConfirms();
  assert.equal((await channel.get(queue, { noAck: true })).properties.userId, env.username);
  const closed = new Promise((resolve) => channel.once("error", resolve));
  channel.sendToQueue(queue, Buffer.from("theirs"), { userId: "someone-else" });
  assert.equal((await closed).code, 406);
  assert.equal((await (await scope.channel()).checkQueue(queue)).messageCount, 0);
}

async function properties(scope) {
  const queue = await scope.queue("queue");
  const channel = await scope.confirmChannel();
  await channel.assertQueue(queue, { durable: false });
  const typed = (type, value) => ({ "!": type, value });
  const headers = {
    string: "héllo", empty: "", int8: typed("int8", -8), uint8: typed("uint8", 200), int16: typed("int16", -30000),
    uint16: typed("uint16", 60000), int32: typed("int32", -(2 ** 31)), uint32: typed("uint32", 2 ** 32 - 1),
    int64: typed("int64", -(2 ** 52)), float: typed("float", 0.5), double: typed("double", 1 / 3),
    decimal: typed("decimal", { places: 2, digits: 314 }), timestamp: typed("timestamp", 1700000000),
    yes: true, no: false, none: null, bytes: Buffer.from([0, 1, 255]), list: [1, "two", [3], { four: 4 }],
    table: { deep: { deeper: "still" } },
  };
  const sent = {
    contentType: "application/x-test", contentEncoding: "gzip", headers, deliveryMode: 2, priority: 9,
    correlationId: "c-1", replyTo: "r", expiration: "600000", messageId: "m-1", timestamp: 1700000000, type: "t",
    userId: env.username, appId: "interop",
  };
  channel.sendToQueue(queue, Buffer.from("body"), sent);
  await channel.waitForConfirms();
  const message = await channel.get(queue, { noAck: true });
  // amqplib reads numbers as numbers, and has no way to send the fourteenth property, cluster-id.
  const isNumber = (value) => value && typeof value["!"] === "string" && typeof value.value === "number";
  const read = (value) => (isNumber(value) && value["!"] !== "timestamp" ? value.value : value);
  const expected = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, read(value)]));
  assert.deepEqual(message.properties, { ...sent, headers: expected, clusterId: undefined });
}

async function large(scope) {
  const queue = await scope.queue("queue");
  const channel = await scope.confirmChannel();
  await channel.assertQueue(queue, { durable: false });
  const frame = FRAME_MAX - FRAME_OVERHEAD;
  for (const size of [0, 1, frame - 1, frame, frame + 1, FRAME_MAX - 1, FRAME_MAX + 1, 1 << 20, MESSAGE_BYTES_MAX]) {
    const body = crypto.randomBytes(size);
    channel.sendToQueue(queue, body);
    await channel.waitForConfirms();
    const message = await channel.get(queue, { noAck: true });
    assert.ok(message.content.equals(body), `${size} bytes`);
  }
  const closed = new Promise((resolve) => channel.once("error", resolve));
  channel.sendToQueue(queue, Buffer.alloc(MESSAGE_BYTES_MAX + 1));
  assert.equal((await closed).code, 406);
  assert.equal((await (await scope.channel()).checkQueue(queue)).messageCount, 0);
}

module.exports = { confirms, returns, cc_bcc, user_id, properties, large };

// What amqplib, the Node.js client, must be able to do with the broker. See ../interop.sh.

const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const amqp = require("amqplib");

const { AMQP_HOST, AMQP_PORT } = process.env;
const MESSAGES = Number(process.env.INTEROP_MESSAGES);
const IDLE_S = Number(process.env.INTEROP_IDLE_S);
const ok = (what) => console.log(`  ok ${what}`);
const after = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

function connect({ password = "guest", heartbeat = 20, ...options } = {}) {
  return amqp.connect(
    { protocol: "amqp", hostname: AMQP_HOST, port: AMQP_PORT, username: "guest", password, vhost: "/", heartbeat },
    options,
  );
}

async function wrongPasswordIsRefused() {
  await assert.rejects(connect({ password: "wrong" }), /403/);
  ok("wrong password refused with 403");
}

async function publishAndConsume(connection, queue) {
  const channel = await connection.createConfirmChannel();
  for (let number = 0; number < MESSAGES; number++) {
    channel.publish("interop.amqplib", `stock.${number}`, Buffer.from(String(number)));
  }
  await channel.waitForConfirms();
  ok(`published ${MESSAGES} with confirms`);
  await channel.prefetch(200);
  let seen = 0;
  await new Promise((resolve, reject) => {
    const consume = channel.consume(queue, (message) => {
      if (message === null) return reject(new Error("consumer cancelled"));
      if (message.content.toString() !== String(seen)) return reject(new Error(`out of order at ${seen}`));
      seen++;
      if (seen % 100 === 0 || seen === MESSAGES) channel.ack(message, true);
      if (seen === MESSAGES) resolve();
    });
    consume.catch(reject);
  });
  assert.equal((await channel.checkQueue(queue)).messageCount, 0);
  await channel.close();
  ok(`consumed and acknowledged ${MESSAGES}`);
}

async function mandatoryMessagesReturn(connection) {
  const channel = await connection.createConfirmChannel();
  const returned = new Promise((resolve) => channel.once("return", resolve));
  channel.publish("interop.amqplib", "unbound", Buffer.from("back"), { mandatory: true });
  await channel.waitForConfirms();
  const message = await returned;
  assert.deepEqual([message.fields.replyCode, message.content.toString()], [312, "back"]);
  await channel.close();
  ok("unroutable mandatory message returned with 312, then confirmed");
}

async function prefetchAndRequeue(connection, queue) {
  const channel = await connection.createConfirmChannel();
  for (let number = 0; number < 20; number++) channel.sendToQueue(queue, Buffer.from(String(number)));
  await channel.waitForConfirms();
  await channel.prefetch(5);
  const deliveries = [];
  const { consumerTag } = await channel.consume(queue, (message) => deliveries.push(message));
  await after(0.5);
  assert.deepEqual(deliveries.map((message) => message.content.toString()), ["0", "1", "2", "3", "4"]);
  assert.equal((await channel.checkQueue(queue)).messageCount, 15);
  ok("prefetch of 5 held back the other 15");
  await channel.cancel(consumerTag);
  channel.nack(deliveries[4], true, true);
  const first = await channel.get(queue);
  assert.deepEqual([first.content.toString(), first.fields.redelivered], ["0", true]);
  channel.reject(first, false);
  assert.equal((await channel.purgeQueue(queue)).messageCount, 19);
  await channel.close();
  ok("nacked messages came back in order, marked redelivered; reject and purge removed them");
}

async function largeMessage(connection, queue) {
  const channel = await connection.createConfirmChannel();
  const body = crypto.randomBytes(1 << 20);
  const headers = { text: "héllo", number: -(2 ** 40), flag: true, list: [1, "two", { three: 3.5 }], none: null };
  const properties = {
    contentType: "application/x-test", persistent: true, priority: 3, correlationId: "c-1", replyTo: "r",
    expiration: "600000", messageId: "m-1", timestamp: 1700000000, type: "t", appId: "interop", headers,
  };
  channel.sendToQueue(queue, body, properties);
  await channel.waitForConfirms();
  const message = await channel.get(queue, { noAck: true });
  assert.ok(message.content.equals(body), "1 MiB body identical");
  const { persistent, ...sent } = properties;
  for (const [name, value] of Object.entries({ ...sent, deliveryMode: 2 })) {
    assert.deepEqual(message.properties[name], value, name);
  }
  await channel.close();
  ok("1 MiB body and all properties came back identical");
}

async function missingQueueClosesTheChannelOnly(connection) {
  const channel = await connection.createChannel();
  channel.on("error", () => {});
  await assert.rejects(channel.checkQueue("interop.missing"), /404/);
  await (await connection.createChannel()).close();
  ok("passive declare of a missing queue: 404, and the connection lives on");
}

async function heartbeatsKeepAnIdleConnection() {
  const connection = await connect({ heartbeat: 1, credentials: amqp.credentials.amqplain("guest", "guest") });
  await after(IDLE_S);
  await (await connection.createChannel()).close();
  await connection.close();
  ok(`AMQPLAIN login; heartbeat of 1 s kept the connection over ${IDLE_S} idle seconds`);
}

async function main() {
  console.log(`  amqplib ${process.env.AMQPLIB}`);
  await wrongPasswordIsRefused();
  const connection = await connect();
  ok("connected as guest");
  const channel = await connection.createChannel();
  await channel.assertExchange("interop.amqplib", "topic", { durable: true });
  const { queue } = await channel.assertQueue("", { exclusive: true });
  await channel.bindQueue(queue, "interop.amqplib", "stock.*.#");
  ok(`declared a topic exchange and the queue ${queue}, bound it`);
  await publishAndConsume(connection, queue);
  await mandatoryMessagesReturn(connection);
  await prefetchAndRequeue(connection, queue);
  await largeMessage(connection, queue);
  await missingQueueClosesTheChannelOnly(connection);
  await channel.deleteExchange("interop.amqplib");
  await channel.close();
  await connection.close();
  await heartbeatsKeepAnIdleConnection();
  ok("closed cleanly");
}

main().catch((error) => {
  console.error("  FAILED", error);
  process.exit(1);
});

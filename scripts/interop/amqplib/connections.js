// Handshake, errors, many channels, heartbeats and a restart of the broker.

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { once } = require("node:events");
const { Inbox, env, onRabbitMQ3, sleep, text } = require("./harness");

const CHANNELS = 500;
const CAPABILITIES = [
  "publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify", "connection.blocked",
  "consumer_priorities", "authentication_failure_close", "per_consumer_qos", "direct_reply_to",
];

async function handshake(scope) {
  await assert.rejects(scope.connect({ password: "wrong" }), /403.*ACCESS.REFUSED/);
  const { capabilities } = scope.connection.connection.serverProperties;
  for (const name of CAPABILITIES) assert.equal(capabilities[name], true, name);
  await scope.connection.updateSecret(Buffer.from(env.password), "renewed");
}

/** The call closes its channel with the code, and the connection lives on. */
async function closesChannel(scope, code, call) {
  const channel = await scope.channel();
  const closed = once(channel, "error");
  await assert.rejects(async () => {
    await call(channel);
    throw (await closed)[0]; // a method without a reply, such as publish or ack
  }, (error) => assert.equal(error.code, code, error.message) ?? true);
  await (await scope.channel()).close();
}

async function closesConnection(code, connection, call) {
  const closed = once(connection, "error");
  await call().catch(() => {});
  assert.equal((await closed)[0].code, code);
}

async function errors(scope) {
  const missing = "interop.amqplib.missing";
  const queue = await scope.queue("queue");
  const shared = await scope.queue("shared");
  const owner = await scope.channel();
  await owner.assertQueue(queue, { durable: false, exclusive: true });
  await owner.assertQueue(shared, { durable: false });

  await closesChannel(scope, 404, (channel) => channel.checkQueue(missing));
  await closesChannel(scope, 404, (channel) => channel.checkExchange(missing));
  await closesChannel(scope, 404, (channel) => channel.bindQueue(queue, missing, "key"));
  await closesChannel(scope, 404, (channel) => channel.consume(missing, () => {}));
  await closesChannel(scope, 404, (channel) => channel.get(missing));
  await closesChannel(scope, 404, (channel) => channel.publish(missing, "key", Buffer.from("lost")));
  await closesChannel(scope, 403, (channel) => channel.assertQueue("amq.interop"));
  await closesChannel(scope, 403, (channel) => channel.assertExchange("amq.interop", "direct"));
  await closesChannel(scope, 403, (channel) => channel.deleteExchange("amq.direct"));
  await closesChannel(scope, 403, (channel) => channel.bindQueue(queue, "", "key"));
  await closesChannel(scope, 406, (channel) => channel.assertQueue(shared, { durable: true }));
  await closesChannel(scope, 406, (channel) =>
    channel.assertQueue(queue, { durable: false, exclusive: true, messageTtl: 1000 }));
  await closesChannel(scope, 406, (channel) => channel.assertExchange("amq.direct", "fanout"));
  await closesChannel(scope, 406, (channel) => channel.ack({ fields: { deliveryTag: 7 } }));
  await closesChannel(scope, 406, async (channel) => {
    channel.sendToQueue(queue, Buffer.from("once"));
    const message = await channel.get(queue);
    channel.ack(message);
    channel.ack(message);
  });
  const other = await scope.channel(await scope.connect());
  await assert.rejects(other.checkQueue(queue), (error) => error.code === 405);

  // amqplib does not tell the code, 530, of a refused connection.open
  await assert.rejects(scope.connect({ vhost: missing }), /ConnectionClose/);
  const reuse = await scope.connect();
  const consumer = await scope.channel(reuse);
  const { queue: own } = await consumer.assertQueue("", { exclusive: true });
  await consumer.consume(own, () => {}, { consumerTag: "twice" });
  await closesConnection(530, reuse, () => consumer.consume(own, () => {}, { consumerTag: "twice" }));
  const unknownType = (channel) => channel.assertExchange(missing, "x-unknown");
  if (onRabbitMQ3("an unknown exchange type closes the connection with 503 before RabbitMQ 4")) {
    const connection = await scope.connect();
    await closesConnection(503, connection, async () => unknownType(await scope.channel(connection)));
  } else {
    await closesChannel(scope, 406, unknownType);
  }
}

async function channels_500(scope) {
  const channels = await Promise.all(Array.from({ length: CHANNELS }, () => scope.channel()));
  await Promise.all(channels.map(async (channel, number) => {
    const { queue } = await channel.assertQueue("", { exclusive: true });
    const inbox = new Inbox();
    await channel.consume(queue, inbox.receive);
    channel.sendToQueue(queue, Buffer.from(String(number)));
    const message = await inbox.next();
    assert.equal(text(message), String(number));
    channel.ack(message);
    await channel.close();
  }));
}

async function heartbeat(scope) {
  const connection = await scope.connect({ heartbeat: 1 });
  let lost;
  connection.on("close", (error) => (lost = error ?? new Error("closed")));
  await sleep(env.idleSeconds * 1000);
  assert.equal(lost, undefined);
  await (await scope.channel(connection)).close();
}

async function restart(scope) {
  const exchange = await scope.exchange("exchange");
  const queue = await scope.queue("queue");
  const transient = await scope.queue("transient");
  const connection = await scope.connect({ socket: { recovery: { initialDelay: 50, maxDelay: 500 } } });
  const disconnected = once(connection, "disconnect");
  let channel = await scope.confirmChannel(connection);
  await channel.assertExchange(exchange, "topic", { durable: true });
  await channel.assertQueue(queue, { durable: true });
  await channel.bindQueue(queue, exchange, "stock.#");
  await channel.assertQueue(transient, { durable: false });
  channel.publish(exchange, "stock.a", Buffer.from("persistent"), { persistent: true });
  channel.publish(exchange, "stock.b", Buffer.from("transient"), { persistent: false });
  await channel.waitForConfirms();

  const [exitCode] = await once(spawn("bash", ["-c", env.restart], { stdio: "ignore" }), "exit");
  assert.equal(exitCode, 0, "INTEROP_RESTART");
  await disconnected;
  await scope.reopen();
  channel = await scope.confirmChannel(connection); // waits for the library to connect again
  assert.equal((await channel.checkQueue(queue)).messageCount, 1);
  assert.equal(text(await channel.get(queue, { noAck: true })), "persistent");
  channel.publish(exchange, "stock.c", Buffer.from("after"), { persistent: true });
  await channel.waitForConfirms();
  assert.equal(text(await channel.get(queue, { noAck: true })), "after");
  await assert.rejects(channel.checkQueue(transient), (error) => error.code === 404);
}

module.exports = { handshake, errors, channels_500, heartbeat, restart };

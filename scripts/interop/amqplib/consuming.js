// Getting, consuming, acknowledging.

const assert = require("node:assert/strict");
const { Inbox, text } = require("./harness");

const numbers = (from, to) => Array.from({ length: to - from }, (_, index) => String(from + index));
const bodies = (messages) => messages.map(text);

/** A transient queue with the messages 0, 1, … in it. */
async function filled(scope, name, count, options = {}) {
  const queue = await scope.queue(name);
  const channel = await scope.confirmChannel();
  await channel.assertQueue(queue, { durable: false, ...options });
  for (const number of numbers(0, count)) channel.sendToQueue(queue, Buffer.from(number));
  await channel.waitForConfirms();
  return { queue, channel };
}

async function get(scope) {
  const { queue, channel } = await filled(scope, "queue", 3);
  const first = await channel.get(queue);
  assert.deepEqual([text(first), first.fields.messageCount, first.fields.redelivered], ["0", 2, false]);
  assert.deepEqual([first.fields.exchange, first.fields.routingKey], ["", queue]);
  channel.nack(first, false, true);
  const again = await channel.get(queue);
  assert.deepEqual([text(again), again.fields.redelivered], ["0", true]);
  channel.ack(again);
  assert.equal(text(await channel.get(queue, { noAck: true })), "1");
  assert.equal(text(await channel.get(queue)), "2");
  assert.equal(await channel.get(queue), false);
  await channel.close(); // gives back only what was neither acknowledged nor got without acknowledgement
  const other = await scope.channel();
  const last = await other.get(queue);
  assert.deepEqual([text(last), last.fields.redelivered, last.fields.messageCount], ["2", true, 0]);
}

async function prefetch(scope) {
  const { queue, channel } = await filled(scope, "consumer", 20);
  await channel.prefetch(5);
  const inbox = new Inbox();
  await channel.consume(queue, inbox.receive);
  const held = await inbox.take(5);
  assert.deepEqual(bodies(held), numbers(0, 5));
  assert.deepEqual(await inbox.quiet(), []);
  assert.equal((await channel.checkQueue(queue)).messageCount, 15);
  channel.ack(held[1], true);
  assert.deepEqual(bodies(await inbox.take(2)), ["5", "6"]);
  assert.deepEqual(await inbox.quiet(), []);

  const shared = await filled(scope, "channel", 20);
  await shared.channel.prefetch(3, true);
  const both = new Inbox();
  await shared.channel.consume(shared.queue, both.receive);
  await shared.channel.consume(shared.queue, both.receive);
  const three = await both.take(3);
  assert.deepEqual(await both.quiet(), []);
  shared.channel.ack(three[0]);
  await both.next();
  assert.deepEqual(await both.quiet(), []);
  assert.equal((await shared.channel.checkQueue(shared.queue)).messageCount, 16);
}

async function requeue(scope) {
  const { queue, channel } = await filled(scope, "queue", 6);
  const take = async (count) => {
    const messages = [];
    while (messages.length < count) messages.push(await channel.get(queue));
    return messages;
  };
  const flags = (messages) => messages.map((message) => message.fields.redelivered);
  const first = await take(4);
  channel.nack(first[2], true, true);
  const second = await take(4); // 0, 1, 2 again, then 4: 3 is still out
  assert.deepEqual(bodies(second), ["0", "1", "2", "4"]);
  assert.deepEqual(flags(second), [true, true, true, false]);
  channel.reject(second[1], true);
  const [again] = await take(1);
  assert.deepEqual([text(again), again.fields.redelivered], ["1", true]);
  await channel.recover();
  const all = await take(6);
  assert.deepEqual(bodies(all), numbers(0, 6));
  assert.deepEqual(flags(all), [true, true, true, true, true, false]);
  channel.nackAll(false);
  assert.equal(await channel.get(queue), false);
}

async function consumer_priority(scope) {
  const { queue, channel } = await filled(scope, "queue", 0);
  const [high, low] = [new Inbox(), new Inbox()];
  const highChannel = await scope.channel();
  await (await scope.channel()).consume(queue, low.receive, { priority: 1 });
  await highChannel.prefetch(2);
  await highChannel.consume(queue, high.receive, { priority: 10 });
  for (const number of numbers(0, 4)) channel.sendToQueue(queue, Buffer.from(number));
  const taken = await high.take(2);
  assert.deepEqual(bodies(taken), ["0", "1"]);
  assert.deepEqual(bodies(await low.take(2)), ["2", "3"]);
  highChannel.ack(taken[1], true);
  await highChannel.checkQueue(queue); // answered after the acknowledgement is processed
  channel.sendToQueue(queue, Buffer.from("4"));
  assert.equal(text(await high.next()), "4");
  assert.deepEqual(await low.quiet(), []);
}

async function single_active(scope) {
  const { queue, channel } = await filled(scope, "queue", 0, { arguments: { "x-single-active-consumer": true } });
  const [active, waiting] = [new Inbox(), new Inbox()];
  const activeChannel = await scope.channel();
  const { consumerTag } = await activeChannel.consume(queue, active.receive);
  await (await scope.channel()).consume(queue, waiting.receive);
  for (const number of numbers(0, 4)) channel.sendToQueue(queue, Buffer.from(number));
  const taken = await active.take(4);
  assert.deepEqual(bodies(taken), numbers(0, 4));
  assert.deepEqual(await waiting.quiet(), []);
  activeChannel.ack(taken[3], true);
  await activeChannel.cancel(consumerTag);
  for (const number of numbers(4, 6)) channel.sendToQueue(queue, Buffer.from(number));
  assert.deepEqual(bodies(await waiting.take(2)), ["4", "5"]);
}

async function exclusive(scope) {
  const refused = async (code, call, connection) =>
    assert.rejects(call(await scope.channel(connection)), (error) => error.code === code);
  const owned = await filled(scope, "owned", 0, { exclusive: true });
  const stranger = await scope.connect();
  await refused(405, (channel) => channel.consume(owned.queue, () => {}), stranger);
  await refused(405, (channel) => channel.assertQueue(owned.queue, { durable: false, exclusive: true }), stranger);
  await refused(405, (channel) => channel.deleteQueue(owned.queue), stranger);

  const { queue, channel } = await filled(scope, "consumer", 0);
  const { consumerTag } = await channel.consume(queue, () => {}, { exclusive: true });
  await refused(403, (other) => other.consume(queue, () => {}));
  await channel.cancel(consumerTag);
  const second = await channel.consume(queue, () => {});
  await refused(403, (other) => other.consume(queue, () => {}, { exclusive: true }));
  await channel.cancel(second.consumerTag);

  const shortLived = await filled(scope, "autodelete", 1, { autoDelete: true });
  const tags = [];
  for (const _ of [1, 2]) tags.push((await shortLived.channel.consume(shortLived.queue, () => {})).consumerTag);
  await shortLived.channel.cancel(tags[0]);
  await shortLived.channel.checkQueue(shortLived.queue);
  await shortLived.channel.cancel(tags[1]);
  await refused(404, (other) => other.checkQueue(shortLived.queue));

  const gone = await scope.queue("gone");
  const brief = await scope.connect();
  await (await scope.channel(brief)).assertQueue(gone, { durable: false, exclusive: true });
  await brief.close();
  await refused(404, (other) => other.checkQueue(gone));
}

async function cancel_notify(scope) {
  const { queue, channel } = await filled(scope, "queue", 0);
  const inbox = new Inbox();
  await channel.consume(queue, inbox.receive);
  await (await scope.channel()).deleteQueue(queue);
  assert.equal(await inbox.next(), null); // amqplib's way to say that the server cancelled
  await channel.assertQueue("", { exclusive: true }); // the channel lives on
}

async function direct_reply_to(scope) {
  const { queue, channel: server } = await filled(scope, "requests", 0);
  await server.consume(queue, (request) => {
    const { replyTo, correlationId } = request.properties;
    server.sendToQueue(replyTo, Buffer.from(`re: ${text(request)} ${replyTo}`), { correlationId });
  }, { noAck: true });

  const client = await scope.channel(await scope.connect());
  const replies = new Inbox();
  await client.consume("amq.rabbitmq.reply-to", replies.receive, { noAck: true });
  client.sendToQueue(queue, Buffer.from("ping"), { replyTo: "amq.rabbitmq.reply-to", correlationId: "c-1" });
  const reply = await replies.next();
  const [, , body, replyTo] = /^(re: )(\w+) (.*)$/.exec(text(reply));
  assert.deepEqual([body, reply.properties.correlationId, reply.fields.exchange], ["ping", "c-1", ""]);
  assert.match(replyTo, /^amq\.rabbitmq\.reply-to\../);
  await server.checkQueue(replyTo); // tells a server whether its client is still there
  await client.close();
  await assert.rejects(server.checkQueue(replyTo), (error) => error.code === 404);

  const careless = await scope.channel();
  const closed = new Promise((resolve) => careless.once("error", resolve));
  careless.sendToQueue(queue, Buffer.from("nobody listens"), { replyTo: "amq.rabbitmq.reply-to" });
  assert.equal((await closed).code, 406);
  await assert.rejects((await scope.channel()).consume("amq.rabbitmq.reply-to", () => {}), (error) => error.code === 406);
}

module.exports = {
  get, prefetch, requeue, consumer_priority, single_active, exclusive, cancel_notify, direct_reply_to,
};

// What queues do by their arguments: expire, stay short, sort.

const assert = require("node:assert/strict");
const { sleep, text } = require("./harness");

async function declare(scope, name, options) {
  const queue = await scope.queue(name);
  const channel = await scope.confirmChannel();
  await channel.assertQueue(queue, { durable: false, ...options });
  return { queue, channel };
}

/** Publishes the bodies and says for each whether it was confirmed. */
async function publish(channel, queue, bodies, options) {
  return Promise.all(bodies.map((body) => new Promise((resolve) => {
    channel.sendToQueue(queue, Buffer.from(body), options, (error) => resolve(error === null));
  })));
}

async function drain(channel, queue) {
  const bodies = [];
  for (let message; (message = await channel.get(queue, { noAck: true })); ) bodies.push(text(message));
  return bodies;
}

async function ttl(scope) {
  const { queue, channel } = await declare(scope, "queue", { messageTtl: 500 });
  await publish(channel, queue, ["old"]);
  assert.equal((await channel.checkQueue(queue)).messageCount, 1);
  await sleep(900);
  assert.equal((await channel.checkQueue(queue)).messageCount, 0);
  await publish(channel, queue, ["young"]);
  assert.deepEqual(await drain(channel, queue), ["young"]);
  await publish(channel, queue, ["sooner"], { expiration: 50 }); // the lower of the two counts
  await sleep(250);
  assert.deepEqual(await drain(channel, queue), []);

  const single = await declare(scope, "message");
  await publish(single.channel, single.queue, ["expired"], { expiration: 50 });
  await publish(single.channel, single.queue, ["stays"]);
  await publish(single.channel, single.queue, ["expired behind"], { expiration: 50 });
  await publish(single.channel, single.queue, ["stays too"], { expiration: 60000 });
  await sleep(200);
  assert.deepEqual(await drain(single.channel, single.queue), ["stays", "stays too"]);
  await publish(single.channel, single.queue, ["at once"], { expiration: 0 });
  assert.deepEqual(await drain(single.channel, single.queue), []);

  const { queue: unused, channel: watching } = await declare(scope, "unused", { expires: 1200 });
  for (const _ of [1, 2]) { // each use starts the time again
    await sleep(700);
    await watching.get(unused);
  }
  await sleep(1900);
  await assert.rejects(watching.checkQueue(unused), (error) => error.code === 404);

  const invalid = await scope.channel();
  await assert.rejects(invalid.assertQueue(await scope.queue("invalid"), { messageTtl: -1 }), (e) => e.code === 406);
  const closed = new Promise((resolve) => single.channel.once("error", resolve));
  single.channel.sendToQueue(single.queue, Buffer.from("no number"), { expiration: "soon" });
  assert.equal((await closed).code, 406);
}

async function max_length(scope) {
  const head = await declare(scope, "head", { maxLength: 3 });
  assert.deepEqual(await publish(head.channel, head.queue, ["0", "1", "2", "3", "4"]), Array(5).fill(true));
  assert.deepEqual(await drain(head.channel, head.queue), ["2", "3", "4"]);

  const reject = await declare(scope, "reject", { maxLength: 2, overflow: "reject-publish" });
  assert.deepEqual(await publish(reject.channel, reject.queue, ["0", "1"]), [true, true]);
  assert.deepEqual(await publish(reject.channel, reject.queue, ["2"]), [false]);
  assert.deepEqual(await drain(reject.channel, reject.queue), ["0", "1"]);
  assert.deepEqual(await publish(reject.channel, reject.queue, ["3"]), [true]);

  const bytes = await declare(scope, "bytes", { arguments: { "x-max-length-bytes": 100 } });
  await publish(bytes.channel, bytes.queue, ["a", "b", "c", "d"].map((letter) => letter.repeat(40)));
  assert.deepEqual((await drain(bytes.channel, bytes.queue)).map((body) => body[0]), ["c", "d"]);
}

async function priority(scope) {
  const { queue, channel } = await declare(scope, "queue", { maxPriority: 5 });
  for (const [body, level] of [["low", 1], ["5a", 5], ["none"], ["5b", 200], ["3", 3], ["5c", 5], ["low too", 1], ["0", 0]]) {
    await publish(channel, queue, [body], { priority: level });
  }
  assert.deepEqual(await drain(channel, queue), ["5a", "5b", "5c", "3", "low", "low too", "none", "0"]);
}

module.exports = { ttl, max_length, priority };

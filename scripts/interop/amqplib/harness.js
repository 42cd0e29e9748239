// Runs features one after another: a connection, a deadline, clean-up and one line of output for each.

const amqp = require("amqplib");

const DEADLINE_S = 20;
const RESTART_DEADLINE_S = 40;

const env = {
  hostname: process.env.AMQP_HOST ?? "127.0.0.1",
  port: Number(process.env.AMQP_PORT ?? 5672),
  username: process.env.AMQP_USER ?? "guest",
  password: process.env.AMQP_PASSWORD ?? "guest",
  vhost: process.env.AMQP_VHOST ?? "/",
  messages: Number(process.env.INTEROP_MESSAGES ?? 10000),
  idleSeconds: Number(process.env.INTEROP_IDLE_S ?? 5),
  peer: process.env.INTEROP_PEER ?? "this",
  restart: process.env.INTEROP_RESTART,
};

const notes = new Set();

/** Whether the peer is RabbitMQ 3, which differs from what must hold: noted with the reason. */
function onRabbitMQ3(why) {
  if (env.peer === "rabbitmq3") notes.add(why);
  return env.peer === "rabbitmq3";
}

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function connect({ socket, ...options } = {}) {
  const { hostname, port, username, password, vhost } = env;
  return amqp.connect({ hostname, port, username, password, vhost: encodeURIComponent(vhost), heartbeat: 20, ...options }, socket);
}

/** What a consumer received: `consume(queue, inbox.receive)`, then `await inbox.next()`. */
class Inbox {
  #messages = [];
  #waiting = [];

  receive = (message) => {
    const resolve = this.#waiting.shift();
    if (resolve) resolve(message);
    else this.#messages.push(message);
  };

  next() {
    if (this.#messages.length > 0) return Promise.resolve(this.#messages.shift());
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async take(count) {
    const messages = [];
    while (messages.length < count) messages.push(await this.next());
    return messages;
  }

  /** What came within the time beyond what was taken. */
  async quiet(milliseconds = 200) {
    await sleep(milliseconds);
    return this.#messages.map(text);
  }
}

const text = (message) => message && message.content.toString();

/** What one feature uses; all of it goes when the feature ends. */
class Scope {
  #feature;
  #janitor;
  #connections = [];
  #queues = new Set();
  #exchanges = new Set();

  constructor(feature) {
    this.#feature = feature;
  }

  async open() {
    this.#janitor = await connect();
    this.#janitor.on("error", () => {});
    this.connection = await this.connect();
  }

  async connect(options) {
    const connection = await connect(options);
    connection.on("error", () => {}); // also what a channel's error event would otherwise throw
    this.#connections.push(connection);
    return connection;
  }

  channel(connection = this.connection) {
    return this.#silenced(connection.createChannel());
  }

  confirmChannel(connection = this.connection) {
    return this.#silenced(connection.createConfirmChannel());
  }

  async #silenced(opening) {
    const channel = await opening;
    channel.on("error", () => {}); // features look at rejected promises or at the close event instead
    return channel;
  }

  /** A name for a queue that does not exist yet and is deleted at the end. */
  async queue(name) {
    const full = `interop.amqplib.${this.#feature}.${name}`;
    this.#queues.add(full);
    await this.#remove("deleteQueue", full);
    return full;
  }

  async exchange(name) {
    const full = `interop.amqplib.${this.#feature}.${name}`;
    this.#exchanges.add(full);
    await this.#remove("deleteExchange", full);
    return full;
  }

  async #remove(method, name) {
    const channel = await this.#silenced(this.#janitor.createChannel());
    await channel[method](name);
    await channel.close();
  }

  async close() {
    await Promise.allSettled(this.#connections.map((connection) => connection.close()));
    for (const name of this.#queues) await this.#remove("deleteQueue", name);
    for (const name of this.#exchanges) await this.#remove("deleteExchange", name);
    await this.#janitor.close();
  }

  /** Forgets the janitor's connection, which a restart of the broker cut. */
  async reopen() {
    this.#janitor = await connect();
  }
}

async function within(seconds, work) {
  let timer;
  const deadline = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${seconds} s`)), seconds * 1000);
  });
  try {
    return await Promise.race([work, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

async function runOne(name, feature) {
  const scope = new Scope(name);
  const reason = (error) => String(error.message ?? error).split("\n").filter(Boolean).join(" | ");
  let failure;
  try {
    await within(name === "restart" ? RESTART_DEADLINE_S : DEADLINE_S, scope.open().then(() => feature(scope)));
  } catch (error) {
    failure = reason(error);
    if (process.env.INTEROP_TRACE) console.error(error.stack);
  }
  await within(5, scope.close()).catch((error) => (failure ??= `clean-up: ${reason(error)}`));
  for (const note of notes) console.log(`note ${name}: ${env.peer}: ${note}`);
  notes.clear();
  console.log(failure === undefined ? `ok ${name}` : `FAIL ${name}: ${failure}`);
  return failure === undefined;
}

async function run(features, skipped, chosen) {
  const restarts = (name) => name === "restart" && !env.restart;
  const names = chosen.length > 0 ? chosen : [...Object.keys(features), ...Object.keys(skipped)];
  let failed = 0;
  for (const name of names) {
    if (skipped[name]) console.log(`skip ${name}: ${skipped[name]}`);
    else if (restarts(name)) chosen.length > 0 && console.log(`skip ${name}: INTEROP_RESTART is not set`);
    else if (!features[name]) throw new Error(`unknown feature ${name}`);
    else if (!(await runOne(name, features[name]))) failed++;
  }
  process.exit(failed > 0 ? 1 : 0); // not waiting for what a failed feature left open
}

module.exports = { Inbox, connect, env, onRabbitMQ3, run, sleep, text };

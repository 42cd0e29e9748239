// What amqplib's users do with a broker: main.js [FEATURE]... See ../README.md.

const { run } = require("./harness");

process.on("unhandledRejection", () => {}); // a feature that ran out of time has failed already

const features = {
  ...require("./connections"),
  ...require("./routing"),
  ...require("./publishing"),
  ...require("./consuming"),
  ...require("./queues"),
  ...require("./dead_letters"),
};
const skipped = { tx: "amqplib has no transactions" };

run(features, skipped, process.argv.slice(2));

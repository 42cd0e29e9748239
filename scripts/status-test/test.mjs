// The status page in a real browser, over a broker that is being used: login, figures, rates, narrow and dark, and nothing from elsewhere.
//
//   node test.mjs CHROMIUM ADDRESS PROFILE-DIRECTORY [PICTURE-DIRECTORY]
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { openTab, start } from "../report-test/chromium.mjs";

const [program, address, profile, pictures] = process.argv.slice(2);
const DEADLINE_MS = 20_000;
const authorization = `Basic ${Buffer.from("guest:guest").toString("base64")}`;
const keep = async (tab, name) => pictures && writeFileSync(`${pictures}/${name}.png`, await tab.picture(true));

const ask = async (method, path, body) => {
  const answer = await fetch(`${address}${path}`, { method, headers: { authorization }, body: body && JSON.stringify(body) });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${await answer.clone().text()}`);
  return answer.text();
};
const until = async (what, probe) => {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    const found = await probe();
    if (found) return found;
    assert.ok(Date.now() < end, `waited too long for ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
};

const LONG = "a queue with a name that is quite long, longer than a phone is wide";
// Whoever may declare a queue chooses what an administrator's browser is given.
const MARKUP = `<img src=x onerror="document.title='owned'">`;
const names = [LONG, MARKUP, "idle", "orders"];

// Somebody who uses the broker for as long as the test runs.
let busy = true;
const use = async () => {
  const properties = { delivery_mode: 2 };
  const publish = (key) => ask("POST", "/api/exchanges/%2F/amq.default/publish", { properties, routing_key: key, payload: "x".repeat(100) });
  while (busy) {
    await Promise.all(Array.from({ length: 8 }, (_, index) => publish(index % 3 ? "orders" : LONG)));
    await ask("POST", "/api/queues/%2F/orders/get", { count: 4, ackmode: "ack_requeue_false", encoding: "auto" });
  }
};

const text = (tab, id) => tab.run(`document.getElementById(${JSON.stringify(id)}).textContent`);
const logIn = (tab, password) => tab.run(`(() => {
  document.getElementById("user").value = "guest";
  document.getElementById("password").value = ${JSON.stringify(password)};
  document.querySelector("#login button").click();
})()`);
const queues = (tab) => tab.run(`[...document.querySelectorAll("#queues tr")].map((row) => row.children[0].textContent)`);

const browser = start(program, profile);
let failed = 0;
const check = async (name, body) => {
  try {
    await body();
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n${error.stack}`);
  }
};
let user;
try {
  for (const name of names) {
    await ask("PUT", `/api/queues/%2F/${encodeURIComponent(name)}`, { durable: true });
  }
  user = use();
  const tab = await openTab(browser, { width: 1400, height: 900 });
  await tab.go(`${address}/`);
  await check("asks who one is, and refuses a wrong password", async () => {
    await until("the form", () => tab.run("!document.getElementById('login').hidden"));
    await keep(tab, "login");
    await logIn(tab, "wrong");
    await until("the refusal", () => text(tab, "refused"));
    assert.equal(await tab.run("document.getElementById('page').hidden"), true);
    // The browser itself notes the status.
    assert.ok(tab.faults.every((fault) => /401/.test(fault)), tab.faults.join());
    tab.faults.length = 0;
  });
  await check("shows figures, rates, stages and queues", async () => {
    await logIn(tab, "guest");
    await until("a rate", async () => /published [1-9]/.test(await text(tab, "legend")));
    await until("a few points", async () => tab.run("document.querySelector('[data-series=publish]').points.numberOfItems >= 3"));
    assert.match(await text(tab, "memory"), /message memory.* of 512 MiB/);
    assert.match(await text(tab, "stages"), /read to ringp50 ≤ .+p99 ≤ |no sample yet/);
    assert.equal(await tab.run("document.querySelectorAll('#stages svg').length"), 6);
    assert.deepEqual((await queues(tab)).toSorted(), names.toSorted());
    assert.equal(await tab.run("document.querySelectorAll('img').length"), 0, "a name is text");
    assert.notEqual(await tab.run("document.title"), "owned");
    assert.equal(await tab.run("[...document.querySelectorAll('polyline')].some((it) => /NaN|Infinity/.test(it.getAttribute('points')))"), false);
    await keep(tab, "wide");
    assert.deepEqual(tab.faults, [], "the console stays empty");
    assert.deepEqual(tab.requests.filter((url) => !url.startsWith(address) && !url.startsWith("data:")), [], "nothing comes from elsewhere");
  });
  const session = await tab.run("sessionStorage.getItem('authorization')");
  for (const [name, width, dark] of [["narrow", 390, false], ["narrow-dark", 390, true], ["wide-dark", 1400, true]]) {
    await check(`fits a ${name} window`, async () => {
      const other = await openTab(browser, { width, height: 1000, dark, touch: width < 500 });
      await other.go(`${address}/`);
      await other.run(`sessionStorage.setItem("authorization", ${JSON.stringify(session)})`);
      await other.go(`${address}/`);
      await until("queues", async () => (await queues(other)).length === names.length);
      const overflow = await other.run("document.documentElement.scrollWidth - document.documentElement.clientWidth");
      assert.ok(overflow <= 0, `${overflow} px too wide`);
      await keep(other, name);
      assert.deepEqual(other.faults, []);
    });
  }
  await check("forgets who one was", async () => {
    await tab.run("document.getElementById('logout').click()");
    assert.equal(await tab.run("sessionStorage.length"), 0);
    assert.equal(await tab.run("document.getElementById('login').hidden"), false);
  });
} finally {
  busy = false;
  await user?.catch((error) => { failed += 1; console.log(`FAILED  using the broker\n${error.stack}`); });
  await browser.close();
}
console.log(failed ? `${failed} failed` : "all passed");
process.exitCode = failed ? 1 : 0;

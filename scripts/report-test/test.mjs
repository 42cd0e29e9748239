// The report in a real browser: filters, hovering, clicking, sorting, keyboard, narrow and dark, and nothing on the console.
//
//   node test.mjs CHROMIUM PAGE EXACT-RUN-ID PROFILE-DIRECTORY [PICTURE-DIRECTORY]
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { openTab, start } from "./chromium.mjs";

const [program, page, exactRun, profile, pictures] = process.argv.slice(2);
const address = pathToFileURL(page).href;
const browser = start(program, profile);
const tests = [];
const test = (name, body) => tests.push([name, body]);
const keep = async (tab, name, whole = false) => pictures && writeFileSync(`${pictures}/${name}.png`, await tab.picture(whole));

// Text of all elements that a selector finds.
const texts = (tab, selector) => tab.run(`[...document.querySelectorAll(${JSON.stringify(selector)})].map((it) => it.textContent)`);
const count = (tab) => tab.run("document.getElementById('count').textContent");
// The middle of an element, scrolled into view.
const middle = (tab, selector) => tab.run(`(() => {
  const found = document.querySelector(${JSON.stringify(selector)});
  found.scrollIntoView({ block: "center" });
  const { x, y, width, height } = found.getBoundingClientRect();
  return [x + width / 2, y + height / 2];
})()`);
const choose = (tab, id, value) => tab.run(`(() => {
  const select = document.getElementById(${JSON.stringify(id)});
  const option = [...select.options].find((it) => it.value.startsWith(${JSON.stringify(value)}));
  select.value = option.value;
  select.dispatchEvent(new Event("change"));
})()`);
const tip = (tab) => tab.run("document.getElementById('tip').hidden ? '' : document.getElementById('tip').textContent");
const column = (tab, name) => tab.run(`(() => {
  const heads = [...document.querySelectorAll("#runs thead th")];
  const index = heads.findIndex((it) => it.textContent.startsWith(${JSON.stringify(name)}));
  return [...document.querySelectorAll("#runs tbody tr")].map((it) => it.children[index].textContent);
})()`);

test("shows all runs and draws both plots", async (tab) => {
  assert.match(await count(tab), /^1,201 of 1,201 runs$/);
  assert.equal((await texts(tab, "#runs tbody tr")).length, 200);
  assert.equal((await texts(tab, "#timeline svg path.mark")).length > 500, true);
  assert.equal(await tab.run("document.querySelectorAll('#curves g').length"), 3);
  assert.equal(await tab.run("[...document.querySelectorAll('path')].some((it) => /NaN|Infinity/.test(it.getAttribute('d')))"), false);
  await keep(tab, "wide");
});

test("filters by scenario, machine and broker, each leaving the others' choices", async (tab) => {
  await choose(tab, "filter-scenario", "fanout");
  const fanout = Number((await count(tab)).split(" ")[0]);
  assert.ok(fanout > 100 && fanout < 400, String(fanout));
  await choose(tab, "filter-machine", "2 × AMD");
  await choose(tab, "filter-server", "RabbitMQ");
  const few = Number((await count(tab)).split(" ")[0]);
  assert.ok(few > 0 && few < fanout / 2, `${few} of ${fanout}`);
  for (const name of await column(tab, "scenario")) assert.ok(name.startsWith("fanout"), name);
  for (const name of await column(tab, "broker")) assert.ok(name.startsWith("RabbitMQ"), name);
  assert.match(await tab.run("location.hash"), /scenario=fanout.*machine=.*server=RabbitMQ/);
  await keep(tab, "filtered", true);
  await tab.run("document.getElementById('reset').click()");
  assert.match(await count(tab), /^1,201 of/);
  await tab.run("(() => { const it = document.getElementById('filter-text'); it.value = '-c7-281'; it.dispatchEvent(new Event('input')); })()");
  assert.match(await count(tab), /^1 of/);
  await tab.run("(() => { const it = document.getElementById('filter-text'); it.value = 'no such run'; it.dispatchEvent(new Event('input')); })()");
  assert.match((await texts(tab, "#timeline"))[0], /No run matches/);
  await tab.run("document.getElementById('reset').click()");
});

test("shows the values of the point under the mouse, and opens its run by a click", async (tab) => {
  await choose(tab, "filter-scenario", "20p20c-latency");
  await choose(tab, "metric", "response-p99");
  const [x, y] = await middle(tab, "#timeline svg path.mark");
  await tab.move(x, y);
  const shown = await tip(tab);
  assert.match(shown, /^response latency p99: [\d.]+ (µs|ms)\n20p20c-latency/);
  await keep(tab, "hover");
  await tab.click(x, y);
  assert.equal(await tab.run("document.getElementById('details').open"), true);
  const details = (await texts(tab, "#details"))[0];
  for (const part of ["20p20c-latency", "loadgen --scenario 20p20c-latency", "ledger", "environment", "generator"]) {
    assert.ok(details.includes(part), part);
  }
  assert.match(await tab.run("location.hash"), /run=2026/);
  await keep(tab, "details");
  await tab.key("Escape");
  assert.equal(await tab.run("document.getElementById('details').open"), false);
  assert.doesNotMatch(await tab.run("location.hash"), /run=/);
  await tab.move(1, 1);
  assert.equal(await tip(tab), "");
  await tab.run("document.getElementById('reset').click()");
});

test("shows all curves' values at the percentile under the mouse", async (tab) => {
  const [x, y] = await middle(tab, "#curves svg");
  await tab.move(x, y);
  const lines = (await tip(tab)).split("\n");
  assert.match(lines[0], /^99(\.\d+)? %$/);
  assert.equal(lines.length, 4);
  for (const line of lines.slice(1)) assert.match(line, /^[\d.]+ (µs|ms|s) · /);
  await tab.move(1, 1);
});

test("overlays the runs that are ticked, with exact curves where their files are there", async (tab) => {
  await tab.run(`(() => { const it = document.getElementById("filter-text"); it.value = ${JSON.stringify(exactRun)}; it.dispatchEvent(new Event("input")); })()`);
  assert.match(await count(tab), /^1 of/);
  const legend = (await texts(tab, "#curves .legend"))[0];
  assert.doesNotMatch(legend, /from the summary/);
  await tab.run(`document.querySelector('tr[data-id="${exactRun}"] button').click()`);
  const details = (await texts(tab, "#details"))[0];
  assert.match(details, /targets/);
  await tab.key("Escape");
  await tab.run("document.getElementById('reset').click()");
  await choose(tab, "filter-scenario", "fanout");
  await tab.run("document.querySelectorAll('#runs tbody input')[5].click()");
  assert.match((await texts(tab, "#curves-hint"))[0], /^The chosen runs/);
  assert.equal(await tab.run("document.querySelectorAll('#curves g').length"), 4);
  await tab.run("document.getElementById('unpick').click()");
  assert.equal(await tab.run("document.querySelectorAll('#curves g').length"), 3);
  await tab.run("document.getElementById('reset').click()");
});

test("sorts by any column, both ways, missing figures last", async (tab) => {
  const values = async () => tab.run(`(() => {
    const ids = [...document.querySelectorAll("#runs tbody tr")].map((it) => it.dataset.id);
    const byRun = new Map(JSON.parse(document.getElementById("data").textContent).runs.map((it) => [it.id, it]));
    return ids.map((id) => byRun.get(id).latency_us?.p99 ?? null);
  })()`);
  const [x, y] = await middle(tab, "[data-column='response-p99']");
  await tab.click(x, y);
  const falling = await values();
  assert.deepEqual(falling, [...falling].sort((one, other) => other - one));
  assert.equal(await tab.run("document.querySelector(\"[data-column='response-p99']\").parentElement.getAttribute('aria-sort')"), "descending");
  await tab.run("document.querySelector(\"[data-column='response-p99']\").click()");
  const rising = await values();
  assert.deepEqual(rising, [...rising].sort((one, other) => one - other));
  assert.ok(rising.every((value) => value !== null) && rising[0] < falling[0]);
  await tab.run("document.getElementById('more').click()");
  assert.equal((await texts(tab, "#runs tbody tr")).length, 400);
  await tab.run("document.querySelector(\"[data-column='started']\").click()");
});

test("is used by keyboard alone", async (tab) => {
  await tab.run("document.querySelector('#timeline svg').focus()");
  await tab.key("ArrowRight");
  const first = await tip(tab);
  await tab.key("ArrowRight");
  const second = await tip(tab);
  assert.ok(first && second && first !== second);
  assert.equal(await tab.run("document.getElementById('spoken').textContent"), second);
  await tab.key("Enter");
  assert.equal(await tab.run("document.getElementById('details').open"), true);
  await tab.key("Escape");
  assert.equal(await tab.run("document.getElementById('details').open"), false);
});

test("shows data as text, never as markup", async (tab) => {
  await choose(tab, "filter-verdict", "fail");
  await tab.run("document.querySelector('#runs tbody td button').click()");
  assert.match((await texts(tab, "#details"))[0], /<\/script><b>not markup<\/b>/);
  assert.equal(await tab.run("document.querySelectorAll('#details b').length"), 0);
  await tab.key("Escape");
  await tab.run("document.getElementById('reset').click()");
});

test("opens where its address says", async (tab) => {
  await tab.go("about:blank");
  await tab.go(`${address}#scenario=crash&metric=confirm-p99&sort=consume.up&run=${exactRun}`);
  assert.equal(await tab.run("document.getElementById('filter-scenario').value"), "crash");
  assert.equal(await tab.run("document.getElementById('metric').value"), "confirm-p99");
  assert.equal(await tab.run("document.getElementById('details-title').textContent"), exactRun);
});

test("prints", async (tab) => {
  await tab.key("Escape");
  const pdf = await tab.print();
  assert.equal(pdf.subarray(0, 5).toString(), "%PDF-");
  if (pictures) writeFileSync(`${pictures}/print.pdf`, pdf);
});

let failed = 0;
const check = async (name, tab, body) => {
  try {
    await body(tab);
    assert.deepEqual(tab.faults, [], "the console stays empty");
    assert.deepEqual(tab.requests.filter((url) => url !== address && !url.startsWith(`${address}#`) && url !== "about:blank"), [], "nothing is loaded");
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n${error.stack}`);
    tab.faults.length = 0;
  }
};
try {
  const tab = await openTab(browser, { width: 1400, height: 900 });
  await tab.go(address);
  for (const [name, body] of tests) await check(name, tab, body);
  for (const [name, width, dark] of [["narrow", 400, false], ["narrow-dark", 400, true], ["wide-dark", 1400, true]]) {
    const other = await openTab(browser, { width, height: 1600, dark, touch: width < 500 });
    await other.go(address);
    await check(`fits a ${name} window`, other, async () => {
      const overflow = await other.run("document.documentElement.scrollWidth - document.documentElement.clientWidth");
      assert.ok(overflow <= 0, `${overflow} px too wide`);
      await keep(other, name);
      await other.run("document.querySelector('#runs tbody td button').click()");
      const inside = await other.run("(() => { const it = document.getElementById('details'); return it.scrollWidth - it.clientWidth; })()");
      assert.ok(inside <= 0, `details are ${inside} px too wide`);
      await keep(other, `${name}-details`);
    });
  }
} finally {
  await browser.close();
}
console.log(failed ? `${failed} failed` : "all passed");
process.exitCode = failed ? 1 : 0;

// Drives Chromium over its debugging pipe (file descriptors 3 and 4, messages end with a zero byte): no library is needed.
import { spawn } from "node:child_process";

const ANSWER_MS = 20_000;

export const start = (program, profile) => {
  const flags = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-pipe", `--user-data-dir=${profile}`, "about:blank",
  ];
  const child = spawn(program, flags, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
  const [input, output] = [child.stdio[3], child.stdio[4]];
  const waiting = new Map();
  const listeners = [];
  let number = 0;
  let rest = Buffer.alloc(0);
  child.on("exit", (code) => {
    for (const { reject } of waiting.values()) reject(new Error(`Chromium ended with code ${code}`));
  });
  input.on("error", () => {});
  output.on("data", (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    for (let end = rest.indexOf(0); end >= 0; end = rest.indexOf(0)) {
      const message = JSON.parse(rest.subarray(0, end).toString());
      rest = rest.subarray(end + 1);
      const caller = waiting.get(message.id);
      waiting.delete(message.id);
      if (!caller) listeners.forEach((listener) => listener(message));
      else if (message.error) caller.reject(new Error(`${caller.method}: ${message.error.message}`));
      else caller.resolve(message.result);
    }
  });
  const send = (method, params = {}, sessionId = undefined) => new Promise((resolve, reject) => {
    number += 1;
    const id = number;
    const timer = setTimeout(() => reject(new Error(`${method}: no answer`)), ANSWER_MS);
    waiting.set(id, { method, resolve: (value) => { clearTimeout(timer); resolve(value); }, reject });
    input.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
  });
  const close = () => new Promise((resolve) => {
    child.on("exit", resolve);
    child.kill();
  });
  return { send, close, listen: (listener) => listeners.push(listener) };
};

// A tab, with what a test does to it. Whatever goes wrong in the page is collected in `faults`, every request in `requests`.
export const openTab = async (browser, { width, height, dark = false, touch = false }) => {
  const { targetId } = await browser.send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await browser.send("Target.attachToTarget", { targetId, flatten: true });
  const call = (method, params) => browser.send(method, params, sessionId);
  const faults = [];
  const requests = [];
  let loaded = () => {};
  browser.listen((message) => {
    if (message.sessionId !== sessionId) return;
    const { method, params } = message;
    if (method === "Runtime.exceptionThrown") faults.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    if (method === "Runtime.consoleAPICalled" && ["error", "warning", "assert"].includes(params.type)) faults.push(JSON.stringify(params.args));
    if (method === "Log.entryAdded") faults.push(params.entry.text);
    if (method === "Network.requestWillBeSent") requests.push(params.request.url);
    if (method === "Page.loadEventFired") loaded();
  });
  for (const domain of ["Page", "Runtime", "Log", "Network"]) await call(`${domain}.enable`);
  await call("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: touch });
  await call("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }] });
  const run = async (expression) => {
    const { result, exceptionDetails } = await call("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
    if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
    return result.value;
  };
  const mouse = (type, x, y, more = {}) => call("Input.dispatchMouseEvent", { type, x, y, ...more });
  return {
    faults,
    requests,
    run,
    go: async (url) => {
      const done = new Promise((resolve) => { loaded = resolve; });
      await call("Page.navigate", { url });
      await done;
    },
    move: (x, y) => mouse("mouseMoved", x, y),
    click: async (x, y) => {
      await mouse("mousePressed", x, y, { button: "left", clickCount: 1 });
      await mouse("mouseReleased", x, y, { button: "left", clickCount: 1 });
    },
    key: async (key) => {
      const codes = { Enter: 13, Escape: 27, ArrowRight: 39, ArrowLeft: 37, Tab: 9 };
      const event = { key, code: key, windowsVirtualKeyCode: codes[key], text: key === "Enter" ? "\r" : undefined };
      await call("Input.dispatchKeyEvent", { type: "keyDown", ...event });
      await call("Input.dispatchKeyEvent", { type: "keyUp", ...event });
    },
    picture: async (whole = true) => {
      const { data } = await call("Page.captureScreenshot", { format: "png", captureBeyondViewport: whole });
      return Buffer.from(data, "base64");
    },
    print: async () => Buffer.from((await call("Page.printToPDF", { preferCSSPageSize: true })).data, "base64"),
  };
};

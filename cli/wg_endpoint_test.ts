import assert from "node:assert/strict";
import { formatEndpoint } from "../mod.ts";
import { type EndpointLookup, parseRetries, resolveEndpoint } from "./wg_endpoint.ts";
import { WgError } from "./wg_errors.ts";

Deno.test("parseRetries() knows numbers, infinity and nothing else", () => {
  assert.equal(parseRetries(undefined), 15);
  assert.equal(parseRetries("infinity"), Infinity);
  assert.equal(parseRetries("0"), 0);
  assert.equal(parseRetries(""), 0);
  assert.equal(parseRetries("2147483647"), 2147483647);
  for (const text of ["often", "-1", "2147483648", "1x"]) assert.throws(() => parseRetries(text), WgError, text);
});

Deno.test("resolveEndpoint() asks nobody about a numeric host", async () => {
  const system = new Scripted([]);
  assert.equal(await text("192.0.2.1", system), "192.0.2.1:5");
  assert.equal(await text("2001:db8::1", system), "[2001:db8::1]:5");
  assert.equal(await text("fe80::1%7", system), "[fe80::1%7]:5");
});

Deno.test("resolveEndpoint() takes the first answer", async () => {
  assert.equal(await text("vpn.test", new Scripted(["2001:db8::7"])), "[2001:db8::7]:5");
});

Deno.test("resolveEndpoint() tries again with growing pauses while it may help", async () => {
  const system = new Scripted([...new Array(20).fill("EAI_AGAIN"), "192.0.2.7"]);
  assert.equal(await text("vpn.test", system, 20), "192.0.2.7:5");
  assert.deepEqual(system.pauses.slice(0, 3), [1000, 1200, 1440]);
  assert.equal(system.pauses.length, 20);
  assert.equal(Math.max(...system.pauses), 20_000);
  assert.equal(
    system.told[1],
    "Temporary failure in name resolution: `vpn.test:5'. Trying again in 1.20 seconds...",
  );
});

Deno.test("resolveEndpoint() gives up after its retries, and at once where nothing will change", async () => {
  const passing = new Scripted(new Array(9).fill("EAI_AGAIN"));
  await assert.rejects(text("vpn.test", passing, 3), {
    name: "WgError",
    message: "Temporary failure in name resolution: `vpn.test:5'",
  });
  assert.equal(passing.pauses.length, 3);
  const lasting = new Scripted(["ENOTFOUND"]);
  await assert.rejects(text("vpn.test", lasting), { message: "Name or service not known: `vpn.test:5'" });
  assert.equal(lasting.pauses.length, 0);
});

/** Answers in order; a word is an error's code. */
class Scripted implements EndpointLookup {
  readonly pauses: number[] = [];
  readonly told: string[] = [];
  readonly #answers: string[];

  constructor(answers: string[]) {
    this.#answers = answers;
  }

  resolve(): Promise<string> {
    const answer = this.#answers.shift() ?? "EAI_AGAIN";
    if (/[.:]/.test(answer)) return Promise.resolve(answer);
    return Promise.reject(Object.assign(new Error(answer), { code: answer }));
  }

  pause(milliseconds: number): Promise<void> {
    this.pauses.push(Math.round(milliseconds));
    return Promise.resolve();
  }

  tell(message: string): void {
    this.told.push(message);
  }
}

async function text(host: string, system: EndpointLookup, retries = 15): Promise<string> {
  return formatEndpoint(await resolveEndpoint({ host, port: 5 }, retries, system), 0);
}

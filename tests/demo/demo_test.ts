import assert from "node:assert/strict";

const DEMO = new URL("demo.ts", import.meta.url).pathname;
const isRoot = Deno.uid() === 0;

for (const carrier of ["batch", "datagram"]) {
  Deno.test(`the demo shows a tunnel over the ${carrier} carrier and leaves nothing`, { ignore: !isRoot }, async () => {
    const { code, stdout, stderr } = await demo("--carrier", carrier);
    assert.equal(code, 0, stdout + stderr);
    for (
      const shown of [
        /handshake initiation\n.*handshake response/,
        /inner packet.*10\.99\.0\.1 → 10\.99\.0\.2.*84 bytes: ICMP echo request/,
        /outer packet.*192\.0\.2\.1:\d+ → 192\.0\.2\.2:\d+ .*128 bytes: transport data/,
        /10 answered/,
        /left → right .* \d+ Mbit\/s\n.*right → left .* \d+ Mbit\/s/,
        /Cleaned up/,
      ]
    ) assert.match(stdout, shown);
    for (const name of ["culvert-left", "culvert-right"]) {
      await assert.rejects(Deno.stat(`/var/run/wireguard/${name}.sock`), Deno.errors.NotFound);
    }
  });
}

Deno.test("the demo cleans up when it is interrupted", { ignore: !isRoot }, async () => {
  const child = new Deno.Command(Deno.execPath(), { args: ["run", "-A", DEMO], stdout: "piped" }).spawn();
  let shown = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    if (!shown.includes("TCP through") && text.includes("TCP through")) child.kill("SIGINT");
    shown += text;
  }
  assert.notEqual((await child.status).code, 0);
  assert.match(shown, /Cleaned up/);
  await assert.rejects(Deno.stat("/var/run/wireguard/culvert-left.sock"), Deno.errors.NotFound);
});

Deno.test("the demo refuses other options in one line", async () => {
  const { code, stderr } = await demo("--carrier", "pigeon");
  assert.equal(code, 1);
  assert.match(stderr, /^demo: [^\n]+\n$/);
});

async function demo(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const command = new Deno.Command(Deno.execPath(), { args: ["run", "--quiet", "-A", DEMO, ...args] });
  const { code, stdout, stderr } = await command.output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

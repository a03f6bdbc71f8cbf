import assert from "node:assert/strict";
import { inTestNamespace, rootTest } from "../ffi/testing.ts";
import { writeResolvConf } from "./dns.ts";
import { Journal, StateStore } from "./state.ts";
import { inFolder, inFolderAsync } from "./state_fixture.ts";
import { readSysctl, requireSysctl, restoreSysctl, SRC_VALID_MARK } from "./sysctl.ts";
import { undoChanges } from "./undo.ts";

const ORIGINAL = "# whatever stood here\nnameserver 192.0.2.1\n\n";
const OPTIONS = { keepKillSwitch: false, warn: fail };

/** All orders in which three interfaces can go. */
const ORDERS = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

for (const order of ORDERS) {
  Deno.test(`resolv.conf is the last one's while there is one, and the original at the end: ${order}`, async () => {
    await inFolderAsync(async (folder) => {
      const path = `${folder}/resolv.conf`;
      Deno.writeTextFileSync(path, ORIGINAL);
      Deno.chmodSync(path, 0o640);
      const { ino } = Deno.statSync(path);
      const store = new StateStore(`${folder}/states`);
      const journals = [0, 1, 2].map((i) => begin(store, `wg${i}`));
      const texts = journals.map((journal, i) => {
        writeResolvConf(journal, { servers: [`10.0.0.${i}`], search: i === 1 ? ["a", "b"] : [] }, fail, path);
        return Deno.readTextFileSync(path);
      });
      assert.match(texts[1], /^# .*\nnameserver 10.0.0.1\nsearch a b\n$/);
      const left = new Set([0, 1, 2]);
      for (const i of order) {
        assert.equal(await undoChanges(store, journals[i].state, OPTIONS), true);
        left.delete(i);
        assert.equal(Deno.readTextFileSync(path), left.size === 0 ? ORIGINAL : texts[Math.max(...left)]);
      }
      assert.deepEqual(store.names(), []);
      assert.equal((Deno.statSync(path).mode ?? 0) & 0o777, 0o640);
      assert.equal(Deno.statSync(path).ino, ino);
    });
  });

  rootTest(`a setting stays while anybody needs it, and is the original at the end: ${order}`, () => {
    inFolder((folder) => {
      inTestNamespace(() => {
        const before = readSysctl(SRC_VALID_MARK);
        assert.equal(before, "0");
        const store = new StateStore(folder);
        const journals = [0, 1, 2].map((i) => begin(store, `wg${i}`));
        for (const journal of journals) requireSysctl(journal, SRC_VALID_MARK, "1", fail);
        const left = new Set([0, 1, 2]);
        for (const i of order) {
          const [change] = store.load(`wg${i}`)!.changes;
          assert.ok(change.kind === "sysctl");
          restoreSysctl(store, journals[i].state, change);
          store.remove(`wg${i}`);
          left.delete(i);
          assert.equal(readSysctl(SRC_VALID_MARK), left.size === 0 ? before : "1");
        }
      });
    });
  });
}

Deno.test("undoChanges() restores an absent file and a link", async () => {
  await inFolderAsync(async (folder) => {
    const path = `${folder}/resolv.conf`;
    const store = new StateStore(`${folder}/states`);
    const journal = begin(store, "wg0");
    writeResolvConf(journal, { servers: ["10.0.0.1"], search: [] }, fail, path);
    assert.equal(Deno.statSync(path).isFile, true);
    await undoChanges(store, journal.state, OPTIONS);
    assert.throws(() => Deno.lstatSync(path), Deno.errors.NotFound);

    Deno.symlinkSync("../nowhere", path);
    const second = begin(store, "wg1");
    writeResolvConf(second, { servers: ["10.0.0.1"], search: [] }, fail, path);
    assert.equal(Deno.lstatSync(path).isFile, true);
    await undoChanges(store, second.state, OPTIONS);
    assert.equal(Deno.readLinkSync(path), "../nowhere");
  });
});

Deno.test("undoChanges() leaves alone what somebody else has written since, and says so", async () => {
  await inFolderAsync(async (folder) => {
    const path = `${folder}/resolv.conf`;
    Deno.writeTextFileSync(path, ORIGINAL);
    const store = new StateStore(`${folder}/states`);
    const journal = begin(store, "wg0");
    writeResolvConf(journal, { servers: ["10.0.0.1"], search: [] }, fail, path);
    Deno.writeTextFileSync(path, "nameserver 203.0.113.1\n");
    const warnings: string[] = [];
    await undoChanges(store, journal.state, { keepKillSwitch: false, warn: (message) => warnings.push(message) });
    assert.equal(Deno.readTextFileSync(path), "nameserver 203.0.113.1\n");
    assert.match(warnings.join(), /changed by another program/);
    assert.deepEqual(store.names(), []);
  });
});

Deno.test("undoChanges() finishes what was killed before or in the middle of writing", async () => {
  for (const written of [0, 10, Infinity]) {
    await inFolderAsync(async (folder) => {
      const path = `${folder}/resolv.conf`;
      Deno.writeTextFileSync(path, ORIGINAL);
      const store = new StateStore(`${folder}/states`);
      const journal = begin(store, "wg0");
      writeResolvConf(journal, { servers: ["10.0.0.1"], search: [] }, fail, path);
      const text = Deno.readTextFileSync(path);
      Deno.writeTextFileSync(path, written === Infinity ? ORIGINAL : text.slice(0, written));
      assert.equal(await undoChanges(store, journal.state, OPTIONS), true);
      assert.equal(Deno.readTextFileSync(path), ORIGINAL);
    });
  }
});

Deno.test("undoChanges() keeps what it could not undo, and after another boot restores files alone", async () => {
  await inFolderAsync(async (folder) => {
    const path = `${folder}/sub/resolv.conf`;
    Deno.mkdirSync(`${folder}/sub`);
    Deno.writeTextFileSync(path, ORIGINAL);
    const store = new StateStore(`${folder}/states`);
    const journal = begin(store, "wg0");
    writeResolvConf(journal, { servers: ["10.0.0.1"], search: [] }, fail, path);
    const { state } = journal;
    state.changes.push({ kind: "resolvconf", program: "/bin/false", entry: "wg0" });
    store.save(state);
    const warnings: string[] = [];
    const options = { keepKillSwitch: false, warn: (message: string) => void warnings.push(message) };
    assert.equal(await undoChanges(store, state, options), false);
    assert.match(warnings.join(), /cannot undo \/bin\/false -a wg0/);
    assert.deepEqual(store.load("wg0")?.changes.map(({ kind }) => kind), ["resolvconf"]);
    assert.equal(Deno.readTextFileSync(path), ORIGINAL);

    const later = { ...state, place: { ...state.place, boot: "another" } };
    store.save(later);
    assert.equal(await undoChanges(store, later, OPTIONS), true);
    assert.deepEqual(store.names(), []);
  });
});

function begin(store: StateStore, name: string): Journal {
  return new Journal(store, store.create(name, `/etc/wireguard/${name}.conf`));
}

function fail(message: string): never {
  throw new Error(message);
}

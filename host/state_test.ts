import assert from "node:assert/strict";
import { HostError } from "./host_error.ts";
import { type Change, isBusy, Journal, StateStore } from "./state.ts";
import { inFolder } from "./state_fixture.ts";

const LINK: Change = { kind: "link", index: 0 };
const SETTING: Change = { kind: "sysctl", key: "a/b", before: "0", after: "1" };

Deno.test("StateStore keeps states for root's eyes, and lists them", () => {
  inFolder((folder) => {
    const store = new StateStore(`${folder}/states`);
    assert.equal(store.load("wg0"), null);
    assert.deepEqual(store.names(), []);
    const state = store.create("wg0", "/etc/wireguard/wg0.conf");
    state.changes.push(LINK, SETTING);
    store.save(state);
    store.save(store.create("wg1", "/x/wg1.conf"));
    assert.deepEqual(store.load("wg0"), state);
    assert.deepEqual(store.names(), ["wg0", "wg1"]);
    assert.deepEqual(store.others(state).map(({ name }) => name), ["wg1"]);
    assert.equal((Deno.statSync(`${folder}/states`).mode ?? 0) & 0o777, 0o700);
    for (const { name } of Deno.readDirSync(`${folder}/states`)) {
      assert.equal((Deno.statSync(`${folder}/states/${name}`).mode ?? 0) & 0o777, 0o600, name);
    }
    store.remove("wg0");
    store.remove("wg0");
    assert.deepEqual(store.names(), ["wg1"]);
  });
});

Deno.test("StateStore refuses what it cannot understand", () => {
  inFolder((folder) => {
    const store = new StateStore(folder);
    for (const text of ["", "{", "{}", '{"version":2,"name":"wg0","changes":[]}']) {
      Deno.writeTextFileSync(`${folder}/wg0.json`, text);
      assert.throws(() => store.load("wg0"), HostError, text);
    }
  });
});

Deno.test("StateStore.others() passes over states of other places", () => {
  inFolder((folder) => {
    const store = new StateStore(folder);
    const state = store.create("wg0", "/x");
    const { boot, namespace } = state.place;
    store.save({ ...store.create("wg1", "/x"), place: { boot: "another", namespace } });
    store.save({ ...store.create("wg2", "/x"), place: { boot, namespace: namespace + 1 } });
    assert.deepEqual(store.others(state), []);
  });
});

Deno.test("Journal.change() writes before it acts", () => {
  inFolder((folder) => {
    const store = new StateStore(folder);
    const journal = new Journal(store, store.create("wg0", "/x"));
    const seen = journal.change(LINK, () => store.load("wg0")?.changes);
    assert.deepEqual(seen, [LINK]);
    assert.throws(() =>
      journal.change(SETTING, () => {
        throw new Error("no");
      }), /no/);
    assert.deepEqual(store.load("wg0")?.changes, [LINK, SETTING]);
    journal.amend(LINK, { kind: "link", index: 7 });
    assert.deepEqual(store.load("wg0")?.changes, [{ kind: "link", index: 7 }, SETTING]);
  });
});

Deno.test("Journal.save() keeps what another interface has left to this one meanwhile", () => {
  inFolder((folder) => {
    const store = new StateStore(folder);
    const journal = new Journal(store, store.create("wg0", "/x"));
    journal.change({ ...SETTING, before: "1" } as Change, () => {});
    const written = store.load("wg0")!;
    written.changes = [SETTING];
    store.save(written);
    journal.change(LINK, () => {});
    assert.deepEqual(store.load("wg0")?.changes, [SETTING, LINK]);
  });
});

Deno.test("isBusy() tells a process at work from one that ended and one of the same number", () => {
  inFolder((folder) => {
    const state = new StateStore(folder).create("wg0", "/x");
    assert.equal(isBusy(state), true);
    state.worker = { ...state.worker!, started: "1" };
    assert.equal(isBusy(state), false);
    state.worker = { pid: 0x7fff_ffff, started: "" };
    assert.equal(isBusy(state), false);
    state.worker = null;
    assert.equal(isBusy(state), false);
  });
});

Deno.test("StateStore.locked() may be nested, and is free again after a fault", () => {
  inFolder((folder) => {
    const store = new StateStore(folder);
    assert.equal(store.locked(() => store.locked(() => 7)), 7);
    assert.throws(() =>
      store.locked(() => {
        throw new RangeError("no");
      }), RangeError);
    assert.equal(new StateStore(folder).locked(() => 8), 8);
  });
});

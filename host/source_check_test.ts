import assert from "node:assert/strict";
import { ipJson } from "../ffi/programs_fixture.ts";
import { inTestNamespace, rootTest, setUpLoopback } from "../ffi/testing.ts";
import { ENDPOINT_SOURCE, ENDPOINT_SOURCE_IFINDEX, endpointRecord } from "../tunnel/endpoint.ts";
import { linkIndex } from "./host_link.ts";
import { SourceCheck } from "./source_check.ts";

const PEER = Uint8Array.of(192, 0, 2, 9);
const [FIRST, SECOND] = [Uint8Array.of(10, 1, 0, 1), Uint8Array.of(10, 1, 0, 2)];

rootTest("SourceCheck.keeps() a source that is still there, on the interface that leads to the peer", () => {
  inTestNamespace(() => {
    setUpLoopback();
    ipJson("link", "add", "near", "type", "veth", "peer", "name", "far");
    for (const device of ["near", "far"]) ipJson("link", "set", device, "up");
    ipJson("address", "add", "10.1.0.1/24", "dev", "near");
    ipJson("address", "add", "10.1.0.2/24", "dev", "near");
    ipJson("address", "add", "10.2.0.1/24", "dev", "far");
    ipJson("route", "add", "192.0.2.0/24", "dev", "near");
    const near = linkIndex("near");
    assert.equal(keeps(recordOf(FIRST, near)), true);
    // Another address than the kernel would choose is none the worse.
    assert.equal(keeps(recordOf(SECOND, near)), true);
    assert.equal(keeps(recordOf(FIRST, linkIndex("far"))), false);
    assert.equal(keeps(endpointRecord(PEER, 51820)), true);
    ipJson("address", "delete", "10.1.0.2/24", "dev", "near");
    assert.equal(keeps(recordOf(SECOND, near)), false);
    ipJson("route", "replace", "192.0.2.0/24", "dev", "far");
    assert.equal(keeps(recordOf(FIRST, near)), false);
    ipJson("route", "delete", "192.0.2.0/24", "dev", "far");
    assert.equal(keeps(recordOf(FIRST, near)), false);
  });
});

function keeps(record: Uint8Array): boolean {
  using check = new SourceCheck(0);
  return check.keeps(record);
}

function recordOf(source: Uint8Array, index: number): Uint8Array {
  const record = endpointRecord(PEER, 51820);
  new DataView(record.buffer).setUint32(ENDPOINT_SOURCE_IFINDEX, index, true);
  record.set(source, ENDPOINT_SOURCE);
  return record;
}

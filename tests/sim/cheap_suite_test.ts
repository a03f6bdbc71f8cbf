/** The cheap suite keeps what the protocol relies on, or the simulation would prove nothing. */
import assert from "node:assert/strict";
import { cheapSuite as suite } from "./cheap_suite.ts";
import { Random } from "./random.ts";

const random = new Random(1);

Deno.test("cheapSuite.sharedSecret() is commutative, differs between pairs and refuses a zero point", () => {
  const secrets = new Set<string>();
  for (let i = 0; i < 200; i++) {
    const [a, b] = [random.bytes(32), random.bytes(32)];
    const secret = suite.sharedSecret(a, suite.publicKey(b));
    assert.deepEqual(secret, suite.sharedSecret(b, suite.publicKey(a)));
    secrets.add(secret!.join());
  }
  assert.equal(secrets.size, 200);
  assert.equal(suite.sharedSecret(random.bytes(32), new Uint8Array(32)), null);
});

Deno.test("cheapSuite.hash(), mac() and kdf() depend on every bit and on how fields are named, not how they are cut", () => {
  const key = random.bytes(32);
  const input = random.bytes(100);
  const outputs = (k: Uint8Array, i: Uint8Array): string[] => [
    suite.hash(i).join(),
    suite.mac(k, i).join(),
    ...suite.kdf(3, k, i).map((output) => output.join()),
  ];
  const reference = outputs(key, input);
  assert.equal(new Set(reference).size, reference.length);
  assert.deepEqual(suite.kdf(2, key, input), suite.kdf(3, key, input).slice(0, 2));
  assert.deepEqual(suite.hash(input.slice(0, 33), input.slice(33)), suite.hash(input));
  for (let bit = 0; bit < 8 * input.length; bit++) {
    const changed = input.slice();
    changed[bit >> 3] ^= 1 << (bit & 7);
    outputs(key, changed).forEach((output, i) => assert.notEqual(output, reference[i]));
  }
  for (let bit = 0; bit < 256; bit++) {
    const changed = key.slice();
    changed[bit >> 3] ^= 1 << (bit & 7);
    outputs(changed, input).slice(1).forEach((output, i) => assert.notEqual(output, reference[i + 1]));
  }
});

Deno.test("cheapSuite.open() returns what seal() took, and null after any change", () => {
  for (const length of [0, 1, 3, 12, 32, 61]) {
    const [key, nonce, plaintext, ad] = [random.bytes(32), random.bytes(24), random.bytes(length), random.bytes(32)];
    const sealed = suite.seal(key, 7, plaintext, ad);
    const sealedX = suite.sealX(key, nonce, plaintext, ad);
    assert.equal(sealed.length, length + 16);
    if (length > 8) assert.notDeepEqual(sealed.slice(0, length), plaintext);
    assert.deepEqual(suite.open(key, 7, sealed, ad), plaintext);
    assert.deepEqual(suite.openX(key, nonce, sealedX, ad), plaintext);
    assert.equal(suite.open(key, 8, sealed, ad), null);
    assert.equal(suite.open(key, 7 + 2 ** 32, sealed, ad), null);
    for (let bit = 0; bit < 8 * sealed.length; bit++) {
      const flip = (bytes: Uint8Array): Uint8Array => {
        const changed = bytes.slice();
        changed[bit >> 3] ^= 1 << (bit & 7);
        return changed;
      };
      assert.equal(suite.open(key, 7, flip(sealed), ad), null);
      assert.equal(suite.openX(key, nonce, flip(sealedX), ad), null);
      if (bit < 256) assert.equal(suite.open(key, 7, sealed, flip(ad)), null);
      if (bit < 256) assert.equal(suite.open(flip(key), 7, sealed, ad), null);
      if (bit < 192) assert.equal(suite.openX(key, flip(nonce), sealedX, ad), null);
    }
  }
});

Deno.test("cheapSuite.packetAead() is the same cipher, in place or not, and zeroes what it refuses", () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const bytes = new Uint8Array(memory.buffer);
  const aead = suite.packetAead(memory);
  const key = random.bytes(32);
  bytes.set(key, 64);
  for (const length of [0, 1, 15, 16, 100, 1_420]) {
    const plaintext = random.bytes(length);
    for (const dst of [1_001, 5_000]) {
      bytes.set(plaintext, 1_001);
      aead.seal(64, 9, 3, dst, 1_001, length);
      const sealed = bytes.slice(dst, dst + length + 16);
      assert.deepEqual(sealed, suite.seal(key, 3 * 2 ** 32 + 9, plaintext, new Uint8Array(0)));
      assert.ok(aead.open(64, 9, 3, dst, dst, length));
      assert.deepEqual(bytes.slice(dst, dst + length), plaintext);
      bytes.set(sealed, dst);
      bytes[dst + length] ^= 1;
      assert.ok(!aead.open(64, 9, 3, 9_000, dst, length));
      assert.ok(bytes.subarray(9_000, 9_000 + length).every((byte) => byte === 0));
    }
  }
});

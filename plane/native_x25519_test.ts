import assert from "node:assert/strict";
import { isZero } from "../crypto/bytes.ts";
import { testX25519Conformance } from "../crypto/x25519_conformance.ts";
import { nodeX25519, type X25519 } from "../crypto/x25519.ts";
import { type Libcrypto, libcrypto, openLibcrypto } from "../ffi/libcrypto.ts";
import { chooseX25519, createNativeX25519 } from "./native_x25519.ts";

const library = libcrypto();
if (library === null) {
  Deno.test({ name: "libcrypto (none on this host)", ignore: true, fn: () => {} });
} else {
  testX25519Conformance(createNativeX25519(library)!);
  testX25519Conformance({ ...bound(createNativeX25519(beforeVersion3(library))!), name: "libcrypto as of 1.1.1" });

  Deno.test("createNativeX25519() keeps no secret once it has answered, or failed", () => {
    const views = new Set<Deno.UnsafePointerView>();
    const look = (address: bigint): void =>
      void views.add(new Deno.UnsafePointerView(Deno.UnsafePointer.create(address)!));
    const native = createNativeX25519(
      watched(library, {
        EVP_PKEY_new_raw_private_key: (_type, _engine, bytes) => look(bytes),
        EVP_PKEY_new_raw_public_key: (_type, _engine, bytes) => look(bytes),
        EVP_PKEY_derive: (_context, out) => look(out),
      }),
    )!;
    const secret = new Uint8Array(32).fill(0x55);
    const point = native.publicKey(new Uint8Array(32).fill(0x66));
    native.publicKey(secret);
    native.sharedSecret(secret, point);
    assert.throws(() => native.sharedSecret(secret, new Uint8Array(32)));
    assert(views.size >= 3);
    for (const view of views) assert(isZero(new Uint8Array(view.getArrayBuffer(32))));
  });

  Deno.test("chooseX25519() is libcrypto where it is right", () => {
    assert.equal(chooseX25519().name, "libcrypto");
  });
}

Deno.test("createNativeX25519() is null without a libcrypto", () => {
  assert.equal(createNativeX25519(openLibcrypto(["libcrypto-of-nobody.so.0"])), null);
});

Deno.test("chooseX25519() turns down a libcrypto that is wrong", () => {
  const refuse = (): bigint => 0n;
  const broken = { ...library, EVP_PKEY_new_raw_private_key: refuse } as unknown as Libcrypto;
  assert.equal(chooseX25519(broken), nodeX25519);
});

/** The same library as it was before it could import keys. */
function beforeVersion3(library: Libcrypto): Libcrypto {
  return { ...library, EVP_PKEY_fromdata_init: null, EVP_PKEY_fromdata: null };
}

type Calls = { [name in keyof Libcrypto]?: (...args: bigint[]) => void };

/** The same library; `calls` hear of theirs first. */
function watched(library: Libcrypto, calls: Calls): Libcrypto {
  const heard = Object.entries(calls).map(([name, hear]) => {
    const call = library[name as keyof Libcrypto] as unknown as (...args: bigint[]) => unknown;
    return [name, (...args: bigint[]): unknown => {
      hear(...args);
      return call(...args);
    }];
  });
  return { ...library, ...Object.fromEntries(heard) };
}

function bound(implementation: X25519): X25519 {
  return {
    name: implementation.name,
    publicKey: (privateKey) => implementation.publicKey(privateKey),
    sharedSecret: (privateKey, publicKey) => implementation.sharedSecret(privateKey, publicKey),
  };
}

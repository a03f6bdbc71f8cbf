/**
 * Public keys as strings of 32 Latin-1 characters: what maps need, and where a key rests in memory. Such a string takes
 * 48 bytes, an array 230.
 */

export function publicKeyText(key: Uint8Array): string {
  return String.fromCharCode(...key);
}

/** A new array with the key that `text` stands for. */
export function publicKeyOf(text: string): Uint8Array {
  const key = new Uint8Array(text.length);
  for (let i = 0; i < key.length; i++) key[i] = text.charCodeAt(i);
  return key;
}

/** struct msghdr and struct iovec at offsets of the arena. */
import type { Address } from "../ffi/memory.ts";
import { IOVEC_BASE, IOVEC_LENGTH, MSGHDR_CONTROL, MSGHDR_IOV, MSGHDR_IOV_COUNT, MSGHDR_NAME } from "../ffi/socket.ts";

/** Points a message header at its name, its one vector and its control buffer; lengths are set per call. */
export function layOutMessage(
  view: DataView,
  address: Address,
  message: number,
  name: number,
  vector: number,
  control: number,
): void {
  address.write(view, message + MSGHDR_NAME, name);
  address.write(view, message + MSGHDR_IOV, vector);
  view.setUint32(message + MSGHDR_IOV_COUNT, 1, true);
  address.write(view, message + MSGHDR_CONTROL, control);
}

/** Points a vector at `length` bytes at `offset`. */
export function setVector(view: DataView, address: Address, vector: number, offset: number, length: number): void {
  address.write(view, vector + IOVEC_BASE, offset);
  view.setUint32(vector + IOVEC_LENGTH, length, true);
}

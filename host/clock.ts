/** The clock that devices of the data plane go by. */
export { bootMilliseconds } from "../ffi/clock.ts";

/**
 * culvert with a saboteur in its process, run in culvert's place: at SIGUSR1 the timers that its workers wait on are
 * closed behind their backs, so that each of their passes fails and they break down as they would by a fault of ours.
 */
import { runCommandLine } from "../../cli/program.ts";
import { close } from "../../ffi/file.ts";

const FD_FOLDER = "/proc/self/fd";

function sabotage(): void {
  for (const { name } of [...Deno.readDirSync(FD_FOLDER)]) {
    if (targetOf(name) === "anon_inode:[timerfd]") close(Number(name));
  }
}

/** What a descriptor is; empty for the one that the folder was read by. */
function targetOf(name: string): string {
  try {
    return Deno.readLinkSync(`${FD_FOLDER}/${name}`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

Deno.addSignalListener("SIGUSR1", sabotage);
Deno.exit(await runCommandLine(Deno.args));

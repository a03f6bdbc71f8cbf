/** What `leaktest` does; loaded when it runs. */
import { formatEndpointText } from "../config/config_writer.ts";
import { InterfaceError, listAllInterfaces, readInterface } from "../control/interface_client.ts";
import { type LeakSubject, listProbes } from "../host/leak_probes.ts";
import { surveyHost } from "../host/leak_scene.ts";
import { tryToLeak } from "../host/leak_trial.ts";
import { judgeReport } from "../host/leak_verdict.ts";
import { formerNameServers } from "../host/name_servers.ts";
import { currentPlace, type HostState, isSamePlace, StateStore } from "../host/state.ts";
import { type DeviceStatus, wipeStatus } from "../control/uapi_status.ts";
import { parseAddress } from "../tunnel/address_text.ts";
import { OperatorError } from "./errors.ts";
import { formatLeaks, leaksAsJson } from "./leak_report.ts";
import { checkInterfaceName } from "./names.ts";
import { print } from "./output.ts";
import { locateConfig, readQuickConfig, wipeQuickConfig } from "./quick_config.ts";
import { asOperatorError, requireRoot } from "./tunnel.ts";

/**
 * Tries to get packets past the tunnel and prints what came of it.
 *
 * @returns the exit code: 0 if nothing leaks and that is proven
 */
export async function leaktest(name: string, asJson: boolean): Promise<number> {
  requireRoot("leaktest");
  checkInterfaceName(name);
  try {
    return await tryAll(name, asJson);
  } catch (error) {
    throw asOperatorError(error);
  }
}

async function tryAll(name: string, asJson: boolean): Promise<number> {
  const state = new StateStore().load(name);
  if (state !== null && !isSamePlace(state.place, currentPlace())) {
    throw new OperatorError(`${name} was brought up in another network namespace; run this there`);
  }
  const subject = await subjectOf(name, state);
  const scene = surveyHost([name, ...await listAllInterfaces()]);
  const report = await tryToLeak(scene, listProbes(scene, subject));
  const judgement = judgeReport(report);
  const hasKillSwitch = report.heldBack !== null;
  const document = { name, hasKillSwitch, report, judgement };
  print(asJson ? leaksAsJson(document) : formatLeaks(document));
  return judgement.verdict === "tight" ? 0 : 1;
}

/** What is known of the tunnel, from whoever still knows it: its process may have been killed. */
async function subjectOf(name: string, state: HostState | null): Promise<LeakSubject> {
  const status = await statusOf(name);
  if (status === null && state === null) {
    throw new OperatorError(`${name} is not up; bring it up with: culvert up ${name}`);
  }
  const killSwitch = state?.changes.find(({ kind }) => kind === "kill-switch");
  const mark = killSwitch?.kind === "kill-switch" ? killSwitch.mark : status?.fwmark || state?.mark || 0;
  const known = status?.peers.flatMap(({ endpoint }) => endpoint ?? []) ?? endpointsOf(state);
  return { mark, endpoints: known.flatMap(endpointOf), nameServers: formerNameServers(state) };
}

/** The running interface, its keys wiped; null if there is none. */
async function statusOf(name: string): Promise<DeviceStatus | null> {
  try {
    const status = await readInterface(name);
    wipeStatus(status);
    return status;
  } catch (error) {
    if (error instanceof InterfaceError) return null;
    throw error;
  }
}

/** Endpoints that were found at the last start, and those that the file gives as numbers. */
function endpointsOf(state: HostState | null): string[] {
  if (state === null) return [];
  const found = Object.values(state.endpoints);
  try {
    const quick = readQuickConfig(locateConfig(state.file), () => {});
    wipeQuickConfig(quick);
    const given = quick.config.peers.flatMap(({ endpoint }) => endpoint ?? []);
    return [...found, ...given.map(formatEndpointText)];
  } catch (error) {
    // A file that went, or went bad, only tells us less.
    if (error instanceof OperatorError) return found;
    throw error;
  }
}

/** Address and port of a numeric endpoint that means the same on every link; of others nothing. */
function endpointOf(text: string): LeakSubject["endpoints"][number][] {
  const [, host, port] = text.match(/^\[?([0-9a-fA-F:.]+)\]?:(\d+)$/) ?? [];
  const address = host === undefined ? null : parseAddress(host);
  return address === null ? [] : [{ address, port: Number(port) }];
}

/** The results of a leak test, for people and for programs. */
import type { LeakReport, Outcome, ProbeResult } from "../host/leak_trial.ts";
import type { Judgement } from "../host/leak_verdict.ts";
import { formatAddress } from "../tunnel/address_text.ts";

export interface LeakDocument {
  /** Of the interface. */
  readonly name: string;
  readonly hasKillSwitch: boolean;
  readonly report: LeakReport;
  readonly judgement: Judgement;
}

const KINDS = { udp: "UDP", tcp: "TCP SYN", icmp: "ICMP echo" } as const;
const DNS_PORT = 53;
const HEADINGS = ["probe", "to", "result"] as const;

/** A table of the probes, then what they add up to and what to do. */
export function formatLeaks({ name, hasKillSwitch, report, judgement }: LeakDocument): string {
  const rows = [HEADINGS, ...report.results.map((result) => [nameOf(result), targetOf(result), resultOf(result)])];
  const widths = HEADINGS.map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const table = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column])).join("  ").trimEnd());
  return `${[...table, "", ...conclusion(name, hasKillSwitch, report, judgement)].join("\n")}\n`;
}

/** The same as JSON. */
export function leaksAsJson({ name, hasKillSwitch, report, judgement }: LeakDocument): string {
  const document = {
    interface: name,
    killSwitch: hasKillSwitch,
    heldBack: report.heldBack,
    verdict: judgement.verdict,
    doubts: judgement.doubts,
    counts: judgement.counts,
    probes: report.results.map((result) => ({
      what: result.probe.what,
      isWitness: result.probe.isWitness,
      kind: result.probe.kind,
      family: result.probe.family,
      address: formatAddress(result.probe.address),
      port: result.probe.port,
      boundTo: result.probe.device || null,
      outcome: result.outcome,
      through: result.through,
      reason: result.reason,
    })),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

function nameOf({ probe }: ProbeResult): string {
  const kind = probe.port === DNS_PORT ? `DNS over ${probe.kind.toUpperCase()}` : KINDS[probe.kind];
  return `${kind} to ${probe.what}`.replace("to witness", "as witness");
}

function targetOf({ probe }: ProbeResult): string {
  const address = formatAddress(probe.address);
  if (probe.kind === "icmp") return address;
  return probe.family === 4 ? `${address}:${probe.port}` : `[${address}]:${probe.port}`;
}

function resultOf({ probe, outcome, through, reason }: ProbeResult): string {
  const interfaces = through.join(", ");
  const words: Record<Outcome, string> = {
    leaked: probe.isWitness ? `seen on ${interfaces}, as it should be` : `LEAKED through ${interfaces}`,
    tunnel: `through the tunnel ${interfaces}`,
    local: "stayed on this host",
    blocked: "blocked",
    untested: "not tested",
    unseen: "not seen",
  };
  return reason === "" ? words[outcome] : `${words[outcome]} (${reason})`;
}

function conclusion(name: string, hasKillSwitch: boolean, report: LeakReport, judgement: Judgement): string[] {
  const { verdict, doubts, counts } = judgement;
  const held = report.heldBack === null ? "" : `; the kill switch counted ${report.heldBack} packets held back`;
  const tally = `${counts.leaked} leaked, ${counts.tunnel} through a tunnel, ${counts.blocked} blocked, ` +
    `${counts.local} stayed here, ${counts.untested} not tested${held}`;
  switch (verdict) {
    case "tight":
      return [`Nothing leaked: ${tally}.`, ...limits(hasKillSwitch)];
    case "leaking":
      return [`LEAKS: ${tally}.`, remedy(name, hasKillSwitch)];
    case "unproven":
      return [`Cannot tell: ${tally}.`, ...doubts.map((doubt) => `- ${doubt}`)];
  }
}

function limits(hasKillSwitch: boolean): string[] {
  return hasKillSwitch ? [] : ["There is no kill switch: this holds as long as the tunnel is up and routes stay."];
}

function remedy(name: string, hasKillSwitch: boolean): string {
  return hasKillSwitch
    ? `The kill switch is loaded and lets this out: its rules were changed, see nft list table inet ` +
      `culvert-kill-switch; load it anew: culvert down ${name} && culvert up ${name} --kill-switch`
    : `What the routes do not lead into ${name} leaves as it is; to let nothing out but through the tunnel: ` +
      `culvert down ${name} && culvert up ${name} --kill-switch`;
}

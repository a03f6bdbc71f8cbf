/**
 * A tunnel that takes all packets of a family: the default route in a table of its own, the rules that lead there, the
 * setting that reverse-path filtering needs, and the guard. Taken, moved to another mark and let go without a moment in
 * which encrypted packets would enter the tunnel.
 */
import { addRule, listRules, type Rule } from "../ffi/rule.ts";
import { hasGuard, loadGuard } from "./firewall.ts";
import type { HostLink } from "./host_link.ts";
import { HostError } from "./host_error.ts";
import { leadPast, type Prefix, withNetlink } from "./routing.ts";
import type { Change, Journal } from "./state.ts";
import { requireSysctl, SRC_VALID_MARK } from "./sysctl.ts";
import { undoSome } from "./undo.ts";

export type Family = 4 | 6;

export const FAMILIES: readonly Family[] = [4, 6];

type RuleChange = Change & { readonly kind: "rule" };

export class FullTunnel {
  readonly #link: HostLink;
  readonly #journal: Journal;
  readonly #warn: (message: string) => void;

  /** @param warn told what could not be done, though the tunnel works without */
  constructor(link: HostLink, journal: Journal, warn: (message: string) => void) {
    this.#link = link;
    this.#journal = journal;
    this.#warn = warn;
  }

  /** Whether everything that `take` makes is there. */
  isTaken(family: Family): boolean {
    const rules = this.#rules(family);
    const { mark, name } = this.#journal.state;
    if (!rules.some(({ rule }) => rule.isInverted && rule.table === mark)) return false;
    const present = withNetlink((netlink) => listRules(netlink, family));
    return rules.every(({ rule }) => present.some((each) => !each.isOther && isSameRule(each, rule))) &&
      this.#hasRoute(family, mark) && hasGuard(name, family);
  }

  /** Leads all of a family through the interface but what carries the mark. What is there of it is made anew. */
  async take(family: Family, mark: number): Promise<void> {
    const remains = this.#rules(family);
    if (this.#hasRoute(family, mark)) this.#link.removeRoute(everything(family), mark);
    await this.#undo(remains);
    this.#link.takeDefault(this.#journal, everything(family), mark);
    if (family === 4) requireSysctl(this.#journal, SRC_VALID_MARK, "1", this.#warn);
    this.guard(family, mark);
  }

  /** Loads the guard for the addresses that the interface has now. */
  guard(family: Family, mark: number): void {
    loadGuard(this.#journal, family, this.#link.addresses().map(({ address }) => address), mark);
  }

  /**
   * Has what carries the mark `to` pass by the tunnel, which others than `to` still enter: to be done before encrypted
   * packets carry it.
   *
   * @returns what is to be undone when `move` or `release` has been called
   */
  prepareMove(family: Family, to: number): Change {
    return withNetlink((netlink) => leadPast(this.#journal, netlink, family, to));
  }

  /** All rules of ours by which what carries some mark passes by the tunnel. */
  passes(): Change[] {
    return this.#journal.state.changes.filter((change) =>
      change.kind === "rule" && !change.rule.isInverted && change.rule.fwmark !== 0
    );
  }

  /** Changes the mark and table of a family that is taken. Encrypted packets carry the new mark already. */
  async move(family: Family, from: number, to: number): Promise<void> {
    const former = this.#rules(family).filter(({ rule }) => rule.isInverted);
    this.#link.addRoute(everything(family), to);
    for (const { rule } of former) {
      const change = { kind: "rule", family, rule: { ...rule, table: to, fwmark: to } } as const;
      this.#journal.change(change, () => withNetlink((netlink) => addRule(netlink, family, change.rule)));
    }
    await this.#undo(former);
    this.#link.removeRoute(everything(family), from);
    this.guard(family, to);
  }

  /** Lets a family go its former way. */
  async release(family: Family, mark: number): Promise<void> {
    // Without its route the table leads nowhere, and all packets change their way at once.
    this.#link.removeRoute(everything(family), mark);
    const isOurs = (change: Change): boolean =>
      ((change.kind === "rule" || change.kind === "nft-table") && change.family === family) ||
      (change.kind === "sysctl" && family === 4);
    await this.#undo(this.#journal.state.changes.filter(isOurs));
  }

  /** @throws {HostError} if something is left */
  async #undo(changes: readonly Change[]): Promise<void> {
    if (changes.length === 0 || await undoSome(this.#journal, changes, this.#warn)) return;
    throw new HostError(`something of the former rules of ${this.#link.name} is left`);
  }

  #rules(family: Family): RuleChange[] {
    return this.#journal.state.changes.filter((change): change is RuleChange =>
      change.kind === "rule" && change.family === family
    );
  }

  #hasRoute(family: Family, table: number): boolean {
    return this.#link.routes(table).some(({ address, cidr }) =>
      cidr === 0 && address.length === (family === 4 ? 4 : 16)
    );
  }
}

/** The prefix of length 0. */
export function everything(family: Family): Prefix {
  return { address: new Uint8Array(family === 4 ? 4 : 16), cidr: 0 };
}

function isSameRule(a: Rule, b: Rule): boolean {
  return a.priority === b.priority && a.table === b.table && a.fwmark === b.fwmark && a.isInverted === b.isInverted &&
    a.suppressPrefixLength === b.suppressPrefixLength;
}

/** What keeps an interface's peers reachable while the names of their endpoints and the networks of this host change. */
import {
  announcePath,
  bootMilliseconds,
  type Configuration,
  EndpointKeeper,
  NetworkWatch,
  Resolver,
  SourceCheck,
} from "../mod.ts";
import type { DeviceTables } from "../mod.ts";
import type { Log } from "./log.ts";

export class EndpointService {
  readonly #configuration: Configuration;
  readonly #log: Log;
  readonly #resolver = new Resolver();
  readonly #keeper: EndpointKeeper;
  readonly #watch: NetworkWatch | null;
  /** Counts changes of the network: a newer one makes an older one's announcement void. */
  #changes = 0;

  /** Works until it is closed. */
  constructor(
    configuration: Configuration,
    plane: { readonly tables: DeviceTables },
    interfaceName: string,
    log: Log,
  ) {
    this.#configuration = configuration;
    this.#log = log;
    this.#keeper = new EndpointKeeper({
      configuration,
      // Other workers have other tables.
      tables: () => plane.tables,
      lookup: (host, options) => this.#resolver.lookup(host, options),
      now: bootMilliseconds,
      log,
    });
    configuration.onNames = () => void this.#keeper.refresh();
    this.#watch = this.#watchNetwork(interfaceName);
  }

  /** The device is a new one, and was told everything else. */
  tellAnew(): void {
    this.#keeper.tellAnew();
  }

  async close(): Promise<void> {
    this.#changes = -1;
    this.#configuration.onNames = null;
    this.#keeper.close();
    await this.#watch?.close();
    await this.#resolver.close();
  }

  #watchNetwork(interfaceName: string): NetworkWatch | null {
    try {
      return new NetworkWatch(interfaceName, () => void this.#networkChanged());
    } catch (error) {
      if (!(error instanceof Error) || error.name !== "SyscallError") throw error;
      this.#log.info(`cannot watch the network: ${error.message}; after a change peers are found as by other programs`);
      return null;
    }
  }

  async #networkChanged(): Promise<void> {
    const change = ++this.#changes;
    this.#log.debug("the network has changed");
    this.#keeper.networkChanged();
    try {
      const mark = await this.#configuration.read(({ fwmark }) => fwmark);
      using sources = new SourceCheck(mark);
      await announcePath(this.#configuration, (record) => sources.keeps(record), () => this.#changes === change);
    } catch (error) {
      // The data plane has ended, and says why itself.
      this.#log.debug(`cannot tell the device of the change: ${error}`);
    }
  }
}

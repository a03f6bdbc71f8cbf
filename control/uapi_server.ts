/**
 * Serves the UAPI on a listener: any number of clients, each with any number of requests on its connection.
 *
 * A client cannot harm another or the daemon: only whole requests reach the handler, replies are awaited by their own
 * connection alone, and when too many connections, or too large halves of requests, are held, the client that was
 * silent for longest is closed.
 */
import { wipe } from "../crypto/bytes.ts";
import { serializeErrno } from "./uapi_reply.ts";
import { EIO, type InterfaceIndex, RequestReader, type SetStatement, type UapiRequest } from "./uapi_request.ts";

/** A byte stream to one client. `Deno.UnixConn` is one. */
export interface UapiConnection {
  /** Bytes read into the start of `into`, at least one; null at the end. */
  read(into: Uint8Array): Promise<number | null>;
  /** Bytes written from the start of `bytes`, at least one. */
  write(bytes: Uint8Array): Promise<number>;
  /** Ends reads and writes under way with an error or null. */
  close(): void;
}

export interface UapiListener {
  /** The next client, or null once the listener is closed. A rejection is a passing fault. */
  accept(): Promise<UapiConnection | null>;
  close(): Promise<void>;
}

/** What requests are handed to; `Configuration` is one. */
export interface UapiHandler {
  /** The statements are the server's and last until the promise settles. 0, or a positive error number. */
  set(statements: Iterable<SetStatement>): Promise<number>;
  /** The whole reply; owned, and wiped, by the server. */
  get(): Promise<Uint8Array>;
}

export interface UapiServerOptions {
  readonly log?: { error(message: string): void; debug(message: string): void };
  readonly interfaceIndex?: InterfaceIndex;
  /** Called when a large request or reply has left much memory unused. */
  readonly releaseMemory?: () => void;
  readonly limits?: Partial<UapiLimits>;
}

export interface UapiLimits {
  /** Clients at a time. */
  readonly connections: number;
  /** Bytes of incomplete requests over all clients. */
  readonly heldBytes: number;
}

const DEFAULT_LIMITS: UapiLimits = { connections: 256, heldBytes: 128 * 1024 * 1024 };
const READ_BYTES = 64 * 1024;
/** Statements of a large request, some 400 peers; bytes of a large reply. */
const LARGE_REQUEST = 4_096;
const LARGE_REPLY = 512 * 1024;
/** After an accept that failed: most likely there are no descriptors left. */
const ACCEPT_RETRY = 100;

export class UapiServer {
  readonly #listener: UapiListener;
  readonly #handler: UapiHandler;
  readonly #options: UapiServerOptions;
  readonly #limits: UapiLimits;
  readonly #clients = new Set<Client>();
  readonly #serving = new Set<Promise<void>>();
  readonly #accepting: Promise<void>;
  #closed = false;
  #endPause: (() => void) | null = null;

  /** Serves from now on. The server owns the listener. */
  constructor(listener: UapiListener, handler: UapiHandler, options: UapiServerOptions = {}) {
    this.#listener = listener;
    this.#handler = handler;
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#accepting = this.#accept();
  }

  get connections(): number {
    return this.#clients.size;
  }

  /** Closes the listener and every connection. A request that is being applied is finished first. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#endPause?.();
    const listenerClosed = this.#listener.close();
    await this.#accepting;
    for (const client of this.#clients) client.close();
    await Promise.all(this.#serving);
    await listenerClosed;
  }

  async #accept(): Promise<void> {
    let failed = false;
    while (!this.#closed) {
      try {
        const connection = await this.#listener.accept();
        if (connection === null) return;
        failed = false;
        this.#start(connection);
      } catch (error) {
        // Said once, for it will fail in the same way until something changes.
        if (!failed) this.#options.log?.error(`Cannot accept control connections: ${error}`);
        failed = true;
        await this.#pause(ACCEPT_RETRY);
      }
    }
  }

  #start(connection: UapiConnection): void {
    if (this.#clients.size >= this.#limits.connections) this.#closeSilentClient("too many control connections");
    const client = new Client(connection, this.#options.interfaceIndex);
    this.#clients.add(client);
    const serving = this.#serve(client).finally(() => {
      client.close();
      this.#clients.delete(client);
      this.#serving.delete(serving);
    });
    this.#serving.add(serving);
  }

  async #serve(client: Client): Promise<void> {
    try {
      for (;;) {
        const request = await client.nextRequest(() => this.#limitHeldBytes());
        if (request === null) return;
        if (request.op === "unknown") {
          this.#options.log?.debug("Closed a control connection: unknown operation or endless request");
          return;
        }
        client.isBusy = true;
        const reply = await this.#answer(request);
        client.isBusy = false;
        const isLarge = reply.length >= LARGE_REPLY;
        await client.send(reply);
        if (isLarge) this.#options.releaseMemory?.();
      }
    } catch (error) {
      // Reads and writes fail when the client is gone or was closed by us; #answer does not throw.
      this.#options.log?.debug(`Control connection ended: ${error}`);
    }
  }

  async #answer(request: Exclude<UapiRequest, { op: "unknown" }>): Promise<Uint8Array> {
    try {
      if (request.errno !== 0) return serializeErrno(request.op, request.errno);
      if (request.op === "get") return await this.#handler.get();
      try {
        return serializeErrno("set", await this.#handler.set(request.statements));
      } finally {
        const isLarge = request.statements.length >= LARGE_REQUEST;
        request.statements.clear();
        if (isLarge) this.#options.releaseMemory?.();
      }
    } catch (error) {
      this.#options.log?.error(`Control request failed: ${error instanceof Error ? error.stack : error}`);
      return serializeErrno(request.op, EIO);
    }
  }

  #limitHeldBytes(): void {
    let held = 0;
    for (const client of this.#clients) held += client.held;
    if (held > this.#limits.heldBytes) this.#closeSilentClient("too many bytes of incomplete requests");
  }

  #closeSilentClient(reason: string): void {
    let silent: Client | null = null;
    for (const client of this.#clients) {
      if (!client.isBusy && !client.isClosed && (silent === null || client.activity < silent.activity)) silent = client;
    }
    if (silent === null) return;
    this.#options.log?.debug(`Closed a silent control connection: ${reason}`);
    silent.close();
  }

  #pause(milliseconds: number): Promise<void> {
    if (this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** Counts reads and writes of all clients, as an order in time. */
let activityClock = 0;

/** One connection: bytes in, requests out. */
class Client {
  /** When it was last heard of, by `activityClock`. */
  activity: number = ++activityClock;
  /** A request of it is being applied. */
  isBusy = false;
  isClosed = false;
  readonly #connection: UapiConnection;
  readonly #reader: RequestReader;
  readonly #buffer = new Uint8Array(READ_BYTES);
  /** Bytes read and not taken yet: #buffer[#from … #to). */
  #from = 0;
  #to = 0;

  constructor(connection: UapiConnection, interfaceIndex: InterfaceIndex | undefined) {
    this.#connection = connection;
    this.#reader = new RequestReader(interfaceIndex);
  }

  get held(): number {
    return this.isClosed ? 0 : this.#reader.held;
  }

  /** The next whole request, or null at the end of the stream; half a request at the end is forgotten. */
  async nextRequest(onHeld: () => void): Promise<UapiRequest | null> {
    for (;;) {
      if (this.isClosed) return null;
      if (this.#from < this.#to) {
        const next = this.#reader.feed(this.#buffer, this.#from, this.#to);
        this.#buffer.fill(0, this.#from, next);
        this.#from = next;
        const request = this.#reader.request();
        if (request !== null) return request;
        onHeld();
      } else {
        const read = await this.#connection.read(this.#buffer);
        if (read === null) return null;
        this.activity = ++activityClock;
        this.#from = 0;
        this.#to = read;
      }
    }
  }

  /** Sends a reply and erases it, sent or not. */
  async send(reply: Uint8Array): Promise<void> {
    try {
      for (let sent = 0; sent < reply.length;) {
        sent += await this.#connection.write(reply.subarray(sent));
        this.activity = ++activityClock;
      }
    } finally {
      wipe(reply);
    }
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#connection.close();
    this.#reader.wipe();
    this.#buffer.fill(0);
  }
}

/**
 * The file of a listening socket: whether it is still ours, removing it, and noticing that somebody else removed it.
 */

/** How often the file is looked at where the system cannot tell us of its removal. */
const WATCH_INTERVAL = 250;

/** One particular file, not whatever may come to its path later. */
export class SocketFile {
  readonly path: string;
  readonly isSocket: boolean;
  readonly #device: number;
  readonly #inode: number | null;
  /** Milliseconds; some file systems give a freed inode number to the next file. */
  readonly #born: number | undefined;

  private constructor(path: string, info: Deno.FileInfo) {
    this.path = path;
    this.isSocket = info.isSocket === true;
    this.#device = info.dev;
    this.#inode = info.ino;
    this.#born = info.birthtime?.getTime();
  }

  /** The file that is at `path` now, or null. */
  static at(path: string): SocketFile | null {
    try {
      return new SocketFile(path, Deno.lstatSync(path));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return null;
      throw error;
    }
  }

  isInPlace(): boolean {
    const now = SocketFile.at(this.path);
    return now !== null && now.#device === this.#device && now.#inode === this.#inode && now.#born === this.#born;
  }

  /** Removes the file if it is still in its place. */
  remove(): void {
    if (!this.isInPlace()) return;
    try {
      Deno.removeSync(this.path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  /** Calls `onGone` once, when the file is removed, renamed or replaced. */
  watch(onGone: () => void): SocketWatch {
    return new SocketWatch(this, onGone);
  }
}

/** A running watch on a socket file. */
export class SocketWatch {
  readonly #file: SocketFile;
  readonly #onGone: () => void;
  readonly #watcher: Deno.FsWatcher | null;
  readonly #watching: Promise<void>;
  #interval: ReturnType<typeof setInterval> | undefined;
  #over = false;

  /** Use `SocketFile.watch`. */
  constructor(file: SocketFile, onGone: () => void) {
    this.#file = file;
    this.#onGone = onGone;
    this.#watcher = watchDirectory(file.path.slice(0, file.path.lastIndexOf("/")));
    if (this.#watcher === null) this.#poll();
    this.#watching = this.#watcher === null ? Promise.resolve() : this.#follow(this.#watcher);
  }

  /** Ends the watch without a call. */
  async close(): Promise<void> {
    this.#end();
    await this.#watching;
  }

  async #follow(watcher: Deno.FsWatcher): Promise<void> {
    // The file may have gone before the watch began; told later, so that the caller knows us by then.
    await Promise.resolve();
    this.#look();
    for await (const _ of watcher) this.#look();
  }

  #poll(): void {
    this.#interval = setInterval(() => this.#look(), WATCH_INTERVAL);
  }

  #look(): void {
    if (this.#over || this.#file.isInPlace()) return;
    this.#end();
    this.#onGone();
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    clearInterval(this.#interval);
    this.#watcher?.close();
  }
}

function watchDirectory(directory: string): Deno.FsWatcher | null {
  try {
    return Deno.watchFs(directory, { recursive: false });
  } catch {
    // No inotify watches left, or no inotify at all: looking at the file now and then does as well.
    return null;
  }
}

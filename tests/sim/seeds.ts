/** Runs a claim under many seeds; a failure names its seed, and `SEED=n` in the environment replays that one alone. */

/** The seeds to run: 1 … count, or only the one in the environment. */
export function seeds(count: number): number[] {
  const chosen = Deno.env.get("SEED");
  if (chosen !== undefined) return [Number(chosen)];
  return Array.from({ length: count }, (_, i) => i + 1);
}

/** Runs `claim` under each of `count` seeds. */
export function underSeeds(count: number, claim: (seed: number) => void): void {
  for (const seed of seeds(count)) {
    try {
      claim(seed);
    } catch (error) {
      throw new Error(`Seed ${seed} fails, replay it with SEED=${seed}: ${messageOf(error)}`, { cause: error });
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

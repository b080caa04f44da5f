import type { ProviderStats } from '#contracts';

/** Older spells leave the log; the totals keep counting them. */
const SPELLS_LOGGED = 10_000;

interface Spell {
  startedMs: number;
  block: Block | null;
  accepted: number;
  refused: number;
}

/** From when nothing more is accepted, and when the next request is. */
export interface Block {
  startsMs: number;
  endsMs: number;
}

/**
 * What a provider accepted and refused, spell by spell: the `windows` of its stats. A spell begins with the first request
 * accepted by an open provider, and is over when its block ends.
 */
export class SpellLog {
  private spells: Spell[] = [];
  private current: Spell | undefined;
  private accepted = 0;
  private refused = 0;

  accept(nowMs: number): void {
    this.accepted += 1;
    this.currentOrNext(nowMs).accepted += 1;
  }

  /** Counted to the spell that blocks. */
  refuse(): void {
    this.refused += 1;
    if (this.current !== undefined) this.current.refused += 1;
  }

  block(block: Block): void {
    if (this.current !== undefined) this.current.block = block;
  }

  /** For a spell that ends by time alone, blocked or not. */
  endSpell(): void {
    this.current = undefined;
  }

  stats(): ProviderStats {
    return {
      accepted: this.accepted,
      refused: this.refused,
      windows: this.spells.filter(({ accepted, refused }) => accepted + refused > 0).map(describe),
    };
  }

  /** Begins a new log; the current spell goes on in it. */
  reset(): void {
    this.accepted = 0;
    this.refused = 0;
    if (this.current !== undefined) this.current = { ...this.current, accepted: 0, refused: 0 };
    this.spells = this.current === undefined ? [] : [this.current];
  }

  private currentOrNext(nowMs: number): Spell {
    const { current } = this;
    if (current !== undefined && (current.block === null || nowMs < current.block.endsMs)) return current;
    const next: Spell = { startedMs: nowMs, block: null, accepted: 0, refused: 0 };
    this.spells.push(next);
    if (this.spells.length > SPELLS_LOGGED) this.spells.shift();
    this.current = next;
    return next;
  }
}

function describe({ startedMs, block, accepted, refused }: Spell): ProviderStats['windows'][number] {
  return {
    startedAt: instant(startedMs),
    blockedAt: block && instant(block.startsMs),
    reopensAt: block && instant(block.endsMs),
    accepted,
    refused,
  };
}

/** RFC 3339. */
function instant(ms: number): string {
  return new Date(ms).toISOString();
}

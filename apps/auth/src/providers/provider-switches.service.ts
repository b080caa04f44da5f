import { Injectable } from '@nestjs/common';
import { asc, eq, sql } from 'drizzle-orm';
import type { ProviderSwitch, ProviderSwitchList, ProviderSwitchPatch } from '#contracts';
import { type Database, InjectDatabase, providerSwitches } from '#database';
import { ProblemException } from '#service';
import { type Actor, SecurityLog } from '../security-log/security-log.service.js';

type Row = typeof providerSwitches.$inferSelect;

/** Switches provider accounts off and on. The gateways read the states every second. */
@Injectable()
export class ProviderSwitchesService {
  constructor(
    @InjectDatabase() private readonly db: Database,
    private readonly log: SecurityLog,
  ) {}

  async list(): Promise<ProviderSwitchList> {
    const rows = await this.db.select().from(providerSwitches).orderBy(asc(providerSwitches.key));
    return { items: rows.map(publicPartOf) };
  }

  /** @throws ProblemException not_found */
  async change({ key, state }: ProviderSwitchPatch, actor: Actor): Promise<ProviderSwitch> {
    const [row] = await this.db
      .update(providerSwitches)
      .set({ state, changedAt: sql`now()` })
      .where(eq(providerSwitches.key, key))
      .returning();
    if (row === undefined) throw new ProblemException('not_found', 'No gateway has a provider account with this key.');
    await this.log.record({ event: 'provider_switched', actor, detail: `${key}: ${state}` });
    return publicPartOf(row);
  }
}

function publicPartOf({ key, state, changedAt }: Row): ProviderSwitch {
  return { key, state, changedAt: changedAt.toISOString() };
}

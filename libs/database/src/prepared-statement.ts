import { createHash } from 'node:crypto';
import { DrizzleQueryError, fillPlaceholders, type SQL } from 'drizzle-orm';
import { PgDialect } from 'drizzle-orm/pg-core';
import { DatabaseError, type Pool } from 'pg';
import type { Database } from './open-database.js';

/**
 * SQLSTATE of a session that other connections share: the name is unknown in it or already taken. Postgres reports this
 * before it executes anything.
 */
const SHARED_SESSION = new Set(['26000', '42P05']);

/** Pools whose connections share sessions: behind a pooler, or on an engine with one session. */
const sharing = new WeakSet<Pool>();

/**
 * A frequent statement: Postgres parses and plans it once per connection. On the first error of a shared session it
 * switches to sending the whole text each time. Its name is a hash of its text, so that no name can stand for two texts.
 */
export class PreparedStatement {
  private readonly text: string;
  private readonly params: unknown[];
  private readonly name: string;

  /** @param statement with `sql.placeholder(name)` for each value */
  constructor(statement: SQL) {
    const { sql, params } = new PgDialect().sqlToQuery(statement);
    this.text = sql;
    this.params = params;
    this.name = `octo_${createHash('sha256').update(sql).digest('hex').slice(0, 32)}`;
  }

  /**
   * @returns the rows
   * @throws DrizzleQueryError
   */
  async execute(db: Database, values: Record<string, unknown>): Promise<unknown[]> {
    const { $client: pool } = db;
    const { text, name } = this;
    const params = fillPlaceholders(this.params, values);
    const isNamed = !sharing.has(pool);
    try {
      return (await pool.query({ text, values: params, ...(isNamed && { name }) })).rows;
    } catch (error) {
      if (isNamed && error instanceof DatabaseError && SHARED_SESSION.has(error.code ?? '')) {
        sharing.add(pool);
        return this.execute(db, values);
      }
      throw new DrizzleQueryError(text, params, error instanceof Error ? error : undefined);
    }
  }
}

import { createHash } from 'node:crypto';
import { DrizzleQueryError, fillPlaceholders, type SQL } from 'drizzle-orm';
import { PgDialect } from 'drizzle-orm/pg-core';
import { DatabaseError, type Pool } from 'pg';
import type { Database } from './open-database.js';

/**
 * SQLSTATE of a session that is not ours alone: the name is not known in it, or somebody else has given it. Postgres
 * says so before it carries out anything.
 */
const NOT_OURS = new Set(['26000', '42P05']);

/** Pools whose connections share sessions, behind a pooler or on an engine with one session. */
const sharing = new WeakSet<Pool>();

/**
 * A statement that is asked often: Postgres reads and plans it once for each connection. Where sessions are shared it
 * finds out, and is sent whole each time. The name says what the text is, so that nobody's can stand for another text.
 */
export class PreparedStatement {
  private readonly text: string;
  private readonly params: unknown[];
  private readonly name: string;

  /** @param statement with `sql.placeholder(name)` for what changes */
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
      if (isNamed && error instanceof DatabaseError && NOT_OURS.has(error.code ?? '')) {
        sharing.add(pool);
        return this.execute(db, values);
      }
      throw new DrizzleQueryError(text, params, error instanceof Error ? error : undefined);
    }
  }
}

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { DrizzleQueryError, sql } from 'drizzle-orm';
import { startPostgres } from '../../../verification/engines/suite-postgres.js';
import { type Database, isRefusal, openDatabase, PreparedStatement } from '../src/index.js';

const DIVIDE = new PreparedStatement(sql`select 12 / ${sql.placeholder('by')}::int as quotient`);

let postgres: Awaited<ReturnType<typeof startPostgres>>;
let db: Database;

beforeAll(async () => {
  postgres = await startPostgres();
});

afterAll(() => postgres.stop());

beforeEach(async () => {
  db = openDatabase(postgres.url, { connections: 1 });
  await db.execute(sql`deallocate all`);
});

afterEach(() => db.$client.end());

async function namesInSession(): Promise<unknown[]> {
  const { rows } = await db.execute(sql`select name from pg_prepared_statements`);
  return rows.map(({ name }) => name);
}

async function prepared(): Promise<string> {
  await DIVIDE.execute(db, { by: 1 });
  return String((await namesInSession())[0]);
}

describe('PreparedStatement', () => {
  it('is prepared once per connection and executed with each set of values', async () => {
    expect(await DIVIDE.execute(db, { by: 3 })).toEqual([{ quotient: 4 }]);
    expect(await DIVIDE.execute(db, { by: 4 })).toEqual([{ quotient: 3 }]);
    expect(await namesInSession()).toEqual([expect.stringMatching(/^octo_[0-9a-f]{32}$/)]);
  });

  it('continues without a name when its session forgets the name', async () => {
    await prepared();
    await db.execute(sql`deallocate all`);
    expect(await DIVIDE.execute(db, { by: 3 })).toEqual([{ quotient: 4 }]);
    expect(await DIVIDE.execute(db, { by: 4 })).toEqual([{ quotient: 3 }]);
    expect(await namesInSession()).toEqual([]);
  });

  it('continues without a name when the name is taken by another text', async () => {
    const name = await prepared();
    await db.$client.end();
    db = openDatabase(postgres.url, { connections: 1 });
    await db.execute(sql`deallocate all`);
    await db.execute(sql.raw(`prepare ${name} as select 'another text'`));
    expect(await DIVIDE.execute(db, { by: 3 })).toEqual([{ quotient: 4 }]);
    expect(await DIVIDE.execute(db, { by: 4 })).toEqual([{ quotient: 3 }]);
  });

  it('throws the error of a query that Postgres refuses', async () => {
    const error: unknown = await DIVIDE.execute(db, { by: 0 }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DrizzleQueryError);
    expect(isRefusal((error as DrizzleQueryError).cause)).toBe(true);
    expect((error as DrizzleQueryError).cause?.message).toBe('division by zero');
  });
});

import { describe, expect, it } from '@jest/globals';
import { DrizzleQueryError } from 'drizzle-orm';
import { DatabaseError } from 'pg';
import { databaseReason, isDatabaseDown, isRefusedQuery } from './database-error.js';

function failed(code: string | undefined): DrizzleQueryError {
  const cause = new DatabaseError('the server said no', 0, 'error');
  cause.code = code;
  return new DrizzleQueryError('insert into secrets values ($1)', ['a secret'], cause);
}

describe('isDatabaseDown', () => {
  it.each([
    ['a lost connection', '08006'],
    ['a full disk', '53100'],
    ['a server that shuts down', '57P01'],
    ['a read-only server after a failover', '25006'],
  ])('is true for %s', (_what, code) => {
    expect([isDatabaseDown(failed(code)), isRefusedQuery(failed(code))]).toEqual([true, false]);
  });

  it('is true when there was no answer at all', () => {
    expect(isDatabaseDown(new DrizzleQueryError('select 1', [], new Error('connect ECONNREFUSED')))).toBe(true);
  });

  it.each([
    ['a violated constraint', '23505'],
    ['a syntax error', '42601'],
  ])('is false for %s, which is the fault of the query', (_what, code) => {
    expect([isDatabaseDown(failed(code)), isRefusedQuery(failed(code))]).toEqual([false, true]);
  });
});

describe('databaseReason', () => {
  it('has the words of the server and none of the parameters', () => {
    expect(databaseReason(failed('23505'))).toBe('the server said no');
  });
});

import { expect, it } from '@jest/globals';
import { getTableName, is } from 'drizzle-orm';
import { PgTable } from 'drizzle-orm/pg-core';
import { GATEWAY_TABLES, APPEND_ONLY_TABLES, READ_BY_GATEWAYS } from './gateway-role.js';
import * as database from './index.js';

const AUTH_ONLY = ['password_resets', 'refresh_tokens', 'security_events', 'sessions'];

it('gateway-role decides for every table what gateways may do', () => {
  const tables = Object.values(database).filter((value) => is(value, PgTable));
  const decided = [...GATEWAY_TABLES, ...APPEND_ONLY_TABLES, ...Object.keys(READ_BY_GATEWAYS), ...AUTH_ONLY];
  expect(decided.toSorted()).toEqual(tables.map((table) => getTableName(table)).toSorted());
});

import { describe, expect, it } from '@jest/globals';
import { parseRedisUrl } from './connect-redis.js';

describe('parseRedisUrl', () => {
  it.each([
    ['redis://localhost', { protocol: 'redis', hosts: [{ host: 'localhost', port: 6379 }], path: '', account: {} }],
    ['rediss://[::1]:7000/3', { protocol: 'rediss', hosts: [{ host: '::1', port: 7000 }], path: '3', account: {} }],
    [
      'redis-sentinel://one,two:26380/mymaster',
      {
        protocol: 'redis-sentinel',
        hosts: [
          { host: 'one', port: 26379 },
          { host: 'two', port: 26380 },
        ],
        path: 'mymaster',
        account: {},
      },
    ],
    [
      'redis-cluster://me:a%40b@one:7000,two:7001',
      {
        protocol: 'redis-cluster',
        hosts: [
          { host: 'one', port: 7000 },
          { host: 'two', port: 7001 },
        ],
        path: '',
        account: { username: 'me', password: 'a@b' },
      },
    ],
  ])('parses %s', (url, address) => {
    expect(parseRedisUrl(url)).toEqual(address);
  });

  it.each(['http://localhost', 'redis://', 'localhost:6379', 'redis-sentinel://one,two', 'redis-cluster://one:port'])(
    'refuses %s and names the valid forms',
    (url) => {
      expect(() => parseRedisUrl(url)).toThrow('redis-sentinel://host:port');
    },
  );
});

import { Cluster, Redis, type RedisOptions } from 'ioredis';

/** To one server, the master of a Sentinel group, or a cluster. */
export type RedisConnection = Redis | Cluster;

export type ConnectionOptions = Omit<RedisOptions, 'replyMapping'>;

export const REDIS_URL_FORMS =
  'must be redis://host, rediss://host, redis-sentinel://host:port,host:port/name-of-the-master or redis-cluster://host:port,host:port';

/** Timeout of one Sentinel, after which the next is asked. */
const SENTINEL_TIMEOUT_MS = 1_000;

interface Address {
  protocol: string;
  hosts: { host: string; port: number }[];
  /** The part after the hosts: the name of a master or the number of a database. */
  path: string;
  account: Pick<RedisOptions, 'username' | 'password'>;
}

const ADDRESS =
  /^(rediss?|redis-sentinel|redis-cluster):\/\/(?:(?<user>[^:@/]*)(?::(?<password>[^@/]*))?@)?(?<hosts>[^@/?]+)(?:\/(?<path>[^?]*))?/;

/**
 * Opens a connection to the address: `redis://` or `rediss://` for one server,
 * `redis-sentinel://host:port,host:port/name` for the master of that name, also after a failover,
 * `redis-cluster://host:port,host:port` for a cluster. User and password come before the first host.
 * @throws TypeError for any other address
 */
export function connectRedis(url: string, options: ConnectionOptions): RedisConnection {
  const { protocol, hosts, path, account } = parseRedisUrl(url);
  if (protocol === 'redis-sentinel') {
    // Without a timeout ioredis waits forever for a frozen Sentinel.
    const sentinelOptions = { sentinels: hosts, name: path, sentinelCommandTimeout: SENTINEL_TIMEOUT_MS };
    return new Redis({ ...sentinelOptions, ...options, ...account });
  }
  if (protocol !== 'redis-cluster') return new Redis(url, options);
  const { enableOfflineQueue, retryStrategy, autoResendUnfulfilledCommands, ...redisOptions } = options;
  return new (enableOfflineQueue === false ? PromptCluster : Cluster)(hosts, {
    ...(retryStrategy ? { clusterRetryStrategy: (times: number) => retryStrategy(times) } : {}),
    ...(autoResendUnfulfilledCommands === false ? { retryDelayOnFailover: 0, retryDelayOnClusterDown: 0 } : {}),
    redisOptions: { ...redisOptions, ...account },
  });
}

/**
 * Fails commands at once while the cluster is down. `enableOfflineQueue: false` would not do: it also fails commands
 * while the connection to their node is being opened, which the first command starts and the second one meets.
 */
class PromptCluster extends Cluster {
  override sendCommand(...args: Parameters<Cluster['sendCommand']>): unknown {
    const [command] = args;
    // ioredis sends these to get ready.
    if (this.status === 'ready' || command.name === 'cluster') return super.sendCommand(...args);
    command.reject(new Error('the cluster is not connected'));
    return command.promise;
  }
}

/** @throws TypeError that names the valid forms */
export function parseRedisUrl(url: string): Address {
  const { user, password, hosts = '', path = '' } = ADDRESS.exec(url)?.groups ?? {};
  const protocol = url.slice(0, url.indexOf(':'));
  if (hosts === '' || (protocol === 'redis-sentinel' && path === '')) throw new TypeError(REDIS_URL_FORMS);
  const defaultPort = protocol === 'redis-sentinel' ? 26_379 : 6_379;
  return {
    protocol,
    hosts: hosts.split(',').map((host) => parseHost(host, defaultPort)),
    path: decodeURIComponent(path),
    account: {
      ...(user ? { username: decodeURIComponent(user) } : {}),
      ...(password ? { password: decodeURIComponent(password) } : {}),
    },
  };
}

function parseHost(text: string, defaultPort: number): { host: string; port: number } {
  if (!URL.canParse(`redis://${text}`)) throw new TypeError(REDIS_URL_FORMS);
  const { hostname, port } = new URL(`redis://${text}`);
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: port === '' ? defaultPort : Number(port) };
}

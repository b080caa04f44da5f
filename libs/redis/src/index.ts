export {
  connectRedis,
  type ConnectionOptions,
  parseRedisUrl,
  REDIS_URL_FORMS,
  type RedisConnection,
} from './connect-redis.js';

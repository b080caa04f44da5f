export { ApiCall } from './api-call.js';
export { ApiProblems } from './api-problems.js';
export { BackgroundLoop } from './background-loop.js';
export { createAdapter, DEFAULT_HTTP } from './http-server.js';
export { type ApiTexts, describeApi, serveDocs, serveOpenApi } from './open-api.js';
export { logTransitions, openRedis } from './open-redis.js';
export { OutageLog } from './outage-log.js';
export {
  problemOf,
  ProblemException,
  ProblemFilter,
  sendProblem,
  type BodyProblems,
  type OwnProblem,
  type ProblemExtra,
} from './problem.js';
export { RedisSignal } from './redis-signal.js';
export { Readiness } from './readiness.js';
export { runApp } from './run-app.js';
export { copyHeaders } from './security-headers.js';
export {
  commonSettings,
  flag,
  httpUrl,
  listed,
  port,
  postgresUrl,
  publicOrigin,
  readSettings,
  redisUrl,
  SettingsError,
  wholeNumber,
} from './settings.js';
export { parse, ValidBody, ValidQuery } from './valid-body.js';

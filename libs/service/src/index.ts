export { ApiProblems } from './api-problems.js';
export { createAdapter, type HttpOptions } from './http-server.js';
export { JsonLogger } from './json-logger.js';
export { logTransitions } from './log-transitions.js';
export { describeApi, serveOpenApi } from './open-api.js';
export {
  problemOf,
  ProblemException,
  ProblemFilter,
  sendProblem,
  type BodyProblems,
  type ProblemExtra,
} from './problem.js';
export { HealthController, Readiness, type ReadinessCheck } from './readiness.js';
export { runApp, type AppDefinition } from './run-app.js';
export { ServiceModule } from './service.module.js';
export {
  commonSettings,
  flag,
  httpUrl,
  port,
  postgresUrl,
  readSettings,
  redisUrl,
  SettingsError,
  wholeNumber,
} from './settings.js';
export { ValidBody, ValidQuery } from './valid-body.js';

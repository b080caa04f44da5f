export { accounts } from './accounts.js';
export { callbacks } from './callbacks.js';
export { DatabaseDownFilter } from './database-down.filter.js';
export { DatabaseModule, InjectDatabase } from './database.module.js';
export { inTransaction } from './in-transaction.js';
export { migrate } from './migrate.js';
export { openDatabase, type Database, type DatabaseOptions, type Queries } from './open-database.js';
export { providerProvisioning } from './providers.js';
export { refreshTokens, revokedAccess, sessions } from './sessions.js';

export { type Answer, LimitedClient, type LimitedClientOptions } from './limited-client.js';
export { LimitedWork, type WorkSource } from './limited-work.js';
export { limitedClientSettings } from './limited-client.settings.js';

export type { Place } from './hash-queue.js';
export { hashPassword, inPasswordQueue, isPasswordOf } from './passwords.js';

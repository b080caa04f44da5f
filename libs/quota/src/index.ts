export type { Permit, QuotaEvent, QuotaState, Reservation, Settlement } from './permit.js';
export { guardMs, quotaPolicySchema, type QuotaPolicy } from './policy.js';
export { QUOTA_REDIS_OPTIONS, type WhenForgotten } from './quota-store.js';
export { Quota, type QuotaOptions } from './quota.js';

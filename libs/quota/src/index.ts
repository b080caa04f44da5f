export type { AnsweredHeaders, LimitHeaders } from './announcements/announced-limits.js';
export {
  type AnnouncedQuota,
  type Announcement,
  type AnnouncementReader,
  announcementReader,
  waitMsOf,
} from './announcements/announcement.js';
export { isTimeZone } from './calendar.js';
export { decidingState, REQUESTS } from './pod/account-quotas.js';
export type {
  Amounts,
  NamedQuotaState,
  Permit,
  QuotaEvent,
  QuotaState,
  QuotaStep,
  Reservation,
  Settlement,
} from './permit.js';
export {
  guardMs,
  hasWindows,
  type LimitedPolicy,
  limitOf,
  periodMsOf,
  type QuotaPolicy,
  type QuotaPolicyInput,
  quotaPolicySchema,
} from './policy.js';
export { openQuotaRedis, QUOTA_REDIS_OPTIONS } from './store/quota-redis.js';
export type { Recall } from './pod/rebuilding.js';
export type { Sent, WhenForgotten } from './store/quota-store.js';
export { type ProviderOptions, Quota, type QuotaInput, type QuotaOptions } from './quota.js';

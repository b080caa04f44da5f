/** Injection token of the connection for counts that must be exact: quotas and budgets. */
export const QUOTA_REDIS = Symbol('QUOTA_REDIS');

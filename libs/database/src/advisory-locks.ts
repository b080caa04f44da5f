/**
 * Every advisory lock of the project. The numbers are arbitrary, but each must be the same in every process and unique.
 * Use transaction-level locks only (`pg_advisory_xact_lock`): all connections may share one session.
 */
export const ADVISORY_LOCKS = {
  /** One process at a time applies migrations. */
  migrations: 4_718_201,
  /** One pod at a time provisions quotas. */
  provisioning: 4_718_202,
  /** One process at a time creates the monthly partitions of the journal. */
  partitions: 4_718_203,
  /** One pod at a time does the housekeeping. */
  housekeeping: 4_718_204,
  /** One request at a time changes accounts, so that two requests cannot remove the last two admins. */
  accounts: 4_718_205,
} as const;

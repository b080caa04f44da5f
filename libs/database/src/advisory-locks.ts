/**
 * Every advisory lock of the project: any number, the same in every process, and each used for one thing.
 * Transaction-level locks only (`pg_advisory_xact_lock`): the engine may share one session among all connections.
 */
export const ADVISORY_LOCKS = {
  /** One process at a time applies migrations. */
  migrations: 4_718_201,
  /** One pod at a time provisions quotas. */
  provisioning: 4_718_202,
  /** One pod at a time creates the months of the journal. */
  partitions: 4_718_203,
  /** One pod at a time does housekeeping. */
  housekeeping: 4_718_204,
  /** One request at a time changes accounts, so that the last admin cannot be lost. */
  accounts: 4_718_205,
} as const;

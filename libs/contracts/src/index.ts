export {
  accountListSchema,
  accountPatchSchema,
  accountSchema,
  credentialsSchema,
  loginSchema,
  managedAccountSchema,
  registrationSchema,
  roleSchema,
  type Account,
  type AccountList,
  type AccountPatch,
  type Credentials,
  type Login,
  type ManagedAccount,
  type Registration,
  type Role,
} from './accounts.js';
export {
  attemptSchema,
  deliveredMessageSchema,
  MESSAGE_MAX_BYTES,
  messageTextSchema,
  sendMessageSchema,
  type Attempt,
  type DeliveredMessage,
  type SendMessage,
} from './messages.js';
export { PROBLEMS, problemSchema, type Problem, type ProblemCode } from './problems.js';
export {
  faultsSchema,
  providerAnswerSchema,
  providerRequestSchema,
  providerStatsSchema,
  type Faults,
  type ProviderAnswer,
  type ProviderRequest,
  type ProviderStats,
} from './provider.js';
export { quotaReportSchema, type QuotaReport } from './quota-report.js';

import { z } from 'zod';
import { attemptSchema } from './messages.js';

/**
 * Every error that the apps answer: code, HTTP status, title. The code is the contract, the title is for people, and
 * `detail` says what to do.
 */
export const PROBLEMS = {
  invalid_request: [400, 'The request is not valid'],
  invalid_message: [400, 'The message is not valid'],
  unknown_channel: [400, 'There is no such channel'],
  invalid_reset_token: [400, 'The reset token is not valid'],
  unauthenticated: [401, 'Not logged in'],
  invalid_credentials: [401, 'Wrong e-mail address or password'],
  totp_required: [401, 'A one-time code is required'],
  budget_exhausted: [402, 'The spending limit is reached'],
  forbidden: [403, 'Not allowed'],
  reauthentication_required: [403, 'A recent login is required'],
  paid_access_required: [403, 'Free quota is used up and paid providers are not allowed'],
  not_found: [404, 'Not found'],
  method_not_allowed: [405, 'Method not allowed'],
  request_timeout: [408, 'The request did not arrive in time'],
  idempotency_in_progress: [409, 'A request with this idempotency key is in progress'],
  already_delivered: [409, 'The message is being sent or was delivered'],
  email_taken: [409, 'This e-mail address is already registered'],
  cancelled: [410, 'The message was cancelled'],
  message_too_large: [413, 'The message is too large'],
  payload_too_large: [413, 'The request body is too large'],
  unsupported_media_type: [415, 'The body must be application/json'],
  idempotency_key_reused: [422, 'This idempotency key was used with another request'],
  message_rejected: [422, 'A provider rejected the message'],
  too_many_attempts: [429, 'Too many attempts'],
  too_many_requests: [429, 'Too many requests'],
  quota_exceeded: [429, 'The quota of this provider is used up'],
  headers_too_large: [431, 'The request headers are too large'],
  internal_error: [500, 'Internal error'],
  provider_failed: [502, 'No provider could deliver the message'],
  unavailable: [503, 'Temporarily unavailable'],
  provider_timeout: [504, 'No provider answered in time'],
  deadline_missed: [504, 'The message could not be delivered by its deadline'],
} as const satisfies Record<string, readonly [status: number, title: string]>;

export type ProblemCode = keyof typeof PROBLEMS;

/** Problem details for HTTP APIs (RFC 9457), media type `application/problem+json`. */
export const problemSchema = z
  .object({
    type: z.string().meta({ example: 'urn:octo:problem:invalid_message' }),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string(),
    code: z.enum(Object.keys(PROBLEMS) as [ProblemCode, ...ProblemCode[]]),
    requestId: z.string(),
    errors: z
      .array(z.object({ pointer: z.string(), detail: z.string() }))
      .optional()
      .meta({ description: 'Every bad field, by JSON pointer (RFC 6901); only with status 400 and 413' }),
    freeReopensAt: z.iso.datetime().optional(),
    budget: z
      .object({
        scope: z.enum(['account', 'deployment']),
        window: z.enum(['day', 'month']),
        limitMicros: z.int(),
        resetsAt: z.iso.datetime(),
      })
      .optional()
      .meta({ description: 'The spending limit that is reached; only with status 402' }),
    id: z.uuid().optional().meta({ description: 'Id of the message, if attempts were made' }),
    attempts: z.array(attemptSchema).optional().meta({ description: 'Attempts that were made, in order' }),
  })
  .meta({ id: 'Problem' });

export type Problem = z.infer<typeof problemSchema>;

import { z } from 'zod';
import { passwordSchema } from '#contracts';
import { pointsSchema } from '../values.js';

const loginSchema = z.string().regex(/^[^\p{Cc}\p{Cs}]{1,100}$/u, 'must have 1 to 100 visible characters');
export const credentialsSchema = z
  .strictObject({ login: loginSchema, password: passwordSchema.min(1, 'must not be empty') })
  .meta({ id: 'Credentials' });
export type Credentials = z.infer<typeof credentialsSchema>;

export const orderSchema = z.object({
  number: z.string(),
  status: z.enum(['NEW', 'PROCESSING', 'INVALID', 'PROCESSED']),
  accrual: z.number().optional(),
  uploaded_at: z.iso.datetime(),
});

export const balanceSchema = z.object({ current: z.number(), withdrawn: z.number() });

export const newWithdrawalSchema = z
  .strictObject({ order: z.string(), sum: pointsSchema })
  .meta({ id: 'NewWithdrawal' });
export const withdrawalSchema = z.object({ order: z.string(), sum: z.number(), processed_at: z.iso.datetime() });

export const PROBLEMS = {
  wrongLogin: { code: 'wrong_login', status: 401, title: 'Wrong login or password' },
  tooFewPoints: { code: 'insufficient_balance', status: 402, title: 'Not enough points' },
  loginTaken: { code: 'login_taken', status: 409, title: 'This login is already registered' },
  othersOrder: { code: 'order_of_another_user', status: 409, title: 'Another user has uploaded this order' },
  wrongNumber: { code: 'wrong_order_number', status: 422, title: 'The order number is wrong' },
};

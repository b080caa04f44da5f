export type { Admission, Decision } from './admission.js';
export {
  BODY_LIMIT_BYTES,
  ReferenceProviderModule,
  type ReferenceProviderOptions,
} from './reference-provider.module.js';

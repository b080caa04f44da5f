export type { Admission, Decision } from './admission.js';
export { ReferenceProviderModule, type ReferenceProviderOptions } from './reference-provider.module.js';

export type { Admission, Decision } from './admission.js';
export { controlSettings } from './control.controller.js';
export { ReferenceProviderModule, type ReferenceProviderOptions } from './reference-provider.module.js';

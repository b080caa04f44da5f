/** Injection token of the parsed providers file. */
export const PROVIDERS = Symbol('PROVIDERS');

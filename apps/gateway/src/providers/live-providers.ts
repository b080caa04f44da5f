import type { Channel } from './channel.js';
import type { Provider, ProvidersFile } from './providers-file.js';

/** The providers file in force. A reload replaces it; messages in flight finish with the providers they started with. */
export class LiveProviders implements ProvidersFile {
  private readonly listeners: (() => void)[] = [];
  /** Problems of a newer file that was not applied. */
  rejected: readonly string[] = [];

  constructor(private file: ProvidersFile) {}

  get currency(): string {
    return this.file.currency;
  }

  get providers(): readonly Provider[] {
    return this.file.providers;
  }

  get channels(): ReadonlyMap<string, Channel> {
    return this.file.channels;
  }

  redact(text: string): string {
    return this.file.redact(text);
  }

  /** @param listener called after each replacement */
  onReplaced(listener: () => void): void {
    this.listeners.push(listener);
  }

  replace(file: ProvidersFile): void {
    this.file = file;
    this.rejected = [];
    for (const listener of this.listeners) listener();
  }
}

export interface MemoryLimits {
  maxAnswers: number;
  /** Of keys and answers together: a limit on their number alone does not bound memory. */
  maxChars: number;
}

/** First answers by idempotency key; beyond the limits it forgets the oldest. */
export class RememberedAnswers {
  private readonly answers = new Map<string, string>();
  private chars = 0;

  constructor(private readonly limits: MemoryLimits) {}

  find(key: string): string | undefined {
    return this.answers.get(key);
  }

  /** The key must be new. */
  add({ key, answer }: { key: string; answer: string }): void {
    this.answers.set(key, answer);
    this.chars += key.length + answer.length;
    this.forgetOldest();
  }

  private forgetOldest(): void {
    for (const [key, answer] of this.answers) {
      if (this.answers.size <= this.limits.maxAnswers && this.chars <= this.limits.maxChars) return;
      this.answers.delete(key);
      this.chars -= key.length + answer.length;
    }
  }
}

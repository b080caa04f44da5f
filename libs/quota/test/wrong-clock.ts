/** A `Date` whose now is any time; those of this engine's sources who read it are found out. */
export class WrongClock {
  /** Where the engine read it. */
  readonly readers: string[] = [];
  private readonly right = globalThis.Date;

  constructor() {
    const read = (): number => this.read();
    globalThis.Date = class extends this.right {
      static override now(): number {
        return read();
      }

      constructor(...given: [] | [value: number | string | Date]) {
        super(given[0] ?? read());
      }
    } as DateConstructor;
  }

  setRight(): void {
    globalThis.Date = this.right;
  }

  private read(): number {
    const reader = new Error('read').stack?.split('\n').find((line) => ENGINE.test(line));
    if (reader !== undefined) this.readers.push(reader);
    return Math.floor(Math.random() * 4e12);
  }
}

const ENGINE = /quota\/src\/|\.data\/mutants\//;

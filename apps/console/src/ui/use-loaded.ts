import { useEffect, useState } from 'preact/hooks';

export type Loaded<Value> =
  { state: 'loading' } | { state: 'loaded'; value: Value } | { state: 'failed'; error: unknown };

/** Loads a value when the page opens, and again whenever `key` changes or `reload` is called. */
export function useLoaded<Value>(
  load: () => Promise<Value>,
  key: string,
): { loaded: Loaded<Value>; reload: () => void; replace: (change: (value: Value) => Value) => void } {
  const [loaded, setLoaded] = useState<Loaded<Value>>({ state: 'loading' });
  const [round, setRound] = useState(0);
  useEffect(() => {
    let isCurrent = true;
    setLoaded({ state: 'loading' });
    load().then(
      (value) => isCurrent && setLoaded({ state: 'loaded', value }),
      (error: unknown) => isCurrent && setLoaded({ state: 'failed', error }),
    );
    return () => {
      isCurrent = false;
    };
  }, [key, round]);
  return {
    loaded,
    reload: () => setRound((before) => before + 1),
    replace: (change) =>
      setLoaded((before) => (before.state === 'loaded' ? { state: 'loaded', value: change(before.value) } : before)),
  };
}

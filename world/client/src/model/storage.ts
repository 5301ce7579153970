/** Storage that never throws: a browser may forbid it or have no room left, and then nothing is kept. */

export type KeyValueStorage = Pick<Storage, "getItem" | "setItem" | "removeItem">;

/** Return a storage of the browser, or one in memory if the browser forbids it. */
export function storageOf(name: "localStorage" | "sessionStorage"): KeyValueStorage {
  try {
    const storage = window[name];
    storage.getItem("byeolmaru");
    return careful(storage);
  } catch {
    return inMemory();
  }
}

/** A browser may refuse to write, for example in a private window or when the storage is full. */
function careful(storage: Storage): KeyValueStorage {
  return {
    getItem: (key) => tried(() => storage.getItem(key)) ?? null,
    setItem: (key, value) => void tried(() => storage.setItem(key, value)),
    removeItem: (key) => void tried(() => storage.removeItem(key)),
  };
}

function tried<Result>(action: () => Result): Result | undefined {
  try {
    return action();
  } catch (error) {
    console.warn("The browser's storage cannot be used.", error);
    return undefined;
  }
}

function inMemory(): KeyValueStorage {
  const values = new Map<string, string>();
  return {
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => void values.set(key, value),
    removeItem: (key) => void values.delete(key),
  };
}

/** Return a stored object; an empty one if there is none or it is not readable. */
export function storedObject(storage: Pick<Storage, "getItem">, key: string): Record<string, unknown> {
  const found = parsed(storage.getItem(key));
  return typeof found === "object" && found !== null ? (found as Record<string, unknown>) : {};
}

/** Return the stored items that have the wanted form; none if nothing is stored or it is not readable. */
export function storedList<Item>(storage: Pick<Storage, "getItem">, key: string, is: (item: unknown) => item is Item): Item[] {
  const found = parsed(storage.getItem(key));
  return Array.isArray(found) ? found.filter(is) : [];
}

function parsed(stored: string | null): unknown {
  try {
    return JSON.parse(stored ?? "null");
  } catch {
    return null;
  }
}
